"""What the context controller is to say of each step: the code of each event.

The ball's is that of its true step, also where a frame hides it; which code a frame then shows, a step or a ball that
vanishes, follows from the drawing (`Twin.grid`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.breakout import CELL_COLUMNS, DIGIT_COLUMNS, UNCHANGED
from model.context import PADDLE_STEP
from model.controllers import BALL, EVENTS, LIFE, NEW_WALL, PADDLE_EVENT, POINTS, SCORE
from model.vqvae import HEADS, NONE, SAME_DIGIT, STANDS, VQVAE
from train.data import Data
from train.events import NAMES, ball_event, blank, broken, digit_event, paddle_event

_ODD = 0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9
NO_CODE = -1
"""In place of a code: no code says this event."""


class Lookup:
    """From labels to the code that says them."""

    def __init__(self, model: VQVAE) -> None:
        events = model.events()
        keys = _keys(events.said, events.bricks)
        keys[UNCHANGED] = -(1 << 62) - 1
        self._keys, self._codes = keys.sort(stable=True)  # should two codes say the same: the commoner one

    def __call__(self, said: dict[str, Tensor], bricks: Tensor, happens: Tensor) -> Tensor:
        """Labels of M events, as `train.events.labels` gives them, and whether anything happens (M,) bool: -> codes
        (M,), `UNCHANGED` where nothing does, `NO_CODE` where no code says it."""
        keys = _keys(said, bricks)
        at = torch.searchsorted(self._keys, keys).clamp(max=len(self._keys) - 1)
        found = torch.where(self._keys[at] == keys, self._codes[at], NO_CODE)
        return torch.where(happens, found, UNCHANGED)


def _keys(said: dict[str, Tensor], bricks: Tensor) -> Tensor:
    """One number for each combination of labels: (M,) int64. (A hash.)"""
    key = torch.zeros_like(said[NAMES[0]])
    for name in NAMES:
        key = key * (HEADS[name] + 1) + said[name]
    weights = 2 ** torch.arange(bricks.shape[1], device=bricks.device)
    return (key * _ODD[0] + (bricks * weights).sum(1) * _ODD[1]) >> 1  # whole numbers of 64 bits wrap


@torch.no_grad()
def targets(data: Data, model: VQVAE, part: int = 16384) -> Tensor:
    """The code of each event at each of the data's `steps`: (T, 6) int16, `NO_CODE` where no code says it."""
    lookup = Lookup(model)
    return torch.cat([_targets(data, lookup, t) for t in data.steps.split(part)]).to(torch.int16)


def _targets(data: Data, lookup: Lookup, t: Tensor) -> Tensor:
    before, after = data.things(t), data.things(t + 1)
    none = torch.zeros(len(t), 21, dtype=torch.long, device=t.device)
    found: list[Tensor] = [torch.zeros_like(t)] * EVENTS
    ball, bricks = ball_event(before, after), broken(before, after)
    happens = (ball["ball"] != NONE) | bricks.any(1)
    found[BALL] = lookup(blank(len(t), t.device) | ball, bricks, happens)
    paddle = paddle_event(before, after)
    moves = (paddle["paddle_step"] != PADDLE_STEP) | (paddle["paddle_width"] != STANDS)
    found[PADDLE_EVENT] = lookup(blank(len(t), t.device) | paddle, none, moves)
    for event, column in zip((SCORE, POINTS, LIFE), sorted({at // CELL_COLUMNS for at in DIGIT_COLUMNS}), strict=True):
        digits = digit_event(before, after, column)
        changes = torch.stack([values != SAME_DIGIT for values in digits.values()]).any(0)
        found[event] = lookup(blank(len(t), t.device) | digits, none, changes)
    relaid = (after.wall > before.wall).flatten(1).sum(1) > 1
    wall = blank(len(t), t.device) | {"new_wall": torch.ones_like(t)}
    found[NEW_WALL] = lookup(wall, none, relaid)
    return torch.stack(found, 1)
