"""Where the networks look: the ball and the paddle, found in pixels, and windows around them.

Seen from the ball, its physics is the same everywhere, so a network that looks from there learns a bounce once and not
once for every place on the screen. Like an eye that is drawn by what moves (Mnih et al. 2014, "Recurrent Models of
Visual Attention", https://arxiv.org/abs/1406.6247, with a fixed rule in place of a learned one), the gaze goes to a
spot of the ball's size that has just appeared and stands alone. It reads frames only, real or dreamt, never RAM.

`places` (B, n, 3) int64 says, for n frames, oldest first: the ball's row and column (top left; -1, -1 if it is not
seen) and the column of the paddle's left end. A fourth column, where there is one, is the key that led to the frame
(`NO_ACTION` if it is not known): held beyond the wall it moves the paddle's knob, and nothing on the screen tells.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.breakout import ACTIONS, BACKGROUND, COLUMNS, NO_ACTION, ROWS, Action

FIELD_TOP, FIELD_BOTTOM, FIELD_LEFT, FIELD_RIGHT = 32, 196, 8, 152
"""Inside the walls, down to where the ball is last drawn."""
PADDLE_TOP, PADDLE_BOTTOM = 189, 193
BALL_HEIGHT, BALL_WIDTH = 4, 2
SHORT_PADDLE = 8
"""Columns of the paddle after the ball has met the top wall; before, it is twice as wide."""
LEAST_BALL = 10
"""The score from which on a spot is a ball. A corner of standing bricks scores 9."""
BALL_FRAMES = 6
"""How many of the last frames tell how the ball moves."""

UP, DOWN, WEST, EAST = 10, 14, 15, 17
"""The window around the ball: rows above its top and from there down, columns to its left and from there on."""
BALL_WINDOW = (UP + DOWN, WEST + EAST)
STRIP_WEST, STRIP_EAST = 28, 44
"""The columns around the paddle's left end that a paddle's step can change."""

_STEP, _PADDLE_STEP, _BESIDE = 9, 24, 40
"""The longest steps of ball and paddle, and the distance between them, that are told apart, in pixels."""
_WALL, _PADDLE = 100, 166
"""Between these rows nothing depends on the ball's row: there is neither wall nor paddle."""
_HEIGHTS = _WALL + 2 + (ROWS - _PADDLE)
"""Rows that are told apart, with one for all between, and one for no ball."""
_TURNS = 9
"""Steps of one key, more than of the other, that are told apart: enough to turn the knob all the way beyond a wall."""
_LATE = 3
"""Steps of the paddle that matter to the ball."""
BALL_TRAIL = (
    (BALL_FRAMES - 1) * 2 * (2 * _STEP + 1)
    + 2 * BALL_FRAMES
    + (2 * _BESIDE + 1)
    + _HEIGHTS
    + _LATE * (2 * _PADDLE_STEP + 1)
)
"""How many different numbers `ball_trail` uses."""


def paddle_trail_size(frames: int) -> int:
    """How many different numbers `paddle_trail` uses for a history of so many frames."""
    return COLUMNS + (frames - 1) * (2 * _PADDLE_STEP + 1) + frames * (ACTIONS + 1 + 2 * _TURNS + 1)


