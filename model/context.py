"""What the networks are told of a moment: small whole numbers for an embedding, and the bricks around the ball.

All is seen from the ball: where the paddle is from there, which bricks are near, how far the side walls are. So a
bounce is learned once for all columns. Which numbers there are is a prior; what follows from them is learned.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from model.breakout import (
    ACTIONS,
    BALL_ROWS,
    BRICK_HEIGHT,
    BRICK_WIDTH,
    FIELD_LEFT,
    FIELD_RIGHT,
    LONG_PADDLE,
    WALL_TOP,
)
from model.state import FRACTIONS, INDEX, NOT_KNOWN, SIZES, WIDTH, State

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


def step_number(before: Tensor, after: Tensor) -> Tensor:
    """The ball's step between two places (..., 2) by number (...), below `STEPS`."""
    step = (after - before).clamp(-BALL_STEP, BALL_STEP) + BALL_STEP
    number = step[..., 0] * (2 * BALL_STEP + 1) + step[..., 1]
    return torch.where((before[..., 0] > 0) & (after[..., 0] > 0), number, STEPS - 1)


def paddle_step(before: Tensor, after: Tensor) -> Tensor:
    """The paddle's step between two columns (B,), or several (B, n), by number, below 17."""
    return (after - before).clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP


def floor(values: Tensor, offsets: Iterable[int], size: int) -> Tensor:
    """Whole numbers (B, 1) plus each of n offsets, divided by `size` and rounded down, from -100 on: (B, n). (As a
    graph, `//` is ten operators.)"""
    ahead = torch.tensor([offset + 100 * size for offset in offsets], device=values.device)
    return torch.div(values + ahead, size, rounding_mode="trunc") - 100


def brick_at(ball: Tensor) -> Tensor:
    """Row and column (B, 2) in the wall of the brick at the ball's top left corner; beyond the wall they go on."""
    row, column = floor(ball[:, :1], [-WALL_TOP], BRICK_HEIGHT), floor(ball[:, 1:], [-FIELD_LEFT], BRICK_WIDTH)
    return torch.cat((row, column), 1)


def read(grid: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Where rows (B, r) and columns (B, c) of a grid (B, H, W) cross: (B, r * c); 0 beyond the grid."""
    height, width = (int(size) for size in grid.shape[1:])
    rows, columns = rows.clamp(-1, height) * (width + 2), columns.clamp(-1, width) + (width + 3)
    return nn.functional.pad(grid, (1, 1, 1, 1)).flatten(1).gather(1, (rows[:, :, None] + columns[:, None]).flatten(1))


def near_bricks(wall: Tensor, ball: Tensor) -> Tensor:
    """The bricks near the ball: wall (B, 6, 18), ball (B, 2) -> (B, 21); 0 beyond the wall."""
    at, device = brick_at(ball), wall.device
    rows, columns = torch.tensor(NEAR_ROWS, device=device), torch.tensor(NEAR_COLUMNS, device=device)
    return read(wall, at[:, :1] + rows, at[:, 1:] + columns)


def crop(wall: Tensor, ball: Tensor) -> Tensor:
    """The pixels of standing bricks around the ball: wall (B, 6, 18), ball (B, 2) -> (B, 192) float 0 or 1."""
    rows = floor(ball[:, :1], range(-CROP_UP - WALL_TOP, CROP_DOWN - WALL_TOP), BRICK_HEIGHT)
    columns = floor(ball[:, 1:], range(-CROP_LEFT - FIELD_LEFT, CROP_RIGHT - FIELD_LEFT), BRICK_WIDTH)
    return read(wall, rows, columns).float()


def around_ball(state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What decides where the ball goes, and what it touches, of a moment and an action (B,): for a `Trunk`.

    Each number is given only where it may count, else one that says so: by what a network does not need it would learn
    scenes by heart. With these, the emulator's next step was the same whenever the numbers were (docs/log.md).
    """
    now: Tensor = state.objects[:, -1]
    memory: Tensor = state.memory
    device = memory.device
    row, column = now[:, :1], now[:, 1:2]
    height = torch.where((row > OPEN_TOP) & (row < OPEN_BOTTOM), OPEN_TOP, row.clamp(0, BALL_ROWS - 1))
    size, corner = (torch.tensor(pair, device=device) for pair in ((BRICK_HEIGHT, BRICK_WIDTH), (WALL_TOP, FIELD_LEFT)))
    # How far the left wall is, and the right wall. Where in its brick's box the ball's top left corner is: which brick
    # it is in next depends on it.
    walls = torch.cat((column - (FIELD_LEFT - 3), FIELD_RIGHT + 1 - column), 1).clamp(0, NEAR_WALL)
    beside = (now[:, 2:3] - column).clamp(-BESIDE, BESIDE) + BESIDE
    step = step_number(state.objects[:, -2, :2], now[:, :2])[:, None]
    parts = walls, (now[:, :2] - corner) % size, beside, memory[:, LOW], action[:, None], memory[:, CLOCK], step
    there, low, lost = row > 0, row >= OPEN_BOTTOM, memory[:, SPEED] == NOT_KNOWN
    may_count = torch.cat((there, low, ~there, lost), 1)[:, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3]]
    told = torch.where(may_count, torch.cat(parts, 1), torch.tensor(MAY_COUNT, device=device))
    long = (now[:, WIDTH:] == LONG_PADDLE).long()
    told = torch.cat((height, told[:, :5], long, memory[:, CONTACT], told[:, 5:]), 1)
    return told, crop(state.wall, now[:, :2]), memory


LOW, CLOCK, SPEED, CONTACT = (
    [INDEX[name] for name in names] for names in (("hits", "fast", "steep"), ("clock",), ("speed",), ("contact",))
)
MAY_COUNT = (
    NEAR_WALL + 1, NEAR_WALL + 1, BRICK_HEIGHT, BRICK_WIDTH, 2 * BESIDE + 1,
    *(SIZES[number] for number in LOW), ACTIONS + 1, SIZES[CLOCK[0]], STEPS,
)  # fmt: skip
AROUND_BALL = BALL_ROWS, *(n + 1 for n in MAY_COUNT[:5]), 2, SIZES[CONTACT[0]], *(n + 1 for n in MAY_COUNT[5:])
"""The sizes of the columns that `around_ball` gives."""


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
