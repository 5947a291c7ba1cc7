"""The emulator's RAM by name: addresses, what they hold, and the bits of the wall.

All addresses are decimal offsets into the Atari's 128 bytes. They were checked against the pixels
(`tests/collect/test_ram.py`); ALE knows some of them too (`src/ale/games/supported/Breakout.cpp`).
The ball is fixed point: a byte of whole pixels and a byte of 256ths for each axis, and a signed speed of the same form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.breakout import BRICK_COLUMNS, BRICK_ROWS, LONG_PADDLE, SHORT_PADDLE
from model.state import SIGNED_SPEEDS, VARIABLES

BYTES = 128
WALL_BYTES = 36
"""RAM bytes 0..35 hold the wall: a cleared bit is a missing half of a brick from the next frame on."""
LIVES, KNOB, PADDLE_X, SCORE_HIGH, SCORE_LOW, CLOCK = 57, 70, 72, 76, 77, 90
BALL_X, BALL_X_FRACTION, BALL_Y, BALL_Y_FRACTION = 99, 100, 101, 102
SPEED_Y, SPEED_Y_FRACTION, SPEED_X, SPEED_X_FRACTION = 103, 104, 105, 106
CONTACT, STEEP = 107, 109
SPRITE, NARROW, SPRITE_PLACE = 55, 97, 108
"""The paddle's picture, whether it is narrow (bit 7), and how far the picture lies off its place."""

BALL_X_OFFSET, BALL_Y_OFFSET, PADDLE_X_OFFSET = 49, -9, 47
"""RAM less pixels of the screen: a ball at RAM column 149 is drawn from screen column 100 on."""
EIGHTH, HALF, WHOLE = 32, 128, 256
"""Parts of a pixel in RAM's fixed point."""
POINTS = (7, 7, 4, 4, 1, 1)
"""What a brick of each row is worth, from the top."""
FIRST_WALL = BRICK_COLUMNS * sum(POINTS)
"""The score at which the ball, coming off the paddle, has the second wall built. There is no third."""


def _brick_bits() -> npt.NDArray[np.intp]:
    """Where each brick is: (6, 18), the number of its first bit of two in the wall's 288, low bit of a byte first.

    Six bytes, lowest row first, hold four columns of bricks; three of these six blocks run backwards, as the Atari's
    playfield registers do, and the first, third and last hold fewer.
    """
    columns = [(5, 6)] + [(4, bit) for bit in (6, 4, 2, 0)] + [(3, bit) for bit in (0, 2, 4, 6)]
    columns += [(2, 4), (2, 6)] + [(1, bit) for bit in (6, 4, 2, 0)] + [(0, bit) for bit in (0, 2, 4)]
    rows = np.arange(BRICK_ROWS)[:, None]
    block, bit = np.array(columns).T
    return (block * BRICK_ROWS + BRICK_ROWS - 1 - rows) * 8 + bit


_BRICK_BITS = _brick_bits()
_WALL_REST = np.unpackbits(np.array([0] * 12 + [0x0F] * 6 + [0] * 18, np.uint8), bitorder="little")
"""Bits of the third block that are set in every wall, although the screen shows no brick there."""


class GameState(NamedTuple):
    """What RAM says, each an array of the leading shape of the RAM that was read. Rows and columns are in pixels."""

    ball_row: npt.NDArray[np.int16]  # 0: no ball in play
    ball_column: npt.NDArray[np.int16]
    row_fraction: npt.NDArray[np.uint8]  # 256ths of a pixel, multiples of 32
    column_fraction: npt.NDArray[np.uint8]  # 0 or 128
    row_speed: npt.NDArray[np.int16]  # 256ths of a pixel a frame, down is positive
    column_speed: npt.NDArray[np.int16]  # 256ths of a pixel a frame, right is positive
    hits: npt.NDArray[np.uint8]  # of the paddle since the serve, 0..12; 0 while fast
    fast: npt.NDArray[np.bool_]  # the ball has hit one of the top three rows since the serve
    contact: npt.NDArray[np.uint8]  # the ball last met: 0 top wall or serve, 1 paddle, 2 brick (then it breaks none)
    steep: npt.NDArray[np.bool_]  # it left the paddle by one of the steep sections
    clock: npt.NDArray[np.uint8]  # frames since the reset modulo 256; the last two bits decide a serve
    knob: npt.NDArray[np.uint8]  # the paddle controller as the game reads it
    lives: npt.NDArray[np.uint8]  # 0..5
    score: npt.NDArray[np.int16]  # 0..999 points
    wall: npt.NDArray[np.bool_]  # (..., 6, 18) whether a brick is there, from the top left
    paddle_column: npt.NDArray[np.int16]  # of its left end
    paddle_width: npt.NDArray[np.uint8]  # 16, or 12 after the top wall was touched