def places(before: Tensor, now: Tensor) -> Tensor:
    """Look at frames `now`, given those one step before: (B, 210, 160) uint8 classes twice -> (B, 3) int64."""
    rows, columns = slice(FIELD_TOP, FIELD_BOTTOM), slice(FIELD_LEFT, FIELD_RIGHT)
    there = (now[:, rows, columns] != BACKGROUND).to(torch.int8)
    paddle = slice(PADDLE_TOP - FIELD_TOP, PADDLE_BOTTOM - FIELD_TOP)
    strip = there[:, paddle].amin(1)
    there[:, paddle] *= 1 - strip[:, None]
    fresh = there * (before[:, rows, columns] == BACKGROUND)
    # Sums over every window of the ball's size, and over the same with a rim of one pixel: a ball stands alone.
    new = _tall(_pairs(fresh))
    pairs = _pairs(F.pad(there, (1, 1, 1, 1)))
    inner = _tall(pairs)[:, 1:-1, 1:-1]
    rim = _threes(_twos(pairs[:, :, 2:] + pairs[:, :, :-2]))
    score = (4 * new + 3 * inner - rim).flatten(1)
    best, spot = score.max(1)
    width = inner.shape[2]
    ball = torch.stack((spot // width + FIELD_TOP, spot % width + FIELD_LEFT), 1)
    ball = torch.where((best >= LEAST_BALL)[:, None], ball, -1)
    return torch.cat((ball, _paddles(strip)[:, None]), 1)


def _paddles(strip: Tensor) -> Tensor:
    """(B, 144) of 0 and 1, the columns of the field where the paddle's rows are full -> (B,) column of its left end."""
    sums = F.pad(strip.cumsum(1, dtype=torch.int16), (1, 0))
    return (sums[:, SHORT_PADDLE:] - sums[:, :-SHORT_PADDLE]).argmax(1) + FIELD_LEFT


def _pairs(x: Tensor) -> Tensor:
    return x[:, :, 1:] + x[:, :, :-1]


def _twos(x: Tensor) -> Tensor:
    return x[:, 1:] + x[:, :-1]


def _tall(x: Tensor) -> Tensor:
    x = _twos(x)
    return x[:, 2:] + x[:, :-2]


def _threes(x: Tensor) -> Tensor:
    return x[:, 4:] + x[:, 2:-2] + x[:, :-4]


def places_of(history: Tensor) -> Tensor:
    """Frames (B, n, 210, 160) uint8 classes, oldest first -> (B, n, 3). The oldest is taken to have stood still.

    The ball is only looked for in the last `BALL_FRAMES` frames: nobody asks where it was before.
    """
    old, recent = history[:, :-BALL_FRAMES], history[:, -BALL_FRAMES:]
    before = torch.cat((history[:, :1], history[:, :-1]), 1)[:, -BALL_FRAMES:]
    found = places(before.flatten(0, 1), recent.flatten(0, 1)).unflatten(0, recent.shape[:2])
    strip = (old[:, :, PADDLE_TOP:PADDLE_BOTTOM, FIELD_LEFT:FIELD_RIGHT] != BACKGROUND).all(2)
    paddle = _paddles(strip.flatten(0, 1).to(torch.int8)).unflatten(0, old.shape[:2])
    unseen = torch.full_like(paddle, -1)
    return torch.cat((torch.stack((unseen, unseen, paddle), 2), found), 1)


def balls(places: Tensor) -> tuple[Tensor, Tensor]:
    """The ball in the last `BALL_FRAMES` frames, from places (B, n, 3): (B, 6, 2) and whether it was seen (B, 6).

    Where it was not seen (between bricks the Atari leaves it out at times), it is where it was last; and where it was
    never seen, at row and column -1. A shorter history repeats its first frame.
    """
    ball = places[:, -BALL_FRAMES:, :2]
    ball = torch.cat((ball[:, :1].expand(-1, BALL_FRAMES - ball.shape[1], -1), ball), 1)
    seen = ball[..., 0] >= 0
    numbers = torch.arange(BALL_FRAMES, device=ball.device)
    last = torch.where(seen, numbers, -1).cummax(1).values
    first = torch.where(seen, numbers, BALL_FRAMES - 1).amin(1, keepdim=True)  # before it was seen at all
    return ball.gather(1, torch.where(last < 0, first, last)[..., None].expand(-1, -1, 2)), seen


def ball_trail(places: Tensor) -> Tensor:
    """What places (B, n, 3) tell of the ball, as numbers for an embedding: (B, 21) int64, all below `BALL_TRAIL`.

    Its steps, whether it was seen, its row, where the paddle is from there, and the paddle's last steps. Not its
    column: what is near is in its window, and without the column a bounce is learned once for all columns.
    """
    ball, seen = balls(places)
    paddle = places[:, -_LATE - 1 :, 2]
    paddle = torch.cat((paddle[:, :1].expand(-1, _LATE + 1 - paddle.shape[1]), paddle), 1)
    row = ball[:, -1, :1]
    return _numbers(
        ((ball.diff(dim=1).clamp(-_STEP, _STEP) + _STEP).flatten(1), 2 * _STEP + 1),
        (seen.long(), 2),
        ((paddle[:, -1:] - ball[:, -1, 1:]).clamp(-_BESIDE, _BESIDE) + _BESIDE, 2 * _BESIDE + 1),
        (torch.where(row < _PADDLE, row.clamp(max=_WALL), row - _PADDLE + _WALL + 1) + 1, _HEIGHTS),
        (paddle.diff(dim=1).clamp(-_PADDLE_STEP, _PADDLE_STEP) + _PADDLE_STEP, 2 * _PADDLE_STEP + 1),
    )


def paddle_trail(places: Tensor) -> Tensor:
    """What places with keys (B, n, 4) tell of the paddle, as numbers for an embedding: (B, 3 n) int64, all below
    `paddle_trail_size(n)`. Its column, where it was before, from there, the keys, and how much more of them was right
    than left in the last 1 to n steps: beyond a wall the knob has turned by the largest of these sums, up to its stop.
    """
    paddle = places[..., 2]
    before = (paddle[:, :-1] - paddle[:, -1:]).clamp(-_PADDLE_STEP, _PADDLE_STEP) + _PADDLE_STEP
    keys = places[..., 3]
    turns = ((keys == Action.RIGHT).long() - (keys == Action.LEFT).long()).flip(1).cumsum(1)
    return _numbers(
        (paddle[:, -1:], COLUMNS),
        (before, 2 * _PADDLE_STEP + 1),
        (keys, ACTIONS + 1),
        (turns.clamp(-_TURNS, _TURNS) + _TURNS, 2 * _TURNS + 1),
    )


def with_keys(places: Tensor, keys: Tensor | None = None) -> Tensor:
    """Places (B, n, 3) and the keys (B, n) that led to their frames, if they are known -> (B, n, 4)."""
    if keys is None:
        keys = torch.full_like(places[..., 0], NO_ACTION)
    return torch.cat((places, keys[..., None]), -1)


def _numbers(*parts: tuple[Tensor, int]) -> Tensor:
    """Columns of small numbers, each with how many there may be, as numbers that tell the columns apart as well."""
    numbers, offset = [], 0
    for values, size in parts:
        count = values.shape[1]
        numbers.append(values + offset + size * torch.arange(count, device=values.device))
        offset += size * count
    return torch.cat(numbers, 1)


def ball_window(now: Tensor, ball: Tensor) -> Tensor:
    """What is there around the ball: frames (B, 210, 160) and (B, 2) its row and column -> (B, 24, 32) bool."""
    return _cut(now, ball[:, 0] - UP, ball[:, 1] - WEST, *BALL_WINDOW)


def paddle_strip(now: Tensor, paddle: Tensor) -> Tensor:
    """What is there in the paddle's first row: frames (B, 210, 160), columns (B,) -> (B, 72) bool."""
    row = torch.full_like(paddle, PADDLE_TOP)
    return _cut(now, row, paddle - STRIP_WEST, 1, STRIP_WEST + STRIP_EAST)[:, 0]


def _cut(now: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """What is there in windows (B, height, width) at (B,) rows and columns; beyond the screen there is nothing."""
    rows = top[:, None] + torch.arange(height, device=top.device)
    columns = left[:, None] + torch.arange(width, device=top.device)
    inside = ((rows >= 0) & (rows < ROWS))[:, :, None] & ((columns >= 0) & (columns < COLUMNS))[:, None]
    rows, columns = rows.clamp(0, ROWS - 1)[:, :, None], columns.clamp(0, COLUMNS - 1)[:, None]
    return (now[torch.arange(len(now), device=top.device)[:, None, None], rows, columns] != BACKGROUND) & inside
