"""The emulator's RAM by name: addresses, what they hold, and the bits of the wall.

Addresses are decimal, and were checked against the pixels (`tests/collect/test_ram.py`); ALE knows some of them too
(`src/ale/games/supported/Breakout.cpp`). The ball is fixed point: a byte of whole pixels and a byte of 256ths for each
axis, and a signed speed of the same form.

Of the paddle controller's knob RAM shows only a part. The keys turn it by a step each emulator frame, between two ends,
from the centre on. Its ends and centre do not lie whole steps apart, but in sevenths of a step they do, to a tenth of
one (ALE `src/ale/environment/ale_state.hpp`: from 27450 to 790196 by 23000). RAM 70 is what the game reads of it: at
the right end, and for some neighbours, the same for several places."""

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from model.breakout import BRICK_COLUMNS, BRICK_ROWS, LONG_PADDLE, SHORT_PADDLE, Action
from model.state import SIGNED_SPEEDS, VARIABLES

Bytes = npt.NDArray[np.uint8]
Wall = npt.NDArray[np.bool_]
BYTES = 128
WALL_BYTES = 36  # RAM bytes 0..35 hold the wall: a cleared bit is a missing half of a brick from the next frame on
LIVES, KNOB, PADDLE_X, SCORE_HIGH, SCORE_LOW, CLOCK = 57, 70, 72, 76, 77, 90
BALL_X, BALL_X_FRACTION, BALL_Y, BALL_Y_FRACTION = 99, 100, 101, 102
SPEED_Y, SPEED_Y_FRACTION, SPEED_X, SPEED_X_FRACTION = 103, 104, 105, 106
CONTACT, STEEP = 107, 109
SOUND, MET = 95, 64
"""The tone: divided by `MET` what the ball has met (0 brick, 1 or 3 wall, 2 paddle); its lower bits count it down."""
SPRITE, NARROW, SPRITE_PLACE = 55, 97, 108
"""The paddle's picture, whether it is narrow (bit 7), and how far the picture lies off its place."""

BALL_X_OFFSET, BALL_Y_OFFSET, PADDLE_X_OFFSET = 49, -9, 47
"""RAM less pixels of the screen: a ball at RAM column 149 is drawn from screen column 100 on."""
EIGHTH, HALF, WHOLE = 32, 128, 256  # parts of a pixel in RAM's fixed point
POINTS = (7, 7, 4, 4, 1, 1)  # what a brick of each row is worth, from the top
FIRST_WALL = BRICK_COLUMNS * sum(POINTS)
"""The score at which the ball, coming off the paddle, has the second wall built. There is no third."""
KNOB_END, KNOB_CENTRE, _KNOB_STEP = 232, 116, 7
_CENTRE_READ = 88  # RAM 70 with the knob in its centre, as after a reset; no other place reads so

# Six bytes, lowest row first, hold four columns of bricks; three of these six blocks run backwards, as the Atari's
# playfield registers do, and the first, third and last hold fewer.
_BLOCK = np.array([5, *[4] * 4, *[3] * 4, *[2] * 2, *[1] * 4, *[0] * 3])
_BIT = np.array([6, *(6, 4, 2, 0), *(0, 2, 4, 6), *(4, 6), *(6, 4, 2, 0), *(0, 2, 4)])
_BRICK_BITS = (_BLOCK * BRICK_ROWS + BRICK_ROWS - 1 - np.arange(BRICK_ROWS)[:, None]) * 8 + _BIT
"""Where each brick is: (6, 18), the number of its first bit of two in the wall's 288, low bit of a byte first."""
_WALL_REST = np.unpackbits(np.array([0] * 12 + [0x0F] * 6 + [0] * 18, np.uint8), bitorder="little")
"""Bits of the third block that are set in every wall, although the screen shows no brick there."""


