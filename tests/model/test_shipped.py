"""The floor under the shipped weights: no others of these tests would notice weights that predict nonsense."""

from __future__ import annotations

import re

import numpy as np
import pytest

from collect.emulator import Emulator
from collect.policies import make_policy
from model.breakout import EMULATOR_HZ, Action, changed_cells
from model.engine import SHIPPED, WEIGHTS, Engine
from model.files import read_json
from model.state import State
from tests.model import golden
from tests.model.golden import GAMES, STEPS, Step, predicted

EXACT, RIGHT = 0.97, 0.97
"""The least shares of exact frames, and of right codes where something changes."""
AWAKE, DREAM = 2.0, 2.0
"""Seconds of the real game, and of a dream that most of the time must be the real game to the pixel."""

pytestmark = pytest.mark.skipif(
    not (SHIPPED / WEIGHTS).exists(), reason="no weights are shipped yet: train, then python main.py ship"
)


@pytest.fixture(scope="module")
def shipped() -> Engine:
    """What `play` plays."""
    return Engine.load()


@pytest.fixture(scope="module")
def steps(shipped: Engine) -> list[Step]:
    """Two held-out games, each step predicted from real history."""
    return predicted(shipped)


def test_frames_are_exact(steps: list[Step]) -> None:
    assert len(steps) == GAMES * STEPS
    exact = np.mean([np.array_equal(step.frame, step.after) for step in steps])
    moves = np.mean([not np.array_equal(step.before, step.after) for step in steps])
    assert moves > 0.9, "these games stand still: they say nothing"
    assert exact >= EXACT


def test_codes_of_what_changes_are_right(steps: list[Step]) -> None:
    changed = np.stack([changed_cells(step.before, step.after) for step in steps])
    right = np.stack([step.codes == step.actual for step in steps])
    assert changed.sum() > 300
    assert right[changed].mean() >= RIGHT
    assert right.mean() >= RIGHT


def test_the_codes_chosen_are_the_likeliest_where_the_ball_is_hidden_too(shipped: Engine) -> None:
    emulator = Emulator(shipped.frameskip)
    policy = make_policy("people", np.random.default_rng(1), shipped.frameskip)
    state = shipped.begin(emulator.frame[None, None], fresh=True)
    for _ in range(600):
        action = np.array([policy.act(emulator.objects())])
        guess = shipped.predict(state, action)
        assert np.array_equal(shipped.logits(state, action).argmax(2), guess.codes)
        state = shipped.advance(state, action, emulator.step(int(action[0])).frame[None], guess)


def test_codes_say_what_changes(shipped: Engine, steps: list[Step]) -> None:
    assert all(np.array_equal(step.actual != 0, changed_cells(step.before, step.after)) for step in steps)
    assert len(np.unique(np.stack([step.actual for step in steps]))) > 10, "a codebook that has collapsed"


def test_no_two_codes_say_the_same_and_each_does_what_it_says(shipped: Engine, steps: list[Step]) -> None:
    used = [says for says in shipped.says if says != "unused"]
    assert used[0] == "nothing changes"
    assert len(used) == len(set(used)) > 100
    states = (shipped.begin(step.before[None, None]) for step in steps)
    state = next(state for state in states if 110 < state.objects[0, -1, 0] < 150)  # the ball flies free
    row, column, paddle, _ = state.objects[0, -1].tolist()
    for words, code in zip(shipped.says, range(256), strict=True):
        codes = np.zeros((1, 35), np.int64)
        found = re.fullmatch(r"(ball|paddle)(?: (\d) (left|right),?)?(?: (\d) (up|down))?", words)
        if found is None:
            continue
        thing, across, side, along, way = found.groups()
        cell = column // 32 * 7 + row // 30 if thing == "ball" else (paddle + 8) // 32 * 7 + 6
        codes[0, cell] = code
        things = shipped.follow(state, codes).things
        right, down = int(across or 0) * (1 - 2 * (side == "left")), int(along or 0) * (1 - 2 * (way == "up"))
        if thing == "ball":
            assert things.ball.tolist() == [[row + down, column + right]], words
        else:
            assert things.paddle[0, 0] == min(144, max(8, paddle + right)), words


def test_it_predicts_what_it_did_when_it_was_shipped(shipped: Engine) -> None:
    remake = "if that is meant: python -m tests.model.golden"
    recorded = read_json(golden.PATH, "golden values")
    assert recorded["weights"] == shipped.checksum, f"other weights are shipped; {remake}"
    found = golden.golden(shipped)["steps"]
    wrong = [number for number, pair in enumerate(zip(found, recorded["steps"], strict=True)) if pair[0] != pair[1]]
    assert not wrong, f"step {wrong[0]} is the first of {len(wrong)} that are predicted otherwise; {remake}"


def begun(engine: Engine, game: Emulator) -> State:
    """The state at a reset, where all that no frame shows is known."""
    return engine.begin(game.reset()[None, None], fresh=True)


def parts(engine: Engine, seed: int) -> bool:
    """Whether a dream of `DREAM` seconds, after `AWAKE` of a game from its reset on, differs from the real game."""
    game = Emulator(engine.frameskip)
    player = make_policy("mixed", np.random.default_rng(seed), engine.frameskip)
    state = begun(engine, game)
    second = EMULATOR_HZ / engine.frameskip
    for step in range(round((AWAKE + DREAM) * second)):
        action = player.act(game.objects())
        real, key = game.step(action).frame, np.array([action])
        found = engine.predict(state, key)
        awake = step < AWAKE * second
        state = engine.advance(state, key, real[None] if awake else found.frame, found)
        if not awake and not np.array_equal(found.frame[0], real):
            return True
    return False


def test_most_dreams_from_a_known_state_are_the_real_game(shipped: Engine) -> None:
    assert sum(parts(shipped, seed) for seed in range(3)) <= 1


def test_fire_serves_as_the_real_game_does(shipped: Engine) -> None:
    game = Emulator(shipped.frameskip)
    state = begun(shipped, game)
    for step in range(24 // shipped.frameskip):
        action = np.array([Action.NOOP if step < 5 else Action.FIRE])
        found = shipped.predict(state, action)
        assert np.array_equal(found.frame[0], game.step(int(action[0])).frame), step
        state = shipped.advance(state, action, found.frame, found)
    assert state.objects[0, -1, 0] > 0, "there is a ball"
    assert game.objects().ball == tuple(state.objects[0, -1, :2].tolist())
