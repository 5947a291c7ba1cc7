"""Where things are, by rule: the twin's attention.

The tracker reads a frame, real or drawn, as layers of the learned stamps (`model/appearance.py`): which bricks stand,
which digits are shown, where the paddle is. What the layers then do not explain is the ball. A ball that cannot be told
from what is behind it, a brick or the paddle of its own colour, or that a wall hides, is taken to be where the twin
expects it, if that gives this very frame (analysis by synthesis).
"""

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from model import breakout as screen
from model.appearance import WALL_BOTTOM, Appearance, somewhere
from model.breakout import BRICK_COLUMNS, BRICK_ROWS, FIELD_LEFT, FIELD_RIGHT, FIELD_TOP, PADDLE_BOTTOM, PADDLE_TOP
from model.state import Things


def bricks(frame: Tensor, look: Appearance) -> Tensor:
    """Which bricks stand: frames (B, 210, 160) uint8 -> (B, 6, 18) uint8. Most of a brick's pixels must show it."""
    shown = (frame[:, screen.WALL_TOP : WALL_BOTTOM, FIELD_LEFT:FIELD_RIGHT] == look.bricks).float()
    rows = shown.reshape(-1, BRICK_ROWS, screen.BRICK_HEIGHT, BRICK_COLUMNS * screen.BRICK_WIDTH).sum(2)
    count = rows.reshape(-1, BRICK_ROWS, BRICK_COLUMNS, screen.BRICK_WIDTH).sum(3)
    return (count > screen.BRICK_HEIGHT * screen.BRICK_WIDTH // 2).to(torch.uint8)


def digits(frame: Tensor, look: Appearance) -> Tensor:
    """The digits of score and lives, each the stamp that fits best: (B, 4) int64."""
    boxes = frame.flatten(1)[:, look.digit_pixels].reshape(-1, len(screen.DIGIT_COLUMNS), 1, look.digits[0].numel())
    return (boxes == look.digits.flatten(1)).float().sum(3).argmax(2)


def paddle(strip: Tensor, width: Tensor) -> Tensor:
    """The paddle's column and width (B, 2) int64 in its rows (B, 4, 160) of a frame; `width` (B, 1) is what it was,
    for one that the right wall hides."""
    gaps = (~strip[:, :, FIELD_LEFT:FIELD_RIGHT].amin(1).bool()).float()  # (B, 144)
    gaps = pad(gaps, (0, screen.LONG_PADDLE))  # under the wall it may go on
    gaps = max_pool1d(gaps[:, None], screen.SHORT_PADDLE, 1)[:, 0]  # 0 where a short paddle has room
    left = gaps.argmin(1, keepdim=True)
    long = gaps.gather(1, left + (screen.LONG_PADDLE - screen.SHORT_PADDLE)) == 0
    found = torch.cat((left + FIELD_LEFT, torch.where(long, screen.LONG_PADDLE, screen.SHORT_PADDLE)), 1)
    return torch.cat((found[:, :1], torch.where(cut_off(found)[:, None], width, found[:, 1:])), 1)


def cut_off(paddle: Tensor) -> Tensor:
    """Whether the right wall may hide a paddle's end, so that its width cannot be told: (B, 2) -> (B,) bool."""
    return paddle[:, 0] + screen.SHORT_PADDLE >= FIELD_RIGHT


def edges(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last of (B, n) counts that is not 0: two (B,), 0 where all are."""
    here = (counts > 0).to(torch.uint8)
    number = torch.tensor([*range(here.shape[1])], dtype=torch.uint8, device=here.device)
    return here.argmax(1), (here * number).argmax(1)


def look_at(frame: Tensor, width: Tensor, expected: Tensor, look: Appearance) -> Things:
    """What frames (B, 210, 160) uint8 show. `width` (B,) int64 is the paddle's so far; `expected` (B, 4) int64 is where
    ball (row 0 for none) and paddle should be, as in `State.objects`: if they give this frame, there they are."""
    nowhere = torch.zeros_like(expected[:, :2])
    wall = torch.zeros_like(frame[:, :BRICK_ROWS, :BRICK_COLUMNS])
    before = Things(nowhere, torch.stack((width, width), 1), wall, nowhere)
    return look_on(frame, before, expected, look)[0]


def look_on(frame: Tensor, before: Things, expected: Tensor, look: Appearance) -> tuple[Things, Tensor]:
    """As `look_at`, for what was there a step before; and whether the ball is seen in both moments, (B,) bool."""
    wall, at = bricks(frame, look), paddle(frame[:, PADDLE_TOP:PADDLE_BOTTOM], before.paddle[:, 1:])
    paddles = torch.stack((at, expected[:, 2:], at, before.paddle), 1)  # (B, 4, 2)
    rows, columns, counts = unexplained(frame, wall, paddles[:, :2], look)
    row, last = edges(rows)
    column, end = edges(columns)
    # Half of a ball at the left wall is its right half.
    left = column + FIELD_LEFT - ((end == column) & (column == 0)).long()
    by_top, by_bottom = look.tables().edges
    there = (counts[:, :1] > 0).long()
    found = torch.stack((by_top[row + FIELD_TOP], left), 1) * there
    other = torch.stack((by_bottom[last + FIELD_TOP], end + (FIELD_LEFT - screen.BALL_WIDTH + 1)), 1) * there
    # A brick of its own colour may hide a ball's upper or left part: then its last line and column tell where it is.
    balls, walls = torch.stack((other, expected[:, :2], found, before.ball), 1), (wall, wall, wall, before.wall)
    guesses = balls.reshape(-1, 2), paddles.reshape(-1, 2), torch.stack(walls, 1).reshape(-1, BRICK_ROWS, BRICK_COLUMNS)
    ball = look.ball(Things(*guesses, before.board))
    reach = len(look.ball_pixels)
    shown = frame.flatten(1).gather(1, ball.number.reshape(-1, 4 * reach)).reshape(-1, reach)
    wrong = somewhere(ball.drawn & (shown != ball.stamp)).reshape(-1, 4)
    seen = ball.seen.float().sum(1).reshape(-1, 4)
    # A guess gives this frame if all its pixels are there, and nothing else is that the layers leave unexplained.
    fits = ~wrong[:, :2] & (seen[:, :2] == counts)
    late, right = fits[:, :1], fits[:, 1:]
    place = torch.where(right, balls[:, 1], torch.where(late, other, found))
    now = torch.where(right, seen[:, 1:2], torch.where(late, seen[:, :1], seen[:, 2:3]))
    things = Things(place, torch.where(right, expected[:, 2:], at), wall, digits(frame, look))
    return things, (now * seen[:, 3:])[:, 0] > 0


def unexplained(frame: Tensor, wall: Tensor, paddles: Tensor, look: Appearance) -> tuple[Tensor, Tensor, Tensor]:
    """What bricks and each of two paddles (B, 2, 2) leave unexplained in the field. With the first, how many pixels in
    each of its rows (B, 164) and columns (B, 144); with each, how many pixels in all (B, 2). All are float."""
    field = frame[:, FIELD_TOP : screen.FIELD_BOTTOM]
    rest = (field != look.beneath(wall, FIELD_TOP, screen.FIELD_BOTTOM))[:, :, FIELD_LEFT:FIELD_RIGHT].float()
    number, stamp = look.paddle_at(paddles.reshape(-1, 2))
    band = look.plate[PADDLE_TOP:PADDLE_BOTTOM].flatten() + 0 * stamp[:, :1]
    band = band.scatter(1, number - PADDLE_TOP * screen.COLUMNS, stamp)
    band = band.reshape(-1, 2, PADDLE_BOTTOM - PADDLE_TOP, screen.COLUMNS) != frame[:, None, PADDLE_TOP:PADDLE_BOTTOM]
    band = band[..., FIELD_LEFT:FIELD_RIGHT].float()  # (B, 2, 4, 144)
    top, bottom = PADDLE_TOP - FIELD_TOP, PADDLE_BOTTOM - FIELD_TOP
    others = [float(not top <= row < bottom) for row in range(screen.FIELD_BOTTOM - FIELD_TOP)]
    columns = (torch.tensor(others, device=rest.device) @ rest)[:, None] + band.sum(2)  # (B, 2, 144)
    rows = rest.amax(2)
    rows = torch.cat((rows[:, :top], band[:, 0].amax(2), rows[:, bottom:]), 1)
    return rows, columns[:, 0], columns.sum(2)
