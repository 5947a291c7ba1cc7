"""Colours and words: what every part of the window looks like."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pygame

FONT = Path(__file__).resolve().parent.parent / "assets" / "font" / "JetBrainsMono-Medium.ttf"
Colour = tuple[int, int, int]
GROUND, RAISED, LINE = (15, 16, 20), (24, 26, 32), (52, 56, 66)
TEXT, QUIET = (222, 225, 232), (132, 138, 152)
# Blue and orange, which people with any of the common colour blindnesses tell apart.
REAL, TWIN, WARN = (106, 176, 255), (255, 166, 64), (255, 214, 102)
MISSING, EXTRA, RECOLOURED = (72, 150, 255), (255, 150, 30), (240, 240, 240)
TONES = {"step": TWIN, "dream": (198, 146, 255), "parted": (255, 112, 112)}
MARKS = {"life": (255, 112, 112), "parted": (255, 112, 112), "restart": QUIET, "controller": WARN}


@lru_cache(maxsize=16)
def _font(size: int) -> pygame.font.Font:
    return pygame.font.Font(str(FONT), size)


@lru_cache(maxsize=256)  # two pictures' worth: most words stay, and numbers seldom come again
def text(words: str, size: int, colour: Colour) -> pygame.Surface:
    """Words as a picture, `size` pixels high."""
    return _font(size).render(words, True, colour)


def forget_fonts() -> None:
    """Drop what was rendered: pygame's fonts do not survive `pygame.quit`."""
    _font.cache_clear()
    text.cache_clear()
