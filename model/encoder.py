"""The encoder of the VQ-VAE: pixels around what moved -> a vector for each changed cell.

It is shown what is there before and after: a crop around what moved in the field, one along the paddle, or a cell of
the score. Where these crops lie is a rule; what they show is pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.breakout import (
    BRICK_HEIGHT,
    BRICK_ROWS,
    CELL_COLUMNS,
    CELL_ROWS,
    CODE_DIM,
    COLUMNS,
    FIELD_BOTTOM,
    FIELD_LEFT,
    FIELD_RIGHT,
    FIELD_TOP,
    GRID_COLUMNS,
    GRID_ROWS,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    ROWS,
    WALL_TOP,
)
from model.context import Embedding
from model.tracker import cut_off, first, paddle, somewhere

BALL_BOX, STRIP, DIGIT_BLOCK = 20, 40, (2, 4)
"""Sides of the encoder's crops in pixels: the ball's, the paddle's; and of the blocks that digits are made of."""
SCORE_PIXELS = CELL_ROWS // DIGIT_BLOCK[0] * (CELL_COLUMNS // DIGIT_BLOCK[1])
NEW_WALL = 1
"""The place that is given for a new wall, which has no crop of its own; nothing else comes from there."""
CROPS = 2 * BALL_BOX**2 + 2 * STRIP + 2 * SCORE_PIXELS
SCORE_CELLS, FIELD_CELLS, PADDLE_CELLS, WALL_CELLS = range(4)
"""Kinds of changed cells: in the score's row; where ball or single bricks changed; where only the paddle did; where
many bricks came at once."""
MANY_PIXELS = 60
"""More than a ball may bring: when so many pixels come where the bricks are, it is a new wall."""


class Crops(NamedTuple):
    """What the encoder is shown of M changed cells: bits (M, 1120) float, place (M, 2) int64 (the row + 1 of the ball's
    crop, and the column + 1 of what came from nothing, or of a paddle that was cut off, else 0), and the cells they are
    of: game and cell (M,) int64 each, and kind (M,)."""

    bits: Tensor
    place: Tensor
    game: Tensor
    cell: Tensor
    kind: Tensor


def cells_of(mask: Tensor) -> Tensor:
    """Which cells hold a set pixel: (B, 210, 160) bool -> (B, 35) bool, flat order column by column."""
    blocks = somewhere(mask.reshape(-1, GRID_ROWS, CELL_ROWS, GRID_COLUMNS, CELL_COLUMNS), (2, 4))
    return blocks.transpose(1, 2).flatten(1)


