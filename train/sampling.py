"""Which transitions a batch is made of: whole-episode splits, and rare events drawn more often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset

RARE_WEIGHT = 6.0
"""How much more often a transition with a reward, a lost life or a change in the score row is drawn."""


class TransitionSampler:
    """Draws transitions of the given episodes, with replacement; batch k depends on (seed, k) alone."""

    def __init__(self, dataset: TransitionDataset, episodes: npt.NDArray[np.integer], seed: int) -> None:
        self._seed = seed
        self.transitions = dataset.transitions(episodes)
        t = self.transitions
        scored = dataset.rewards[t] > 0
        lost = dataset.lives[t] != dataset.lives[t + 1]
        self.weights = np.where(scored | lost, RARE_WEIGHT, 1.0)

    def __len__(self) -> int:
        return len(self.transitions)

    def draw(self, step: int, count: int, priority: npt.NDArray[np.floating] | None = None) -> npt.NDArray[np.int64]:
        """Frame numbers t (count,) of transitions t -> t + 1.

        `priority` (one number above 0 for each of `transitions`) takes the place of the fixed weights of rare events.
        """
        cumulative = np.cumsum(self.weights if priority is None else priority, dtype=np.float64)
        points = np.random.default_rng([self._seed, step]).random(count) * cumulative[-1]
        return self.transitions[np.searchsorted(cumulative, points, side="right")]


def spread(transitions: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` of the transitions, evenly spread, always the same ones: for validation."""
    if len(transitions) <= count:
        return transitions
    return transitions[np.linspace(0, len(transitions) - 1, count).astype(np.int64)]
