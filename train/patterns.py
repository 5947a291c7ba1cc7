"""The different crops of what changes in the steps of a dataset, and what each means: the VQ-VAE learns from these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from console import Show
from model.appearance import Appearance
from model.breakout import GRID_ROWS
from model.encoder import BALL_BOX, CROPS, FIELD_CELLS, NEW_WALL, PADDLE_CELLS, SCORE_CELLS, STRIP, WALL_CELLS, crops
from model.files import FileError
from model.vqvae import VANISH
from train.data import Data
from train.events import NAMES, NOTHING, labels

Bytes = npt.NDArray[np.uint8]

CERTAIN = 0.95
"""The least share of what looks the same that must be the same event, for a code to say so."""


def changed_crops(before: Tensor, after: Tensor) -> tuple[Tensor, ...]:
    """What the encoder is shown of M changed cells of B pairs, the rest blank: bits (M, 1120) float, place (M, 2) int64
    (the row + 1 of the ball's crop, and the column + 1 of what came from nothing, or of a paddle that was cut off, else
    0). And the cells they are of: game, cell and kind, (M,) int64 each."""
    shared, top, places, kinds = crops(before, after)
    game, cell = torch.nonzero(kinds >= 0, as_tuple=True)
    (ball, along), place, kind = shared[game].split((2 * BALL_BOX**2, 2 * STRIP), 1), places[game], kinds[game, cell]
    of_ball, of_paddle = kind == FIELD_CELLS, kind == PADDLE_CELLS
    parts = (ball, of_ball), (along, of_paddle), (top[game, cell // GRID_ROWS], kind == SCORE_CELLS)
    bits = torch.cat([part * on[:, None] for part, on in parts], 1)
    laid = torch.where(kind == WALL_CELLS, NEW_WALL, 0)
    other = torch.stack((laid, torch.where(of_paddle, place[:, 2], laid)), 1)
    return bits, torch.where(of_ball[:, None], place[:, :2], other), game, cell, kind


class Patterns(NamedTuple):
    """The U different crops of a dataset's changed cells: bits (U, 1120 / 8) uint8 packed, place (U, 2) uint8, what the
    decoder is to say of each: heads (U, 11) and bricks (U, 21) uint8; and how often each occurs (U,) float32."""

    bits: Tensor
    place: Tensor
    heads: Tensor
    bricks: Tensor
    often: Tensor

    def shown(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them as the encoder takes them: bits (M, 1120) float, place (M, 2) int64."""
        shifts = torch.arange(7, -1, -1, device=which.device)
        bits = (self.bits[which][:, :, None] >> shifts & 1).flatten(1)[:, :CROPS].float()
        return bits, self.place[which].long()


def find_patterns(
    dataset: TransitionDataset, data: Data, look: Appearance, steps: Tensor, show: Show = lambda share, text: None
) -> Patterns:
    """The different crops in the steps (T,) of a dataset, on the data's device. FileError if there are none."""
    rows, device = [], data.steps.device
    for number, part in enumerate(every := steps.split(256)):
        show(number / len(every), "preparing: finding what changes in a step")
        t = part.cpu().numpy()
        pair = (torch.from_numpy(dataset.frame(t + later)).to(device) for later in (0, 1))
        bits, place, *cells = changed_crops(*pair)
        said, bricks = labels(data.things(part), data.things(part + 1), look, *cells)
        packed = np.packbits(bits.to(torch.uint8).cpu().numpy(), axis=1)
        small = torch.cat((place, *(said[name][:, None] for name in NAMES), bricks), 1)
        rows.append(np.concatenate((packed, small.to(torch.uint8).cpu().numpy()), 1))
    found, count = np.unique(np.concatenate(rows), axis=0, return_counts=True)
    if not len(found):
        raise FileError("nothing ever moves in these frames: collect more, with --policy mixed or drill")
    widths = np.cumsum([-(-CROPS // 8), 2, len(NAMES)])
    parts = [part.copy() for part in np.split(found, widths, axis=1)]
    _settle(found[:, : widths[1]], parts[2], parts[3], count)
    return Patterns(*(torch.from_numpy(part).to(device) for part in (*parts, count.astype(np.float32))))


def _settle(crops: Bytes, heads: Bytes, bricks: Bytes, count: npt.NDArray[np.int64]) -> None:
    """What looks the same is to be the same event, that which is meant most often.

    Where none is meant nearly always, the labels become those of a ball that vanishes: its code then leaves to the
    state where it is, and what it broke. (The paddle may hide so much of a ball that two of its steps look the same;
    and beside a ball in bricks of its own colour a brick goes that may lie on any side of it.)

    Of U different rows: what is shown (U, n), what is said of it (U, 11) and (U, 21), both changed in place, and how
    often (U,).
    """
    _, same = np.unique(crops, axis=0, return_inverse=True)
    winner = np.zeros(same.max() + 1, np.int64)
    order = np.argsort(count, kind="stable")
    winner[same[order]] = order  # of each group the last one that is written, the commonest
    doubtful = count[winner] < CERTAIN * np.bincount(same, count)
    doubtful &= np.bincount(same, heads[:, NAMES.index("ball")] + bricks.any(1)) > 0
    heads[:], bricks[:] = heads[winner[same]], bricks[winner[same]]
    which = doubtful[same]
    heads[which], bricks[which] = [*(NOTHING | {"ball": VANISH}).values()], 0
