"""Ball, paddle and bricks read from pixels alone, so that a predicted frame can be asked what it shows.

The same functions read real and predicted frames; tests check them against the emulator's RAM. All take a batch of
frames (B, 210, 160) uint8 classes and answer for each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.breakout import BALL_CLASS, Frame
from model.gaze import BALL_HEIGHT, BALL_WIDTH, FIELD_LEFT, FIELD_RIGHT, PADDLE_BOTTOM, PADDLE_TOP

FIELD_ROWS = slice(93, 189)
"""The open field: below the wall of bricks, above the paddle. Only here is a ball certain to be one."""
FIELD_COLUMNS = slice(FIELD_LEFT, FIELD_RIGHT)
BALL_ROWS, BALL_COLUMNS = BALL_HEIGHT, BALL_WIDTH
PADDLE_ROWS = slice(PADDLE_TOP, PADDLE_BOTTOM)
BRICK_TOP, BRICK_ROWS, BRICKS_A_ROW = 57, 6, 18
BRICK_HEIGHT, BRICK_WIDTH = 6, 8
BRICK_CLASSES = np.array([5, 4, 3, 2, 8, 6], np.uint8)
"""The class of each row of bricks, from the top."""

_LEAST_BALL = BALL_ROWS * BALL_COLUMNS // 2


def find_balls(frames: Frame) -> npt.NDArray[np.float32]:
    """The ball in the open field: (B, 2) float32 row and column of its top left pixel, NaN where there is none.

    The ball is the 4 x 2 window with most red pixels; at least half of them must be red, so a ball half behind a side
    wall or half out of the field still counts, and its place is then right within 2 pixels.
    """
    red = (frames[:, FIELD_ROWS, FIELD_COLUMNS] == BALL_CLASS).astype(np.int8)
    pairs = red[:, :, 1:] + red[:, :, :-1]
    sums = pairs[:, :-3] + pairs[:, 1:-2] + pairs[:, 2:-1] + pairs[:, 3:]
    flat = sums.reshape(len(frames), -1)
    best = flat.argmax(1)
    places = np.stack(np.divmod(best, sums.shape[2]), 1).astype(np.float32)
    places += np.array([FIELD_ROWS.start, FIELD_COLUMNS.start], np.float32)
    places[flat[np.arange(len(frames)), best] < _LEAST_BALL] = np.nan
    return places


def find_paddles(frames: Frame) -> npt.NDArray[np.float32]:
    """The column of the paddle's left end: (B,) float32, NaN where there is none.

    The paddle is the longest run of columns that are red in all four of its rows; the right wall may hide a part.
    """
    red = (frames[:, PADDLE_ROWS, FIELD_COLUMNS] == BALL_CLASS).all(1)
    run = np.zeros(len(frames), np.int32)
    longest, end = run.copy(), run.copy()
    for column in range(red.shape[1]):
        run = np.where(red[:, column], run + 1, 0)
        better = run > longest
        longest, end = np.where(better, run, longest), np.where(better, column, end)
    left = (end - longest + 1 + FIELD_COLUMNS.start).astype(np.float32)
    left[longest <= BALL_COLUMNS] = np.nan
    return left


def find_bricks(frames: Frame) -> npt.NDArray[np.bool_]:
    """Which bricks stand: (B, 6, 18) bool, from the top left. One stands if most of its 48 pixels show its colour."""
    wall = frames[:, BRICK_TOP : BRICK_TOP + BRICK_ROWS * BRICK_HEIGHT, FIELD_COLUMNS]
    bricks = wall.reshape(len(frames), BRICK_ROWS, BRICK_HEIGHT, BRICKS_A_ROW, BRICK_WIDTH)
    coloured = (bricks == BRICK_CLASSES[:, None, None, None]).sum((2, 4))
    return coloured > BRICK_HEIGHT * BRICK_WIDTH // 2


def ball_distance(real: npt.NDArray[np.float32], drawn: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Pixels between the real and the drawn ball, (B,) each from (B, 2): NaN where the real field has no ball.

    Infinite where the real ball is there and the drawn one is not.
    """
    distance = np.hypot(*(real - drawn).T)
    missing = np.isnan(drawn[:, 0]) & ~np.isnan(real[:, 0])
    return np.where(missing, np.float32(np.inf), distance).astype(np.float32)
