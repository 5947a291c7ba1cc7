"""Where the networks look: the ball and the paddle, found in pixels, and windows around them.

Seen from the ball, its physics is the same everywhere, so a network that looks from there learns a bounce once and not
once for every place on the screen. Like an eye that is drawn by what moves (Mnih et al. 2014, "Recurrent Models of
Visual Attention", https://arxiv.org/abs/1406.6247, with a fixed rule in place of a learned one), the gaze goes to a
spot of the ball's size that has just appeared and stands alone. It reads frames only, real or dreamt, never RAM.

`places` (B, n, 3) int64 says, for n frames, oldest first: the ball's row and column (top left; -1, -1 if it is not
seen) and the column of the paddle's left end. Three more columns, where there are any, are what no frame tells; see
`model.memory`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from model.breakout import ACTIONS, BACKGROUND, COLUMNS, KNOB_CENTRE, KNOB_END, NO_KNOB, ROWS, UNKNOWN_HITS

FIELD_TOP, FIELD_BOTTOM, FIELD_LEFT, FIELD_RIGHT = 32, 196, 8, 152
"""Inside the walls, down to where the ball is last drawn."""
PADDLE_TOP, PADDLE_BOTTOM = 189, 193
BALL_HEIGHT, BALL_WIDTH = 4, 2
SHORT_PADDLE = 8
"""Columns of the paddle after the ball has met the top wall; before, it is twice as wide."""
LEAST_BALL = 10
"""The score from which on a spot is a ball. A corner of standing bricks scores 9."""
BALL_FRAMES = 8
"""How many of the last frames tell how the ball moves. Unseen in all of them, it is not in play."""
UP, DOWN, WEST, EAST = 9, 13, 13, 15
"""The window around the ball: rows above its top and from there down, columns to its left and from there on."""
BALL_WINDOW = (UP + DOWN, WEST + EAST)
STRIP_WEST, STRIP_EAST = 28, 44
"""The columns around the paddle's left end that a paddle's step can change."""

_STEP, _PADDLE_STEP, _BESIDE, _PULL = 9, 24, 40, 60
"""The longest steps of ball and paddle, the distance between them, and that from the paddle to where the knob pulls it,
that are told apart, in pixels."""
AT_BRICKS, _PADDLE = 100, 166
"""Between these rows nothing depends on the ball's row: there are neither bricks nor paddle."""
_HEIGHTS = AT_BRICKS + 2 + (ROWS - _PADDLE)
"""Rows that are told apart, with one for all between, and one for no ball."""
_LATE = 3
"""Steps of the paddle that matter to the ball."""
REST_CENTRE, REST_SLOPE = 99, (22, 27)
"""The column where the paddle rests with the knob in its centre, and pixels per turn of the knob."""
_RECENT = 12
"""Steps and keys that matter to the paddle where the knob is not known."""
BALL_TRAIL = (
    (BALL_FRAMES - 1) * 2 * (2 * _STEP + 1)
    + 2 * BALL_FRAMES
    + (2 * _BESIDE + 1)
    + _HEIGHTS
    + _LATE * (2 * _PADDLE_STEP + 1)
    + UNKNOWN_HITS
    + 1
)
"""How many different numbers `ball_trail` uses."""


def paddle_trail_size(frames: int) -> int:
    """How many different numbers `paddle_trail` uses for a history of so many frames."""
    recent = min(frames, _RECENT)
    steps, keys = (recent - 1) * (2 * _PADDLE_STEP + 1), recent * (ACTIONS + 1)
    return COLUMNS + steps + keys + (KNOB_END + 2) + (2 * _PULL + 2)


