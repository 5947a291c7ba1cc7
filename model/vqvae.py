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
    ACTIONS,
    BALL_ROWS,
    CELL_COLUMNS,
    CELL_ROWS,
    CODE_DIM,
    COLUMNS,
    DIGIT_COLUMNS,
    FIELD_LEFT,
    GRID_COLUMNS,
    GRID_ROWS,
    LAST_PADDLE,
    LONG_PADDLE,
    SHORT_PADDLE,
    UNCHANGED,
)
from model.context import (
    BALL_STEP,
    NEAR_BRICKS,
    NEAR_COLUMNS,
    NEAR_ROWS,
    PADDLE_STEP,
    Embedding,
    Trunk,
    around_ball,
    around_ball_sizes,
    brick_at,
    paddle_step,
)
from model.encoder import FIELD_CELLS, PADDLE_CELLS, SCORE_CELLS, WALL_CELLS, Encoder, crops, select
from model.quantizer import Quantizer
from model.state import HISTORY, INDEX, PADDLE, SIZES, WIDTH, State, Things

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


class Motion(nn.Module):
    """Where a ball that is not seen goes, and the paddle: the game's course, as the state tells it without a key."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.trunk = Trunk(around_ball_sizes(), width)
        self.parts = 1, HEADS["ball_row_step"], HEADS["ball_column_step"], NEAR_BRICKS
        self.ball = nn.Linear(width, sum(self.parts))
        self.paddle = nn.Sequential(
            Embedding((COLUMNS, SIZES[INDEX["knob"]], *[2 * PADDLE_STEP + 1] * (HISTORY - 1)), width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, HEADS["paddle_step"]),
        )  # fmt: skip

    def forward(self, state: State) -> tuple[Tensor, ...]:
        """A state -> logits: the ball goes for good (B, 1), its row and column step (B, 19) each, which near bricks go
        (B, 21), the paddle's step (B, 17)."""
        no_key = torch.full_like(state.memory[:, 0], ACTIONS)
        told, bricks, memory = around_ball(state, no_key)
        moves = self.ball(self.trunk(told.values, bricks, memory))
        at, place = state.objects[:, :, PADDLE], state.memory[:, INDEX["knob"], None]
        knob = torch.cat((at[:, -1:].clamp(0, COLUMNS - 1), place, paddle_step(at[:, :-1], at[:, 1:])), 1)
        return *moves.split(self.parts, 1), self.paddle(knob)


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
        vectors: list[Tensor] = []
        for number in (FIELD_CELLS, PADDLE_CELLS, WALL_CELLS, *[SCORE_CELLS] * GRID_COLUMNS):
            column = max(0, len(vectors) - 3)
            which = torch.full_like(kind[:, 0], number)
            vectors.append(self.encoder(*select(shared, top[:, column], place, which)))
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
        # Code 0 has a vector too, and the decoder says something of it; but where nothing changes nothing happens.
        something = torch.arange(len(bricks), device=bricks.device) != UNCHANGED
        for name in ("ball", "paddle", "new_wall"):
            said[name] = said[name] * something
        return Events(said, ((bricks > 0) & something[:, None]).long())

    def follow(self, state: State, codes: Tensor, events: Events, hidden: Tensor) -> Things:
        """What is there one step later, for codes (B, 35) in a state whose frame hides the ball or not (B,).

        Of codes that contradict each other, those of the cells nearest to the ball count.
        """
        ball_code, paddle_code, wall_code, shared, top = gather_codes(state, codes, events)
        said = {name: values[ball_code] for name, values in events.said.items()}
        gone, row, column, hit, slide = self.decoder.motion(state)
        before = state.objects[:, -1]
        ball, does = before[:, :2], said["ball"]
        step = torch.stack((said["ball_row_step"], said["ball_column_step"]), 1) - BALL_STEP
        unseen = torch.stack((row.argmax(1), column.argmax(1)), 1) - BALL_STEP
        # Where a ball goes that is not seen no code can say: the memory's speed and fractions do.
        guess = torch.where((gone > 0) | (ball[:, :1] == 0), 0, ball + unseen)
        after = torch.where((does == STEP)[:, None], torch.where(ball[:, :1] > 0, ball + step, 0), ball)
        unsaid = (does == VANISH) | (does == APPEAR) | ((does == NONE) & hidden)
        after = torch.where(unsaid[:, None], guess, after)
        serve = torch.stack((said["serve_row"], said["serve_column"]), 1)
        after = torch.where((does == SERVE)[:, None], serve, after)
        bricks = events.bricks[ball_code]
        # Nor does a code always say which brick goes, seen from a ball that is not seen.
        unsaid = unsaid & (bricks.sum(1) == 0) & (ball[:, 0] > 0)
        bricks = torch.where(unsaid[:, None], (hit > 0).long(), bricks)
        wall = break_bricks(state.wall, torch.where(after[:, :1] > 0, after, ball), bricks)
        wall = torch.where((events.said["new_wall"][wall_code] == 1)[:, None, None], torch.ones_like(wall), wall)
        slide = torch.where(shared, slide.argmax(1), PADDLE_STEP)
        return Things(after, self._paddle(before, paddle_code, slide, events), wall, self._board(state, top, events))

    def _paddle(self, before: Tensor, paddle_code: Tensor, slide: Tensor, events: Events) -> Tensor:
        told = events.said["paddle"][paddle_code] == 1
        step = torch.where(told, events.said["paddle_step"][paddle_code], slide) - PADDLE_STEP
        width = torch.where(told, events.said["paddle_width"][paddle_code], STANDS)
        wide = torch.where(
            width == TO_LONG, LONG_PADDLE, torch.where(width == TO_SHORT, SHORT_PADDLE, before[:, WIDTH])
        )
        column = (before[:, PADDLE] + step).clamp(FIELD_LEFT, LAST_PADDLE)  # whatever the codes, there is a paddle
        return torch.stack((column, wide), 1)

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
    """From a grid of codes (B, 35): the ball's (B,), the paddle's (B,), a new wall's (B,), whether a cell in the
    paddle's row has another code, which may hide that the paddle moved (B,), and the codes of the score's row (B, 5).
    """
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
    nearest = torch.where(among, far, far + (1 << 20)).argmin(1, keepdim=True)  # all others are farther than any
    return torch.where(among.any(1), codes.gather(1, nearest)[:, 0], UNCHANGED)