class GameState:
    """RAM (..., 128) uint8 by name, each an array of its leading shape. Rows and columns are in pixels. Raises
    ValueError if RAM is of another shape or type."""

    def __init__(self, ram: Bytes) -> None:
        if ram.dtype != np.uint8 or ram.shape[-1:] != (BYTES,):
            raise ValueError(f"RAM must be (..., {BYTES}) uint8, got {ram.shape} {ram.dtype}")
        byte = np.moveaxis(ram, -1, 0)
        wide = byte.astype(np.int16)
        speeds = np.ascontiguousarray(ram[..., SPEED_Y:CONTACT]).view(">i2").astype(np.int16)  # high bytes first
        self.ball_row = np.where(byte[BALL_Y] > 0, wide[BALL_Y] - BALL_Y_OFFSET, 0).astype(np.int16)  # 0: none in play
        self.ball_column = wide[BALL_X] - BALL_X_OFFSET
        self.row_fraction = byte[BALL_Y_FRACTION]  # 256ths of a pixel, multiples of 32
        self.column_fraction = byte[BALL_X_FRACTION]  # 0 or 128
        self.row_speed = speeds[..., 0]  # 256ths of a pixel a frame, int16, down is positive
        self.column_speed = -speeds[..., 1]  # right is positive: the game takes it off the column
        self.hits = byte[CONTACT] & 15  # of the paddle since the serve, 0..12; 0 while fast
        self.fast = (byte[CONTACT] & 16) > 0  # the ball has hit one of the top three rows since the serve
        self.contact = byte[CONTACT] >> 6  # it last met: 0 top wall or serve, 1 paddle, 2 brick (then it breaks none)
        self.steep = byte[STEEP] > 0  # it left the paddle by one of the steep sections
        self.clock = byte[CLOCK]  # frames since the reset modulo 256; the last two bits decide a serve
        self.knob = byte[KNOB]  # the paddle controller as the game reads it
        self.lives = byte[LIVES]  # 0..5
        self.score = (wide[SCORE_HIGH] & 15) * 100 + (wide[SCORE_LOW] >> 4) * 10 + (wide[SCORE_LOW] & 15)  # 0..999
        self.wall = read_wall(ram)  # (..., 6, 18) bool, whether a brick is there, from the top left
        self.paddle_column = wide[PADDLE_X] - PADDLE_X_OFFSET  # of its left end
        # Narrow after the top wall was touched.
        self.paddle_width = np.where(byte[NARROW] & 128, SHORT_PADDLE, LONG_PADDLE).astype(np.uint8)

    def board(self) -> Bytes:
        """The digits that score and lives have a frame later, as `State.board`: (..., 4) uint8."""
        digits = (self.score // 100, self.score // 10 % 10, self.score % 10, self.lives)
        return np.stack(digits, -1).astype(np.uint8)


read = GameState


def hidden(truth: GameState, shown: npt.NDArray[Any], knob: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The class of each of `model.state.VARIABLES`, which no frame shows, in N frames: (N, V), -1 where it is not told.
    From what RAM says of these, the digits that they show (N, 4 or more) and the knob's place (N,), -1: unknown."""
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


def read_wall(ram: Bytes) -> Wall:
    """The bricks that RAM (..., at least 36) uint8 holds: (..., 6, 18) bool from the top left."""
    return np.unpackbits(ram[..., :WALL_BYTES], axis=-1, bitorder="little")[..., _BRICK_BITS].astype(np.bool_)


def wall_bytes(wall: Wall) -> bytes:
    """The 36 bytes of RAM that hold these bricks, (6, 18) bool from the top left."""
    bits = _WALL_REST.copy()
    bits[_BRICK_BITS] = bits[_BRICK_BITS + 1] = wall
    return np.packbits(bits, bitorder="little").tobytes()


def wall_and_score(wall: bytes, score: int) -> dict[int, int]:
    """Address and value of each byte of RAM that holds a wall of 36 bytes, or a score of 0..999 points."""
    high, low = divmod(int(str(score), 16), 256)  # binary-coded decimal
    return {**dict(enumerate(wall)), SCORE_HIGH: high, SCORE_LOW: low}


def wall_points(wall: Wall) -> npt.NDArray[np.int64]:
    """What the bricks (..., 6, 18) of walls are worth together, 0..432 each: (...)."""
    return wall.sum(-1) @ np.array(POINTS)


def knob_places(ram: Bytes, actions: Bytes, first: npt.NDArray[np.int64], frameskip: int) -> npt.NDArray[np.int16]:
    """Where the knob is in each of N frames, (N,) 0..232, or -1 where RAM (N, 128) and actions (N,) do not tell it.
    `first` (E + 1,) is where each episode's frames begin. What RAM reads at each place is taken from the episodes that
    begin with the knob in its centre, of which there must be some."""
    reads, found = ram[:, KNOB], np.full(len(ram), -1, np.int16)
    turns = {Action.RIGHT: _KNOB_STEP * frameskip, Action.LEFT: -_KNOB_STEP * frameskip}
    episodes = list(pairwise(first.tolist()))

    def follow(start: int, end: int, place: int) -> None:
        moves = (turns.get(key, 0) for key in actions[start : end - 1].tolist())
        found[start:end] = list(accumulate(moves, lambda at, by: min(KNOB_END, max(0, at + by)), initial=place))

    known: dict[int, set[int]] = {}
    for begin, end in episodes:
        if reads[begin] == _CENTRE_READ:
            follow(begin, end, KNOB_CENTRE)
            for place, value in zip(found[begin:end].tolist(), reads[begin:end].tolist(), strict=True):
                known.setdefault(value, set()).add(place)
    told = {value: place for value, (place, *others) in known.items() if not others}
    for begin, end in episodes:
        # The first moment that tells the place decides all later ones.
        start = next((t for t in range(begin, end) if int(reads[t]) in told), None)
        if reads[begin] != _CENTRE_READ and start is not None:
            follow(start, end, told[int(reads[start])])
    return found
