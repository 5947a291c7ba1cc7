"""Ball, paddle, bricks and digits read from pixels alone, so that any frame, real or drawn, can be asked what it shows.

For metrics, which must not trust what the twin says of its own frames. All take frames (B, 210, 160) uint8 classes;
tests check them against the emulator's RAM.
"""

import numpy as np
import numpy.typing as npt

from model import breakout as screen
from model.breakout import Frame

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

OPEN_ROWS, FIELD_COLUMNS = slice(93, screen.PADDLE_TOP), slice(screen.FIELD_LEFT, screen.FIELD_RIGHT)
"""The open field: below the bricks, above the paddle, between the side walls. Only here is all that is red the ball."""
PADDLE_ROWS = slice(screen.PADDLE_TOP, screen.PADDLE_BOTTOM)
WALL_ROWS = slice(screen.WALL_TOP, screen.WALL_TOP + screen.BRICK_ROWS * screen.BRICK_HEIGHT)
BRICK_CLASSES = np.array([5, 4, 3, 2, 8, 6], np.uint8)  # the class of each row of bricks, from the top
BOARD_COLUMNS = (*screen.DIGIT_COLUMNS, 132)  # left ends of hundreds, tens and ones of the score, lives, player
_SHAPES = (
    "####.##.##.####", ".#..#..#..#..#.", "###..#####..###", "###..#.##..####", "#.##.####..#..#",
    "####..###..####", "#..#..####.####", "###..#..#..#..#", "####.#####.####", "####.####..#..#",
)  # fmt: skip
DIGITS = np.array([[c == "#" for c in shape] for shape in _SHAPES]).reshape(10, 5, 3).repeat(2, 1).repeat(4, 2)
"""(10, 10, 12) bool: the pixels of each digit, 3 x 5 blocks of 4 columns and 2 rows."""
_DIGIT_PIXELS = np.add.outer(BOARD_COLUMNS, np.arange(screen.DIGIT_WIDTH))


def find_balls(frames: Frame) -> Floats:
    """The ball in the open field of frames (B, 210, 160): (B, 2) float32, row and column of its top left pixel, or NaN.
    The ball is the 4 x 2 window with most red pixels; at least half of them must be red, so a ball half behind a side
    wall or half out of the field still counts, and its place is then right within 2 pixels."""
    red = (frames[:, OPEN_ROWS, FIELD_COLUMNS] == screen.BALL_CLASS).view(np.uint8)
    found = np.full((len(frames), 2), np.nan, np.float32)
    some = np.flatnonzero(red.any((1, 2)))
    pairs = red[some, :, 1:] + red[some, :, :-1]
    sums = pairs[:, :-3] + pairs[:, 1:-2] + pairs[:, 2:-1] + pairs[:, 3:]
    flat = sums.reshape(len(some), sums.shape[1] * sums.shape[2])
    best = flat.argmax(1)
    enough = flat[np.arange(len(some)), best] >= screen.BALL_HEIGHT * screen.BALL_WIDTH // 2
    places = np.stack(np.divmod(best, sums.shape[2]), 1) + np.array([OPEN_ROWS.start, FIELD_COLUMNS.start])
    found[some[enough]] = places[enough]
    return found


def find_paddles(frames: Frame) -> Floats:
    """The column of the paddle's left end in frames (B, 210, 160): (B,) float32, NaN where there is none. It is the
    longest run of columns that are red in all four of its rows; the right wall may hide a part."""
    red = (frames[:, PADDLE_ROWS, FIELD_COLUMNS] == screen.BALL_CLASS).all(1)
    # The length of the run that ends at each column: its number less that of the last column that is not red.
    numbers = np.arange(1, red.shape[1] + 1)
    runs = numbers - np.maximum.accumulate(np.where(red, 0, numbers), 1)
    end = runs.argmax(1)
    longest = runs[np.arange(len(runs)), end]
    left = (end - longest + 1 + FIELD_COLUMNS.start).astype(np.float32)
    left[longest <= screen.BALL_WIDTH] = np.nan
    return left


def find_bricks(frames: Frame) -> Bools:
    """Which bricks stand in frames (B, 210, 160): (B, 6, 18) bool, from the top left. One stands if most of its 48
    pixels show its colour."""
    wall = frames[:, WALL_ROWS, FIELD_COLUMNS]
    bricks = wall.reshape(len(frames), screen.BRICK_ROWS, screen.BRICK_HEIGHT, screen.BRICK_COLUMNS, screen.BRICK_WIDTH)
    coloured = bricks == BRICK_CLASSES[:, None, None, None]
    return coloured.sum((2, 4), dtype=np.uint8) > screen.BRICK_HEIGHT * screen.BRICK_WIDTH // 2


def read_digits(frames: Frame, wrong: int = 3) -> Ints:
    """Hundreds, tens and ones of the score, lives, player in frames (B, 210, 160): (B, 5) int64 0..9, -1 for no digit.
    Of a digit's 120 pixels at most `wrong` may be wrong. Two digits differ in 8 or more: with 3 none is mistaken."""
    rows = frames[:, screen.DIGIT_TOP : screen.DIGIT_TOP + screen.DIGIT_HEIGHT]
    shown = rows[:, :, _DIGIT_PIXELS].transpose(0, 2, 1, 3) == screen.GREY_CLASS
    differ = (shown[:, :, None] != DIGITS).sum((3, 4))
    best = differ.argmin(2)
    return np.where(np.take_along_axis(differ, best[..., None], 2)[..., 0] <= wrong, best, -1)
