"""Colours, words and places: what every part of the window looks like, and where the panels go."""

import math
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import pygame
from pygame import Rect

from app import FONT
from model.breakout import COLUMNS, ROWS

Colour = tuple[int, int, int]
GROUND, RAISED, LINE = (15, 16, 20), (24, 26, 32), (52, 56, 66)
TEXT, QUIET = (222, 225, 232), (132, 138, 152)
# Blue and orange, which people with any of the common colour blindnesses tell apart.
REAL, TWIN, WARN = (106, 176, 255), (255, 166, 64), (205, 180, 120)
EXTRA, DARK = (255, 150, 30), (10, 11, 14)
LEGEND = (("missing", (72, 150, 255)), ("not in the real game", EXTRA), ("other colour", (240, 240, 240)))
DREAM, PARTED = (198, 146, 255), (255, 112, 112)
TONES = {"step": TWIN, "dream": DREAM, "parted": PARTED}
MARKS = {"life": PARTED, "parted": PARTED, "new game": QUIET, "controller": WARN, "back": REAL}

USUAL = 1344, 772  # the window's size at which lengths are pixels; in a larger one words and margins grow with it
TELEVISION = 4 / 3
MARGIN, TITLE, FOOTER, LOWER, COLUMN, HEADER = 14, 30, 30, 196, 440, 24
ROOMY = 640, 400  # a smaller window has no margins, no footer and no titles beside mode and accuracy
_STRETCH, _WHOLE_WORTH = 0.16, 0.84  # a whole multiple of the pixels is sharper: taken where it fills so much
_LEAST_INFO, _INFO_WORTH = 60, 1.25


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
    choices = [(a * COLUMNS, d * ROWS) for a in (across, across + 1) for d in (down, down + 1) if a and d]
    fit = [(w, h) for w, h in choices if w <= width and h <= height and abs(math.log(w / h / TELEVISION)) <= _STRETCH]
    best = max(fit, key=math.prod, default=(0, 0))
    return best if math.prod(best) >= _WHOLE_WORTH * math.prod(fitted) else fitted


class Places(NamedTuple):
    """Where things go: the panels, the boxes for table and timeline (none where there is no room), and the unit."""

    twin: Rect
    real: Rect | None
    info: tuple[Rect, ...]
    unit: float
    roomy: bool


@lru_cache(maxsize=4)
def arrange(width: int, height: int, panels: int, large: bool = False, info: bool = True) -> Places:
    """Places for one or two panels in a window: beside each other or stacked, with table and timeline below or at the
    right, whichever shows the panels largest. `large`: the twin takes all it can, the real game is small beside it."""
    unit = max(1.0, min(width / USUAL[0], height / USUAL[1]))
    roomy = width >= ROOMY[0] and height >= ROOMY[1]
    margin, title, foot, side, lower = (round(part * unit) for part in (MARGIN, TITLE, FOOTER, COLUMN, LOWER))
    margin, title, foot, top = (margin, title, foot, 0) if roomy else (1, 0, 0, HEADER)
    area, info = Rect(margin, top, width - 2 * margin, height - top - foot), info and roomy
    if large and panels == 2 and roomy:
        side = min(side, area.width // 3)
        twin = Rect(area.left, area.top + title, *panel_size(area.width - side - margin, area.height - title - margin))
        left, room = twin.right + margin, area.right - twin.right - margin
        real = Rect(left, twin.top, *panel_size(room, min(area.height // 2, round(room / TELEVISION)) - title))
        rest = Rect(left, real.bottom + margin, room, area.bottom - real.bottom - margin)
        return Places(twin, real, (rest,) if info and rest.height >= _LEAST_INFO else (), unit, True)
    wishes = ["below", "right"] if info else []
    if not wishes or width < 2 * side or height < round(520 * unit):
        wishes.append("")
    found: list[tuple[float, Places]] = []
    for wish, (across, down) in product(wishes, dict.fromkeys(((panels, 1), (1, panels)))):
        wide = area.width - (side + margin) * (wish == "right")
        high = area.height - lower * (wish == "below")
        cell = (wide - (across - 1) * margin) // across, high // down - title - margin
        size = panel_size(*cell) if min(cell) > 0 else (1, 1)
        x, y = area.left + (cell[0] - size[0]) // 2, area.top + title + min(margin, (cell[1] - size[1]) // 2)
        steps = cell[0] + margin, cell[1] + title + margin
        rects = [Rect(x + a * steps[0], y + d * steps[1], *size) for d in range(down) for a in range(across)]
        left, bottom = rects[-1].right + margin, rects[-1].bottom + margin
        boxes: tuple[Rect, ...] = ()
        if wish == "right":
            boxes = (Rect(left, y, area.right - left, area.bottom - y),)
        elif info and area.bottom - bottom >= _LEAST_INFO:
            half, deep = (area.width - margin) // 2, area.bottom - bottom
            boxes = tuple(Rect(area.left + i * (half + margin), bottom, half, deep) for i in (0, 1))
            if across == 2 and size[0] >= half * 0.85:  # in line with the panels
                boxes = tuple(Rect(rect.left, bottom, size[0], deep) for rect in rects)
        worth = (1.02 if across >= down else 1) * (_INFO_WORTH if boxes else 1)
        places = Places(rects[-1], rects[0] if panels == 2 else None, boxes, unit, roomy)
        found.append((math.prod(size) * worth, places))
    return max(found, key=lambda pair: pair[0])[1]
