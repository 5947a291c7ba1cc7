"""Several next frames of one moment, drawn together: most keys agree on most cells, and those are drawn once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from model.breakout import CELLS, Frame, from_cells, to_cells

Codes = npt.NDArray[np.int64]


def draw_each(decode: Callable[[Codes], Frame], known: Frame, grids: Codes) -> Frame:
    """The next frames (B, 210, 160) uint8 classes for several grids of codes (B, 35), B >= 2, in one history.

    `known` (210, 160) is what the first grid draws; `decode` draws others, (n, 35) -> (n, 210, 160). A cell's picture
    depends on its own code alone, so only codes that no grid before has in the same cell are asked of it.
    """
    # For each grid and cell, the first grid with that code there; it is the one that draws it.
    first = (grids[:, None] == grids[None]).argmax(1)
    asked = np.where(first == np.arange(len(grids))[:, None], grids, 0)
    cells = to_cells(np.concatenate((known[None], decode(asked[1:]))))
    return from_cells(cells[first, np.arange(CELLS)])
