"""The crops of what changes in pairs of frames, one row a changed cell, as the VQ-VAE's encoder learns from them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.breakout import GRID_ROWS
from model.encoder import BALL_BOX, FIELD_CELLS, NEW_WALL, PADDLE_CELLS, SCORE_CELLS, WALL_CELLS, crops


class Crops(NamedTuple):
    """What the encoder is shown of M changed cells: bits (M, 1120) float, place (M, 2) int64 (the row + 1 of the ball's
    crop, and the column + 1 of what came from nothing, or of a paddle that was cut off, else 0), and the cells they are
    of: game and cell (M,) int64 each, and kind (M,)."""

    bits: Tensor
    place: Tensor
    game: Tensor
    cell: Tensor
    kind: Tensor


def changed_crops(before: Tensor, after: Tensor) -> Crops:
    """The crops of all changed cells of B pairs, one row a cell."""
    shared, top, place, kind = crops(before, after)
    game, cell = torch.nonzero(kind >= 0, as_tuple=True)
    kinds = kind[game, cell]
    return Crops(*select(shared[game], top[game, cell // GRID_ROWS], place[game], kinds), game, cell, kinds)


def select(shared: Tensor, top: Tensor, place: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """What a cell of a kind (M,) is shown, the rest blank: bits (M, 1120), place (M, 2)."""
    ball, along = shared[:, : 2 * BALL_BOX**2], shared[:, 2 * BALL_BOX**2 :]
    parts = (ball, kind == FIELD_CELLS), (along, kind == PADDLE_CELLS), (top, kind == SCORE_CELLS)
    bits = torch.cat([part * on[:, None] for part, on in parts], 1)
    laid = torch.where(kind == WALL_CELLS, NEW_WALL, 0)
    other = torch.stack((laid, torch.where(kind == PADDLE_CELLS, place[:, 2], laid)), 1)
    return bits, torch.where((kind == FIELD_CELLS)[:, None], place[:, :2], other)
