"""What the networks are told of a moment: small whole numbers for an embedding, and the bricks around the ball.

All is seen from the ball: where the paddle is from there, which bricks are near, how far the side walls are. So a
bounce is learned once for all columns. Which numbers there are is a prior; what follows from them is learned.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.breakout import (
    ACTIONS,
    BALL_ROWS,
    BRICK_COLUMNS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_WIDTH,
    FIELD_LEFT,
    FIELD_RIGHT,
    LONG_PADDLE,
    WALL_TOP,
)
from model.state import BALL_COLUMN, BALL_ROW, FRACTIONS, HISTORY, INDEX, NOT_KNOWN, PADDLE, SIZES, WIDTH, State

BALL_STEP, PADDLE_STEP = 9, 8
"""The longest steps of ball and paddle that are told apart, in pixels."""
STEPS = (2 * BALL_STEP + 1) ** 2 + 1
"""Steps of the ball by number; the last one is "no ball in one of the two moments"."""
OPEN_TOP, OPEN_BOTTOM = 100, 164
"""Between these rows are neither bricks nor paddle: the ball's row does not matter."""
BESIDE = 40
"""Farther than so many pixels the paddle is just to the left, or to the right."""
NEAR_WALL = 12
CROP_UP, CROP_DOWN, CROP_LEFT, CROP_RIGHT = 6, 10, 5, 7
"""The window of bricks around the ball, in pixels: rows above its top and from there on, columns likewise."""
CROP = (CROP_UP + CROP_DOWN) * (CROP_LEFT + CROP_RIGHT)
NEAR_ROWS, NEAR_COLUMNS = (-1, 0, 1), (-3, -2, -1, 0, 1, 2, 3)
"""Bricks that may go in a step, counted from the one that the ball's top left corner is at."""
NEAR_BRICKS = len(NEAR_ROWS) * len(NEAR_COLUMNS)
DIGITS = 10


_ZERO = torch.zeros(1, 4, dtype=torch.long)
NOTHING = State(
    _ZERO, _ZERO[:, None].expand(1, HISTORY, 4), torch.zeros(1, BRICK_ROWS, BRICK_COLUMNS), _ZERO,
    torch.zeros(1, len(SIZES), dtype=torch.long), _ZERO,
)  # fmt: skip
"""A moment of one game, to ask for sizes with."""


class Numbers(NamedTuple):
    """Columns of small numbers (B, n) int64, each below its size."""

    values: Tensor
    sizes: tuple[int, ...]


def join(*parts: tuple[Tensor, int]) -> Numbers:
    """Columns of numbers (B,), each with how many there may be."""
    return Numbers(torch.stack([values for values, _ in parts], 1), tuple(size for _, size in parts))


def step_number(before: Tensor, after: Tensor) -> Tensor:
    """The ball's step between two places (B, 2) by number (B,), below `STEPS`."""
    step = (after - before).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP
    number = step[:, 0] * (2 * BALL_STEP + 1) + step[:, 1]
    return torch.where((before[:, 0] > 0) & (after[:, 0] > 0), number, STEPS - 1)


def paddle_step(before: Tensor, after: Tensor) -> Tensor:
    """The paddle's step between two columns (B,), or several (B, n), by number, below 17."""
    return (after - before).clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP


def brick_at(ball: Tensor) -> Tensor:
    """Row and column (B, 2) in the wall of the brick at the ball's top left corner; beyond the wall they go on."""
    row = torch.div(ball[:, 0] - WALL_TOP, BRICK_HEIGHT, rounding_mode="floor")
    return torch.stack((row, torch.div(ball[:, 1] - FIELD_LEFT, BRICK_WIDTH, rounding_mode="floor")), 1)


def near_bricks(wall: Tensor, ball: Tensor) -> Tensor:
    """The bricks near the ball: wall (B, 6, 18), ball (B, 2) -> (B, 21); 0 beyond the wall."""
    at = brick_at(ball)
    device = wall.device
    rows = at[:, :1] + torch.tensor(NEAR_ROWS, device=device)
    columns = at[:, 1:] + torch.tensor(NEAR_COLUMNS, device=device)
    inside = ((rows >= 0) & (rows < BRICK_ROWS))[:, :, None] & ((columns >= 0) & (columns < BRICK_COLUMNS))[:, None]
    number = rows.clamp(0, BRICK_ROWS - 1)[:, :, None] * BRICK_COLUMNS + columns.clamp(0, BRICK_COLUMNS - 1)[:, None]
    return (wall.flatten(1).gather(1, number.flatten(1)) * inside.flatten(1)).to(torch.uint8)


def crop(wall: Tensor, ball: Tensor) -> Tensor:
    """The pixels of standing bricks around the ball: wall (B, 6, 18), ball (B, 2) -> (B, 192) float 0 or 1."""
    device = wall.device
    rows = ball[:, :1] - WALL_TOP + torch.arange(-CROP_UP, CROP_DOWN, device=device)
    columns = ball[:, 1:] - FIELD_LEFT + torch.arange(-CROP_LEFT, CROP_RIGHT, device=device)
    row = torch.div(rows, BRICK_HEIGHT, rounding_mode="floor")
    column = torch.div(columns, BRICK_WIDTH, rounding_mode="floor")
    inside = ((row >= 0) & (row < BRICK_ROWS))[:, :, None] & ((column >= 0) & (column < BRICK_COLUMNS))[:, None]
    number = row.clamp(0, BRICK_ROWS - 1)[:, :, None] * BRICK_COLUMNS + column.clamp(0, BRICK_COLUMNS - 1)[:, None]
    standing = wall.flatten(1).gather(1, number.flatten(1))
    return (standing * inside.flatten(1)).float()


