"""A perfect twin is perfect in every metric, and one that lets nothing change gets what it must."""

import numpy as np
import pytest

from evaluate import Without
from evaluate.heldout import Starts, classify, dream_starts, sample_transitions, true_memory
from evaluate.rollouts import Dreams, Mode, Rollout, dream, predict_all, probabilities, select
from evaluate.summaries import (
    summarise_ambiguity,
    summarise_dreams,
    summarise_events,
    summarise_predicted,
    summarise_truth,
)
from model.breakout import CELLS
from model.state import INDEX, NOT_KNOWN
from tests.evaluate.conftest import Perfect

pytestmark = pytest.mark.slow

MARKS = np.array([30, 60])


@pytest.fixture(scope="module")
def t(games) -> np.ndarray:
    return sample_transitions(games, 60, np.random.default_rng(4))


@pytest.fixture(scope="module")
def starts(games) -> Starts:
    return dream_starts(games, 5, 2.0, 4.0, np.random.default_rng(2))


@pytest.fixture(scope="module")
def perfected(perfect, games, t, starts):
    return predict_all(perfect, games, t, starts.t, 0)


def test_a_perfect_twin_is_perfect_one_step_ahead(perfect, games, perfected, t) -> None:
    truth, context = perfected.truth, perfected.predicted["context"]
    assert truth.t.tolist() == t.tolist()
    assert perfected.exact[games.transitions()].all()
    assert not perfected.exact[games.first[1:] - 1].any()
    found = summarise_predicted(context, truth)
    for key in ("code_accuracy", "dynamic_accuracy", "exact_frames", "changed_pixels", "dynamic_top5_accuracy"):
        assert found[key]["all"].value == 1.0
    assert found["psnr"].value == 60.0
    assert found["wrong_pixels_a_step"].value == 0
    assert found["expected_code_accuracy"]["all"].value == pytest.approx(1, abs=1e-6)
    assert found["delta_psnr"]["all"].value > 1  # another key gives another picture
    facts = summarise_truth(truth, perfect.majority)
    assert facts["inferred"]["exact_frames"]["all"].value == 1.0
    assert np.array_equal(truth.dynamic, truth.codes != 0)
    taken = [facts["steps"][name] for name in ("noop", "fire", "right", "left")]
    assert sum(taken) == facts["steps"]["all"] == len(t)
    assert all(rate.value == 1.0 for rate in summarise_events(games, classify(games), perfected).values() if rate.of)
    assert (perfected.memory == true_memory(games)).all()


def test_copying_the_last_frame_gets_what_it_must(still, games, t) -> None:
    found = predict_all(still, games, t, np.zeros(0, np.int64), 0)
    result, facts = (
        summarise_predicted(found.predicted["context"], found.truth),
        summarise_truth(found.truth, still.majority),
    )
    unchanged = (games.frame(t) == games.frame(t + 1)).all((1, 2))
    assert result["exact_frames"]["all"].value == pytest.approx(unchanged.mean())
    assert result["exact_frames"]["all"].value == facts["copy_last_exact_frames"]["all"].value
    assert result["changed_pixels"]["all"].value == 0 == facts["copy_last_changed_pixels"]
    assert result["dynamic_accuracy"]["all"].value == 0
    # The majority here is code 0 everywhere, which is what copying says.
    assert result["code_accuracy"]["all"].value == facts["majority_code_accuracy"]["all"].value
    assert result["delta_psnr"]["all"].value > 0 == result["delta_psnr_of_the_key"]["all"].value
    numbers = games.transitions()
    same = (games.index[numbers] == games.index[numbers + 1]).all(1)
    assert np.array_equal(found.exact[numbers], same)


def test_majority_is_counted_by_hand(perfected) -> None:
    truth, majority = perfected.truth, np.arange(CELLS) % 3
    hits = sum(int(code == majority[cell]) for codes in truth.codes for cell, code in enumerate(codes))
    found = summarise_truth(truth, majority)["majority_code_accuracy"]["all"]
    assert found.value == pytest.approx(hits / truth.codes.size)
    assert found.of == truth.codes.size


def test_an_action_that_never_occurs_is_empty(perfected) -> None:
    chosen = perfected.truth.actions == 0
    truth, one = select(perfected.truth, chosen), select(perfected.predicted["context"], chosen)
    found = summarise_predicted(one, truth)["code_accuracy"]["left"]
    assert (found.value, found.of) == (None, 0)


def test_a_code_for_each_outcome_is_not_ambiguous(games, perfected) -> None:
    one = np.zeros_like(perfected.truth.codes)
    all_alike = summarise_ambiguity(games, perfected.truth._replace(codes=one + 7))
    assert all_alike["free flight"].value > 0.3  # one code for every step of the ball
    hidden = {name: rate for name, rate in all_alike.items() if name.endswith(", hidden too")}
    assert len(hidden) == 3
    for name, rate in hidden.items():  # the same cells, in more outcomes
        plain = all_alike.pop(name.removesuffix(", hidden too"))
        assert plain.of == rate.of
        assert (plain.value or 0) <= (rate.value or 0)
    assert sum(rate.of for rate in all_alike.values()) <= perfected.truth.dynamic.sum()
    each = perfected.truth._replace(codes=one + np.arange(len(one))[:, None])
    assert all(rate.value in (None, 0) for rate in summarise_ambiguity(games, each).values())


