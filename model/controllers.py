"""The controllers: from the key to the codes of the next step.

`ActionToLatentMLP` is the seed design's: it sees the key alone, so all it can learn is the average change. The context
controller also sees the state: where ball and paddle are, which bricks are near, and what the memory holds.
"""

import torch
from torch import Tensor, nn

from model.breakout import ACTIONS, CELLS, CODES, COLUMNS, GRID_ROWS, LONG_PADDLE
from model.context import AROUND_BALL, PADDLE_STEP, Around, Embedding, Trunk, around_ball, paddle_step, press
from model.state import HISTORY, INDEX, LIVES, PADDLE, SIZES, WIDTH, State

BALL, PADDLE_EVENT, SCORE, POINTS, LIFE, NEW_WALL = range(6)
"""The events of a step, each of which has a code: what ball and bricks do, what the paddle does alone, what changes in
the cells of hundreds and tens, of ones, and of lives, and whether a new wall comes."""
EVENTS = 6
DIGITS, BOARD, DUE = 10, LIVES + 1, [INDEX["points_due"], INDEX["life_due"]]  # digits shown, and what is due
NO_SCORE = 1000  # in place of the score where bricks stand: it counts only when none does
SCORE_CELLS = {GRID_ROWS: SCORE, 2 * GRID_ROWS: POINTS, 3 * GRID_ROWS: LIFE}  # by cells of the score's row


class ActionToLatentMLP(nn.Module):
    """One-hot action (4) -> 512 -> 256 -> 35 x 256 logits, with ReLU and dropout."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.settings = {"dropout": dropout}
        first = nn.Linear(ACTIONS, 512), nn.ReLU(), nn.Dropout(dropout)
        self.layers = nn.Sequential(
            *first, nn.Linear(512, 256), nn.ReLU(), nn.Dropout(dropout), nn.Linear(256, CELLS * CODES)
        )

    def forward(self, one_hot: Tensor) -> Tensor:
        """(B, 4) float one-hot actions -> (B, 35, 256) logits."""
        return self.layers(one_hot).reshape(-1, CELLS, CODES)


class ContextController(nn.Module):
    """(state, action) -> for each of six events the logits of its code, 0 for "it does not happen".

    Every cell that an event touches has that event's code (`model/vqvae.py`), so there is one choice an event, not one
    a cell; which cells it touches is seen by drawing it (`Twin.grid`). Each event is told what it may depend on, and no
    more: by what it does not need a network would learn scenes by heart."""

    def __init__(self, width: int = 384, books_width: int = 160, paddle_width: int = 192) -> None:
        super().__init__()
        self.settings = {"width": width, "books_width": books_width, "paddle_width": paddle_width}
        # What the ball does, and the paddle's width, which follows from what it touches.
        self.trunk, self.ball = Trunk(AROUND_BALL, width), nn.Linear(width, 2 * CODES)
        self.digits = _small((*[DIGITS] * BOARD, *(SIZES[number] for number in DUE)), books_width, 3 * CODES)
        self.wall = _small((NO_SCORE + 1, SIZES[INDEX["contact"]]), books_width, CODES)
        keys = (2, COLUMNS, SIZES[INDEX["knob"]], ACTIONS + 1, *[2 * PADDLE_STEP + 1] * (HISTORY - 1))
        self.keys = _small(keys, paddle_width, CODES)

    def forward(self, state: State, action: Tensor, around: Around | None = None) -> Tensor:
        """A state and actions (B,) int64 -> (B, 6, 256) logits."""
        told, bricks = around or around_ball(state)
        memory = state.memory
        ball, width = self.ball(self.trunk(press(told, action), bricks, memory)).split(CODES, 1)  # (B, 256) each
        digits = self.digits(torch.cat((state.board, memory[:, DUE]), 1)).reshape(-1, 3, CODES)  # (B, 3, 256)
        hundreds, tens, ones, _ = state.board.unbind(1)
        bare = state.wall.flatten(1).amax(1) == 0  # (B,) bool; a graph's `any` is slow
        score = torch.where(bare, 100 * hundreds + 10 * tens + ones, NO_SCORE)
        wall = self.wall(torch.stack((score, memory[:, INDEX["contact"]]), 1))  # (B, 256)
        at, knob = state.objects[:, :, PADDLE], memory[:, INDEX["knob"]]  # (B, 4), (B,)
        long, column = (state.objects[:, -1, WIDTH] == LONG_PADDLE).long(), at[:, -1].clamp(0, COLUMNS - 1)
        moved = paddle_step(at[:, :-1], at[:, 1:])  # (B, 3): its steps until now
        paddle = self.keys(torch.cat((torch.stack((long, column, knob, action), 1), moved), 1))  # (B, 256)
        return torch.cat((torch.stack((ball, width + paddle), 1), digits, wall[:, None]), 1)  # one code: step and width


def _small(sizes: tuple[int, ...], width: int, out: int) -> nn.Sequential:
    """Numbers of these sizes (B, n) -> (B, out), through two layers of `width`."""
    layers = nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out)
    return nn.Sequential(Embedding(sizes, width), *layers)