def places(before: Tensor, now: Tensor) -> Tensor:
    """Look at frames `now`, given those one step before: (B, 210, 160) uint8 classes twice -> (B, 3) int64."""
    rows, columns = slice(FIELD_TOP, FIELD_BOTTOM), slice(FIELD_LEFT, FIELD_RIGHT)
    there = (now[:, rows, columns] != BACKGROUND).to(torch.int8)
    paddle = slice(PADDLE_TOP - FIELD_TOP, PADDLE_BOTTOM - FIELD_TOP)
    strip = there[:, paddle].amin(1)
    column = _paddles(strip)
    hidden = _run(strip, column - FIELD_LEFT)
    there[:, paddle] *= 1 - hidden[:, None]
    fresh = there * (before[:, rows, columns] == BACKGROUND)
    # Sums over every window of the ball's size, and over the same with a rim of one pixel: a ball stands alone.
    new = _tall(_pairs(fresh))
    pairs = _pairs(F.pad(there, (1, 1, 1, 1)))
    inner = _tall(pairs)[:, 1:-1, 1:-1]
    rim = _threes(_twos(pairs[:, :, 2:] + pairs[:, :, :-2]))
    score = (4 * new + 3 * inner - rim).flatten(1)
    best, spot = score.max(1)
    width = inner.shape[2]
    row, left = spot // width, spot % width
    low = _at_paddle(row)
    if low.is_cuda or bool(low.any()):  # to ask costs a GPU more than to do it
        row = torch.where(low, _behind_paddle(there, hidden, row, left), row)
    ball = torch.stack((row + FIELD_TOP, left + FIELD_LEFT), 1)
    ball = torch.where((best >= LEAST_BALL)[:, None], ball, -1)
    return torch.cat((ball, column[:, None]), 1)


