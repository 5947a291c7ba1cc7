"""What no frame shows, carried from step to step by a learned network.

Half pixels, the count of hits, contact, the clock and so on (`state.VARIABLES`) decide the next frame and are on no
screen. The emulator's RAM teaches this network to carry them (`train/memory.py`): a teacher that sees the simulator's
state, a student that sees pixels and keys (compare Chen et al. 2019, "Learning by Cheating",
https://arxiv.org/abs/1912.12294). Each variable is "not known" until the network is sure of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.breakout import ACTIONS, COLUMNS
from model.context import (
    NEAR_BRICKS,
    PADDLE_STEP,
    STEPS,
    Embedding,
    Numbers,
    Trunk,
    crop,
    describe,
    join,
    near_bricks,
    paddle_step,
    sizes,
    step_number,
)
from model.state import FRACTIONS, HISTORY, INDEX, LIVES, NOT_KNOWN, PADDLE, SIZES

SURE = 0.5
"""A variable counts as known when the network gives its likeliest class at least this much. (More would lose what is
known at rare moments, such as a serve, where the network is less sure and still right.)"""
POSSIBLE = 0.3
"""An eighth of a row counts as possible if it is at least this share as likely as the likeliest."""
KNOB, FRACTION = INDEX["knob"], INDEX["half_row"]


def outcome(before: Tensor, after: Tensor, walls: tuple[Tensor, Tensor], boards: tuple[Tensor, Tensor]) -> Numbers:
    """What was seen to happen in a step: objects (B, 4) of both moments, walls (B, 6, 18), boards (B, 4)."""
    near = [near_bricks(wall, before[:, :2]) for wall in walls]
    changed = (near[0] != near[1]).long()
    number = torch.where(changed.any(1), changed.argmax(1), NEAR_BRICKS)
    life = (boards[0][:, LIVES] != boards[1][:, LIVES]).long()
    served = torch.where(before[:, 0] == 0, after[:, 1].clamp(1, COLUMNS - 1), 1)  # where: one of four clocks
    score = (boards[0][:, :LIVES] != boards[1][:, :LIVES]).any(1).long()
    return join(
        (step_number(before[:, :2], after[:, :2]), STEPS),
        (torch.where(after[:, 0] == 0, 0, served), COLUMNS),
        (number, NEAR_BRICKS + 1),
        (life, 2),
        (score, 2),
        (paddle_step(before[:, PADDLE], after[:, PADDLE]), 2 * PADDLE_STEP + 1),
    )


def outcome_sizes() -> tuple[int, ...]:
    """The sizes of the columns that `outcome` gives."""
    zero = torch.zeros(1, 4, dtype=torch.long)
    return outcome(zero, zero, (torch.zeros(1, 6, 18),) * 2, (zero, zero)).sizes


class Memory(nn.Module):
    """(state, action, what then was seen) -> logits for each variable one step later.

    The knob depends on keys and paddle alone and has many places, so a small network of its own carries it.
    """

    def __init__(self, width: int = 320, knob_width: int = 192) -> None:
        super().__init__()
        self.settings = {"width": width, "knob_width": knob_width}
        self.trunk = Trunk(sizes(whole=False) + outcome_sizes(), width)
        # "Not known" is never predicted: it is what is left. Of the row's fraction each of the eighths is.
        self.known = [FRACTIONS if number == FRACTION else size - 1 for number, size in enumerate(SIZES)]
        self.out = nn.Linear(width, sum(self.known) - self.known[KNOB])
        keys = (SIZES[KNOB], ACTIONS + 1, COLUMNS, *[2 * PADDLE_STEP + 1] * HISTORY)
        self.keys = nn.Sequential(
            Embedding(keys, knob_width), nn.ReLU(), nn.Linear(knob_width, knob_width), nn.ReLU(),
            nn.Linear(knob_width, self.known[KNOB]),
        )  # fmt: skip

    def forward(
        self,
        objects: Tensor,
        walls: tuple[Tensor, Tensor],
        boards: tuple[Tensor, Tensor],
        memory: Tensor,
        action: Tensor,
        after: Tensor,
    ) -> list[Tensor]:
        """objects (B, 4, 4), walls and boards before and after, memory (B, V), action (B,), and the objects (B, 4)
        after it -> for each variable logits (B, classes but the first)."""
        told = describe(objects, boards[0], memory, action, whole=False)
        seen = outcome(objects[:, -1], after, walls, boards)
        features = self.trunk(torch.cat((told.values, seen.values), 1), crop(walls[0], objects[:, -1, :2]), memory)
        others = iter(self.out(features).split([n for i, n in enumerate(self.known) if i != KNOB], 1))
        columns = torch.cat((objects[:, :, PADDLE], after[:, None, PADDLE]), 1)
        moved = (columns[:, 1:] - columns[:, :-1]).clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP
        knob = torch.cat(
            (memory[:, KNOB, None], action[:, None], after[:, PADDLE, None].clamp(0, COLUMNS - 1), moved), 1
        )
        return [self.keys(knob) if number == KNOB else next(others) for number in range(len(SIZES))]


def settle(logits: list[Tensor], sure: float = SURE) -> tuple[Tensor, Tensor]:
    """Logits for each variable -> its class (B, V) int64, 0 where not sure enough, and the certainty (B, V).

    The row's fraction is a belief that a step narrows (a Bayes filter whose update is learned): the set of the eighths
    that are still possible.
    """
    shares = [torch.softmax(each, 1) for each in logits]
    certainty = torch.stack([each.amax(1) for each in shares], 1)
    classes = torch.stack([each.argmax(1) for each in shares], 1) + 1
    known = torch.where(certainty >= sure, classes, NOT_KNOWN)
    bits = 2 ** torch.arange(FRACTIONS, device=known.device)
    likely = shares[FRACTION] > POSSIBLE * shares[FRACTION].amax(1, keepdim=True)
    possible = (likely * bits).sum(1, keepdim=True) % ((1 << FRACTIONS) - 1)  # all of them: not known
    return torch.cat((known[:, :FRACTION], possible, known[:, FRACTION + 1 :]), 1), certainty


def answers(memory: Tensor) -> Tensor:
    """The true classes (B, V) of the memory as numbers of the network's logits, -1 where they are not known. Of the
    row's fraction the truth is one eighth, not a set of several."""
    bits = 2 ** torch.arange(FRACTIONS, device=memory.device)
    eighth = (memory[:, FRACTION, None] == bits).long().argmax(1)
    found = memory - 1
    return torch.cat((found[:, :FRACTION], eighth[:, None], found[:, FRACTION + 1 :]), 1).clamp(min=-1)
