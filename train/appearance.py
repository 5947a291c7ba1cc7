"""`train vqvae`, first part: learn what things look like, each pixel of a stamp its commonest class.

The maximum-likelihood estimate of a stamp is a count, so there is nothing to descend. The emulator's RAM says where
each thing is; a pixel counts for a stamp only where no other thing lies over it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model import breakout as screen
from model.appearance import CLEAR, WALL_HEIGHT, WALL_WIDTH, Appearance
from model.breakout import CLASSES, COLUMNS, FIELD_BOTTOM, PADDLE_BOTTOM, PADDLE_TOP, ROWS
from train.data import Data

BALL_ROOM = 8
"""So many rows above and below a ball's row it may show."""
WALL = slice(screen.WALL_TOP, screen.WALL_TOP + WALL_HEIGHT), slice(screen.FIELD_LEFT, screen.FIELD_LEFT + WALL_WIDTH)


def learn(appearance: Appearance, dataset: TransitionDataset, data: Data, frames: int = 20_000, seed: int = 0) -> float:
    """Fill the stamps from frames drawn from the dataset. Returns the share of them that are then drawn exactly."""
    rng = np.random.default_rng(seed)
    low = np.flatnonzero(
        (data.objects[:, 0] >= FIELD_BOTTOM - screen.BALL_HEIGHT) & (data.objects[:, 0] < FIELD_BOTTOM)
    )
    some = rng.permutation(len(dataset.index))[:frames], rng.permutation(low)[: frames // 4]  # of a rare sight, more
    t = np.unique(np.concatenate(some))
    counts = {"plate": _counts(ROWS, COLUMNS), "bricks": _counts(WALL_HEIGHT, WALL_WIDTH)}
    counts |= {"digits": _counts(10, screen.DIGIT_HEIGHT, screen.DIGIT_WIDTH), "balls": _counts(screen.BALL_ROWS, ROWS)}
    # How often a ball's pixel is not on the last scanline, and is.
    counts["last"] = torch.zeros((screen.BALL_ROWS, COLUMNS, 2))
    counts["paddle"] = _counts(PADDLE_BOTTOM - PADDLE_TOP, screen.LONG_PADDLE)
    for part in np.array_split(t, max(1, len(t) // 500)):
        _count(counts, torch.from_numpy(dataset.frame(part)), data, torch.from_numpy(part))
    for name, stamp in counts.items():
        if name != "last":
            getattr(appearance, name).copy_(stamp.argmax(-1).to(torch.uint8))
    appearance.last.copy_(_until(counts["last"]))
    balls = counts["balls"]
    shown = balls[:, FIELD_BOTTOM - 1, 1:].sum(1) > 0.03 * balls[:, FIELD_BOTTOM - 1].sum(1)
    balls[shown, FIELD_BOTTOM - 1, 0] = 0  # in some columns it shows, which `last` says
    appearance.balls.copy_(balls.argmax(-1).to(torch.uint8))
    appearance.balls[balls.argmax(-1) == 0] = CLEAR  # nothing counted, or the background shows
    exact = 0
    for part in np.array_split(t, max(1, len(t) // 500)):
        drawn = appearance.paint(data.things(torch.from_numpy(part)))
        exact += int((drawn == torch.from_numpy(dataset.frame(part))).flatten(1).all(1).sum())
    return exact / len(t)


def _until(counts: Tensor) -> Tensor:
    """Of pixels that are off or on (n, 160, 2), counted: the column (n,) from which on most are off."""
    nothing = counts.new_zeros(len(counts), 1)
    off_before, on_before = (torch.cat((nothing, counts[:, :, which].cumsum(1)), 1) for which in (0, 1))
    wrong = off_before + on_before[:, -1:] - on_before  # (n, 161), were it this column
    return torch.where(counts.sum((1, 2)) > 0, wrong.argmin(1), COLUMNS)


def _counts(*shape: int) -> Tensor:
    return torch.zeros((*shape, CLASSES))


def _add(counts: Tensor, classes: Tensor, on: Tensor) -> None:
    """Count classes (n, H, W) where `on` (n, H, W) bool."""
    pixels = torch.arange(counts[..., 0].numel()).reshape(counts.shape[:-1]) * CLASSES
    counts += torch.bincount((pixels + classes)[on], minlength=counts.numel()).reshape(counts.shape)


def _count(counts: dict[str, Tensor], frames: Tensor, data: Data, t: Tensor) -> None:
    things = data.things(t)
    rows, columns = torch.arange(ROWS), torch.arange(COLUMNS)
    from_ball = rows - things.ball[:, :1]
    near_ball = (from_ball.abs() <= BALL_ROOM) & (things.ball[:, :1] > 0)
    at = columns - things.ball[:, 1:]
    on_ball = near_ball[:, :, None] & ((at >= 0) & (at < screen.BALL_WIDTH))[:, None]
    in_band = (rows >= PADDLE_TOP) & (rows < PADDLE_BOTTOM)
    at_paddle = columns - things.paddle[:, :1]
    over_paddle = in_band[:, None] & ((at_paddle >= 0) & (at_paddle < screen.LONG_PADDLE))[:, None]
    standing = things.wall.repeat_interleave(screen.BRICK_HEIGHT, 1).repeat_interleave(screen.BRICK_WIDTH, 2) > 0
    bricks = torch.zeros_like(on_ball)
    bricks[:, *WALL] = standing
    field = ((rows >= screen.FIELD_TOP) & (rows < FIELD_BOTTOM))[:, None] & (
        (columns >= screen.FIELD_LEFT) & (columns < screen.FIELD_RIGHT)
    )
    _add(counts["plate"], frames, ~on_ball & ~over_paddle & ~bricks)
    _add(counts["bricks"], frames[:, *WALL], standing & ~on_ball[:, *WALL])
    for number, left in enumerate(screen.DIGIT_COLUMNS):
        box = frames[:, screen.DIGIT_TOP : screen.DIGIT_TOP + screen.DIGIT_HEIGHT, left : left + screen.DIGIT_WIDTH]
        one_hot = torch.nn.functional.one_hot(box.long(), CLASSES).float()
        counts["digits"].index_add_(0, things.board[:, number], one_hot)
        counts["plate"][screen.DIGIT_TOP : screen.DIGIT_TOP + screen.DIGIT_HEIGHT, left : left + screen.DIGIT_WIDTH] = 0
    seen = on_ball & ~over_paddle & ~bricks & field
    game, row, column = torch.nonzero(seen, as_tuple=True)
    counts["balls"].index_put_(
        (things.ball[game, 0], row, frames[game, row, column].long()), torch.ones(len(game)), accumulate=True
    )
    low = (row == FIELD_BOTTOM - 1) & (things.ball[game, 0] >= FIELD_BOTTOM - screen.BALL_HEIGHT)
    shown = (frames[game, row, column] != 0).long()[low]
    where = things.ball[game, 0][low], column[low], shown
    counts["last"].index_put_(where, torch.ones(len(shown)), accumulate=True)
    whole = things.paddle[:, 0] + screen.LONG_PADDLE <= screen.FIELD_RIGHT
    inside = whole & (things.paddle[:, 1] == screen.LONG_PADDLE)
    for number in torch.nonzero(inside).flatten().tolist()[:50]:
        left = int(things.paddle[number, 0])
        place = slice(PADDLE_TOP, PADDLE_BOTTOM), slice(left, left + screen.LONG_PADDLE)
        _add(counts["paddle"], frames[number][place][None], ~on_ball[number][place][None])
