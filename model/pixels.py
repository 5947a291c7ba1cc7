"""From classes to numbers: fixed features of pixels, patches, and windows around cells.

The features are fixed, not learned: an embedding looked up for every pixel has a very slow backward pass, and nine
classes need no learning. Patches are 3 rows by 4 columns, so a cell of 30 x 32 pixels is 10 x 8 patches.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.breakout import CELL_COLUMNS, CELL_ROWS, CELLS, GRID_ROWS

PATCH_ROWS, PATCH_COLUMNS = 3, 4
PATCH_PIXELS = PATCH_ROWS * PATCH_COLUMNS
MARGIN = 3
"""Patches that a window sees beyond its cell, on every side."""
MARGIN_ROWS, MARGIN_COLUMNS = MARGIN * PATCH_ROWS, MARGIN * PATCH_COLUMNS
"""The same in pixels, 9 and 12: as far as anything moves in a step."""
WINDOW_ROWS, WINDOW_COLUMNS = CELL_ROWS + 2 * MARGIN_ROWS, CELL_COLUMNS + 2 * MARGIN_COLUMNS

# Columns: something is there; it is red (paddle, ball in the open, top bricks); grey (walls, digits); which brick row.
_FEATURES = torch.tensor(
    [
        (0, 0, 0, 0.0),
        (1, 0, 1, 0.0),
        (1, 0, 0, 0.2),
        (1, 0, 0, 0.6),
        (1, 0, 0, 1.0),
        (1, 1, 0, 0.0),
        (1, 0, 0, -1.0),
        (1, 0, 0, -0.2),
        (1, 0, 0, -0.6),
    ]
)
FEATURES = _FEATURES.shape[1]


def features(classes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classes (...) uint8 -> (..., 4) fixed features in -1..1."""
    return F.embedding(classes.int(), _FEATURES.to(classes.device, dtype))


def patches(values: Tensor, rows: int, columns: int) -> Tensor:
    """Cut (B, R, C, F) into patches: (B, rows * columns * F, R / rows, C / columns), channels last in memory."""
    batch, height, width, depth = values.shape
    cut = values.reshape(batch, height // rows, rows, width // columns, columns, depth)
    cut = cut.permute(0, 1, 3, 2, 4, 5).reshape(batch, height // rows, width // columns, rows * columns * depth)
    return cut.permute(0, 3, 1, 2)


def unpatch(values: Tensor, depth: int) -> Tensor:
    """The inverse of `patches` for 3 x 4 patches: (B, 12 * depth, R / 3, C / 4) -> (B, R, C, depth)."""
    batch, _, rows, columns = values.shape
    cut = values.permute(0, 2, 3, 1).reshape(batch, rows, columns, PATCH_ROWS, PATCH_COLUMNS, depth)
    return cut.permute(0, 1, 3, 2, 4, 5).reshape(batch, rows * PATCH_ROWS, columns * PATCH_COLUMNS, depth)


def windows(frames: Tensor, which: Tensor, cells: Tensor) -> Tensor:
    """Windows around cells: frames (B, 210, 160), M frame numbers and M cells 0..34 -> (M, 48, 56), same dtype.

    Beyond the screen's edge there is background (class 0).
    """
    padded = F.pad(frames, (MARGIN_COLUMNS, MARGIN_COLUMNS, MARGIN_ROWS, MARGIN_ROWS))
    views = padded.unfold(1, WINDOW_ROWS, CELL_ROWS).unfold(2, WINDOW_COLUMNS, CELL_COLUMNS)
    return views[which, cells % GRID_ROWS, cells // GRID_ROWS]


def middle(windows: Tensor) -> Tensor:
    """The cell in the middle of its window: (M, 48, 56, ...) -> (M, 30, 32, ...)."""
    return windows[:, MARGIN_ROWS : MARGIN_ROWS + CELL_ROWS, MARGIN_COLUMNS : MARGIN_COLUMNS + CELL_COLUMNS]


def split_cells(frames: Tensor) -> Tensor:
    """(B, 210, 160) -> (B, 35, 30, 32), flat order `column * 7 + row`; a view where possible."""
    batch = frames.shape[0]
    blocks = frames.reshape(batch, GRID_ROWS, CELL_ROWS, -1, CELL_COLUMNS)
    return blocks.permute(0, 3, 1, 2, 4).reshape(batch, CELLS, CELL_ROWS, CELL_COLUMNS)


def join_cells(cells: Tensor) -> Tensor:
    """The inverse of `split_cells`: (B, 35, 30, 32) -> (B, 210, 160)."""
    batch = cells.shape[0]
    blocks = cells.reshape(batch, -1, GRID_ROWS, CELL_ROWS, CELL_COLUMNS)
    return blocks.permute(0, 2, 3, 1, 4).reshape(batch, GRID_ROWS * CELL_ROWS, -1)


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Which cells differ: (B, 210, 160) twice -> (B, 35) bool."""
    return split_cells(before != after).flatten(2).any(2)
