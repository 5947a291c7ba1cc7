"""A screen of classes as a picture in the window: its size, its colours, and the difference of two screens."""

from __future__ import annotations

import math

import numpy as np
import pygame

from app.style import EXTRA, MISSING, RECOLOURED
from model.breakout import COLUMNS, PALETTE, ROWS, Frame

TELEVISION = 4 / 3
_STRETCH = 0.16
_DIM = len(PALETTE)
_MARK = 2 * _DIM
_COLOURS = [tuple(map(int, c)) for c in PALETTE] + [tuple(int(v) * 2 // 7 + 6 for v in c) for c in PALETTE]
_COLOURS += [MISSING, EXTRA, RECOLOURED]
_COLOURS += [(0, 0, 0)] * (256 - len(_COLOURS))


def panel_size(width: int, height: int) -> tuple[int, int]:
    """The size of a panel inside a box: whole multiples of 160 x 210 as near to 4:3 as they come, or what fits.

    A box too small for every whole multiple gets a scaled-down 4:3 picture, at least 1 x 1.
    """
    best, size = 0.0, (0, 0)
    for across in range(1, width // COLUMNS + 1):
        for down in range(1, height // ROWS + 1):
            stretch = abs(math.log(across * COLUMNS / (down * ROWS) / TELEVISION))
            worth = across * down * math.exp(-stretch)
            if stretch <= _STRETCH and worth > best:
                best, size = worth, (across * COLUMNS, down * ROWS)
    if best:
        return size
    fitted = min(width, height * TELEVISION)
    return max(1, int(fitted)), max(1, int(fitted / TELEVISION))


def screen_of(classes: Frame) -> pygame.Surface:
    """An 8-bit surface (160 wide, 210 high) of indices into the overlay's colours; classes are the first nine."""
    surface = pygame.image.frombuffer(classes.tobytes(), (COLUMNS, ROWS), "P")
    surface.set_palette(_COLOURS)
    return surface


def difference(real: Frame, twin: Frame) -> Frame:
    """Indices into the overlay's colours (210, 160) uint8: the twin dimmed, its wrong pixels marked by their kind."""
    wrong = real != twin
    shown = twin + np.uint8(_DIM)
    shown[wrong] = _MARK + 2
    shown[wrong & (twin == 0)] = _MARK
    shown[wrong & (real == 0)] = _MARK + 1
    return shown
