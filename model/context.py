"""What the networks are told of a moment: small whole numbers for an embedding, and the bricks around the ball.

All is seen from the ball: where the paddle is from there, which bricks are near, how far the side walls are. So a
bounce is learned once for all columns. Which numbers there are is a prior; what follows from them is learned.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model import breakout as screen
from model.breakout import ACTIONS, BALL_ROWS, BRICK_COLUMNS, BRICK_HEIGHT, BRICK_ROWS, BRICK_WIDTH, COLUMNS, FIELD_LEFT
from model.state import BALL_COLUMN, FRACTIONS, INDEX, NOT_KNOWN, PADDLE, SIZES, WIDTH, State

BALL_STEP, PADDLE_STEP = 9, 8  # the longest steps of ball and paddle that are told apart, in pixels
_ACROSS = 2 * BALL_STEP + 1
STEPS = _ACROSS**2 + 1  # steps of the ball by number; the last one is "no ball in one of the two moments"
OPEN_TOP, OPEN_BOTTOM = 100, 164  # between these rows are neither bricks nor paddle: the ball's row does not matter
BESIDE = 40  # farther than so many pixels the paddle is just to the left, or to the right
NEAR_WALL = 12
CROP_UP, CROP_DOWN, CROP_LEFT, CROP_RIGHT = 6, 10, 5, 7  # pixels around the ball's top left in which bricks are told
CROP = (CROP_UP + CROP_DOWN) * (CROP_LEFT + CROP_RIGHT)
NEAR_ROWS, NEAR_COLUMNS = (-1, 0, 1), (-3, -2, -1, 0, 1, 2, 3)  # bricks that may go, from the ball's own
NEAR_BRICKS = len(NEAR_ROWS) * len(NEAR_COLUMNS)


def step_number(before: Tensor, after: Tensor) -> Tensor:
    """The ball's step between two places (..., 2) by number (...), below `STEPS`."""
    step = (after - before).clamp(-BALL_STEP, BALL_STEP)
    number = (step * torch.tensor((_ACROSS, 1), device=step.device)).sum(-1) + BALL_STEP * (_ACROSS + 1)
    return torch.where(torch.minimum(before, after)[..., 0] > 0, number, STEPS - 1)  # row 0: no ball


def paddle_step(before: Tensor, after: Tensor) -> Tensor:
    """The paddle's step between two columns (B,), or several (B, n), by number, below 17."""
    return (after - before).clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP


class Lens(NamedTuple):
    """Which cells of a grid are looked at from a ball: for each of its rows (224, r) and columns (160, c) the cells'
    rows and columns, as parts of their number in the grid with a border of one cell around it."""

    rows: Tensor
    columns: Tensor


def _lens(height: int, width: int, rows: Tensor, columns: Tensor) -> Lens:
    """From the cells of a grid that each row and column of a ball asks for; those beyond are of the border."""
    # Added up they are (row + 1) * (width + 2) + column + 1: the border is one cell wide.
    return Lens(rows.clamp(-1, height) * (width + 2), columns.clamp(-1, width) + (width + 3))


