"""The row of digits at the top of the screen, read from pixels alone: score, lives and player.

So a dream can be played to its end with no emulator behind it. Digits are 3 x 5 blocks of 4 x 2 pixels in grey; their
shapes and places were measured on the emulator's frames, and the tests read every score and every number of lives
that way. The emulator draws what RAM said one of its frames before, and stops at the frame where the last life is lost:
a real game never shows 0 lives, and what has learned from real games will hardly draw it (see `app.ending`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from model.breakout import COLUMNS, GREY_CLASS, Frame

TOP, DIGIT_ROWS, DIGIT_COLUMNS = 5, 10, 12
SCORE_COLUMNS, LIVES_COLUMN, PLAYER_COLUMN = (36, 52, 68), 100, 132
"""The column of each digit's left end."""
WRONG_PIXELS = 3
"""So many of a digit's 120 pixels may be wrong; two digits differ in a block of 8 or more, so none is mistaken."""
_SHAPES = (
    ("###", "# #", "# #", "# #", "###"),
    (" # ", " # ", " # ", " # ", " # "),
    ("###", "  #", "###", "#  ", "###"),
    ("###", "  #", " ##", "  #", "###"),
    ("# #", "# #", "###", "  #", "  #"),
    ("###", "#  ", "###", "  #", "###"),
    ("#  ", "#  ", "###", "# #", "###"),
    ("###", "  #", "  #", "  #", "  #"),
    ("###", "# #", "###", "# #", "###"),
    ("###", "# #", "###", "  #", "  #"),
)
_BLOCKS = np.array([[[block == "#" for block in row] for row in shape] for shape in _SHAPES])
DIGITS = _BLOCKS.repeat(2, 1).repeat(4, 2)
"""(10, 10, 12) bool: the pixels of each digit."""
_COLUMNS = np.add.outer(np.array((*SCORE_COLUMNS, LIVES_COLUMN, PLAYER_COLUMN)), np.arange(DIGIT_COLUMNS))


@dataclass(frozen=True)
class Scoreboard:
    """What the digits say: score 0..999, lives and player 0..9; None for what cannot be read."""

    score: int | None
    lives: int | None
    player: int | None


def read_scoreboard(frame: Frame) -> Scoreboard:
    """Read a screen of classes (210, 160) uint8, real or drawn by the twin."""
    return _read(frame[TOP : TOP + DIGIT_ROWS].tobytes())


@lru_cache(maxsize=4)  # it seldom changes from one frame to the next
def _read(rows: bytes) -> Scoreboard:
    shown = np.frombuffer(rows, np.uint8).reshape(DIGIT_ROWS, COLUMNS)
    found = shown[:, _COLUMNS].transpose(1, 0, 2) == GREY_CLASS
    wrong = (found[:, None] != DIGITS).sum((2, 3))
    best = wrong.argmin(1)
    digits = [int(digit) if row[digit] <= WRONG_PIXELS else None for digit, row in zip(best, wrong, strict=True)]
    hundreds, tens, ones, lives, player = digits
    if hundreds is None or tens is None or ones is None:
        return Scoreboard(None, lives, player)
    return Scoreboard(100 * hundreds + 10 * tens + ones, lives, player)
