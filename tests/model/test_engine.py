"""The engine that plays: a value in, a value out, for one game as for many. (That it is PyTorch's twin:
`tests/train/test_export.py`.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from collect.dataset import TransitionDataset
from model.breakout import ACTIONS, CELLS, CODES, UNCHANGED
from model.engine import MANIFEST, STILL, Engine, _event
from model.state import SIZES, State, stack
from train.data import Data

GAMES, STEPS = 8, 10


@pytest.fixture(scope="module")
def frames(dataset: TransitionDataset, data: Data) -> np.ndarray:
    """Eight stretches of real games: (8, 11, 210, 160)."""
    begins = data.steps[data.steps + STEPS < len(dataset.index)].numpy()
    t = begins[:: len(begins) // GAMES][:GAMES, None] + np.arange(STEPS + 1)
    return dataset.frame(t)


@pytest.fixture(scope="module")
def actions() -> np.ndarray:
    """Keys between them: (8, 10)."""
    return np.random.default_rng(0).integers(0, ACTIONS, (GAMES, STEPS))


@pytest.fixture(scope="module")
def state(engine: Engine, frames: np.ndarray, actions: np.ndarray) -> State:
    """The state after these stretches."""
    return engine.begin(frames, actions)


def same(a: State, b: State) -> None:
    """Two states are equal; the certainty nearly, as float sums differ with the size of a batch."""
    for name, one, other in zip(State._fields, a, b, strict=True):
        if name == "certainty":
            assert np.allclose(one, other, atol=1e-4)
        else:
            assert np.array_equal(one, other), name


def test_a_state_is_of_the_shapes_and_types_that_it_says(state: State) -> None:
    shapes = ((210, 160), (4, 4), (6, 18), (4,), (len(SIZES),), (len(SIZES),))
    types = ("uint8", "int64", "uint8", "int64", "int64", "float32")
    for name, part, shape, kind in zip(State._fields, state, shapes, types, strict=True):
        assert (part.shape, part.dtype.name) == ((GAMES, *shape), kind), name


def test_the_next_step_is_always_the_same(engine: Engine, state: State) -> None:
    action = np.arange(GAMES) % ACTIONS
    first, again = engine.predict(state, action), engine.predict(state, action)
    assert (first.codes.shape, first.codes.dtype.name) == ((GAMES, CELLS), "int64")
    assert (first.frame.shape, first.frame.dtype.name) == ((GAMES, 210, 160), "uint8")
    assert np.array_equal(first.codes, again.codes)
    assert np.array_equal(first.frame, again.frame)


def test_eight_games_are_what_each_is_alone(engine: Engine, state: State) -> None:
    """Bit for bit in codes and frames, along a dream of half a second."""
    singles = [state.rows(slice(game, game + 1)) for game in range(GAMES)]
    together, rng = state, np.random.default_rng(1)
    for _ in range(STEPS):
        action = rng.integers(0, ACTIONS, GAMES)
        found = engine.predict(together, action)
        for game in range(GAMES):
            alone = engine.predict(singles[game], action[game : game + 1])
            assert np.array_equal(alone.codes[0], found.codes[game])
            assert np.array_equal(alone.frame[0], found.frame[game])
            singles[game] = engine.advance(singles[game], action[game : game + 1], alone.frame, alone)
        together = engine.advance(together, action, found.frame, found)
    same(stack(singles), together)


def test_a_drawn_frame_and_the_same_frame_as_a_real_one(engine: Engine, state: State) -> None:
    action = np.arange(GAMES) % ACTIONS
    found = engine.predict(state, action)
    same(engine.advance(state, action, found.frame, found), engine.advance(state, action, found.frame.copy()))


def test_nothing_is_changed_in_place(engine: Engine, state: State) -> None:
    kept = [part.copy() for part in state]
    found = engine.predict(state, np.zeros(GAMES, np.int64))
    frame = found.frame.copy()
    engine.advance(state, np.zeros(GAMES, np.int64), found.frame, found)
    engine.draw(state, found.codes)
    engine.logits(state, np.zeros(GAMES, np.int64))
    assert all(np.array_equal(a, b) for a, b in zip(kept, state, strict=True))
    assert np.array_equal(found.frame, frame)


def test_a_state_is_its_own_whatever_becomes_of_the_frames_it_was_given(engine: Engine, frames: np.ndarray) -> None:
    buffer = frames[:, :1].copy()
    first = engine.begin(buffer)
    buffer[:] = frames[:, 1:2]  # as whoever has one array for the newest frames does
    assert np.array_equal(first.frame, frames[:, 0])
    second = engine.advance(first, np.zeros(GAMES, np.int64), buffer[:, 0])
    buffer[:] = frames[:, 2:3]
    assert np.array_equal(second.frame, frames[:, 1])


@pytest.mark.parametrize("wrong", [-1, ACTIONS, ACTIONS + 1])
def test_an_action_that_is_none_is_refused(engine: Engine, state: State, wrong: int) -> None:
    """A graph would take it for another number: a key that is not known, a clock, the commonest ball."""
    action = np.full(GAMES, 2)
    action[3] = wrong
    calls: list[Callable[[], object]] = [
        lambda: engine.advance(state, action, state.frame),
        lambda: engine.advance(state, action, state.frame, engine.predict(state, np.zeros(GAMES))),
        lambda: engine.begin(np.stack((state.frame, state.frame), 1), action[:, None]),
    ]
    for controller in engine.controllers:
        calls += [lambda name=controller: engine.predict(state, action, name)]  # type: ignore[misc]
        calls += [lambda name=controller: engine.logits(state, action, name)]  # type: ignore[misc]
    for call in calls:
        with pytest.raises(ValueError, match=r"action must be 0..3, got"):
            call()


def test_frames_that_are_no_classes_are_refused(engine: Engine, state: State) -> None:
    """Greys and ALE's own indices of colours have the shape of classes."""
    grey = state.frame * np.uint8(20)
    for call in (
        lambda: engine.begin(grey[:, None]),
        lambda: engine.advance(state, np.zeros(GAMES), grey),
        lambda: engine.encode(state.frame, grey),
    ):
        with pytest.raises(ValueError, match=r"must be 0..8, got 0..\d+"):
            call()