def window(mask: Tensor, row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    """Windows of masks (B, 210, 160) from (B,) rows and columns on: (B, height * width) float; 0 beyond the frame."""
    rows = row[:, None] + torch.arange(height, device=mask.device)
    columns = column[:, None] + torch.arange(width, device=mask.device)
    inside = (rows < ROWS)[:, :, None] & (columns < COLUMNS)[:, None]
    number = rows.clamp(max=ROWS - 1)[:, :, None] * COLUMNS + columns.clamp(max=COLUMNS - 1)[:, None]
    return (mask.flatten(1).gather(1, number.flatten(1)) & inside.flatten(1)).float()


def crops(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two frames (B, 210, 160) uint8 -> what is shown of each of the 35 cells.

    Bits of ball and paddle crops (B, 880), of each of the five score cells (B, 5, 240), the places (B, 3): the ball's
    two and the paddle's, and the kind of each cell (B, 35) int64, -1 where it does not change.
    """
    device = before.device
    differs, was, came = before != after, before != 0, after != 0
    rows, columns = torch.arange(ROWS, device=device)[:, None], torch.arange(COLUMNS, device=device)
    long = torch.full_like(before[:, 0, 0], LONG_PADDLE, dtype=torch.long)
    strip = (rows >= PADDLE_TOP) & (rows < PADDLE_BOTTOM)
    paddles, lies = [], [paddle(frame, long) for frame in (before, after)]
    for left, width in (each[:, :, None].unbind(1) for each in lies):
        paddles.append(strip & ((columns >= left) & (columns < left + width) & (columns < FIELD_RIGHT))[:, None])
    bricks = slice(WALL_TOP, WALL_TOP + BRICK_ROWS * BRICK_HEIGHT)
    wall = (rows >= WALL_TOP) & (rows < bricks.stop) & differs
    laid = (wall & came & ~was)[:, bricks].float().sum((1, 2)) > MANY_PIXELS
    wall = wall & laid[:, None, None]
    field = (rows >= FIELD_TOP) & (rows < FIELD_BOTTOM) & ~wall
    # In the paddle's rows all that is not the paddle is the ball, also where it takes the paddle's place.
    among = strip & (columns >= FIELD_LEFT) & (columns < FIELD_RIGHT)
    ball = [field & there & ~at & (differs | among) for there, at in zip((was, came), paddles, strict=True)]
    moved = field & differs & (ball[0] | ball[1])
    row, column, anything = first(ball[0] | ball[1])
    box = (row, column, BALL_BOX, BALL_BOX)
    seen = torch.cat([window(part, *box) for part in ball], 1)
    # The row counts: on some lines the Atari draws the ball a line taller.
    from_nothing = anything & ~somewhere(ball[0], (1, 2))
    at_edge = torch.where(cut_off(lies[0]), lies[0][:, 0] + 1, 0)
    place = torch.stack((torch.where(anything, row + 1, 0), torch.where(from_nothing, column + 1, 0), at_edge), 1)
    slid = differs & (paddles[0] | paddles[1])
    _, column, _ = first(paddles[0] | paddles[1])
    line = torch.full_like(column, PADDLE_TOP)
    along = torch.cat([window(each, line, column, 1, STRIP) for each in paddles], 1)
    top = torch.cat([_blocks(differs & there) for there in (was, came)], 2)  # (B, 5, 240)
    score, at_ball, at_paddle = cells_of(differs & (rows < CELL_ROWS)), cells_of(moved), cells_of(slid)
    at_wall = cells_of(wall)
    kind = torch.where(at_paddle, PADDLE_CELLS, -1)
    kind = torch.where(at_wall, WALL_CELLS, kind)
    kind = torch.where(at_ball, FIELD_CELLS, kind)
    return torch.cat((seen, along), 1), top, place, torch.where(score, SCORE_CELLS, kind)


def _blocks(mask: Tensor) -> Tensor:
    """One pixel of each block of a digit in the score's row: (B, 210, 160) -> (B, 5, 120) float."""
    top = mask[:, : CELL_ROWS : DIGIT_BLOCK[0], :: DIGIT_BLOCK[1]]
    return (
        top.reshape(mask.shape[0], -1, GRID_COLUMNS, CELL_COLUMNS // DIGIT_BLOCK[1]).transpose(1, 2).flatten(2).float()
    )


def changed_crops(before: Tensor, after: Tensor) -> Crops:
    """The crops of all changed cells of B pairs, one row a cell. For training: its shape depends on the data."""
    shared, top, place, kind = crops(before, after)
    game, cell = torch.nonzero(kind >= 0, as_tuple=True)
    kinds = kind[game, cell]
    return Crops(*select(shared[game], top[game, cell // GRID_ROWS], place[game], kinds), game, cell, kinds)


def select(shared: Tensor, top: Tensor, place: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """What a cell of a kind (M,) is shown, the rest blank: bits (M, 1120), place (M, 2)."""
    ball, along = shared[:, : 2 * BALL_BOX**2], shared[:, 2 * BALL_BOX**2 :]
    parts = (ball, kind == FIELD_CELLS), (along, kind == PADDLE_CELLS), (top, kind == SCORE_CELLS)
    bits = torch.cat([part * on[:, None] for part, on in parts], 1)
    column = torch.where(kind == PADDLE_CELLS, place[:, 2], torch.where(kind == WALL_CELLS, NEW_WALL, 0))
    other = torch.stack((torch.where(kind == WALL_CELLS, NEW_WALL, 0), column), 1)
    return bits, torch.where((kind == FIELD_CELLS)[:, None], place[:, :2], other)


class Encoder(nn.Module):
    """Crops of M changed cells -> vectors (M, 128)."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.bits = nn.Linear(CROPS, width)
        self.place = Embedding((ROWS + 1, COLUMNS + 1), width)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CODE_DIM))
        self.norm = nn.LayerNorm(CODE_DIM, elementwise_affine=False)

    def forward(self, bits: Tensor, place: Tensor) -> Tensor:
        """(M, 1120) float, (M, 2) int64 -> (M, 128)."""
        return self.norm(self.layers(self.bits(bits) + self.place(place)))