def _brick(row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    return (row - screen.WALL_TOP) // BRICK_HEIGHT, (column - FIELD_LEFT) // BRICK_WIDTH


_ROW, _COLUMN = torch.arange(BALL_ROWS)[:, None], torch.arange(COLUMNS)[:, None]  # (224, 1), (160, 1)
_AT_ROW, _AT_COLUMN = _brick(_ROW, _COLUMN)
NEAR = _lens(BRICK_ROWS, BRICK_COLUMNS, _AT_ROW + torch.tensor(NEAR_ROWS), _AT_COLUMN + torch.tensor(NEAR_COLUMNS))
"""From a wall to the near bricks."""
_CROP = _ROW + torch.arange(-CROP_UP, CROP_DOWN), _COLUMN + torch.arange(-CROP_LEFT, CROP_RIGHT)  # (224, 16), (160, 12)
CROPPED = _lens(BRICK_ROWS, BRICK_COLUMNS, *_brick(*_CROP))  # from a wall to the pixels of a crop
_BACK = torch.arange(-NEAR_ROWS[0], BRICK_ROWS - NEAR_ROWS[0]), torch.arange(BRICK_COLUMNS) - NEAR_COLUMNS[0]
FROM_NEAR = _lens(len(NEAR_ROWS), len(NEAR_COLUMNS), _BACK[0] - _AT_ROW, _BACK[1] - _AT_COLUMN)
"""From the near bricks to a wall."""


def read(grid: Tensor, ball: Tensor, lens: Lens) -> Tensor:
    """What a lens shows of grids (B, H, W) from balls (B, 2): (B, r * c); 0 beyond the grid."""
    rows = lens.rows.to(ball.device)[ball[:, 0].clamp(0, BALL_ROWS - 1)]  # (B, r); codes may send balls off the screen
    columns = lens.columns.to(ball.device)[ball[:, 1].clamp(0, COLUMNS - 1)]
    return nn.functional.pad(grid, (1, 1, 1, 1)).flatten(1).gather(1, (rows[:, :, None] + columns[:, None]).flatten(1))


_HEIGHT = torch.where((_ROW > OPEN_TOP) & (_ROW < OPEN_BOTTOM), OPEN_TOP, _ROW)  # (224, 1)
BY_ROW = torch.cat((_HEIGHT, (_ROW - screen.WALL_TOP) % BRICK_HEIGHT, torch.full_like(_ROW, ACTIONS + 1)), 1)
BY_ROW[0] = torch.tensor((0, BRICK_HEIGHT, ACTIONS))
"""What a ball's row tells: its height, where it is in its brick's box, and whether there is no ball, when alone the key
counts, which is put in its place."""
_SIDES = torch.cat((_COLUMN - (FIELD_LEFT - 3), screen.FIELD_RIGHT + 1 - _COLUMN), 1).clamp(0, NEAR_WALL)
_NO_BALL = torch.tensor([[NEAR_WALL + 1, NEAR_WALL + 1, BRICK_WIDTH]])
BY_COLUMN = torch.cat((torch.cat((_SIDES, (_COLUMN - FIELD_LEFT) % BRICK_WIDTH), 1), _NO_BALL))  # (161, 3)
"""What a ball's column tells: how far the left and the right wall are, and where it is in its brick's box. (Which brick
the ball's top left corner is in next depends on that.) The last line is for no ball."""


class Around(NamedTuple):
    """What decides where the ball goes, and what it touches."""

    told: Tensor  # numbers (B, 14) int64, in which `press` puts the key
    bricks: Tensor  # a crop of bricks (B, 192) float 0 or 1


def around_ball(state: State) -> Around:
    """What a `Trunk` is told of a state. Each number is given only where it may count, else one that says so: by what a
    network does not need it would learn scenes by heart. With these, the emulator's next step was the same whenever the
    numbers were (docs/log.md)."""
    now: Tensor = state.objects[:, -1]
    memory: Tensor = state.memory
    device = memory.device
    row, column = now[:, 0].clamp(0, BALL_ROWS - 1), now[:, 1].clamp(0, COLUMNS - 1)
    by_row = BY_ROW.to(device)[row]  # (B, 3)
    by_column = BY_COLUMN.to(device)[torch.where(row > 0, column, COLUMNS)]  # (B, 3)
    beside = (now[:, PADDLE] - now[:, BALL_COLUMN]).clamp(-BESIDE, BESIDE) + BESIDE  # (B,), 0..80
    low = torch.cat((beside[:, None], memory[:, LOW]), 1)  # what counts near the paddle
    low = torch.where((row >= OPEN_BOTTOM)[:, None], low, torch.tensor(NOT_LOW, device=device))
    long = (now[:, WIDTH] == screen.LONG_PADDLE).long()
    clock = torch.where(row > 0, SIZES[CLOCK], memory[:, CLOCK])  # it counts for a serve alone
    step = step_number(state.objects[:, -2, :2], now[:, :2])
    step = torch.where(memory[:, SPEED] == NOT_KNOWN, step, STEPS)  # a known speed says more
    told = torch.cat((by_row, by_column, low, torch.stack((long, memory[:, CONTACT], clock, step), 1)), 1)
    return Around(told[:, ORDER], read(state.wall, now[:, :2], CROPPED).float())


def press(told: Tensor, action: Tensor) -> Tensor:
    """The numbers (B, 14) of `around_ball` with the key (B,) 0..3, where it counts."""
    return torch.where(told == torch.tensor(KEY, device=told.device), action[:, None], told)


SPEED, CONTACT, CLOCK = (INDEX[name] for name in ("speed", "contact", "clock"))
LOW = [INDEX[name] for name in ("hits", "fast", "steep")]
NOT_LOW = 2 * BESIDE + 1, *(SIZES[number] for number in LOW)
ORDER = [0, 3, 4, 1, 5, 6, 10, 11, 7, 8, 9, 2, 12, 13]
"""The columns as networks have learned them: height, both walls, place in the brick's box, paddle's place and width,
contact, hits, fast, steep, key, clock, step."""
AROUND_BALL = (
    BALL_ROWS, NEAR_WALL + 2, NEAR_WALL + 2, BRICK_HEIGHT + 1, BRICK_WIDTH + 1, NOT_LOW[0] + 1, 2, SIZES[CONTACT],
    *(size + 1 for size in NOT_LOW[1:]), ACTIONS + 2, SIZES[CLOCK] + 1, STEPS + 1,
)  # fmt: skip
"""The sizes of the columns."""
KEY = [ACTIONS if number == ORDER.index(2) else -1 for number in range(len(AROUND_BALL))]
"""Where the key belongs, and what stands there until it comes."""


class Embedding(nn.Module):
    """The sum of one learned vector for each of n numbers, of `sizes`: (B, n) int64 -> (B, width)."""

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(sum(sizes), width) * len(sizes) ** -0.5 * 0.5)  # a sum's deviation is 0.5
        self.offsets = nn.Buffer(torch.tensor((0, *sizes[:-1])).cumsum(0), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        rows = numbers + self.offsets  # (B, n)
        if torch.onnx.is_in_onnx_export():  # the same sum: the exporter makes a loop of `embedding_bag`
            return self.table[rows].sum(1)
        return nn.functional.embedding_bag(rows, self.table, mode="sum")


def sets() -> Tensor:
    """For each class of `half_row` how likely it makes each eighth of a row: (256, 8); the same for all of its set."""
    number, bit = torch.arange(1 << FRACTIONS)[:, None], torch.arange(FRACTIONS)
    bits = torch.where(number == NOT_KNOWN, 1, number >> bit & 1).float()
    return bits / bits.sum(1, keepdim=True)


class Place(nn.Module):
    """The ball's speed together with the fractions of its place, memory (B, V) -> (B, width): they decide its step. Of
    the eighths that are possible, the mean of their vectors: the network sees a belief, not a guess."""

    def __init__(self, width: int) -> None:
        super().__init__()
        speeds, columns = SIZES[INDEX["speed"]], SIZES[INDEX["half_column"]]
        self.rows = nn.Parameter(torch.randn(speeds * FRACTIONS, width) * 0.2)
        self.columns = nn.Parameter(torch.randn(speeds * columns, width) * 0.2)
        self.sets = nn.Buffer(sets(), persistent=False)

    def forward(self, memory: Tensor) -> Tensor:
        speed, half = memory[:, INDEX["speed"]], memory[:, INDEX["half_column"]]
        belief = self.sets[memory[:, INDEX["half_row"]]]  # (B, 8)
        which = speed[:, None] * FRACTIONS + torch.arange(FRACTIONS, device=memory.device)  # (B, 8): each eighth's row
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