def read(ram: npt.NDArray[np.uint8]) -> GameState:
    """RAM (..., 128) uint8 by name. Raises ValueError if it is of another shape or type."""
    if ram.dtype != np.uint8 or ram.shape[-1:] != (BYTES,):
        raise ValueError(f"RAM must be (..., {BYTES}) uint8, got {ram.shape} {ram.dtype}")
    byte = np.moveaxis(ram, -1, 0)
    wide = byte.astype(np.int16)

    def signed(high: int, low: int) -> npt.NDArray[np.int16]:
        return np.asarray(byte[high].view(np.int8).astype(np.int16) * np.int16(256) + wide[low])

    return GameState(
        ball_row=np.where(byte[BALL_Y] > 0, wide[BALL_Y] - BALL_Y_OFFSET, 0).astype(np.int16),
        ball_column=wide[BALL_X] - BALL_X_OFFSET,
        row_fraction=byte[BALL_Y_FRACTION],
        column_fraction=byte[BALL_X_FRACTION],
        row_speed=signed(SPEED_Y, SPEED_Y_FRACTION),
        column_speed=-signed(SPEED_X, SPEED_X_FRACTION),  # the game takes it off the column
        hits=byte[CONTACT] & 15,
        fast=(byte[CONTACT] & 16) > 0,
        contact=byte[CONTACT] >> 6,
        steep=byte[STEEP] > 0,
        clock=byte[CLOCK],
        knob=byte[KNOB],
        lives=byte[LIVES],
        score=(wide[SCORE_HIGH] & 15) * 100 + (wide[SCORE_LOW] >> 4) * 10 + (wide[SCORE_LOW] & 15),
        wall=read_wall(ram),
        paddle_column=wide[PADDLE_X] - PADDLE_X_OFFSET,
        paddle_width=np.where(byte[NARROW] & 128, SHORT_PADDLE, LONG_PADDLE).astype(np.uint8),
    )


def hidden(truth: GameState, shown: npt.NDArray[Any], knob: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The class of each of `model.state.VARIABLES`, which no frame shows, in N frames: (N, V), -1 where it is not told.

    From what RAM says of these frames, the digits that they show (N, 4 or more) and the knob's place (N,), -1: unknown.
    """
    played = truth.ball_row > 0
    speeds = np.stack((truth.row_speed, truth.column_speed), 1)
    speed = np.where(played, -1, 0)
    for number, signed in enumerate(SIGNED_SPEEDS):
        speed[played & (speeds == np.array(signed) * WHOLE).all(1)] = number
    due = (truth.score - shown[:, :3] @ (100, 10, 1)) % 1000
    values: dict[str, Any] = {
        "speed": speed,
        "half_row": (1 << truth.row_fraction.astype(np.int64) // EIGHTH) - 1,  # the class is a set of one eighth
        "half_column": truth.column_fraction // HALF,
        "clock": truth.clock % 4,
        "points_due": np.select([due == 0, due == 1, due == 4, due == 7], [0, 1, 2, 3], -1),
        "life_due": shown[:, 3] != truth.lives,
        "knob": knob,
    }
    values |= {name: getattr(truth, name) for name in ("hits", "fast", "contact", "steep")}
    numbers = np.stack([values[variable.name] for variable in VARIABLES], 1).astype(np.int64)
    return np.where(numbers < 0, -1, numbers + 1)  # the first class is "not known"


def read_wall(ram: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The bricks that RAM (..., at least 36) uint8 holds: (..., 6, 18) bool from the top left."""
    return np.unpackbits(ram[..., :WALL_BYTES], axis=-1, bitorder="little")[..., _BRICK_BITS].astype(np.bool_)


def wall_bytes(wall: npt.NDArray[np.bool_]) -> bytes:
    """The 36 bytes of RAM that hold these bricks, (6, 18) bool from the top left."""
    bits = _WALL_REST.copy()
    bits[_BRICK_BITS], bits[_BRICK_BITS + 1] = wall, wall
    return np.packbits(bits, bitorder="little").tobytes()


def wall_and_score(wall: bytes, score: int) -> dict[int, int]:
    """Address and value of each byte of RAM that holds a wall of 36 bytes, or a score of 0..999 points."""
    high, low = divmod(int(str(score), 16), 256)  # binary-coded decimal
    return {**dict(enumerate(wall)), SCORE_HIGH: high, SCORE_LOW: low}


def wall_points(wall: npt.NDArray[np.bool_]) -> int:
    """What the bricks (6, 18) of a wall are worth together, 0..432."""
    return int(wall.sum(axis=1) @ np.array(POINTS))
