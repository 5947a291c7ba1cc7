"""The contract's interface: one game in RGB, whose state is a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collect.dataset import TransitionDataset
from model import WorldModel
from model.breakout import CELLS, CODES, rgb_from_classes
from model.engine import CONTEXT, Engine
from model.files import FileError
from model.state import VARIABLES, State

HISTORY = 6
SHAPE = (210, 160, 3)


@pytest.fixture(scope="module")
def frames(dataset: TransitionDataset) -> np.ndarray:
    """Real frames in RGB, the ball in play: (12, 210, 160, 3)."""
    return rgb_from_classes(dataset.frame(np.arange(30, 42)))


@pytest.fixture
def wm(engine: Engine, frames: np.ndarray) -> WorldModel:
    """A twin that has seen a history."""
    found = WorldModel(engine)
    found.reset(frames[:HISTORY], [2] * (HISTORY - 1))
    return found


def same(a: State, b: State) -> bool:
    """Whether two states are equal in all parts."""
    return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


def test_weights_are_loaded_from_a_directory(weights: Path, engine: Engine) -> None:
    wm = WorldModel.load(weights, controller="action")
    assert (wm.frameskip, wm.context, wm.checksum, wm.controller) == (1, CONTEXT, engine.checksum, "action")
    assert WorldModel.load(str(weights)).controller == "context"
    with pytest.raises(FileError, match="does not exist"):
        WorldModel.load(weights / "none")
    with pytest.raises(ValueError, match="controller must be one of context, action, got 'none'"):
        WorldModel.load(weights, controller="none")


def test_nothing_works_before_the_first_reset(engine: Engine, frames: np.ndarray) -> None:
    wm = WorldModel(engine)
    for call in (
        lambda: wm.predict(0),
        lambda: wm.step(0),
        lambda: wm.observe(frames[0]),
        lambda: wm.decode([0] * CELLS),
        lambda: wm.remembers(),
        lambda: wm.state,
    ):
        with pytest.raises(ValueError, match=r"call reset\(frames\) first"):
            call()


def test_a_prediction_has_a_frame_and_codes(wm: WorldModel) -> None:
    found = wm.predict(2)
    assert (found.frame.shape, found.frame.dtype.name) == (SHAPE, "uint8")
    assert (found.codes.shape, found.codes.dtype.name) == ((CELLS,), "int64")
    assert np.array_equal(wm.decode(found.codes).shape, SHAPE)


def test_predict_changes_nothing(wm: WorldModel) -> None:
    before = wm.state
    found = wm.predict(2)
    assert wm.state is before
    assert np.array_equal(wm.predict(2).frame, found.frame)
    dreamt = wm.step(2)
    assert np.array_equal(dreamt.frame, found.frame)
    assert np.array_equal(dreamt.codes, found.codes)
    assert not same(wm.state, before)


def test_a_step_is_a_prediction_that_is_observed(wm: WorldModel) -> None:
    begin = wm.state
    for action in (1, 2, 3, 0):
        dreamt = wm.step(action)
    dream, wm.state = wm.state, begin
    for action in (1, 2, 3, 0):
        wm.observe(wm.predict(action).frame, action)
    assert same(dream, wm.state)
    assert np.array_equal(rgb_from_classes(dream.frame[0]), dreamt.frame)


def test_a_state_is_kept_and_given_back(wm: WorldModel) -> None:
    kept, values = wm.state, [part.copy() for part in wm.state]
    first = [wm.step(action).frame for action in (2, 2, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(kept, values, strict=True)), "a state is never changed"
    wm.state = kept
    again = [wm.step(action).frame for action in (2, 2, 3)]
    assert np.array_equal(first, again)


def test_an_observed_frame_without_an_action_was_led_to_by_the_one_last_predicted(
    wm: WorldModel, frames: np.ndarray
) -> None:
    begin, frame = wm.state, frames[HISTORY]
    wm.observe(frame, 3)
    known, wm.state = wm.state, begin
    wm.predict(2)
    wm.predict(3)
    wm.observe(frame)
    assert same(wm.state, known)
    wm.state = begin
    wm.observe(frame)  # nothing was predicted in this state
    unknown, wm.state = wm.state, begin
    wm.observe(frame, 0)
    assert same(wm.state, unknown)


def test_a_history_is_one_frame_or_more(engine: Engine, frames: np.ndarray) -> None:
    wm = WorldModel(engine)
    wm.reset(frames[:1])
    for number in range(1, HISTORY):
        wm.observe(frames[number], 2)
    steps = wm.state
    wm.reset(frames[:HISTORY], [2] * (HISTORY - 1))
    assert same(wm.state, steps)
    wm.reset(frames[:1], fresh=True)
    assert (wm.state.memory > 0).all()


def test_codes_of_a_pair_and_back(wm: WorldModel, frames: np.ndarray) -> None:
    codes = wm.encode(frames[HISTORY - 1], frames[HISTORY])
    assert (codes.shape, codes.dtype.name) == ((CELLS,), "int64")
    assert codes.any()
    assert not wm.encode(frames[0], frames[0]).any()
    before = wm.state
    frame = wm.decode(codes)
    assert (frame.shape, frame.dtype.name) == (SHAPE, "uint8")
    assert np.array_equal(wm.decode(codes.tolist()), frame), "a list does as well"
    assert wm.state is before


def test_chance_is_of_the_seed(engine: Engine, frames: np.ndarray) -> None:
    def dream(seed: int, temperature: float) -> np.ndarray:
        wm = WorldModel(engine, seed=seed)
        wm.reset(frames[:2])
        return np.stack([wm.step(2, temperature).codes for _ in range(4)])

    assert np.array_equal(dream(0, 50.0), dream(0, 50.0))
    assert not np.array_equal(dream(0, 50.0), dream(1, 50.0))
    assert np.array_equal(dream(0, 0.0), dream(1, 0.0))


def test_what_it_remembers_in_words(wm: WorldModel) -> None:
    found = wm.remembers()
    assert list(found) == [variable.name for variable in VARIABLES]
    for number, variable in enumerate(VARIABLES):
        word, sure = found[variable.name]
        assert word == variable.classes[int(wm.state.memory[0, number])]
        assert 0 < sure <= 1


@pytest.mark.parametrize("action", [-1, 4, 1.0, "LEFT", None, True, np.array([1])])
def test_an_action_that_is_none(wm: WorldModel, frames: np.ndarray, action: Any) -> None:
    for call in (wm.predict, wm.step):
        with pytest.raises(ValueError, match=r"action must be 0..3, got"):
            call(action)
    if action is not None:
        with pytest.raises(ValueError, match=r"action must be 0..3, got"):
            wm.observe(frames[0], action)
    with pytest.raises(ValueError, match=r"action must be 0..3, got"):
        wm.reset(frames[:2], [action])


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (np.zeros((210, 160), np.uint8), r"must be uint8 .*210, 160, 3\), got uint8 \(210, 160\)"),
        (np.zeros((160, 210, 3), np.uint8), r"got uint8 \(160, 210, 3\)"),
        (np.zeros(SHAPE, np.float32), r"got float32 \(210, 160, 3\)"),
        ([[0]], "got list"),
        (None, "got NoneType"),
        (np.zeros((1, *SHAPE), np.uint8), r"\(1, 210, 160, 3\)|one frame before"),
        (np.full(SHAPE, 9, np.uint8), "a colour that Breakout never draws"),
    ],
)
def test_a_frame_that_is_none(wm: WorldModel, frames: np.ndarray, frame: Any, says: str) -> None:
    before = wm.state
    for call in (lambda: wm.observe(frame), lambda: wm.encode(frames[0], frame), lambda: wm.encode(frame, frames[0])):
        with pytest.raises(ValueError, match=says):
            call()
    assert wm.state is before


def test_a_history_that_is_none(wm: WorldModel, frames: np.ndarray) -> None:
    before = wm.state
    with pytest.raises(ValueError, match=r"with n >= 1, got \(210, 160, 3\)"):
        wm.reset(frames[0])
    with pytest.raises(ValueError, match=r"with n >= 1, got \(0, 210, 160, 3\)"):
        wm.reset(frames[:0])
    with pytest.raises(ValueError, match="3 frames have 2 actions between them, got 3"):
        wm.reset(frames[:3], [0, 1, 2])
    assert wm.state is before


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ([0] * 34, "codes must be 35 integers"),
        ([[0] * 35], "codes must be 35 integers"),
        ([0.0] * 35, "codes must be 35 integers, got float64"),
        ([True] * 35, "codes must be 35 integers, got bool"),
        ([-1] * 35, r"codes must be 0..255, got -1"),
        ([CODES] * 35, r"codes must be 0..255, got 256"),
        ("codes", "codes must be 35 integers"),
    ],
)
def test_codes_that_are_none(wm: WorldModel, codes: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        wm.decode(codes)


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_a_temperature_that_is_none(wm: WorldModel, temperature: float) -> None:
    for call in (wm.predict, wm.step):
        with pytest.raises(ValueError, match="temperature must be 0 or more and finite"):
            call(0, temperature)


def test_a_state_that_is_none_is_refused() -> None:
    world = WorldModel.load()
    world.reset(np.zeros((1, 210, 160, 3), np.uint8))
    kept, two = world.state, State(*(np.repeat(part, 2, 0) for part in world.state))
    for wrong in (None, kept.frame, two):
        with pytest.raises(ValueError, match="state must be a State of one game"):
            world.state = wrong  # type: ignore[assignment]
    assert world.state is kept