def test_a_controller_that_is_none_is_refused(engine: Engine, state: State) -> None:
    for call in (engine.predict, engine.logits):
        with pytest.raises(ValueError, match="controller must be one of context, action, got 'actions'"):
            call(state, np.zeros(GAMES), "actions")


def test_parts_of_other_numbers_of_games_are_refused(engine: Engine, state: State) -> None:
    for count in (1, GAMES - 1):
        with pytest.raises(ValueError, match=rf"as many games: .*'frame': {GAMES}.*'action': {count}"):
            engine.predict(state, np.zeros(count))
    with pytest.raises(ValueError, match="2 frames have 1 actions between them, got 2"):
        engine.begin(np.stack((state.frame, state.frame), 1), np.zeros((GAMES, 2)))


def test_a_beginning_is_one_frame_and_steps(engine: Engine, frames: np.ndarray, actions: np.ndarray) -> None:
    state = engine.begin(frames[:, :1])
    assert not state.memory.any()
    for step in range(3):
        state = engine.advance(state, actions[:, step], frames[:, step + 1])
    same(state, engine.begin(frames[:, :4], actions[:, :3]))
    same(engine.begin(frames[:, :3]), engine.begin(frames[:, :3], np.zeros((GAMES, 2), np.int64)))


def test_a_new_game_is_known(engine: Engine, weights: Path, frames: np.ndarray) -> None:
    fresh = json.loads((weights / MANIFEST).read_text())["fresh"]
    state = engine.begin(frames[:, :1], fresh=True)
    assert state.memory.tolist() == [fresh] * GAMES
    assert (state.memory > 0).all()
    assert (state.certainty == 1).all()


@pytest.mark.parametrize("controller", ["context", "action"])
def test_chance_is_the_callers(engine: Engine, state: State, controller: str) -> None:
    def codes(seed: int, temperature: float) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        drawn = [engine.predict(state, np.zeros(GAMES), controller, temperature, rng).codes for _ in range(3)]
        return np.concatenate(drawn).tolist()

    assert codes(0, 50.0) == codes(0, 50.0)
    assert codes(0, 50.0) != codes(1, 50.0)
    assert codes(0, 0.0) == codes(1, 0.0)
    likeliest = engine.predict(state, np.zeros(GAMES), controller).codes
    assert np.array_equal(engine.predict(state, np.zeros(GAMES), controller, 1e-6).codes, likeliest)


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(engine: Engine, state: State, temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be 0 or more"):
        engine.predict(state, np.zeros(GAMES), temperature=temperature)


def test_the_action_only_controller_sees_the_key_alone(engine: Engine, state: State) -> None:
    for action in range(ACTIONS):
        found = engine.predict(state, np.full(GAMES, action), "action")
        assert (found.codes == found.codes[0]).all()
        assert np.array_equal(found.frame, engine.draw(state, found.codes))
    logits = engine.logits(state, np.full(GAMES, 2), "action")
    assert logits.shape == (GAMES, CELLS, CODES)
    assert np.array_equal(logits.argmax(2), engine.predict(state, np.full(GAMES, 2), "action").codes)


def test_logits_of_every_cell(engine: Engine, state: State) -> None:
    """Of a cell that changes they are its event's; all others are sure of code 0. In any state."""
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        action = rng.integers(0, ACTIONS, GAMES)
        found, logits = engine.predict(state, action), engine.logits(state, action)
        assert (logits.shape, logits.dtype.name) == ((GAMES, CELLS, CODES), "float32")
        still = found.codes == UNCHANGED
        assert (logits[still].argmax(1) == UNCHANGED).all()
        assert (logits[still][:, 1:] == 0).all()
        assert (logits[still][:, 0] == STILL).all()
        assert (np.ptp(logits[~still], axis=1) > 0).all()
        state = engine.advance(state, action, found.frame, found)


def test_the_code_of_a_ball_that_is_not_seen_is_the_balls_event() -> None:
    """A step to where the frame hides the ball has the code of a ball that vanishes, not the likeliest one."""
    likeliest = np.array([5, 6, 0, 0, 0, 0])
    assert _event(3, 5, likeliest) == 0
    assert _event(6, 6, likeliest) == 1
    assert _event(3, 9, likeliest) == 0


def test_codes_of_pairs(engine: Engine, frames: np.ndarray) -> None:
    codes = engine.encode(frames[:, 0], frames[:, 1])
    assert (codes.shape, codes.dtype.name) == ((GAMES, CELLS), "int64")
    assert not engine.encode(frames[:, 0], frames[:, 0]).any()
    assert np.array_equal(engine.encode(frames[3:4, 0], frames[3:4, 1])[0], codes[3])