def both_ways(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """The places (B, 3) in frames `before`, looked at backwards in time, and in `after`: (B, 210, 160) uint8 twice."""
    old, new = places(torch.cat((after, before)), torch.cat((before, after))).tensor_split(2)
    return old, new


def _run(strip: Tensor, start: Tensor) -> Tensor:
    """Of columns that are full (B, 144), those without a gap from `start` (B,) on, at most a long paddle's: the rest is
    a ball beside it."""
    numbers = start[:, None] + torch.arange(2 * SHORT_PADDLE, device=strip.device)
    wide = F.pad(strip, (0, 2 * SHORT_PADDLE))
    run = wide.gather(1, numbers).cumprod(1, dtype=wide.dtype)
    return torch.zeros_like(wide).scatter_(1, numbers, run)[:, : strip.shape[1]]


def _at_paddle(row: Tensor) -> Tensor:
    """Whether a ball found at this row of the field touches the paddle's scanlines: a part of it may be hidden."""
    return (row >= PADDLE_TOP - FIELD_TOP - BALL_HEIGHT) & (row < PADDLE_BOTTOM - FIELD_TOP)


def _behind_paddle(there: Tensor, hidden: Tensor, row: Tensor, left: Tensor) -> Tensor:
    """The row of balls (B,) of which the paddle hides a part: what is seen above it begins at the ball's top, and what
    is seen below it alone ends at its bottom."""
    batch = torch.arange(len(there), device=there.device)
    rows = (row[:, None] + torch.arange(BALL_HEIGHT, device=there.device)).clamp(max=there.shape[1] - 1)
    at = batch[:, None], rows
    seen = there[(*at, left[:, None])] | there[(*at, left[:, None] + 1)]
    numbers = torch.arange(BALL_HEIGHT, device=there.device)
    first = torch.where(seen > 0, numbers, BALL_HEIGHT).amin(1)
    last = torch.where(seen > 0, numbers, -1).amax(1)
    above = row + first < PADDLE_TOP - FIELD_TOP
    behind = (hidden[batch, left] | hidden[batch, left + 1]) > 0
    return torch.where(behind, torch.where(above, row + first, row + last + 1 - BALL_HEIGHT), row)


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
    """The ball in the last `BALL_FRAMES` frames, from places (B, n, 3): (B, 8, 2) and whether it was seen (B, 8).

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


class Glance(NamedTuple):
    """What B moments show, seen from ball and paddle: the ball's row and column (B, 2) and whether it is in the newest
    frame (B,), the paddle's column (B,), and what `ball_window`, `paddle_strip` and `ball_trail` give."""

    ball: Tensor
    seen: Tensor
    paddle: Tensor
    window: Tensor
    strip: Tensor
    trail: Tensor


def glance(now: Tensor, seen: Tensor) -> Glance:
    """Look at frames (B, 210, 160) uint8 classes, given the places (B, n, 3 or 6) up to them."""
    flown = balls(seen)
    ball, paddle = flown[0][:, -1], seen[:, -1, 2]
    window, strip = ball_window(now, ball), paddle_strip(now, paddle)
    return Glance(ball, seen[:, -1, 0] >= 0, paddle, window, strip, ball_trail(seen, flown))


def pulls_to(knob: Tensor) -> Tensor:
    """The column (B,) at which the paddle comes to rest, to a pixel, with the knob there (B,), if no wall holds it."""
    return REST_CENTRE + (knob - KNOB_CENTRE) * REST_SLOPE[0] // REST_SLOPE[1]


def ball_trail(places: Tensor, flown: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """What places (B, n, 3 or 6) tell of the ball, as numbers for an embedding: (B, 28) int64, all below `BALL_TRAIL`.

    Its steps, whether it was seen, its row, where the paddle is from there, the paddle's last steps, and how often the
    ball has come off it. Not its column: what is near is in its window, and without the column a bounce is learned once
    for all columns. `flown` is what `balls` gives for the places, if it is known.
    """
    ball, seen = flown or balls(places)
    paddle = places[:, -_LATE - 1 :, 2]
    paddle = torch.cat((paddle[:, :1].expand(-1, _LATE + 1 - paddle.shape[1]), paddle), 1)
    row = ball[:, -1, :1]
    hits = places[:, -1, 4:5] if places.shape[-1] > 4 else torch.full_like(row, UNKNOWN_HITS)
    return _numbers(
        ((ball.diff(dim=1).clamp(-_STEP, _STEP) + _STEP).flatten(1), 2 * _STEP + 1),
        (seen.long(), 2),
        ((paddle[:, -1:] - ball[:, -1, 1:]).clamp(-_BESIDE, _BESIDE) + _BESIDE, 2 * _BESIDE + 1),
        (torch.where(row < _PADDLE, row.clamp(max=AT_BRICKS), row - _PADDLE + AT_BRICKS + 1) + 1, _HEIGHTS),
        (paddle.diff(dim=1).clamp(-_PADDLE_STEP, _PADDLE_STEP) + _PADDLE_STEP, 2 * _PADDLE_STEP + 1),
        (hits, UNKNOWN_HITS + 1),
    )


def paddle_trail(places: Tensor) -> Tensor:
    """What places with memory (B, n, 6) tell of the paddle, as numbers for an embedding, all below
    `paddle_trail_size(n)`: its column, where it was before, from there, the last keys, where the knob is, and how far
    from the paddle it pulls it. At frame skip 1 the knob and the paddle's column settle where the paddle is next.
    """
    paddle = places[:, -_RECENT:, 2]
    before = (paddle[:, :-1] - paddle[:, -1:]).clamp(-_PADDLE_STEP, _PADDLE_STEP) + _PADDLE_STEP
    knob = places[:, -1:, 5]
    unknown = knob == NO_KNOB
    pull = (pulls_to(knob) - paddle[:, -1:]).clamp(-_PULL, _PULL) + _PULL
    return _numbers(
        (paddle[:, -1:], COLUMNS),
        (before, 2 * _PADDLE_STEP + 1),
        (places[:, -_RECENT:, 3], ACTIONS + 1),
        (torch.where(unknown, KNOB_END + 1, knob), KNOB_END + 2),
        (torch.where(unknown, 2 * _PULL + 1, pull), 2 * _PULL + 2),
    )


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
