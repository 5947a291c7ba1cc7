"""A perfect predictor gets 1, copying the last frame gets what it must, and the rest is counted by hand."""

import numpy as np
import pytest

from evaluate.onestep import predict_transitions, summarise, summarise_truth
from evaluate.predictors import Predictor, choose_codes, copy_last, probabilities
from model.breakout import CELLS, CODES

NAMES = ("noop", "fire", "right", "left")


@pytest.fixture
def t(games) -> np.ndarray:
    moments = games.transitions()
    return np.sort(np.random.default_rng(4).choice(moments[:300], 80, replace=False))


def run(twin, games, t, *predictors):
    return predict_transitions(twin, predictors, games, t, np.random.default_rng(0))


def test_a_perfect_predictor_is_perfect(twin, games, t, perfect) -> None:
    truth, (said,) = run(twin, games, t, perfect(t))
    result = summarise(said, truth)
    for key in ("code_accuracy", "dynamic_accuracy", "exact_frames", "changed_pixels", "dynamic_top5_accuracy"):
        assert result[key]["all"]["value"] == 1.0
        assert result[key]["all"]["low"] in (None, 1.0)
    assert result["psnr"]["value"] == 60.0
    assert result["wrong_pixels_a_step"]["value"] == 0
    assert result["expected_code_accuracy"]["all"]["value"] == pytest.approx(1, abs=1e-6)
    # For an action that was not taken it says that nothing changes.
    assert result["delta_psnr"]["all"]["value"] > 1
    assert result["delta_psnr"] == result["delta_psnr_of_the_key"]


def test_copying_the_last_frame_gets_what_it_must(twin, games, t) -> None:
    truth, (said,) = run(twin, games, t, copy_last())
    result, facts = summarise(said, truth), summarise_truth(truth, twin.majority)
    before, after = games.frame(t), games.frame(t + 1)
    still = (before == after).all((1, 2))
    assert result["changed_pixels"]["all"]["value"] == 0.0 == facts["copy_last_changed_pixels"]
    assert result["exact_frames"]["all"]["value"] == pytest.approx(still.mean())
    assert result["exact_frames"]["all"]["value"] == facts["copy_last_exact_frames"]["all"]["value"]
    assert result["dynamic_accuracy"]["all"]["value"] == 0.0
    # The majority here is code 0 everywhere, which is what copying says.
    assert result["code_accuracy"]["all"]["value"] == facts["majority_code_accuracy"]["all"]["value"]
    assert result["delta_psnr"]["all"]["value"] > 0  # real codes draw better than a still picture


def test_codes_of_the_real_pair_draw_it_exactly_with_an_exact_twin(twin, games, t) -> None:
    truth, _ = run(twin, games, t)
    facts = summarise_truth(truth, twin.majority)
    assert facts["inferred"]["exact_frames"]["all"]["value"] == 1.0
    assert facts["inferred"]["changed_pixels"]["all"]["value"] == 1.0
    assert np.array_equal(truth.dynamic, truth.codes != 0)
    assert facts["codebook"]["all_cells"]["used"] == facts["codebook"]["changed_cells"]["used"] + 1


def test_majority_and_actions_are_counted_by_hand(twin, games, t) -> None:
    truth, _ = run(twin, games, t)
    majority = np.arange(CELLS) % 3
    facts = summarise_truth(truth, majority)
    hits = right = cells = 0
    for codes, dynamic in zip(truth.codes, truth.dynamic, strict=True):
        for cell in range(CELLS):
            hits += codes[cell] == majority[cell]
            cells += dynamic[cell]
            right += dynamic[cell] and codes[cell] == majority[cell]
    assert facts["majority_code_accuracy"]["all"]["value"] == pytest.approx(hits / (len(t) * CELLS))
    assert facts["majority_dynamic_accuracy"]["all"]["value"] == pytest.approx(right / cells)
    assert facts["steps"]["all"] == len(t) == sum(facts["steps"][name] for name in NAMES)
    by_action = facts["majority_code_accuracy"]
    parts = [by_action[name]["value"] * facts["steps"][name] for name in NAMES if facts["steps"][name]]
    assert sum(parts) / len(t) == pytest.approx(by_action["all"]["value"])


def test_an_action_that_never_occurs_is_empty(twin, games, t) -> None:
    one_action = t[games.actions[t] == 0]
    truth, (said,) = run(twin, games, one_action, copy_last())
    assert summarise(said, truth)["code_accuracy"]["left"] == {"value": None, "low": None, "high": None, "of": 0}


def test_top5_and_expected_accuracy_follow_the_logits(twin, games, t) -> None:
    def fourth(history, actions, memory):
        truth = twin.encode_batch(history[:, -1], games.frame(t + 1))
        logits = np.zeros((len(history), CELLS, CODES), np.float32)
        logits[..., 200:203] = 5.0
        np.put_along_axis(logits, truth[..., None], 4.0, -1)
        return logits

    t = t[:60]
    truth, (said,) = run(twin, games, t, Predictor("fourth", fourth))
    result = summarise(said, truth)
    share = np.exp(4) / (3 * np.exp(5) + np.exp(4) + CODES - 4)
    assert result["code_accuracy"]["all"]["value"] == 0
    assert result["dynamic_top5_accuracy"]["all"]["value"] == 1
    assert result["expected_code_accuracy"]["all"]["value"] == pytest.approx(share, rel=1e-4)


def test_codes_are_drawn_with_the_probabilities_of_their_logits() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1], np.float32))
    drawn = choose_codes(np.tile(logits, (20000, 1)), 1.0, np.random.default_rng(0))
    assert np.bincount(drawn) / 20000 == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert (choose_codes(np.tile(logits, (5, 1)), 0.0, np.random.default_rng(0)) == 0).all()
    assert probabilities(logits, 0.5) == pytest.approx(np.array([0.49, 0.04, 0.01]) / 0.54, rel=1e-5)
