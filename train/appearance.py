"""`train vqvae`, first part: learn what things look like, each pixel of a stamp its commonest class.

The maximum-likelihood estimate of a stamp is a count, so there is nothing to descend. The emulator's RAM says where
each thing is; a pixel counts for a stamp only where no other thing lies over it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from collect.dataset import TransitionDataset
from model import breakout as screen
from model.appearance import CLEAR, Appearance
from model.breakout import CLASSES, COLUMNS, FIELD_BOTTOM, LONG_PADDLE
from model.readers import FIELD_COLUMNS, PADDLE_ROWS, WALL_ROWS
from train.data import Data

BALL_ROOM = 8  # so many rows above and below a ball's row it may show
LOW = FIELD_BOTTOM - screen.BALL_HEIGHT  # from this row on a ball is on the last scanline of the field
DIGITS = slice(screen.DIGIT_TOP, screen.DIGIT_TOP + screen.DIGIT_HEIGHT)
FIELD = slice(screen.FIELD_TOP, FIELD_BOTTOM), FIELD_COLUMNS
WALL = WALL_ROWS, FIELD_COLUMNS


def learn(look: Appearance, dataset: TransitionDataset, data: Data, frames: int = 20_000) -> float:
    """Fill the stamps from frames drawn from the dataset. Returns the share of them that are then drawn exactly."""
    rng, row = np.random.default_rng(0), data.objects[:, 0]
    low = np.flatnonzero((row >= LOW) & (row < FIELD_BOTTOM))  # (n,) frame numbers
    some = rng.permutation(len(dataset.index))[:frames], rng.permutation(low)[: frames // 4]  # of a rare sight, more
    t = np.unique(np.concatenate(some))  # a frame may be in both
    parts = np.array_split(t, max(1, len(t) // 500))  # fewer than 1000 at a time: whole frames take memory
    stamps = ("plate", "bricks", "digits", "balls", "paddle")
    counts = {name: torch.zeros((*getattr(look, name).shape, CLASSES)) for name in stamps}  # (210, 160, 9) and so on
    # How often a ball's pixel is not on the last scanline, and is.
    counts["last"] = torch.zeros((screen.BALL_ROWS, COLUMNS, 2))  # (224, 160, 2)
    for part in parts:
        _count(counts, torch.from_numpy(dataset.frame(part)), data, torch.from_numpy(part))
    look.last.copy_(_until(counts.pop("last")))
    balls = counts["balls"]  # (224, 210, 9)
    shown = balls[:, FIELD_BOTTOM - 1, 1:].sum(1) > 0.03 * balls[:, FIELD_BOTTOM - 1].sum(1)  # (224,) bool
    balls[shown, FIELD_BOTTOM - 1, 0] = 0  # in some columns it shows, which `last` says
    for name, stamp in counts.items():
        getattr(look, name).copy_(stamp.argmax(-1))  # 0, the background, where nothing was counted
    look.balls[look.balls == 0] = CLEAR  # nothing counted, or the background shows
    exact = 0
    for part in parts:
        drawn = look.paint(data.things(torch.from_numpy(part)))
        exact += int((drawn == torch.from_numpy(dataset.frame(part))).flatten(1).all(1).sum())
    return exact / len(t)


def _until(counts: Tensor) -> Tensor:
    """Of pixels that are off or on (n, 160, 2), counted: the column (n,) from which on most are off."""
    nothing = counts.new_zeros(len(counts), 1)
    off_before, on_before = (torch.cat((nothing, counts[:, :, which].cumsum(1)), 1) for which in (0, 1))  # (n, 161)
    wrong = off_before + on_before[:, -1:] - on_before  # (n, 161), were it this column
    return torch.where(counts.sum((1, 2)) > 0, wrong.argmin(1), COLUMNS)  # a row without a count: it is never off


def _add(counts: Tensor, classes: Tensor, on: Tensor) -> None:
    """Count classes (n, H, W) where `on` (n, H, W) bool."""
    pixels = torch.arange(counts[..., 0].numel()).reshape(counts.shape[:-1]) * CLASSES  # (H, W), the place of class 0
    counts += torch.bincount((pixels + classes)[on], minlength=counts.numel()).reshape(counts.shape)


def _count(counts: dict[str, Tensor], frames: Tensor, data: Data, t: Tensor) -> None:
    things, rows, columns = data.things(t), torch.arange(screen.ROWS), torch.arange(COLUMNS)
    near_ball = ((rows - things.ball[:, :1]).abs() <= BALL_ROOM) & (things.ball[:, :1] > 0)  # (n, 210) bool
    at, at_paddle = columns - things.ball[:, 1:], columns - things.paddle[:, :1]  # (n, 160) each
    on_ball = near_ball[:, :, None] & ((at >= 0) & (at < screen.BALL_WIDTH))[:, None]  # (n, 210, 160) bool
    over, in_field = torch.zeros_like(on_ball), torch.zeros_like(on_ball[0])  # over: bricks, and what is by the paddle
    standing = things.wall.repeat_interleave(screen.BRICK_HEIGHT, 1).repeat_interleave(screen.BRICK_WIDTH, 2) > 0
    over[:, *WALL] = standing  # (n, 36, 144) bool
    over[:, PADDLE_ROWS] = ((at_paddle >= 0) & (at_paddle < LONG_PADDLE))[:, None]
    in_field[FIELD] = True
    _add(counts["plate"], frames, ~on_ball & ~over)
    _add(counts["bricks"], frames[:, *WALL], standing & ~on_ball[:, *WALL])
    for number, left in enumerate(screen.DIGIT_COLUMNS):
        box = DIGITS, slice(left, left + screen.DIGIT_WIDTH)
        counts["digits"].index_add_(0, things.board[:, number], one_hot(frames[:, *box].long(), CLASSES).float())
        counts["plate"][box] = 0  # stays 0 there: a digit is painted over all of its box
    game, row, column = torch.nonzero(on_ball & ~over & in_field, as_tuple=True)  # (m,) each: m pixels of balls
    ball, shown = things.ball[game, 0], frames[game, row, column].long()
    counts["balls"].index_put_((ball, row, shown), torch.ones(1), accumulate=True)
    low = (row == FIELD_BOTTOM - 1) & (ball >= LOW)
    where = ball[low], column[low], (shown[low] != 0).long()
    counts["last"].index_put_(where, torch.ones(1), accumulate=True)
    whole = things.paddle[:, 0] + LONG_PADDLE <= screen.FIELD_RIGHT  # (n,) bool, no part under the right wall
    for number in torch.nonzero(whole & (things.paddle[:, 1] == LONG_PADDLE)).flatten().tolist()[:50]:  # 50 are plenty
        left = int(things.paddle[number, 0])
        place = slice(number, number + 1), PADDLE_ROWS, slice(left, left + LONG_PADDLE)
        _add(counts["paddle"], frames[place], ~on_ball[place])
