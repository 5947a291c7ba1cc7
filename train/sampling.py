"""Which transitions a batch is made of: whole-episode splits, and rare events drawn more often."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collect.stopwatch import MAKING_DATA
from train.material import Material

FIRST_STEPS = 6
"""Steps at the beginning of an episode or scene that are not trained on: how things move is not to be seen yet."""
RARE_WEIGHT = 6.0
"""How much more often a transition with a reward, a lost life or a change in the score row is drawn."""
_GRAINS = 1024
"""Weights are drawn by as whole numbers of so many in 1: sums of these are exact on every device."""


class TransitionSampler:
    """Draws transitions of the given episodes, with replacement; batch k depends on (seed, k) alone.

    `transitions` (T,) int64 are their frame numbers, on the material's device.
    """

    def __init__(self, material: Material, episodes: npt.NDArray[np.integer], seed: int) -> None:
        self._seed = seed
        dataset, t = material.dataset, material.dataset.transitions(episodes, skip=FIRST_STEPS)
        scored = dataset.rewards[t] > 0
        lost = dataset.lives[t] != dataset.lives[t + 1]
        weights = np.where(scored | lost, RARE_WEIGHT, 1.0).astype(np.float32)
        self.transitions, self.weights = (torch.from_numpy(array).to(material.device) for array in (t, weights))

    def __len__(self) -> int:
        return len(self.transitions)

    def draw(self, step: int, count: int, priority: Tensor | None = None) -> Tensor:
        """Frame numbers t (count,) of transitions t -> t + 1.

        `priority` (one number above 0 for each of `transitions`) takes the place of the fixed weights of rare events.
        """
        with MAKING_DATA:
            weights = self.weights if priority is None else priority
            sums = (weights * _GRAINS).long().cumsum(0)
            points = np.random.default_rng([self._seed, step]).integers(int(sums[-1]), size=count)
            return self.transitions[torch.searchsorted(sums, torch.from_numpy(points).to(sums.device), right=True)]


class Priority:
    """How much each training transition is worth drawing again: its loss in nats when it was last seen.

    One that was not seen yet counts by the cells that change in it, the rarer the more: else the many steps in which
    the paddle alone moves would fill the first pass over the data.

    Bounded on both sides: nothing is forgotten, and what cannot be known does not take over. After Schaul et al. 2015,
    "Prioritized Experience Replay" (https://arxiv.org/abs/1511.05952), but without its importance weights: the game is
    all but deterministic, so there is no distribution to distort.

    `values` (T,) float32, on the material's device.
    """

    FLOOR, CEILING = 0.02, 3.0

    def __init__(self, material: Material, sampler: TransitionSampler, ceiling: float = CEILING) -> None:
        self._ceiling = ceiling
        device, index = material.device, material.dataset.index
        self._place = torch.full((len(index),), -1, device=device)  # from a frame's number to that among the training's
        self._place[sampler.transitions] = torch.arange(len(sampler), device=device)
        t = sampler.transitions.cpu().numpy()
        changes = index[t] != index[t + 1]
        rarity = (changes / changes.mean(0).clip(1 / len(t))).mean(1)  # 1 on average: every cell has an equal share
        self.values = torch.from_numpy(rarity.clip(self.FLOOR, self.CEILING).astype(np.float32)).to(device)

    def set(self, t: Tensor, loss: Tensor) -> None:
        """The losses (n,) of transitions t (n,)."""
        self.values[self._place[t]] = loss.detach().float().clamp(self.FLOOR, self._ceiling)


def spread(transitions: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` of the transitions, evenly spread, always the same ones: for validation."""
    if len(transitions) <= count:
        return transitions
    return transitions[np.linspace(0, len(transitions) - 1, count).astype(np.int64)]
