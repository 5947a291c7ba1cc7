"""Real games in step: what they show is what the emulator shows, and keys stick as often as asked."""

from __future__ import annotations

import numpy as np
import pytest

from collect.emulator import Emulator
from collect.player import RealGames
from model.breakout import Action

pytestmark = pytest.mark.slow

KEYS = [1] * 3 + [2] * 30 + [3] * 50 + [0] * 40


def test_games_are_those_of_the_emulator() -> None:
    games, emulator = RealGames(2), Emulator(1)
    points = np.zeros(2)
    for key in KEYS:
        points += games.step(np.array([key, 0]))
        emulator.step(key)
        shown = emulator.objects()
        assert games.objects[0, -1].tolist() == [*(shown.ball or (0, 0)), shown.paddle, 16]
        assert games.lives.tolist() == [shown.lives, 5]
    assert games.objects.shape == (2, 4, 4)
    assert points.tolist() == [shown.score, 0]
    moved = games.objects.copy()
    games.begin(np.array([True, False]))
    assert (games.objects[0, :, 0] == 0).all()
    assert np.array_equal(games.objects[1], moved[1])


def test_a_game_that_is_over_stands_still() -> None:
    games = RealGames(1)
    for _ in range(1200):
        games.step(np.array([Action.FIRE]))
        if games.lives[0] == 0:
            break
    assert games.lives[0] == 0
    assert games.step(np.array([2])).tolist() == [0]
    games.begin(np.array([True]))
    assert games.lives[0] == 5


def test_keys_stick_as_often_as_asked() -> None:
    def paddle(sticky: float, seed: int) -> int:
        games = RealGames(1, sticky, seed)
        for number in range(24):
            games.step(np.array([2 + number // 12]))
        return int(games.objects[0, -1, 2])

    assert paddle(1.0, 0) == paddle(1.0, 1) == 99  # where the paddle is after a reset: NOOP for ever
    assert paddle(0.25, 0) == paddle(0.25, 0)
    assert len({paddle(0.25, 0), paddle(0.25, 1), paddle(0.0, 0)}) > 1
