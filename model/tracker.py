"""Where things are, by rule: the twin's attention.

The tracker reads a frame, real or drawn, as layers of the learned stamps (`model/appearance.py`): which bricks stand,
which digits are shown, where the paddle is. What the layers then do not explain is the ball. A ball that cannot be told
from what is behind it, a brick or the paddle of its own colour, or that a wall hides, is taken to be where the twin
expects it, if that gives this very frame (analysis by synthesis).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.appearance import Appearance
from model.breakout import (
    BALL_WIDTH,
    BRICK_COLUMNS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_WIDTH,
    DIGIT_COLUMNS,
    DIGIT_HEIGHT,
    DIGIT_TOP,
    DIGIT_WIDTH,
    FIELD_BOTTOM,
    FIELD_LEFT,
    FIELD_RIGHT,
    FIELD_TOP,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    SHORT_PADDLE,
    WALL_TOP,
)
from model.state import Things


def bricks(frame: Tensor, look: Appearance) -> Tensor:
    """Which bricks stand: frames (B, 210, 160) uint8 -> (B, 6, 18) uint8. Most of a brick's pixels must show it."""
    wall = frame[:, WALL_TOP : WALL_TOP + BRICK_ROWS * BRICK_HEIGHT, FIELD_LEFT:FIELD_RIGHT]
    shown = (wall == look.bricks).reshape(-1, BRICK_ROWS, BRICK_HEIGHT, BRICK_COLUMNS, BRICK_WIDTH)
    return (shown.int().sum((2, 4)) > BRICK_HEIGHT * BRICK_WIDTH // 2).to(torch.uint8)


def digits(frame: Tensor, look: Appearance) -> Tensor:
    """The digits of score and lives, each the stamp that fits best: (B, 4) int64."""
    boxes = torch.stack(
        [frame[:, DIGIT_TOP : DIGIT_TOP + DIGIT_HEIGHT, c : c + DIGIT_WIDTH] for c in DIGIT_COLUMNS], 1
    )  # (B, 4, 10, 12)
    return (boxes[:, :, None] == look.digits).int().sum((3, 4)).argmax(2)


def paddle(frame: Tensor, width: Tensor) -> Tensor:
    """The paddle's column and width (B, 2) int64; `width` (B,) is what it was, for one that the right wall hides."""
    strip = (frame[:, PADDLE_TOP:PADDLE_BOTTOM, FIELD_LEFT:FIELD_RIGHT] != 0).int().amin(1)  # (B, 144)
    strip = torch.cat((strip, torch.ones_like(strip[:, :LONG_PADDLE])), 1)  # under the wall it may go on
    sums = torch.nn.functional.pad(strip.cumsum(1), (1, 0))
    left = (sums[:, SHORT_PADDLE:] - sums[:, :-SHORT_PADDLE]).argmax(1)
    run = sums.gather(1, (left + LONG_PADDLE)[:, None])[:, 0] - sums.gather(1, left[:, None])[:, 0]
    width_now = torch.where(run == LONG_PADDLE, LONG_PADDLE, SHORT_PADDLE)
    found = torch.stack((left + FIELD_LEFT, width_now), 1)
    return torch.stack((found[:, 0], torch.where(cut_off(found), width, width_now)), 1)


def cut_off(paddle: Tensor) -> Tensor:
    """Whether the right wall may hide a paddle's end, so that its width cannot be told: (B, 2) -> (B,) bool."""
    return paddle[:, 0] + SHORT_PADDLE >= FIELD_RIGHT


def ball_pixels(frame: Tensor, things: Things, look: Appearance) -> Tensor:
    """What the other layers do not explain, in the field: (B, 164, 144) bool, from (32, 8) on."""
    field = slice(FIELD_TOP, FIELD_BOTTOM), slice(FIELD_LEFT, FIELD_RIGHT)
    without = look.paint(things._replace(ball=torch.zeros_like(things.ball)))
    return (frame != without)[:, field[0], field[1]]


def somewhere(mask: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Whether anything is set along some axes of a mask. (As a graph, `any` would add up whole numbers of 64 bits.)"""
    return mask.to(torch.uint8).amax(dims) > 0


def first(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first row and first column of what is set in masks (B, H, W), and whether anything is: three (B,)."""
    rows, columns = somewhere(mask, (2,)), somewhere(mask, (1,))
    return rows.int().argmax(1), columns.int().argmax(1), somewhere(rows, (1,))


def look_at(frame: Tensor, width: Tensor, expected: Tensor, look: Appearance) -> Things:
    """What frames (B, 210, 160) uint8 show. `width` (B,) int64 is the paddle's so far; `expected` (B, 4) int64 is where
    ball (row 0 for none) and paddle should be, as in `State.objects`: if they give this frame, there they are."""
    nowhere = torch.zeros_like(expected[:, :2])
    things = Things(nowhere, paddle(frame, width), bricks(frame, look), digits(frame, look))
    rest = ball_pixels(frame, things, look)
    row, column, seen = first(rest)
    below, beyond, _ = first(rest.flip(1, 2))
    last, end = rest.shape[1] - 1 - below, rest.shape[2] - 1 - beyond
    # Half of a ball at the left wall is its right half.
    left = column + FIELD_LEFT - torch.where((end == column) & (column == 0), 1, 0)
    by_top, by_bottom = look.ball_of_edge()
    found, other = (
        torch.where(seen[:, None], torch.stack((rows[line + FIELD_TOP], at), 1), nowhere)
        for rows, line, at in ((by_top, row, left), (by_bottom, last, end + FIELD_LEFT - BALL_WIDTH + 1))
    )
    field = slice(FIELD_TOP, FIELD_BOTTOM), slice(FIELD_LEFT, FIELD_RIGHT)

    def fits(guess: Things) -> Tensor:
        return ~somewhere(look.paint(guess)[:, *field] != frame[:, *field], (1, 2))[:, None]

    # A brick of its own colour may hide a ball's upper or left part: then its last line and column tell where it is.
    things = things._replace(ball=torch.where(fits(things._replace(ball=other)), other, found))
    guess = things._replace(ball=expected[:, :2], paddle=expected[:, 2:])
    right = fits(guess)
    return things._replace(
        ball=torch.where(right, guess.ball, things.ball), paddle=torch.where(right, guess.paddle, things.paddle)
    )
