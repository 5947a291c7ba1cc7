"""Dreams that stay true, that break at a known step, and that the real game ends."""

import numpy as np
import pytest
import torch

from evaluate.dream import dream, summarise_dreams
from evaluate.heldout import Starts, dream_starts, memory_of
from evaluate.predictors import Predictor, controllers_of, copy_last
from model import WorldModel
from model.breakout import CELLS, CODES
from model.memory import Unseen

MARKS = [1]


@pytest.fixture
def starts(games) -> Starts:
    one = dream_starts(games, 1, 1.5, 1.5, np.random.default_rng(2))
    return Starts(np.repeat(one.t, 2) + np.array([0, 5]), np.array([45, 38]))


@pytest.fixture
def t(starts) -> np.ndarray:
    return np.arange(starts.t[0], starts.t[0] + 46)


def test_a_perfect_dream_reaches_the_end(twin, games, starts, t, perfect) -> None:
    dreams = dream(twin, perfect(t), games, starts, np.random.default_rng(0), MARKS)
    assert dreams.horizons.tolist() == [45, 38]
    assert np.array_equal(dreams.wrong_pixels >= 0, np.arange(45) < np.array([[45], [38]]))
    assert dreams.wrong_pixels.max() == 0
    result = summarise_dreams(dreams, 2, MARKS)
    assert result["reach_the_end"]["value"] == 1.0
    assert result["horizon_seconds"]["median"] == pytest.approx((45 + 38) / 2 / 30)
    assert result["true_after_10_seconds"]["value"] is None  # no run is that long
    after = result["after_seconds"]["1"]
    assert after["runs"] == 2
    assert after["wrong_bricks"]["value"] == 0
    assert after["paddle"]["error"]["median"] == 0
    assert after["ball"]["of"] == 0 or after["ball"]["error"]["median"] == 0


def test_a_dream_that_breaks_at_a_known_step(twin, games, starts, t, perfect) -> None:
    broken = int(starts.t[0]) + 20
    dreams = dream(twin, perfect(t, until=broken), games, starts, np.random.default_rng(0), MARKS)
    # From here on the picture stands still. By the contract it is wrong once the ball is more than 4 pixels away or
    # more than 34 pixels differ, so count that from the real frames alone.
    for run, start in enumerate(starts.t):
        still = games.frame(np.array([broken]))
        real = games.frame(np.arange(broken + 1, start + starts.steps[run] + 1))
        wrong = (real != still).sum((1, 2))
        taken = int(broken - start)
        assert (dreams.wrong_pixels[run, :taken] == 0).all()
        drawn = dreams.wrong_pixels[run, taken : taken + len(wrong)]
        assert np.array_equal(drawn[drawn >= 0], wrong[: (drawn >= 0).sum()])
        assert taken <= dreams.horizons[run] <= taken + 10


def test_a_broken_dream_is_drawn_to_the_last_mark_and_no_further(twin, games, starts) -> None:
    dreams = dream(twin, copy_last(), games, starts, np.random.default_rng(0), MARKS)
    assert dreams.horizons.max() < 30
    assert ((dreams.wrong_pixels >= 0).sum(1) == 30).all()
    result = summarise_dreams(dreams, 2, MARKS)
    assert result["reach_the_end"]["value"] == 0.0
    assert result["after_seconds"]["1"]["still_true"]["value"] == 0.0


def test_no_run_at_all_gives_empty_numbers(twin, games) -> None:
    nothing = Starts(np.zeros(0, np.int64), np.zeros(0, np.int64))
    dreams = dream(twin, copy_last(), games, nothing, np.random.default_rng(0), MARKS)
    result = summarise_dreams(dreams, 2, MARKS)
    assert result["runs"] == 0
    assert result["horizon_seconds"]["median"] is None
    assert result["after_seconds"]["1"]["ball"]["error"]["median"] is None


def test_dreams_side_by_side_are_those_of_the_twin_alone(games, starts) -> None:
    wm = WorldModel.untrained()
    with torch.no_grad():  # what is remembered says something, which it hardly does untrained
        wm.controllers["context"].paddle.weight.normal_(std=3, generator=torch.Generator().manual_seed(0))
    one = Starts(starts.t[:1], np.array([3]))
    dreams = dream(wm, controllers_of(wm)[0], games, one, np.random.default_rng(0), [])
    keys, unseen = memory_of(games, one.t, wm.context)
    wm.reset_classes(games.frame(games.history(one.t, wm.context))[0], keys[0], Unseen(*unseen[0].tolist()))
    for step in range(3):
        t = one.t[0] + step
        drawn = wm.step_classes(int(games.actions[t])).classes
        assert dreams.wrong_pixels[0, step] == (drawn != games.frame(np.array([t + 1]))[0]).sum()


def test_a_dream_knows_the_knob_that_the_true_keys_turn(games, starts) -> None:
    wm, told = WorldModel.untrained(), []

    def choose(history, actions, memory, temperature):
        told.append(memory)
        return np.zeros((len(history), CELLS, CODES), np.float32), np.zeros((len(history), CELLS), np.int64)

    dream(wm, Predictor("nobody", lambda *asked: None, choose=choose), games, starts, np.random.default_rng(0), MARKS)
    assert len(told) == 30
    for step, memory in enumerate(told):
        real = memory_of(games, starts.t + step, wm.context)
        assert np.array_equal(memory.keys, real.keys)
        assert np.array_equal(memory.unseen[:, 1], real.unseen[:, 1])
    assert len({int(memory.unseen[0, 1]) for memory in told}) > 3
