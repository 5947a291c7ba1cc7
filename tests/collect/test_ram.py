"""RAM by name: what it says is what the pixels show."""

from __future__ import annotations

import numpy as np
import pytest

from collect import ram
from collect.emulator import Emulator
from collect.frames import CollectSettings, play_episode
from collect.policies import FULL_WALL, lay_wall
from model.breakout import BALL_CLASS, LONG_PADDLE, SHORT_PADDLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played() -> tuple[np.ndarray, ram.GameState]:
    """Frames and state of games and drills at frame skip 1."""
    games = [("mixed", 1), ("drill", 1), ("drill", 2)]
    episodes = [play_episode(CollectSettings(0, policy, 1, 4, 25.0), number) for policy, number in games]
    frames = np.concatenate([episode.frame(slice(None)) for episode in episodes])
    return frames, ram.read(np.concatenate([episode.ram for episode in episodes]))


def test_the_ball_in_the_open_field(played: tuple[np.ndarray, ram.GameState]) -> None:
    frames, state = played
    inside = (state.ball_column >= 9) & (state.ball_column <= 149)
    seen = np.flatnonzero((state.ball_row >= 93) & (state.ball_row <= 180) & inside)
    assert len(seen) > 300
    for t in seen[::3]:
        found = np.argwhere(frames[t, 93:189, 8:152] == BALL_CLASS) + np.array([93, 8])
        assert found.min(0).tolist() == [state.ball_row[t], state.ball_column[t]]
        assert found.max(0).tolist() == [state.ball_row[t] + 3, state.ball_column[t] + 1]
    none = state.ball_row == 0
    assert none.any()
    assert not (frames[none, 93:189, 8:152] == BALL_CLASS).any()


def test_the_paddle_and_its_width(played: tuple[np.ndarray, ram.GameState]) -> None:
    frames, state = played
    clear = (state.ball_row < 180) & (state.paddle_column < 136)  # at the right wall it goes under it
    for width in (LONG_PADDLE, SHORT_PADDLE):
        some = np.flatnonzero(clear & (state.paddle_width == width))
        assert len(some) > 50
        for t in some[::5]:
            found = np.flatnonzero(frames[t, 190, 8:152] == BALL_CLASS) + 8
            assert found.tolist() == list(range(state.paddle_column[t], state.paddle_column[t] + width))


def test_every_brick_has_its_bits() -> None:
    emulator, rng = Emulator(1), np.random.default_rng(0)
    emulator.reset()
    lay_wall(emulator)
    assert bytes(emulator.ram()[: ram.WALL_BYTES]) == FULL_WALL
    assert ram.wall_points(np.ones((6, 18), np.bool_)) == ram.FIRST_WALL == 432
    for _ in range(30):
        wall = rng.random((6, 18)) < rng.random()
        emulator.poke(ram.wall_and_score(ram.wall_bytes(wall), 0))
        frame = emulator.step(0).frame
        assert np.array_equal((frame[57:93, 8:152].reshape(6, 6, 18, 8) != 0).all(axis=(1, 3)), wall)
        assert np.array_equal(ram.read(emulator.ram()).wall, wall)


def test_places_follow_from_speeds(played: tuple[np.ndarray, ram.GameState]) -> None:
    """Between two frames of free flight the ball moves by its speed, fractions and all."""
    state = played[1]
    row = state.ball_row.astype(int) * 256 + state.row_fraction
    column = state.ball_column.astype(int) * 256 + state.column_fraction
    free = (state.ball_row[:-1] > 110) & (state.ball_row[:-1] < 170)
    free &= (state.ball_column[:-1] > 14) & (state.ball_column[:-1] < 144)
    free &= (np.abs(np.diff(row)) < 1000) & (np.abs(np.diff(column)) < 600)  # not from one scene to the next
    free &= np.diff(state.clock) == 1
    assert free.sum() > 300
    assert np.array_equal(np.diff(row)[free], state.row_speed[:-1][free])
    assert np.array_equal(np.diff(column)[free], state.column_speed[:-1][free])


def test_score_lives_clock_and_shapes() -> None:
    emulator = Emulator(1)
    for frames in range(1, 5):
        emulator.poke({**ram.wall_and_score(b"", 987), ram.LIVES: 3})
        emulator.step(0)
        state = ram.read(emulator.ram())
        assert (state.score, state.lives, state.clock) == (987, 3, frames)
    many = ram.read(np.zeros((2, 3, 128), np.uint8))
    assert many.wall.shape == (2, 3, 6, 18)
    assert {name: part.shape for name, part in many.__dict__.items() if name != "wall"} == dict.fromkeys(
        set(vars(many)) - {"wall"}, (2, 3)
    )
    for wrong in (np.zeros(127, np.uint8), np.zeros(128, np.int64)):
        with pytest.raises(ValueError, match="RAM must be"):
            ram.read(wrong)
