"""Frames as 35 cells, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from model.breakout import CELL_COLUMNS, CELL_ROWS, GRID_COLUMNS, GRID_ROWS

_WORD = 8
"""Pixels that are compared at once."""


def _grid(frames: Tensor) -> Tensor:
    """(B, 210, 160) -> (B, 7, 30, 5, 32), a view."""
    return frames.view(-1, GRID_ROWS, CELL_ROWS, GRID_COLUMNS, CELL_COLUMNS)


def take_cells(frames: Tensor, which: Tensor, cells: Tensor) -> Tensor:
    """Of frames (B, 210, 160), cells by M frame numbers and flat numbers `column * 7 + row` -> (M, 30, 32)."""
    return _grid(frames.contiguous())[which, cells % GRID_ROWS, :, cells // GRID_ROWS]


def put_cells(frames: Tensor, which: Tensor, cells: Tensor, drawn: Tensor) -> None:
    """Write (M, 30, 32) into contiguous frames; the inverse of `take_cells`."""
    _grid(frames)[which, cells % GRID_ROWS, :, cells // GRID_ROWS] = drawn


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Which cells differ: (B, 210, 160) uint8 twice -> (B, 35) bool, flat order."""
    words = before.contiguous().view(torch.int64) != after.contiguous().view(torch.int64)
    words = words.view(-1, GRID_ROWS, CELL_ROWS, GRID_COLUMNS, CELL_COLUMNS // _WORD)
    return words.any(4).any(2).transpose(1, 2).flatten(1)
