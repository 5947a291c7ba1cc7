"""Colours, words and places: what every part of the window looks like, and where the panels go."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pygame
from pygame import Rect

from model.breakout import COLUMNS, ROWS

FONT = Path(__file__).resolve().parent.parent / "assets" / "font" / "JetBrainsMono-Medium.ttf"
Colour = tuple[int, int, int]
GROUND, RAISED, LINE = (15, 16, 20), (24, 26, 32), (52, 56, 66)
TEXT, QUIET = (222, 225, 232), (132, 138, 152)
# Blue and orange, which people with any of the common colour blindnesses tell apart.
REAL, TWIN, WARN = (106, 176, 255), (255, 166, 64), (205, 180, 120)
MISSING, EXTRA, RECOLOURED = (72, 150, 255), (255, 150, 30), (240, 240, 240)
DREAM, PARTED = (198, 146, 255), (255, 112, 112)
TONES = {"step": TWIN, "dream": DREAM, "parted": PARTED}
MARKS = {"life": PARTED, "parted": PARTED, "new game": QUIET, "controller": WARN, "back": REAL}

USUAL = 1344, 772
"""The window's size at which lengths are pixels; in a larger one words and margins grow with it."""
TELEVISION = 4 / 3
MARGIN, TITLE, FOOTER, LOWER, COLUMN = 14, 30, 30, 196, 440
ROOMY = 640, 400
"""A smaller window has no margins, no footer and no titles beside mode and accuracy."""
_STRETCH, _LEAST_INFO, _INFO_WORTH = 0.16, 60, 1.25
_WHOLE_WORTH = 0.84
"""A whole multiple of the game's pixels is sharper: it is taken where it fills so much of the room."""


@lru_cache(maxsize=16)
def _font(size: int) -> pygame.font.Font:
    return pygame.font.Font(str(FONT), size)


@lru_cache(maxsize=256)  # two pictures' worth: most words stay, and numbers seldom come again
def text(words: str, size: int, colour: Colour) -> pygame.Surface:
    """Words as a picture, `size` pixels high."""
    return _font(max(6, size)).render(words, True, colour)


def forget_fonts() -> None:
    """Drop what was rendered: pygame's fonts do not survive `pygame.quit`."""
    _font.cache_clear()
    text.cache_clear()


def panel_size(width: int, height: int) -> tuple[int, int]:
    """The size of a panel inside a box: a whole multiple of 160 x 210 near 4:3, or, where that would leave much of the
    box empty, the largest 4:3 picture. At least 1 x 1."""
    wide = max(1.0, min(width, height * TELEVISION))
    fitted = int(wide), max(1, int(wide / TELEVISION))
    across, down = fitted[0] // COLUMNS, fitted[1] // ROWS
    # One more row of dots may fit the box although it does not fit 4:3, and the other way round.
    choices = [
        (a * COLUMNS, d * ROWS)
        for a in (across, across + 1)
        for d in (down, down + 1)
        if a and d and a * COLUMNS <= width and d * ROWS <= height
    ]
    near = [size for size in choices if abs(math.log(size[0] / size[1] / TELEVISION)) <= _STRETCH]
    best = max(near, key=lambda size: size[0] * size[1], default=(0, 0))
    return best if best[0] * best[1] >= _WHOLE_WORTH * fitted[0] * fitted[1] else fitted


class Places(NamedTuple):
    """Where things go: the panels, the boxes for table and timeline (none where there is no room), and the unit."""

    twin: Rect
    real: Rect | None
    info: tuple[Rect, ...]
    unit: float
    roomy: bool


def arrange(width: int, height: int, panels: int, large: bool = False, info: bool = True) -> Places:
    """Places for one or two panels in a window: beside each other or stacked, with table and timeline below or at the
    right, whichever shows the panels largest. `large`: the twin takes all it can, the real game is small beside it."""
    unit = max(1.0, min(width / USUAL[0], height / USUAL[1]))
    roomy = width >= ROOMY[0] and height >= ROOMY[1]

    def u(length: float) -> int:
        return round(length * unit)

    margin = u(MARGIN) if roomy else 1
    title = u(TITLE) if roomy else 0
    top = 0 if roomy else small_header(width, height)
    area = Rect(margin, top, width - 2 * margin, height - top - (u(FOOTER) if roomy else 0))
    if large and panels == 2 and roomy:
        return _twin_large(area, unit, title, margin, info)
    found: list[tuple[float, Places]] = []
    wishes = ["below", "right"] if info and roomy else []
    if not wishes or width < u(COLUMN) * 2 or height < u(520):
        wishes.append("")
    for wish in wishes:
        for across, down in dict.fromkeys(((panels, 1), (1, panels))):
            box = area.copy()
            box.height -= u(LOWER) if wish == "below" else 0
            box.width -= u(COLUMN) + margin if wish == "right" else 0
            cell = (box.width - (across - 1) * margin) // across, box.height // down - title - margin
            size = panel_size(*cell) if min(cell) > 0 else (1, 1)
            rects = _grid(box, cell, size, (across, down), title, margin)
            if wish == "right":
                left = max(rect.right for rect in rects) + margin
                column = Rect(left, rects[0].top, area.right - left, box.bottom - rects[0].top)
                boxes: tuple[Rect, ...] = (column,)
            else:
                room = area.bottom - max(rect.bottom for rect in rects) - margin >= _LEAST_INFO
                boxes = _below(area, rects, margin) if info and roomy and room else ()
            places = Places(rects[-1], rects[0] if panels == 2 else None, boxes, unit, roomy)
            worth = (1.02 if across >= down else 1) * (_INFO_WORTH if boxes else 1)
            found.append((size[0] * size[1] * worth, places))
    return max(found, key=lambda pair: pair[0])[1]


def small_header(width: int, height: int) -> int:
    """The height of the lines with mode and accuracy in a window that is not roomy."""
    return 24 if height >= 140 else 0


def _grid(
    box: Rect, cell: tuple[int, int], size: tuple[int, int], count: tuple[int, int], title: int, margin: int
) -> list[Rect]:
    rects = []
    for number in range(count[0] * count[1]):
        down, across = divmod(number, count[0])
        left = box.left + across * (cell[0] + margin) + (cell[0] - size[0]) // 2
        spare = min(margin, (cell[1] - size[1]) // 2)
        rects.append(Rect(left, box.top + down * (cell[1] + title + margin) + title + spare, *size))
    return rects


def _below(area: Rect, rects: list[Rect], margin: int) -> tuple[Rect, ...]:
    """Two boxes under the panels, in line with them where they are wide enough."""
    top = max(rect.bottom for rect in rects) + margin
    half = (area.width - margin) // 2
    boxes = [Rect(area.left + i * (half + margin), top, half, area.bottom - top) for i in range(2)]
    if len(rects) == 2 and rects[0].top == rects[1].top and rects[0].width >= half * 0.85:
        for box, rect in zip(boxes, rects, strict=True):
            box.left, box.width = rect.left, rect.width
    return tuple(boxes)


def _twin_large(area: Rect, unit: float, title: int, margin: int, info: bool) -> Places:
    side = min(round(COLUMN * unit), area.width // 3)
    size = panel_size(area.width - side - margin, area.height - title - margin)
    twin = Rect(area.left, area.top + title, *size)
    left = twin.right + margin
    small = panel_size(area.right - left, min(area.height // 2, round((area.right - left) / TELEVISION)) - title)
    real = Rect(left, twin.top, *small)
    rest = Rect(left, real.bottom + margin, area.right - left, area.bottom - real.bottom - margin)
    return Places(twin, real, (rest,) if info and rest.height >= 60 else (), unit, True)
