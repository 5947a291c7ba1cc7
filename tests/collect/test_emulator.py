"""The emulator: repeatable, and RAM says what the pixels show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from collect import ram
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from model.breakout import BALL_CLASS, LONG_PADDLE, Action

ROOT = Path(__file__).parents[2]


def play(emulator: Emulator, actions: list[int]) -> list[bytes]:
    """RAM and screen after every step."""
    return [bytes(emulator.ram()) + emulator.step(action).frame.tobytes() for action in actions]


def test_the_same_actions_give_the_same_game() -> None:
    actions = np.random.default_rng(1).integers(4, size=300).tolist()
    emulator = Emulator(2, seed=3)
    first = play(emulator, actions)
    emulator.reset()
    assert play(emulator, actions) == first  # nothing of the game before is left
    assert play(Emulator(2, seed=4), actions) == first  # nor of the emulator's own chance


def test_actions_never_stick() -> None:
    """A paddle that is told to go right, then left, turns at once, every time."""
    emulator = Emulator(2)
    for _ in range(20):
        for action, sign in ((Action.RIGHT, 1), (Action.LEFT, -1)):
            emulator.step(action)
            before = emulator.objects().paddle
            emulator.step(action)
            assert (emulator.objects().paddle - before) * sign > 0


@pytest.mark.parametrize("frameskip", [1, 2, 4])
def test_ram_says_where_ball_and_paddle_are(frameskip: int) -> None:
    rng = np.random.default_rng(2)
    emulator = Emulator(frameskip)
    start_episode(emulator, "mixed", rng)
    policy = make_policy("mixed", rng, frameskip)
    balls = 0
    for _ in range(400):
        objects = emulator.objects()
        frame = emulator.step(policy.act(objects)).frame
        objects = emulator.objects()
        paddle = np.flatnonzero(frame[190] == BALL_CLASS)
        paddle = paddle[paddle >= objects.paddle][:LONG_PADDLE]
        assert paddle.tolist() == list(range(objects.paddle, objects.paddle + LONG_PADDLE))
        if objects.ball is not None and 93 <= objects.ball[0] <= 180 and 9 <= objects.ball[1] <= 149:
            balls += 1
            row, column = objects.ball
            found = np.argwhere(frame[93:189, 8:152] == BALL_CLASS) + np.array([93, 8])
            assert found.min(0).tolist() == [row, column]
            assert found.max(0).tolist() == [row + 3, column + 1]
    assert balls > 50


def test_snapshot_and_restore_repeat_the_game() -> None:
    emulator = Emulator(2)
    actions = np.random.default_rng(3).integers(4, size=120).tolist()
    play(emulator, actions[:60])
    snapshot, frame = emulator.snapshot(), emulator.frame.copy()
    first = play(emulator, actions[60:])
    emulator.restore(snapshot)
    assert np.array_equal(emulator.frame, frame)
    assert play(emulator, actions[60:]) == first


def test_the_knob_and_the_paddles_column_settle_the_next_column() -> None:
    """At frame skip 1, for a key: so nothing else about the paddle need be remembered."""
    emulator, found, turns = Emulator(1), {}, {}
    for game in range(3):
        emulator.reset()
        rng = np.random.default_rng(game)
        for _ in range(30):
            action = int(rng.choice([Action.NOOP, Action.FIRE, Action.RIGHT, Action.LEFT], p=[0.2, 0.1, 0.35, 0.35]))
            for _ in range(int(rng.integers(1, 45))):
                if emulator.over:
                    break
                now = ram.read(emulator.ram())
                emulator.step(action)
                after = ram.read(emulator.ram())
                place = int(now.knob), int(now.paddle_column)
                found.setdefault(place, set()).add(int(after.paddle_column))
                turns.setdefault(place, set()).add(int(after.knob))
    columns = {column for _, column in found}
    assert (min(columns), max(columns)) == (8, 144), "both walls were met"
    assert len({knob for knob, column in found if column == 144}) > 10, "the knob turns on beyond the right wall"
    assert np.mean([len(next_columns) == 1 for next_columns in found.values()]) > 0.98


def test_a_snapshot_holds_the_knob_and_all_of_ram() -> None:
    emulator = Emulator(2)
    for _ in range(5):
        emulator.step(Action.LEFT)
    snapshot, before = emulator.snapshot(), emulator.ram()
    for _ in range(30):
        emulator.step(Action.RIGHT)
    assert emulator.ram()[ram.KNOB] != before[ram.KNOB]
    emulator.restore(snapshot)
    assert np.array_equal(emulator.ram(), before)


def test_nothing_is_printed_and_no_warning_is_given() -> None:
    code = "from collect.emulator import Emulator; Emulator(1).step(1)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_edits_show_from_the_next_frame_on() -> None:
    emulator = Emulator(2)
    for _ in range(30):
        emulator.step(Action.NOOP)
    before = emulator.frame.copy()
    emulator.poke({**ram.wall_and_score(bytes(ram.WALL_BYTES), 321), ram.LIVES: 2})
    assert np.array_equal(emulator.frame, before)
    after = emulator.step(Action.NOOP).frame
    assert not after[57:93, 8:152].any()
    assert (emulator.objects().score, emulator.objects().lives) == (321, 2)
    emulator.poke({ram.LIVES: 4})
    assert emulator.objects().lives == emulator.ram()[ram.LIVES] == 4


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="frame skip"):
        Emulator(0)
    emulator = Emulator(2)
    for action in (-1, 4, 7):
        with pytest.raises(ValueError, match="action must be"):
            emulator.step(action)


def test_rewards_lives_and_the_end() -> None:
    emulator = Emulator(4)
    rng = np.random.default_rng(0)
    score, lives = 0, emulator.objects().lives
    assert lives == 5
    while not emulator.over:
        step = emulator.step(int(rng.integers(4)))
        score += step.reward
        assert step.lives <= lives
        lives = step.lives
        assert step.lives == 0 or emulator.objects().score == score
    assert lives == 0
    standing = emulator.frame.copy()
    assert np.array_equal(emulator.step(Action.RIGHT).frame, standing)
    assert emulator.reset().shape == (210, 160)
    assert not emulator.over
