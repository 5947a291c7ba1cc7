"""Metrics against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest

from evaluate.metrics import codebook_use, horizon, mean, psnr, quartiles, ratio, rounded
from model.breakout import PALETTE


def test_psnr_of_one_wrong_pixel_and_the_cap() -> None:
    real = np.zeros((2, 210, 160), np.uint8)
    drawn = real.copy()
    drawn[1, 5, 5] = 5
    squared = sum(int(v) ** 2 for v in PALETTE[5]) / (210 * 160 * 3)
    assert psnr(real, drawn) == pytest.approx([60.0, 10 * math.log10(255**2 / squared)])


def test_ratio_sums_before_it_divides() -> None:
    episodes = np.array([0, 0, 1])
    rate = ratio(np.array([1, 0, 3]), np.array([1, 1, 4]), episodes)
    assert rate["value"] == pytest.approx(4 / 6)
    assert rate["of"] == 6
    assert rate["low"] == pytest.approx(0.5)  # both draws the first episode
    assert rate["high"] == pytest.approx(0.75)


def test_an_empty_class_is_none_and_one_episode_has_no_interval() -> None:
    nothing = np.zeros(0, np.int64)
    assert ratio(nothing, nothing, nothing) == {"value": None, "low": None, "high": None, "of": 0}
    assert mean(np.array([1, 0]), np.array([4, 4])) == {"value": 0.5, "low": None, "high": None, "of": 2}


def test_the_interval_holds_the_value_and_narrows_with_episodes() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (10, 1000):
        rate = mean(rng.random(count) < 0.3, np.arange(count))
        assert rate["low"] <= rate["value"] <= rate["high"]
        widths.append(rate["high"] - rate["low"])
    assert widths[1] < widths[0] / 4


@pytest.mark.parametrize(
    ("wrong", "steps"),
    [([], 10), ([3, 4], 10), ([3, 4, 5], 3), ([0, 1, 2], 0), ([1, 2, 4, 5, 6], 4), ([8, 9], 10), ([7, 8, 9], 7)],
)
def test_horizon_is_the_steps_before_three_wrong_ones_running(wrong: list[int], steps: int) -> None:
    pixels, ball = np.zeros(10, int), np.zeros(10)
    pixels[wrong] = 35
    assert horizon(pixels, ball) == steps
    ball[wrong] = 4.5
    assert horizon(np.full(10, 34), ball) == steps


def test_horizon_counts_a_missing_ball_but_not_one_that_no_field_shows() -> None:
    ball = np.full(6, np.nan)
    assert horizon(np.zeros(6, int), ball) == 6
    ball[2:5] = np.inf
    assert horizon(np.zeros(6, int), ball) == 2
    assert horizon(np.zeros(2, int), np.zeros(2)) == 2


def test_quartiles_of_numbers_of_infinities_and_of_nothing() -> None:
    assert quartiles([1, 2, 3, 4, 5]) == {"low": 2, "median": 3, "high": 4}
    assert quartiles([0.0, 1.0, 2.0, math.inf]) == {"low": 1, "median": 2, "high": None}
    assert quartiles([]) == {"low": None, "median": None, "high": None}


def test_codebook_use() -> None:
    assert codebook_use(np.array([[3, 3], [7, 7]])) == {"used": 2, "perplexity": pytest.approx(2)}
    assert codebook_use(np.zeros(0, np.int64)) == {"used": 0, "perplexity": None}


def test_rounded_leaves_nothing_that_json_refuses() -> None:
    value = {"a": [np.float32(0.1), math.nan, math.inf], 1: (np.int64(3), True), "b": np.array([0.5])}
    assert json.loads(json.dumps(rounded(value), allow_nan=False)) == {
        "a": [0.1, None, None],
        "1": [3, True],
        "b": [0.5],
    }
