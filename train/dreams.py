"""Dreams that go on from one training step to the next: what the twin meets when it lives on its own frames."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.breakout import BACKGROUND, BALL_CLASS, COLUMNS, ROWS
from model.gaze import BALL_HEIGHT, BALL_WIDTH, FIELD_LEFT, FIELD_RIGHT, PADDLE_TOP
from model.memory import push
from train.material import Material
from train.sampling import TransitionSampler

WRONG_PIXELS = 34
"""Wrong pixels up to which a frame counts as true, as in the evaluation: a brick is 48, the ball 8."""
BALL_AWAY = 2
"""How far off the ball may be in a true frame, in pixels, as in the evaluation."""
LOST = 7
"""Wrong pixels beyond which a dream has lost reality, those of a ball that is not too far away not counted."""
MEND = 6
"""Steps in which a dream may mend what is wrong outside the open field, or a ball that is missing: a ball that has
turned at a brick tells that the brick is to go, and how it flew tells where it is to be."""
BELOW_BRICKS = 93
"""The first scanline below the wall."""
FREE = 6
"""A ball so far from walls, bricks and paddle, in pixels, is free: it meets nothing in the next step."""
LONGEST = 900
"""Steps after which a dream starts anew in any case."""


class Dreams:
    """`count` dreams beside the training episodes of a dataset, each until reality is lost: until more than `lost`
    pixels are wrong in the open field, or anywhere for too long, or the ball there is too far away.

    `state` is what a resumed run needs back.
    """

    def __init__(
        self, count: int, context: int, material: Material, sampler: TransitionSampler, lost: int = LOST
    ) -> None:
        self._material, self._starts, self._lost = material, sampler.transitions, lost
        device = material.device
        self._goes_on = torch.zeros(len(material.start), dtype=torch.bool, device=device)
        self._goes_on[self._starts] = True
        self.state = {
            "dream_frame": torch.zeros(count, ROWS, COLUMNS, dtype=torch.uint8, device=device),
            "dream_places": torch.zeros(count, context, 6, dtype=torch.int64, device=device),
            "dream_t": torch.full((count,), -1, device=device),
            "dream_age": torch.zeros(count, dtype=torch.int64, device=device),
            "dream_off": torch.zeros(count, dtype=torch.int64, device=device),
        }
        """The newest frame, and the places up to it; the frame number t of the real frame beside it; steps dreamt;
        steps for which more than `lost` pixels have been wrong."""

    @property
    def t(self) -> Tensor:
        """(D,) frame numbers; -1 where a dream is over."""
        return self.state["dream_t"]

    def restart(self, rng: np.random.Generator) -> None:
        """In place of dreams that are over, others start at random real frames."""
        which = (self.t < 0).nonzero().flatten()
        if not len(which):
            return
        numbers = torch.from_numpy(rng.integers(len(self._starts), size=len(which)))
        t = self._starts[numbers.to(which.device)]
        state = self.state
        state["dream_frame"][which] = self._material.frame(t)
        state["dream_places"][which] = self._material.places(t, state["dream_places"].shape[1])
        state["dream_t"][which] = t
        state["dream_age"][which] = state["dream_off"][which] = 0

    def wanted(self) -> Tensor:
        """The frames (D, 210, 160) that should come next: the real ones. But where the ball flies freely a little off
        its real place it is to fly on as the real one does, still as much off: nothing that is seen tells the way back,
        which is open again where the ball meets something."""
        frames, t = self._material.frame(self.t + 1), self.t
        now, after = self._material.place(t)[:, :2], self._material.place(t + 1)[:, :2]
        mine = self.state["dream_places"][:, -1, :2]
        off = mine - now
        to = after + off
        free = _is_free(now) & _is_free(after) & _is_free(mine) & _is_free(to) & (off != 0).any(1)
        which = (free & (off.abs().amax(1) <= BALL_AWAY)).nonzero().flatten()
        _fill_ball(frames, which, after[which], BACKGROUND)
        _fill_ball(frames, which, to[which], BALL_CLASS)
        return frames

    def go_on(self, drawn: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """One step, under the real key: the frames drawn (D, 210, 160) and the places (D, 3) in them.

        A dream is over where its episode ends, a life is lost or it has lost reality. Returns the dreams' mean age in
        steps, and the share of the frames that is exact.
        """
        state, material, t = self.state, self._material, self.t + 1
        differs = drawn != material.frame(t)
        wrong, field = differs.flatten(1).sum(1), differs[:, BELOW_BRICKS:PADDLE_TOP].flatten(1).sum(1)
        real, mine = material.place(t)[:, :2], place[:, :2]
        away = (real - mine).abs().amax(1).masked_fill((real[:, 0] < BELOW_BRICKS) | (mine[:, 0] < 0), 0)
        # A ball that is a little off is wrong where it is and where it is not; one that is missing may be found again.
        ball = BALL_HEIGHT * BALL_WIDTH
        lost = self._lost + 2 * ball * ((away > 0) & (away <= BALL_AWAY))
        missing = ball * ((real[:, 0] >= 0) & (mine[:, 0] < 0))
        state["dream_off"].add_(1).mul_(wrong > lost)
        over = ~self._goes_on[t] | (material.lives[t] != material.lives[t - 1])
        over |= (field > lost + missing) | (away > BALL_AWAY) | (state["dream_off"] > MEND)
        state["dream_frame"].copy_(drawn)
        frameskip = material.dataset.frameskip
        state["dream_places"].copy_(push(state["dream_places"], place, material.led_by(t), frameskip))
        state["dream_age"] += 1
        state["dream_t"].add_(1).masked_fill_(over | (state["dream_age"] >= LONGEST), -1)
        return state["dream_age"].float().mean(), (wrong == 0).float().mean()


def _is_free(ball: Tensor) -> Tensor:
    """Whether balls at (B, 2) meet nothing in the next step."""
    row, column = ball.unbind(1)
    rows = (row >= BELOW_BRICKS + FREE) & (row + BALL_HEIGHT + FREE <= PADDLE_TOP)
    return rows & (column >= FIELD_LEFT + FREE) & (column + BALL_WIDTH + FREE <= FIELD_RIGHT)


def _fill_ball(frames: Tensor, which: Tensor, ball: Tensor, value: int) -> None:
    """Give the pixels of balls (M, 2) in frames number `which` (M,) a class."""
    rows = ball[:, :1] + torch.arange(BALL_HEIGHT, device=ball.device)
    columns = ball[:, 1:] + torch.arange(BALL_WIDTH, device=ball.device)
    frames[which[:, None, None], rows[:, :, None], columns[:, None]] = value
