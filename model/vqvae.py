"""The latent action VQ-VAE: what changes between two frames, as a 5 x 7 grid of codes out of 256.

A cell that does not change is code 0 and is copied. One that does has the code of what happened there, and all cells
that one event touches have the same code: the ball's step and the bricks it broke, the paddle's step, or new digits.

- The encoder sees pixels: crops of what is there before and after, around what moved.
- The codebook has 256 vectors of 128 numbers; code and state determine the next picture (no code says two things).
- The decoder reads an event off a code's vector, whole: where the ball goes, which bricks go, which digits come. The
  painter (`model/appearance.py`) draws what then is there. So no code draws half a ball, or scars a brick.

van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, on events instead of patches. Where ball and paddle change
in one cell, its code is the ball's; where the paddle goes then follows from the memory's knob (`Motion`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.breakout import (
    BALL_ROWS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    CELL_COLUMNS,
    CELL_ROWS,
    CODE_DIM,
    COLUMNS,
    DIGIT_COLUMNS,
    FIELD_BOTTOM,
    FIELD_TOP,
    GRID_COLUMNS,
    GRID_ROWS,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    ROWS,
    SHORT_PADDLE,
    WALL_TOP,
)
from model.context import (
    BALL_STEP,
    NEAR_BRICKS,
    NEAR_COLUMNS,
    NEAR_ROWS,
    PADDLE_STEP,
    Embedding,
    brick_at,
)
from model.quantizer import UNCHANGED, Quantizer
from model.state import INDEX, PADDLE, SIZES, WIDTH, State, Things
from model.tracker import first, paddle

BALL_BOX, STRIP, DIGIT_BLOCK = 20, 40, (2, 4)
"""Sides of the encoder's crops in pixels: the ball's, the paddle's; and of the blocks that digits are made of."""
SCORE_PIXELS = CELL_ROWS // DIGIT_BLOCK[0] * (CELL_COLUMNS // DIGIT_BLOCK[1])
NEW_WALL = 1
"""The place that is given for a new wall, which has no crop of its own; nothing else comes from there."""
CROPS = 2 * BALL_BOX**2 + 2 * STRIP + 2 * SCORE_PIXELS
SCORE_CELLS, FIELD_CELLS, PADDLE_CELLS, WALL_CELLS = range(4)
"""Kinds of changed cells: in the score's row; where ball or single bricks changed; where only the paddle did; where
many bricks came at once."""
MANY_PIXELS = 60
"""More than a ball may bring: when so many pixels come where the bricks are, it is a new wall."""

NONE, STEP, VANISH, APPEAR, SERVE = range(5)
"""What the ball does: nothing; a step; it goes under a wall or off the screen, or comes back; it is served."""
SAME_DIGIT = 10
STANDS, TO_LONG, TO_SHORT = range(3)
"""The paddle's width stays as it is, or becomes long, or short."""
HEADS = {
    "ball": 5,
    "ball_row_step": 2 * BALL_STEP + 1,
    "ball_column_step": 2 * BALL_STEP + 1,
    "serve_row": BALL_ROWS,
    "serve_column": COLUMNS,
    "new_wall": 2,
    "paddle": 2,
    "paddle_step": 2 * PADDLE_STEP + 1,
    "paddle_width": 3,
    "left_digit": 11,
    "right_digit": 11,
}
"""What the decoder reads off a code, each a choice of so many; beside them, which of the near bricks go."""


class Crops(NamedTuple):
    """What the encoder is shown of M changed cells: bits (M, 1120) float, place (M, 2) int64 of what came from nothing
    (row and column + 1, else 0), and the cells they are of: game and cell (M,) int64 each, and kind (M,)."""

    bits: Tensor
    place: Tensor
    game: Tensor
    cell: Tensor
    kind: Tensor


def cells_of(mask: Tensor) -> Tensor:
    """Which cells hold a set pixel: (B, 210, 160) bool -> (B, 35) bool, flat order column by column."""
    blocks = mask.reshape(-1, GRID_ROWS, CELL_ROWS, GRID_COLUMNS, CELL_COLUMNS).any(4).any(2)
    return blocks.transpose(1, 2).flatten(1)


