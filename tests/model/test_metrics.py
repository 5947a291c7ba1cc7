"""Metrics against numbers worked out by hand."""

import math

import numpy as np
import pytest

from model.breakout import CELLS, PALETTE, changed_cells
from model.metrics import (
    Parting,
    Quartiles,
    Rate,
    StepScore,
    Tally,
    ambiguous,
    ball_error,
    horizons,
    is_off,
    kaplan_meier,
    mean,
    paddle_error,
    partings_per_minute,
    psnr,
    quartiles,
    ratio,
    score_step,
    wrong_bricks,
)


def field(ball: tuple[int, int] | None = None, paddle: int = 60) -> np.ndarray:
    frame = np.zeros((210, 160), np.uint8)
    frame[189:193, paddle : paddle + 16] = 5
    if ball is not None:
        frame[ball[0] : ball[0] + 4, ball[1] : ball[1] + 2] = 5
    return frame


def test_a_step_is_counted_by_hand() -> None:
    before, real, twin = field((120, 40)), field((121, 40)), field((121, 41))
    actual, predicted, majority = np.zeros((3, CELLS), np.int64)
    actual[11] = 7  # rows 120 to 149, columns 32 to 63
    predicted[[11, 12]] = 7, 3
    score = score_step(before, real, twin, predicted, actual, majority)
    assert changed_cells(before, real).nonzero()[0].tolist() == [11]
    # The ball moved down by a row: two pixels vanish, two appear. A column to the right: four and four are wrong.
    assert score == StepScore(34, 34, 1, 1, 0, 8, 4, 3)
    assert not score.exact
    assert score_step(before, real, real, actual, actual, majority).exact


def test_a_tally_sums_and_forgets_nothing_but_old_steps() -> None:
    tally = Tally(3)
    assert tally.rates()["exact_frames"] is None
    for wrong in (0, 4, 0, 8):
        tally.add(StepScore(35 - wrong, 30, 2, 1, 0, wrong, 10, 5), in_play=wrong > 0)
    assert tally.steps == 4
    assert tally.rates()["exact_frames"] == 0.5
    assert tally.rates(in_play=True)["exact_frames"] == 0
    assert tally.rates(in_play=True)["wrong_pixels"] == 6
    assert tally.rates(2)["wrong_pixels"] == 4
    assert tally.rates(2, in_play=True)["wrong_pixels"] == 8
    assert tally.rates()["code_accuracy"] == pytest.approx((4 * 35 - 12) / (4 * 35))
    assert tally.rates()["majority_dynamic_code_accuracy"] == 0
    assert [part.tolist() for part in tally.series(9)] == [[31, 35, 27], [4, 0, 8]]


def test_psnr_of_one_wrong_pixel_and_the_cap() -> None:
    real = np.zeros((2, 210, 160), np.uint8)
    drawn = real.copy()
    drawn[1, 5, 5] = 5
    squared = sum(int(v) ** 2 for v in PALETTE[5]) / (210 * 160 * 3)
    assert psnr(real, drawn) == pytest.approx([60.0, 10 * math.log10(255**2 / squared)])


def test_errors_of_ball_paddle_and_bricks() -> None:
    real = np.stack([field((100, 50)), field((100, 50)), field(), field()])
    drawn = np.stack([field((103, 54), 57), field(), field((100, 50)), np.zeros((210, 160), np.uint8)])
    found = ball_error(real, drawn)
    assert found[0] == 4
    assert np.isinf(found[1])
    assert np.isnan(found[2:]).all()
    assert paddle_error(real, drawn).tolist() == [3, 0, 0, math.inf]
    drawn[0, 57:63, 8:24] = 5
    assert wrong_bricks(real, drawn).tolist() == [2, 0, 0, 0]


def test_a_frame_is_off_by_many_pixels_or_by_the_ball_on_either_axis() -> None:
    real = field((100, 50))
    assert not is_off(real[None], field((104, 54))[None])[0]  # 16 wrong pixels, 4 away on both axes
    assert is_off(real[None], field((100, 55))[None])[0]
    assert is_off(real[None], field()[None])[0]
    assert not is_off(field()[None], real[None])[0]  # 8 pixels too many, and no real ball to be away from
    many = real.copy()
    many[0].flat[:34] = 1
    assert not is_off(real[None], many[None])[0]
    many[0, 34] = 1
    assert is_off(real[None], many[None])[0]


