"""Real games in step, for a player: the same interface as the dream's, `model.player.Games`."""

from __future__ import annotations

import numpy as np

from collect.emulator import Emulator
from collect.ram import read
from model.state import HISTORY, Array


class RealGames:
    """`number` emulators. Objects are read from RAM, in the form of `State.objects`.

    `sticky`: of each emulator frame, the probability that the last key is taken again, which is what ALE's
    `repeat_action_probability` does (Machado et al. 2018, https://arxiv.org/abs/1709.06009).
    """

    objects: Array  # (N, 4, 4) int64
    lives: Array  # (N,) int64, 0..5

    def __init__(self, number: int, sticky: float = 0.0, seed: int = 0) -> None:
        self._emulators = [Emulator(frameskip=1) for _ in range(number)]
        self._sticky, self._rng = sticky, np.random.default_rng([seed, 1])
        self._last = np.zeros(number, np.int64)
        self.begin(np.ones(number, np.bool_))

    def begin(self, mask: Array) -> None:
        """Start the games of `mask` (N,) bool anew."""
        for number in np.flatnonzero(mask):
            self._emulators[number].reset()
        now, self._last = self._look(), np.where(mask, 0, self._last)
        fresh = np.repeat(now[:, None], HISTORY, 1)
        self.objects = np.where(mask[:, None, None], fresh, getattr(self, "objects", fresh))

    def _look(self) -> Array:
        state = read(np.stack([emulator.ram() for emulator in self._emulators]))
        self.lives = np.where([emulator.over for emulator in self._emulators], 0, state.lives).astype(np.int64)
        column = np.where(state.ball_row > 0, state.ball_column, 0)
        parts = state.ball_row, column, state.paddle_column, state.paddle_width
        return np.stack(parts, 1).astype(np.int64)

    def step(self, keys: Array) -> Array:
        """One emulator frame of every game, keys (N,) 0..3: the points of each, (N,) float64. A game that is over
        stands still."""
        sticks = self._rng.random(len(keys)) < self._sticky
        self._last = np.where(sticks, self._last, keys)
        pairs = zip(self._emulators, self._last.tolist(), strict=True)
        points = np.array([0 if emulator.over else emulator.advance(key) for emulator, key in pairs], np.float64)
        self.objects = np.concatenate((self.objects[:, 1:], self._look()[:, None]), 1)
        return points