def window(mask: Tensor, row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    """Windows of masks (B, 210, 160) from (B,) rows and columns on: (B, height * width) float; 0 beyond the frame."""
    rows = row[:, None] + torch.arange(height, device=mask.device)
    columns = column[:, None] + torch.arange(width, device=mask.device)
    inside = (rows < ROWS)[:, :, None] & (columns < COLUMNS)[:, None]
    number = rows.clamp(max=ROWS - 1)[:, :, None] * COLUMNS + columns.clamp(max=COLUMNS - 1)[:, None]
    return (mask.flatten(1).gather(1, number.flatten(1)) & inside.flatten(1)).float()


def crops(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two frames (B, 210, 160) uint8 -> what is shown of each of the 35 cells.

    Bits of ball and paddle crops (B, 880), of each of the five score cells (B, 5, 240), the place (B, 2), and the kind
    of each cell (B, 35) int64, -1 where it does not change.
    """
    device = before.device
    differs, was, came = before != after, before != 0, after != 0
    rows, columns = torch.arange(ROWS, device=device), torch.arange(COLUMNS, device=device)
    long = torch.full_like(before[:, 0, 0], LONG_PADDLE, dtype=torch.long)
    left = [paddle(frame, long)[:, :1] for frame in (before, after)]
    under = [(columns >= at) & (columns < at + LONG_PADDLE) for at in left]
    strip = ((rows >= PADDLE_TOP) & (rows < PADDLE_BOTTOM))[:, None] & (under[0] | under[1])[:, None]
    field = (rows >= FIELD_TOP) & (rows < FIELD_BOTTOM)
    moved = differs & field[:, None] & ~strip
    wall = ((rows >= WALL_TOP) & (rows < WALL_TOP + BRICK_ROWS * BRICK_HEIGHT))[:, None] & moved
    laid = (wall & came & ~was).int().sum((1, 2)) > MANY_PIXELS
    wall = wall & laid[:, None, None]
    moved = moved & ~wall
    row, column, anything = first(moved)
    box = (row, column, BALL_BOX, BALL_BOX)
    ball = torch.cat((window(moved & was, *box), window(moved & came, *box)), 1)
    from_nothing = anything & ~(moved & was).any(2).any(1)
    place = torch.where(from_nothing[:, None], torch.stack((row, column), 1) + 1, 0)
    slid = differs & strip
    _, column, _ = first(slid)
    line = torch.full_like(column, PADDLE_TOP)
    along = torch.cat([window(slid & there, line, column, 1, STRIP) for there in (was, came)], 1)
    top = torch.cat([_blocks(differs & there) for there in (was, came)], 2)  # (B, 5, 240)
    score, at_ball, at_paddle = cells_of(differs & (rows < CELL_ROWS)[:, None]), cells_of(moved), cells_of(slid)
    at_wall = cells_of(wall)
    kind = torch.where(at_paddle, PADDLE_CELLS, -1)
    kind = torch.where(at_wall, WALL_CELLS, kind)
    kind = torch.where(at_ball, FIELD_CELLS, kind)
    return torch.cat((ball, along), 1), top, place, torch.where(score, SCORE_CELLS, kind)


def _blocks(mask: Tensor) -> Tensor:
    """One pixel of each block of a digit in the score's row: (B, 210, 160) -> (B, 5, 120) float."""
    top = mask[:, : CELL_ROWS : DIGIT_BLOCK[0], :: DIGIT_BLOCK[1]]
    return top.reshape(mask.shape[0], -1, GRID_COLUMNS, CELL_COLUMNS // DIGIT_BLOCK[1]).transpose(1, 2).flatten(2).float()


def changed_crops(before: Tensor, after: Tensor) -> Crops:
    """The crops of all changed cells of B pairs, one row a cell. For training: its shape depends on the data."""
    shared, top, place, kind = crops(before, after)
    game, cell = torch.nonzero(kind >= 0, as_tuple=True)
    kinds = kind[game, cell]
    return Crops(*_select(shared[game], top[game, cell // GRID_ROWS], place[game], kinds), game, cell, kinds)


def _select(shared: Tensor, top: Tensor, place: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
    """What a cell of a kind (M,) is shown, the rest blank: bits (M, 1120), place (M, 2)."""
    ball, along = shared[:, : 2 * BALL_BOX**2], shared[:, 2 * BALL_BOX**2 :]
    parts = (ball, kind == FIELD_CELLS), (along, kind == PADDLE_CELLS), (top, kind == SCORE_CELLS)
    bits = torch.cat([part * on[:, None] for part, on in parts], 1)
    return bits, torch.where((kind == FIELD_CELLS)[:, None], place, torch.where(kind == WALL_CELLS, NEW_WALL, 0)[:, None])


class Encoder(nn.Module):
    """Crops of M changed cells -> vectors (M, 128)."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.bits = nn.Linear(CROPS, width)
        self.place = Embedding((ROWS + 1, COLUMNS + 1), width)
        self.layers = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CODE_DIM))
        self.norm = nn.LayerNorm(CODE_DIM, elementwise_affine=False)

    def forward(self, bits: Tensor, place: Tensor) -> Tensor:
        """(M, 1120) float, (M, 2) int64 -> (M, 128)."""
        return self.norm(self.layers(self.bits(bits) + self.place(place)))


class Motion(nn.Module):
    """Where a ball that is not seen goes, and the paddle: from memory, paddle column and rough place of the ball."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        names = ("speed", "half_row", "half_column")
        self.which = [INDEX[name] for name in names]
        speeds, rows, columns = (SIZES[number] for number in self.which)
        self.ball = nn.Sequential(
            Embedding((speeds * rows, speeds * columns, 3, BALL_ROWS), width), nn.ReLU(), nn.Linear(width, width),
            nn.ReLU(), nn.Linear(width, 1 + HEADS["ball_row_step"] + HEADS["ball_column_step"]),
        )  # fmt: skip
        self.paddle = nn.Sequential(
            Embedding((COLUMNS, SIZES[INDEX["knob"]], *[2 * PADDLE_STEP + 1] * 3), width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, HEADS["paddle_step"]),
        )  # fmt: skip

    def forward(self, objects: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """objects (B, 4, 4), memory (B, V) -> logits: the ball goes for good (B,), its row and column step (B, 19)
        each, the paddle's step (B, 17)."""
        speed, rows, columns = (memory[:, number] for number in self.which)
        ball = objects[:, -1, :2]
        side = torch.where(ball[:, 1] < 12, 0, torch.where(ball[:, 1] > 146, 2, 1))
        sizes = SIZES[self.which[1]], SIZES[self.which[2]]
        told = torch.stack((speed * sizes[0] + rows, speed * sizes[1] + columns, side, ball[:, 0].clamp(0, 223)), 1)
        moves = self.ball(told)
        at = objects[:, :, PADDLE]
        steps = (at[:, 1:] - at[:, :-1]).clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP
        told = torch.cat((at[:, -1:].clamp(0, COLUMNS - 1), memory[:, INDEX["knob"], None], steps), 1)
        row, column = moves[:, 1:].split(HEADS["ball_row_step"], 1)
        return moves[:, 0], row, column, self.paddle(told)


class Decoder(nn.Module):
    """Reads events off code vectors, and says what follows from them in a state."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(CODE_DIM, width), nn.ReLU())
        self.heads = nn.Linear(width, sum(HEADS.values()) + NEAR_BRICKS)
        self.motion = Motion()

    def forward(self, vectors: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """(M, 128) -> logits for each of `HEADS`, and for each near brick (M, 21) that it goes."""
        *parts, bricks = self.heads(self.layers(vectors)).split([*HEADS.values(), NEAR_BRICKS], 1)
        return dict(zip(HEADS, parts, strict=True)), bricks


class Events(NamedTuple):
    """What each of 256 codes says, by name as in `HEADS`: (256,) int64 each; and bricks (256, 21) int64, 1 for gone."""

    said: dict[str, Tensor]
    bricks: Tensor


class VQVAE(nn.Module):
    """Encoder, codebook and decoder."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.settings = {"width": width}
        self.encoder, self.quantizer, self.decoder = Encoder(width), Quantizer(), Decoder(width)
        self._events: Events | None = None

    def encode(self, before: Tensor, after: Tensor) -> Tensor:
        """Frames (B, 210, 160) uint8 twice -> codes (B, 35) int64.

        Few vectors are needed a pair: the ball's, the paddle's, a new wall's, and those of the score's cells.
        """
        shared, top, place, kind = crops(before, after)
        vectors = []
        for number in (FIELD_CELLS, PADDLE_CELLS, WALL_CELLS, *[SCORE_CELLS] * GRID_COLUMNS):
            column = max(0, len(vectors) - 3)
            which = torch.full_like(kind[:, 0], number)
            vectors.append(self.encoder(*_select(shared, top[:, column], place, which)))
        codes = self.quantizer(torch.stack(vectors, 1).flatten(0, 1)).reshape(before.shape[0], -1)  # (B, 8)
        columns = torch.arange(GRID_COLUMNS, device=before.device).repeat_interleave(GRID_ROWS)
        grid = torch.where(kind == FIELD_CELLS, codes[:, :1], UNCHANGED)
        grid = torch.where(kind == PADDLE_CELLS, codes[:, 1:2], grid)
        grid = torch.where(kind == WALL_CELLS, codes[:, 2:3], grid)
        return torch.where(kind == SCORE_CELLS, codes[:, 3:][:, columns], grid)

    def fix(self) -> None:
        """Read all codes once and for all: the weights do not change any more."""
        self._events = self.events()

    def events(self) -> Events:
        """What the codes say."""
        if self._events is not None:
            return self._events
        heads, bricks = self.decoder(self.quantizer.codebook)
        said = {name: logits.argmax(1) for name, logits in heads.items()}
        something = torch.arange(len(bricks), device=bricks.device) != UNCHANGED
        for name in ("ball", "paddle", "new_wall"):
            said[name] = said[name] * something
        return Events(said, ((bricks > 0) & something[:, None]).long())

    def follow(self, state: State, codes: Tensor, events: Events, hidden: Tensor) -> Things:
        """What is there one step later, for codes (B, 35) in a state whose frame hides the ball or not (B,). Of codes that contradict each other, those of the
        cells nearest to the ball count."""
        ball_code, paddle_code, wall_code, shared, top = gather_codes(state, codes, events)
        said = {name: values[ball_code] for name, values in events.said.items()}
        gone, row, column, slide = self.decoder.motion(state.objects, state.memory)
        before = state.objects[:, -1]
        ball, does = before[:, :2], said["ball"]
        step = torch.stack((said["ball_row_step"], said["ball_column_step"]), 1) - BALL_STEP
        unseen = torch.stack((row.argmax(1), column.argmax(1)), 1) - BALL_STEP
        guess = torch.where((gone > 0)[:, None] | (ball[:, :1] == 0), 0, ball + unseen)
        after = torch.where((does == STEP)[:, None], torch.where(ball[:, :1] > 0, ball + step, 0), ball)
        unsaid = (does == VANISH) | (does == APPEAR) | ((does == NONE) & hidden)
        after = torch.where(unsaid[:, None], guess, after)
        serve = torch.stack((said["serve_row"], said["serve_column"]), 1)
        after = torch.where((does == SERVE)[:, None], serve, after)
        wall = break_bricks(state.wall, torch.where(after[:, :1] > 0, after, ball), events.bricks[ball_code])
        wall = torch.where((events.said["new_wall"][wall_code] == 1)[:, None, None], torch.ones_like(wall), wall)
        slide = torch.where(shared, slide.argmax(1), PADDLE_STEP)
        return Things(after, self._paddle(before, paddle_code, slide, events), wall, self._board(state, top, events))

    def _paddle(self, before: Tensor, paddle_code: Tensor, slide: Tensor, events: Events) -> Tensor:
        told = events.said["paddle"][paddle_code] == 1
        step = torch.where(told, events.said["paddle_step"][paddle_code], slide) - PADDLE_STEP
        width = torch.where(told, events.said["paddle_width"][paddle_code], STANDS)
        wide = torch.where(width == TO_LONG, LONG_PADDLE, torch.where(width == TO_SHORT, SHORT_PADDLE, before[:, WIDTH]))
        return torch.stack((before[:, PADDLE] + step, wide), 1)

    def _board(self, state: State, top: Tensor, events: Events) -> Tensor:
        digits = []
        for number, column in enumerate(DIGIT_COLUMNS):
            cell, side = divmod(column, CELL_COLUMNS)
            new = events.said["left_digit" if side < CELL_COLUMNS // 2 else "right_digit"][top[:, cell]]
            keep = (new == SAME_DIGIT) | (top[:, cell] == UNCHANGED)
            digits.append(torch.where(keep, state.board[:, number], new))
        return torch.stack(digits, 1)


def break_bricks(wall: Tensor, ball: Tensor, gone: Tensor) -> Tensor:
    """Take the near bricks `gone` (B, 21) out of walls (B, 6, 18), counted from balls (B, 2)."""
    at = brick_at(ball)
    device = wall.device
    rows, columns = torch.arange(wall.shape[1], device=device), torch.arange(wall.shape[2], device=device)
    row = rows - at[:, :1] - NEAR_ROWS[0]  # (B, 6): which of the near rows each row of the wall is
    column = columns - at[:, 1:] - NEAR_COLUMNS[0]
    near = ((row >= 0) & (row < len(NEAR_ROWS)))[:, :, None] & ((column >= 0) & (column < len(NEAR_COLUMNS)))[:, None]
    number = row.clamp(0, len(NEAR_ROWS) - 1)[:, :, None] * len(NEAR_COLUMNS)
    number = number + column.clamp(0, len(NEAR_COLUMNS) - 1)[:, None]
    goes = gone.gather(1, number.flatten(1)).reshape(wall.shape) * near
    return torch.where(goes > 0, torch.zeros_like(wall), wall)


def gather_codes(state: State, codes: Tensor, events: Events) -> tuple[Tensor, ...]:
    """From a grid of codes (B, 35): the ball's (B,), the paddle's (B,), a new wall's (B,), whether a cell in the paddle's row has another
    code, which may hide that the paddle moved (B,), and the codes of the score's row (B, 5)."""
    grid = codes.reshape(-1, GRID_COLUMNS, GRID_ROWS)
    cells = torch.arange(codes.shape[1], device=codes.device)
    row, column = cells % GRID_ROWS, torch.div(cells, GRID_ROWS, rounding_mode="floor")
    field = torch.where(row > 0, codes, UNCHANGED)
    now = state.objects[:, -1]
    of_ball = (events.said["ball"][field] != NONE) | (events.bricks[field].sum(2) > 0)
    of_wall = events.said["new_wall"][field] == 1
    low = (row == GRID_ROWS - 1) & (field != UNCHANGED)
    of_paddle = (events.said["paddle"][field] == 1) & low
    across = (column * CELL_COLUMNS + CELL_COLUMNS // 2 - now[:, 1, None]).abs()
    far = (row * CELL_ROWS + CELL_ROWS // 2 - now[:, :1]).abs() + across
    beside = (column * CELL_COLUMNS + CELL_COLUMNS // 2 - now[:, PADDLE, None] - LONG_PADDLE // 2).abs()
    return (
        _nearest(field, of_ball, far),
        _nearest(field, of_paddle, beside),
        _nearest(field, of_wall, far),
        (low & ~of_paddle).any(1),
        grid[:, :, 0],
    )


def _nearest(codes: Tensor, among: Tensor, far: Tensor) -> Tensor:
    """The code (B,) of the nearest of the cells `among` (B, 35) bool, `UNCHANGED` where there is none."""
    nearest = torch.where(among, far, far + (1 << 20)).argmin(1, keepdim=True)
    return torch.where(among.any(1), codes.gather(1, nearest)[:, 0], UNCHANGED)
