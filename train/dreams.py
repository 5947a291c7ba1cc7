"""Dreams that go on from one training step to the next: what the twin meets when it lives on its own frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model.breakout import COLUMNS, ROWS
from model.gaze import PADDLE_TOP, push
from train.sampling import TransitionSampler

WRONG_PIXELS = 34
"""Wrong pixels up to which a frame counts as true, as in the evaluation: a brick is 48, the ball 8."""
LOST = 7
"""Wrong pixels between wall and paddle beyond which a dream starts anew: a ball that is a pixel away makes 8, and no
way leads back from there that its frames could tell."""
MEND = 6
"""Steps in which a dream may mend what is wrong elsewhere: a ball that has turned at a brick tells that the brick is to
go, and the keys where the paddle is to be."""
BELOW_BRICKS = 93
"""The first scanline below the wall."""
LONGEST = 900
"""Steps after which it does so in any case."""


class Dreams:
    """`count` dreams beside the training episodes of a dataset, each until more than `lost` pixels are wrong between
    wall and paddle, or anywhere for too long.

    `state` is what a resumed run needs back.
    """

    def __init__(
        self, count: int, context: int, dataset: TransitionDataset, sampler: TransitionSampler, lost: int = LOST
    ) -> None:
        self._dataset, self._starts, self._lost = dataset, sampler.transitions, lost
        self._goes_on = np.zeros(len(dataset.index), bool)
        self._goes_on[self._starts] = True
        self.state = {
            "dream_frame": torch.zeros(count, ROWS, COLUMNS, dtype=torch.uint8),
            "dream_places": torch.zeros(count, context, 5, dtype=torch.int64),
            "dream_t": torch.full((count,), -1),
            "dream_age": torch.zeros(count, dtype=torch.int64),
            "dream_off": torch.zeros(count, dtype=torch.int64),
        }
        """The newest frame, and the places up to it; the frame number t of the real frame beside it; steps dreamt;
        steps for which more than `lost` pixels have been wrong."""

    @property
    def t(self) -> npt.NDArray[np.int64]:
        """(D,) frame numbers; -1 where a dream is over."""
        return self.state["dream_t"].numpy()

    def to_start(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which dreams (n,) are to start, and at which real frames (n,)."""
        over = np.flatnonzero(self.t < 0)
        return over, rng.choice(self._starts, len(over))

    def start(self, which: npt.NDArray[np.int64], t: npt.NDArray[np.int64], frames: Tensor, seen: Tensor) -> None:
        """Dreams number `which` (n,) start at the real frames t (n,), with places and memory (n, context, 5)."""
        state = self.state
        state["dream_frame"][which], state["dream_places"][which] = frames, seen
        state["dream_t"][which], state["dream_age"][which] = torch.from_numpy(t), 0
        state["dream_off"][which] = 0

    def go_on(self, drawn: Tensor, place: Tensor) -> tuple[float, float]:
        """One step, under the real key: the frames drawn (D, 210, 160) and the places (D, 3) in them.

        A dream is over where its episode ends, a life is lost or it has lost reality. Returns the dreams' mean age in
        steps, and the share of the frames that is exact.
        """
        state, t, dataset = self.state, self.t + 1, self._dataset
        differs = drawn != torch.from_numpy(dataset.frame(t))
        wrong, field = differs.flatten(1).sum(1), differs[:, BELOW_BRICKS:PADDLE_TOP].flatten(1).sum(1)
        state["dream_off"].add_(1).mul_(wrong > self._lost)
        over = torch.from_numpy(~self._goes_on[t] | (dataset.lives[t] != dataset.lives[t - 1]))
        over |= (field > self._lost) | (state["dream_off"] > MEND)
        state["dream_frame"].copy_(drawn)
        state["dream_places"].copy_(push(state["dream_places"], place, torch.from_numpy(dataset.led_by(t))))
        state["dream_age"] += 1
        state["dream_t"].add_(1).masked_fill_(over | (state["dream_age"] >= LONGEST), -1)
        return float(state["dream_age"].float().mean()), float((wrong == 0).float().mean())
