"""The latent action VQ-VAE: what changes between two frames, as a 5 x 7 grid of codes out of 256.

van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, on events instead of patches. A cell that does not change is
code 0 and is copied; all cells that one event touches have that event's code: the ball's step and the bricks it broke,
the paddle's step, or new digits. Where ball and paddle change in one cell, its code is the ball's; where the paddle
goes then follows from the memory's knob (`Motion`). The encoder sees pixels. The decoder reads an event off a code's
vector, whole, and the painter (`model/appearance.py`) draws it: so no code draws half a ball, or scars a brick.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model import breakout as screen
from model import context
from model.appearance import somewhere
from model.breakout import CELL_COLUMNS, CELL_ROWS, CELLS, CODE_DIM, CODES, COLUMNS, GRID_ROWS, LONG_PADDLE, UNCHANGED
from model.context import AROUND_BALL, BALL_STEP, FROM_NEAR, NEAR_BRICKS, NEAR_COLUMNS, PADDLE_STEP, Around, paddle_step
from model.encoder import FIELD_CELLS, PADDLE_CELLS, SCORE_CELLS, WALL_CELLS, Encoder, crops
from model.state import HISTORY, INDEX, PADDLE, SIZES, WIDTH, State, Things

NONE, STEP, VANISH, APPEAR, SERVE = range(5)
"""What the ball does: nothing; a step; it goes under a wall or off the screen, or comes back; it is served."""
SAME_DIGIT = 10
FAR = 1e3  # where the codebook keeps a code without an event: far from every vector
STANDS, TO_LONG, TO_SHORT = range(3)  # the paddle's width stays as it is, or becomes long, or short
HEADS = {
    "ball": 5,
    "ball_row_step": 2 * BALL_STEP + 1,
    "ball_column_step": 2 * BALL_STEP + 1,
    "serve_row": screen.BALL_ROWS,
    "serve_column": COLUMNS,
    "new_wall": 2,
    "paddle": 2,
    "paddle_step": 2 * PADDLE_STEP + 1,
    "paddle_width": 3,
    "left_digit": 11,
    "right_digit": 11,
}
"""What the decoder reads off a code, each a choice of so many; beside them, which of the near bricks go."""
_HEAD = {name: number for number, name in enumerate(HEADS)}


class Motion(nn.Module):
    """Where a ball that is not seen goes, and the paddle: the game's course, as the state tells it without a key."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.trunk = context.Trunk(AROUND_BALL, width)
        self.parts = 1, HEADS["ball_row_step"], HEADS["ball_column_step"], NEAR_BRICKS
        self.ball = nn.Linear(width, sum(self.parts))
        keys = COLUMNS, SIZES[INDEX["knob"]], *[2 * PADDLE_STEP + 1] * (HISTORY - 1)
        first = context.Embedding(keys, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        self.paddle = nn.Sequential(*first, nn.Linear(width, HEADS["paddle_step"]))

    def forward(self, state: State, around: Around | None = None) -> tuple[Tensor, ...]:
        """A state -> logits: the ball goes for good (B, 1), its row and column step (B, 19) each, which near bricks go
        (B, 21), the paddle's step (B, 17)."""
        moves = self.ball(self.trunk(*(around or context.around_ball(state)), state.memory))
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
    """What each of 256 codes says."""

    said: dict[str, Tensor]  # by name as in `HEADS`, (256,) int64 each
    bricks: Tensor  # (256, 21) int64, 1 for gone


class Quantizer(nn.Module):
    """From a vector of 128 numbers to one of 256 codes. Code 0 is the zero vector, means "this cell does not change",
    and is never learned nor chosen by distance. How the codebook starts and codes move is in `train/vqvae.py`."""

    def __init__(self) -> None:
        super().__init__()
        # Training moves it by hand, toward the mean of each code's vectors.
        self.codebook = nn.Parameter(torch.zeros(CODES, CODE_DIM), requires_grad=False)
        self.register_buffer("counts", torch.ones(CODES))  # unused; checkpoints hold it

    def forward(self, vectors: Tensor) -> Tensor:
        """The nearest code 1..255 of each vector: (M, 128) float -> (M,) int64."""
        vectors, book = vectors.float(), self.codebook[1:]
        # |v - c|^2 without the term |v|^2, which is the same for every code.
        return (book.square().sum(1) - 2 * vectors @ book.T).argmin(1) + 1

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 0..255 -> vectors (..., 128) float32."""
        return self.codebook[codes]


class VQVAE(nn.Module):
    """Encoder, codebook and decoder."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.settings = {"width": width}
        self.encoder, self.quantizer, self.decoder = Encoder(width), Quantizer(), Decoder(width)
        self._events: Events | None = None
        self._alike: Tensor | None = None

    def encode(self, before: Tensor, after: Tensor) -> Tensor:
        """Frames (B, 210, 160) uint8 twice -> codes (B, 35) int64. Few vectors are needed a pair: the ball's, the
        paddle's, a new wall's, and those of the score's cells."""
        shared, top, place, kind = crops(before, after)
        codes = self.quantizer(self.encoder.each(shared, top, place)).reshape(before.shape[0], -1)  # (B, 8)
        columns = torch.arange(screen.GRID_COLUMNS, device=before.device).repeat_interleave(GRID_ROWS)
        grid = torch.where(kind == FIELD_CELLS, codes[:, :1], UNCHANGED)
        grid = torch.where(kind == PADDLE_CELLS, codes[:, 1:2], grid)
        grid = torch.where(kind == WALL_CELLS, codes[:, 2:3], grid)
        return torch.where(kind == SCORE_CELLS, codes[:, 3:][:, columns], grid)

    def fix(self) -> None:
        """Read all codes once and for all: the weights do not change any more."""
        self._events, self._alike = self.events(), self.alike()

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

    def alike(self) -> Tensor:
        """For each code the first one with the same bricks gone whose ball vanishes, and whose ball appears: (2, 256).
        Itself, where there is none; a ball appears only in place of one that takes a step."""
        if self._alike is not None:
            return self._alike
        events, number = self.events(), torch.arange(CODES, device=self.quantizer.codebook.device)
        kinds, same = events.said["ball"], (events.bricks[:, None] == events.bricks).all(2)
        like = torch.stack([same & (kinds == kind) for kind in (VANISH, APPEAR)])
        like[1] &= (kinds == STEP)[:, None]
        return torch.where(like.any(2), like.int().argmax(2), number)

    def follow(
        self, state: State, codes: Tensor, events: Events, hidden: Tensor, around: Around | None = None
    ) -> Things:
        """What is there one step later, for codes (B, 35) in a state whose frame hides the ball or not (B,). Of codes
        that contradict each other, those of the cells nearest to the ball count."""
        chosen, shared = gather_codes(state, codes, events)
        table = torch.stack([events.said[name] for name in HEADS], 1)  # (256, 11)
        of_ball, of_paddle, of_wall = table[chosen].unbind(1)
        gone, row, column, hit, slide = self.decoder.motion(state, around)
        before = state.objects[:, -1]
        ball, does = before[:, :2], of_ball[:, :1]
        unseen = torch.cat((row.argmax(1, keepdim=True), column.argmax(1, keepdim=True)), 1) - BALL_STEP
        # Where a ball goes that is not seen no code can say: the memory's speed and fractions do.
        guess = torch.where((gone > 0) | (ball[:, :1] == 0), 0, ball + unseen)
        after = torch.where(ball[:, :1] > 0, ball + (of_ball[:, 1:3] - BALL_STEP), 0)
        after = torch.where(does == STEP, after, ball)
        unsaid = (does == VANISH) | (does == APPEAR) | ((does == NONE) & hidden[:, None])
        after = torch.where(does == SERVE, of_ball[:, 3:5], torch.where(unsaid, guess, after))
        bricks = events.bricks[chosen[:, 0]]
        # Nor does a code always say which brick goes, seen from a ball that is not seen.
        unsaid = unsaid & (bricks.amax(1, keepdim=True) == 0) & (ball[:, :1] > 0)
        bricks = torch.where(unsaid, (hit > 0).long(), bricks)
        wall = break_bricks(state.wall, torch.where(after[:, :1] > 0, after, ball), bricks)
        wall = torch.where(of_wall[:, _HEAD["new_wall"], None, None] == 1, torch.ones_like(wall), wall)
        slide = torch.where(shared[:, None], slide.argmax(1, keepdim=True), PADDLE_STEP)
        told = of_paddle[:, _HEAD["paddle"], None] == 1
        step = torch.where(told, of_paddle[:, _HEAD["paddle_step"], None], slide) - PADDLE_STEP
        width = torch.where(told, of_paddle[:, _HEAD["paddle_width"], None], STANDS)
        long, short = width == TO_LONG, width == TO_SHORT
        wide = torch.where(long, LONG_PADDLE, torch.where(short, screen.SHORT_PADDLE, before[:, WIDTH:]))
        # Whatever the codes, there is a paddle.
        column = (before[:, PADDLE, None] + step).clamp(screen.FIELD_LEFT, screen.LAST_PADDLE)
        return Things(after, torch.cat((column, wide), 1), wall, _board(state.board, codes, table))


def _board(board: Tensor, codes: Tensor, table: Tensor) -> Tensor:
    places = [divmod(column, CELL_COLUMNS) for column in screen.DIGIT_COLUMNS]
    heads = ["left_digit" if side < CELL_COLUMNS // 2 else "right_digit" for _, side in places]
    code = codes[:, [cell * GRID_ROWS for cell, _ in places]]  # (B, 4)
    columns = torch.tensor([_HEAD[head] for head in heads], device=codes.device)
    new = table.flatten()[code * len(HEADS) + columns]
    return torch.where((new == SAME_DIGIT) | (code == UNCHANGED), board, new)


def break_bricks(wall: Tensor, ball: Tensor, gone: Tensor) -> Tensor:
    """Take the near bricks `gone` (B, 21) out of walls (B, 6, 18), counted from balls (B, 2)."""
    goes = context.read(gone.reshape(-1, len(context.NEAR_ROWS), len(NEAR_COLUMNS)), ball, FROM_NEAR)
    return wall * (~goes.bool()).to(wall.dtype).reshape(-1, screen.BRICK_ROWS, screen.BRICK_COLUMNS)


def gather_codes(state: State, codes: Tensor, events: Events) -> tuple[Tensor, Tensor]:
    """From a grid of codes (B, 35): the ball's, the paddle's, a new wall's (B, 3), and whether a cell in the paddle's
    row has another code, which may hide that the paddle moved (B,). Of several codes that of the nearest cell counts.
    """
    device, says = codes.device, events.said
    cells = torch.arange(CELLS, device=device)
    row, column = cells % GRID_ROWS, torch.div(cells, GRID_ROWS, rounding_mode="floor")
    of_ball = (says["ball"] != NONE) | (events.bricks.sum(1) > 0)
    table = torch.stack((of_ball, says["paddle"] == 1, says["new_wall"] == 1), 1)  # (256, 3)
    field, low = row > 0, row == GRID_ROWS - 1
    among = table[codes] & torch.stack((field, low, field), 1)  # (B, 35, 3)
    now = state.objects[:, -1, None]  # (B, 1, 4)
    at = torch.cat((now[..., 1:2], now[..., 2:3] + LONG_PADDLE // 2, now[..., 1:2]), 2)
    across = ((column * CELL_COLUMNS + CELL_COLUMNS // 2)[:, None] - at).abs()
    down = ((row * CELL_ROWS + CELL_ROWS // 2)[:, None] - now[..., :1]).abs()
    far = across + down * torch.tensor((1, 0, 1), device=device)
    nearest = (far + (~among).long() * (1 << 20)).argmin(1, keepdim=True)  # all others are farther than any
    chosen = (codes[:, :, None] * among).gather(1, nearest)[:, 0]
    return chosen, somewhere(low & (codes != UNCHANGED) & ~among[:, :, 1])
