"""Breakout as the networks see it: the one place for its palette, geometry and actions.

The Atari draws Breakout with nine colours. A frame is therefore a picture of *classes* 0..8, not of
intensities: two frames can be compared pixel by pixel, and a prediction is right or wrong.

Shapes are (rows, columns): a screen is (210, 160). The latent grid has 5 columns and 7 rows of cells,
each 30 rows by 32 columns of pixels. The flat cell order is column by column, `cell = column * 7 + row`.
Positions in RAM: ALE `src/ale/games/supported/Breakout.cpp` and measurements against the screen.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]  # (210, 160) uint8 classes 0..8, or (210, 160, 3) uint8 RGB where a docstring says so

ROWS, COLUMNS = 210, 160
GRID_ROWS, GRID_COLUMNS = 7, 5
CELL_ROWS, CELL_COLUMNS = ROWS // GRID_ROWS, COLUMNS // GRID_COLUMNS
CELLS = GRID_ROWS * GRID_COLUMNS
CODES, CODE_DIM = 256, 128
UNCHANGED = 0  # the code of a cell that stays as it is

FIELD_TOP, FIELD_BOTTOM, FIELD_LEFT, FIELD_RIGHT = 32, 196, 8, 152  # within the walls, down to a ball's last row
WALL_TOP, BRICK_ROWS, BRICK_COLUMNS, BRICK_HEIGHT, BRICK_WIDTH = 57, 6, 18, 6, 8  # from `FIELD_LEFT` on
PADDLE_TOP, PADDLE_BOTTOM = 189, 193
LAST_PADDLE = 144  # the paddle's rightmost column: a part of it is then under the wall; its leftmost is `FIELD_LEFT`
LONG_PADDLE, SHORT_PADDLE = 16, 12  # columns; short from the ball's first touch of the top wall until it is lost
BALL_HEIGHT, BALL_WIDTH = 4, 2
BALL_ROWS = 224  # rows a followed ball may have, 0 for no ball; it falls on unseen until a life is taken
DIGIT_TOP, DIGIT_HEIGHT, DIGIT_WIDTH = 5, 10, 12
DIGIT_COLUMNS = (36, 52, 68, 100)  # first columns of the digits: hundreds, tens and ones of the score, and lives
EMULATOR_HZ = 60  # emulator frames in a second of true-pace play; a step lasts `frameskip / EMULATOR_HZ` seconds


Action = IntEnum("Action", ["NOOP", "FIRE", "RIGHT", "LEFT"], start=0)  # the minimal set, in ALE's order
ACTIONS = len(Action)
NO_ACTION = ACTIONS  # in place of an action: there was none, or it is not known

ALE_COLOURS = (0, 6, 22, 38, 54, 70, 134, 182, 198)  # class `i` is `ALE_COLOURS[i]` of ALE's NTSC palette

PALETTE = np.array(
    [
        (0, 0, 0),  # background
        (142, 142, 142),  # walls, score, lives
        (162, 162, 42),  # brick row 4
        (180, 122, 48),  # brick row 3
        (198, 108, 58),  # brick row 2
        (200, 72, 72),  # brick row 1, ball, paddle
        (66, 72, 200),  # brick row 6
        (66, 158, 130),  # left corner mark
        (72, 160, 72),  # brick row 5
    ],
    dtype=np.uint8,
)
"""(9, 3) uint8: the RGB colour of each class, as `ALE/Breakout-v5` observes it."""
PALETTE.setflags(write=False)
CLASSES = len(PALETTE)
GREY_CLASS, BALL_CLASS = 1, 5  # the ball's below the wall; above, it has the colours of the scanlines that it crosses

_UNKNOWN = 255


def _lookup(keys: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    table = np.full(256, _UNKNOWN, np.uint8)
    table[keys] = np.arange(CLASSES, dtype=np.uint8)
    return table


_FROM_ALE = _lookup(np.array(ALE_COLOURS)).tobytes()
# green + blue (mod 256) happens to tell the nine colours apart, so one 256-entry table is enough.
_FROM_RGB = _lookup(PALETTE[:, 1] + PALETTE[:, 2])


def classes_from_ale(screen: npt.NDArray[np.uint8]) -> Frame:
    """Palette indices as `ale.getScreen` gives them, any shape, to classes 0..8 of the same shape. Raises ValueError if
    the screen shows a colour that Breakout does not have."""
    # bytearray.translate is seven times as fast as indexing the table with the screen.
    classes = np.frombuffer(bytearray(screen.tobytes()).translate(_FROM_ALE), np.uint8).reshape(screen.shape)
    if classes.max(initial=0) == _UNKNOWN:
        raise ValueError("the screen shows a colour that Breakout never draws")
    return classes


def classes_from_rgb(frames: npt.NDArray[np.uint8]) -> Frame:
    """RGB frames (..., 210, 160, 3) uint8 to classes (..., 210, 160) uint8 0..8. Raises ValueError if a colour is not
    one of the nine of `PALETTE`."""
    classes = _FROM_RGB[frames[..., 1] + frames[..., 2]]
    if classes.max(initial=0) == _UNKNOWN or not np.array_equal(PALETTE[classes], frames):
        raise ValueError("frames hold a colour that Breakout never draws; pass the emulator's own RGB")
    return classes


def rgb_from_classes(classes: Frame) -> Frame:
    """Classes (...) uint8 0..8 to RGB (..., 3) uint8."""
    return np.take(PALETTE, classes, axis=0)  # five times as fast as indexing


def to_cells(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Cut classes (..., 210, 160) into cells (..., 35, 30, 32), in flat order `column * 7 + row`."""
    lead = frames.shape[:-2]
    blocks = frames.reshape(*lead, GRID_ROWS, CELL_ROWS, GRID_COLUMNS, CELL_COLUMNS)
    return np.moveaxis(blocks, (-2, -4), (-4, -3)).reshape(*lead, CELLS, CELL_ROWS, CELL_COLUMNS)


def from_cells(cells: npt.NDArray[np.uint8]) -> Frame:
    """The inverse of `to_cells`: cells (..., 35, 30, 32) back to classes (..., 210, 160)."""
    lead = cells.shape[:-3]
    blocks = cells.reshape(*lead, GRID_COLUMNS, GRID_ROWS, CELL_ROWS, CELL_COLUMNS)
    return np.ascontiguousarray(np.moveaxis(blocks, (-4, -3), (-2, -4)).reshape(*lead, ROWS, COLUMNS))


def changed_cells(before: Frame, after: Frame) -> npt.NDArray[np.bool_]:
    """Which cells differ between two screens of classes: (210, 160) twice -> (35,) bool, flat order."""
    # Eight pixels at a time, and few of them differ.
    row, word = divmod((before.view(np.uint64) != after.view(np.uint64)).reshape(-1).nonzero()[0], COLUMNS // 8)
    changed = np.zeros(CELLS, np.bool_)
    changed[word * 8 // CELL_COLUMNS * GRID_ROWS + row // CELL_ROWS] = True
    return changed