def around_ball(state: State, action: Tensor) -> tuple[Numbers, Tensor, Tensor]:
    """What decides where the ball goes, and what it touches, of a moment and an action (B,): for a `Trunk`.

    Each number is given only where it may count, else one that says so: by what a network does not need it would learn
    scenes by heart. With these, the emulator's next step was the same whenever the numbers were (docs/log.md).
    """
    now, memory = state.objects[:, -1], state.memory
    row, column, paddle = now[:, BALL_ROW], now[:, BALL_COLUMN], now[:, PADDLE]
    there, low = row > 0, row >= OPEN_BOTTOM

    def only(where: Tensor, values: Tensor, size: int) -> tuple[Tensor, int]:
        return torch.where(where, values, size), size + 1

    known = {name: (memory[:, number], SIZES[number]) for name, number in INDEX.items()}
    told = join(
        (torch.where((row > OPEN_TOP) & (row < OPEN_BOTTOM), OPEN_TOP, row.clamp(0, BALL_ROWS - 1)), BALL_ROWS),
        only(there, (column - FIELD_LEFT + 3).clamp(0, NEAR_WALL), NEAR_WALL + 1),
        only(there, (FIELD_RIGHT + 1 - column).clamp(0, NEAR_WALL), NEAR_WALL + 1),
        # Where in its brick's box the ball's top left corner is: which brick it is in next depends on it.
        only(there, (row - WALL_TOP) % BRICK_HEIGHT, BRICK_HEIGHT),
        only(there, (column - FIELD_LEFT) % BRICK_WIDTH, BRICK_WIDTH),
        only(low, (paddle - column).clamp(-BESIDE, BESIDE) + BESIDE, 2 * BESIDE + 1),
        ((now[:, WIDTH] == LONG_PADDLE).long(), 2),
        known["contact"],
        *(only(low, *known[name]) for name in ("hits", "fast", "steep")),
        *(only(~there, *each) for each in ((action, ACTIONS + 1), known["clock"])),
        only(known["speed"][0] == NOT_KNOWN, step_number(state.objects[:, -2, :2], now[:, :2]), STEPS),
    )
    return told, crop(state.wall, now[:, :2]), memory


def around_ball_sizes() -> tuple[int, ...]:
    """The sizes of the columns that `around_ball` gives."""
    zero = torch.zeros(1, 4, dtype=torch.long)
    memory = torch.zeros(1, len(SIZES), dtype=torch.long)
    state = State(
        zero, zero[:, None].expand(1, HISTORY, 4), torch.zeros(1, BRICK_ROWS, BRICK_COLUMNS), zero, memory, memory
    )
    return around_ball(state, zero[:, 0])[0].sizes


class Embedding(nn.Module):
    """The sum of one learned vector for each of n numbers, of `sizes`: (B, n) int64 -> (B, width)."""

    offsets: Tensor

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(sum(sizes), width) * len(sizes) ** -0.5 * 0.5)
        self.register_buffer("offsets", torch.tensor((0, *sizes[:-1])).cumsum(0), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """(B, n) int64 -> (B, width)."""
        rows = numbers + self.offsets
        if torch.onnx.is_in_onnx_export():  # the same sum: the exporter makes a loop of `embedding_bag`
            return self.table[rows].sum(1)
        return nn.functional.embedding_bag(rows, self.table, mode="sum")


def sets() -> Tensor:
    """For each class of `half_row` how likely it makes each eighth of a row: (256, 8); the same for all of its set."""
    number, bit = torch.arange(1 << FRACTIONS)[:, None], torch.arange(FRACTIONS)
    bits = torch.where(number == NOT_KNOWN, 1, number >> bit & 1).float()
    return bits / bits.sum(1, keepdim=True)


class Place(nn.Module):
    """The ball's speed together with the fractions of its place, memory (B, V) -> (B, width): they decide its step.

    Of the eighths that are possible, the mean of their vectors: the network sees a belief, not a guess.
    """

    sets: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        speeds, columns = SIZES[INDEX["speed"]], SIZES[INDEX["half_column"]]
        self.rows = nn.Parameter(torch.randn(speeds * FRACTIONS, width) * 0.2)
        self.columns = nn.Parameter(torch.randn(speeds * columns, width) * 0.2)
        self.register_buffer("sets", sets(), persistent=False)

    def forward(self, memory: Tensor) -> Tensor:
        """(B, V) int64 -> (B, width)."""
        speed, half = memory[:, INDEX["speed"]], memory[:, INDEX["half_column"]]
        belief = self.sets[memory[:, INDEX["half_row"]]]  # (B, 8)
        which = speed[:, None] * FRACTIONS + torch.arange(FRACTIONS, device=memory.device)
        columns = self.columns[speed * SIZES[INDEX["half_column"]] + half]
        if torch.onnx.is_in_onnx_export():  # as in `Embedding`
            return (self.rows[which] * belief[:, :, None]).sum(1) + columns
        return nn.functional.embedding_bag(which, self.rows, mode="sum", per_sample_weights=belief) + columns


class Trunk(nn.Module):
    """Numbers and a crop of bricks -> features: one layer of embeddings, and two of `width` (ReLU)."""

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.numbers = Embedding(sizes, width)
        self.crop, self.place = nn.Linear(CROP, width), Place(width)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())

    def forward(self, numbers: Tensor, crop: Tensor, memory: Tensor) -> Tensor:
        """(B, n) int64, (B, 192) float, (B, V) int64 -> (B, width)."""
        return self.layers(self.numbers(numbers) + self.crop(crop) + self.place(memory))