@pytest.mark.parametrize(
    ("wrong", "steps"),
    [([], 10), ([3, 4], 10), ([3, 4, 5], 3), ([0, 1, 2], 0), ([1, 2, 4, 5, 6], 4), ([8, 9], 10), ([7, 8, 9], 7)],
)
def test_the_window_and_the_report_agree_on_a_horizon(wrong: list[int], steps: int) -> None:
    off = np.zeros((1, 10), bool)
    off[0, wrong] = True
    found, parted = horizons(off, np.array([10]))
    assert found[0] == steps
    assert parted[0] == (steps < 10 and len(wrong) > 2)
    watch, real = Parting(), field((100, 50))
    told = [watch.add(real, field((150, 50)) if wrong else real) for wrong in off[0]]
    assert watch.parted_at == (steps if parted[0] else None)
    assert sum(told) == parted[0]
    assert not parted[0] or told.index(True) == steps + 2
    assert watch.horizon == (steps if parted[0] else 10 - (2 if wrong == [8, 9] else 0))


def test_horizons_end_with_their_runs() -> None:
    off = np.zeros((3, 6), bool)
    off[:, 3:] = True
    found, parted = horizons(off, np.array([6, 5, 2]))
    assert found.tolist() == [3, 5, 2]
    assert parted.tolist() == [True, False, False]
    nothing = horizons(np.zeros((0, 0), bool), np.zeros(0, np.int64))
    assert [len(part) for part in nothing] == [0, 0]
    assert horizons(np.ones((2, 2), bool), np.array([2, 2]))[1].tolist() == [False, False]


def test_a_kaplan_meier_median_counts_censored_runs_while_they_last() -> None:
    # By hand: 4 of 5 survive 1 s, the run censored at 2 s leaves 3 at risk, at 3 s 4/5 * 2/3 = 0.53, at 4 s 0.27.
    found = kaplan_meier(np.array([1, 2, 3, 4, 9.0]), np.array([True, False, True, True, False]))
    assert found == Quartiles(3, 4, None, 5)
    assert kaplan_meier(np.array([5.0, 6.0]), np.array([False, False])) == Quartiles(None, None, None, 2)
    assert kaplan_meier(np.zeros(0), np.zeros(0, bool)) == Quartiles(None, None, None, 0)
    whole = kaplan_meier(np.arange(1.0, 9), np.ones(8, bool))
    assert (whole.low, whole.median, whole.high) == (2, 4, 6)


def test_partings_per_minute() -> None:
    seconds, parted = np.array([30.0, 60, 90]), np.array([True, True, False])
    rate = partings_per_minute(seconds, parted, np.arange(3))
    assert rate.value == pytest.approx(2 / 3)
    assert rate.of == 3
    assert 0 <= rate.low < 2 / 3 < rate.high <= 2
    none = partings_per_minute(seconds, ~parted & False, np.arange(3))
    assert none == Rate(0.0, 0.0, pytest.approx(3.689 / 3, rel=1e-3), 3)
    assert partings_per_minute(np.zeros(0), np.zeros(0, bool), np.zeros(0)).value is None


def test_a_code_is_ambiguous_where_it_does_not_tell_what_happens() -> None:
    codes, outcomes = np.array([7, 7, 7, 9, 9, 8]), np.array([1, 1, 2, 5, 5, 2])
    assert ambiguous(codes, outcomes).tolist() == [False, False, True, False, False, False]


def test_ratio_sums_before_it_divides() -> None:
    rate = ratio(np.array([1, 0, 3]), np.array([1, 1, 4]), np.array([0, 0, 1]))
    assert rate.value == pytest.approx(4 / 6)
    assert rate.of == 6
    assert rate.low == pytest.approx(0.5)  # both draws the first episode
    assert rate.high == pytest.approx(0.75)


def test_an_empty_class_is_none_and_one_episode_has_no_interval() -> None:
    nothing = np.zeros(0, np.int64)
    assert ratio(nothing, nothing, nothing) == Rate(None, None, None, 0)
    assert mean(np.array([1, 0]), np.array([4, 4])) == Rate(0.5, None, None, 2)
    assert ratio(np.array([1, 0]), np.array([2, 0]), np.array([0, 1])) == Rate(0.5, None, None, 2)


def test_the_interval_holds_the_value_and_narrows_with_episodes() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (10, 1000):
        rate = mean(rng.random(count) < 0.3, np.arange(count))
        assert rate.low <= rate.value <= rate.high
        widths.append(rate.high - rate.low)
    assert widths[1] < widths[0] / 4


def test_quartiles_of_numbers_of_infinities_and_of_nothing() -> None:
    assert quartiles(np.array([1, 2, 3, 4, 5])) == Quartiles(2, 3, 4, 5)
    assert quartiles(np.array([0.0, 1.0, 2.0, math.inf])) == Quartiles(1, 2, None, 4)
    assert quartiles(np.zeros(0)) == Quartiles(None, None, None, 0)