@pytest.mark.parametrize("mode", [Mode.dream, Mode.decoder, Mode.controller])
def test_a_perfect_dream_reaches_its_end_through_serves(perfect, games, starts, perfected, mode) -> None:
    found = dream(Rollout(perfect, perfected.states, mode), games, starts, MARKS)
    assert not found.parted.any()
    assert found.horizons.tolist() == starts.steps.tolist() == found.steps.tolist()
    result = summarise_dreams(found, games.frameskip)
    assert result["reach_the_end"].value == 1
    assert result["horizon_seconds"].median is None
    assert result["partings_per_minute"].value == 0 < result["partings_per_minute"].high
    for mark in ("1", "2"):
        after = result["after_seconds"][mark]
        assert after["runs"] == 5
        assert after["wrong_bricks"].value == 0
        assert after["paddle"]["error"].median == 0
        assert after["ball"]["within_2_pixels"].value in (None, 1)
    assert (found.memory == true_memory(games)[found.at]).all()
    assert len(found.at) == starts.steps.sum()


def test_a_dream_that_breaks_at_a_known_step(games, starts) -> None:
    first = games.first[0]
    twin = Perfect(breaks_after=int(starts.t[0] - first) + 20)
    twin.learn_games("people", 0, 3)
    one = Starts(starts.t[:1], starts.steps[:1])
    states = predict_all(twin, games, one.t, one.t, 0).states
    found = dream(Rollout(twin, states), games, one, MARKS)
    # From here on the picture stands still. It is off once the ball is more than 4 pixels away or 34 pixels differ.
    assert found.parted[0]
    assert 20 <= found.horizons[0] <= 30
    result = summarise_dreams(found, games.frameskip)
    assert result["horizon_seconds"].median == pytest.approx(found.horizons[0] / 30)
    assert result["partings_per_minute"].value == pytest.approx(60 / (found.horizons[0] / 30))
    assert not np.isnan(found.errors[1, 0]).any()  # a dream that has parted is drawn to the last mark
    assert len(found.at) < starts.steps[0]


def test_runs_too_short_to_tell_do_not_count_as_parted_before_ten_seconds() -> None:
    parted, horizons, steps = np.array([True, False, False]), np.array([3, 30, 300]), np.array([30, 30, 300])
    nothing = np.zeros((3, 3, 0), np.float32)
    dreams = Dreams(np.arange(3), steps, horizons, parted, np.zeros(0, np.int64), nothing, steps, steps)
    rate = summarise_dreams(dreams, 2)["true_after_10_seconds"]
    assert (rate.value, rate.of) == (1, 1)


def test_a_dream_that_cannot_know_a_serve_is_censored_there(still, games) -> None:
    events = classify(games)
    served = int(np.flatnonzero(events == 1)[0])
    start = Starts(np.array([served - 2]), np.array([40]))
    states = predict_all(still, games, start.t, start.t, 0).states
    found = dream(Rollout(still, states), games, start, MARKS)
    assert found.steps.tolist() == [2]
    assert not found.parted[0]
    assert np.isnan(found.errors).all()
    copied = dream(Rollout(still, states, Mode.copy), games, start, MARKS)
    assert copied.steps.tolist() == [40]
    assert copied.parted[0]


def test_memory_and_actions_can_be_taken_away(perfect, games, t, starts) -> None:
    found = predict_all(perfect, games, t, starts.t, 0, Without.memory)
    assert (found.memory == NOT_KNOWN).all()
    assert found.states.memory[:, INDEX["clock"]].tolist() == [NOT_KNOWN] * len(starts.t)
    assert {*INDEX, "nothing", "memory", "actions", "expectation"} == set(Without)
    found = predict_all(perfect, games, t, starts.t, 0, Without.clock)
    assert ((found.memory == NOT_KNOWN).all(0) == [name == "clock" for name in INDEX]).all()
    without = predict_all(perfect, games, t, starts.t, 0, Without.actions)
    assert (without.memory != NOT_KNOWN).all()  # told nothing but NOOP, the hidden game goes its own way
    assert not np.array_equal(without.memory, true_memory(games))


def test_no_run_at_all_gives_empty_numbers(still, games, t) -> None:
    nothing = Starts(np.zeros(0, np.int64), np.zeros(0, np.int64))
    states = predict_all(still, games, t, nothing.t, 0).states
    result = summarise_dreams(dream(Rollout(still, states), games, nothing, MARKS), games.frameskip)
    assert result["runs"] == 0
    assert result["horizon_seconds"].median is None
    assert result["after_seconds"]["1"]["ball"]["error"].median is None


def test_probabilities_are_a_softmax() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1], np.float32))
    assert probabilities(logits) == pytest.approx([0.7, 0.2, 0.1], rel=1e-5)
    assert probabilities(logits, 0.5) == pytest.approx(np.array([0.49, 0.04, 0.01]) / 0.54, rel=1e-5)
