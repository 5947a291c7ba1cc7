"""The latent action VQ-VAE: what changes between two frames, as a 5 x 7 grid of codes.

Only cells that change are encoded and drawn; an unchanged cell is code 0 by definition and is copied. In a step of
play that is 2 or 3 cells of 35.

- The encoder says of a changed cell how what it shows has moved, wherever in the cell it is: the ball's step if the
  ball's pixels changed there, the paddle's if the paddle's did, and which other pixels came or went. Of a ball that is
  in one of the two frames only it says just that; but of a serve, where it is.
- The decoder redraws the cell as the code says: around the ball, along the paddle, and in the cell as a whole. It only
  says what is there and what is not. The colour follows: what stays keeps its own, and what appears has that of its
  scanline, as the Atari draws it.

Where ball and paddle meet, in the bottom row of cells, 256 codes cannot say everything that both may do at once, nor
what ball and bricks may do; and where the Atari leaves the ball out of a frame, as it does at walls, two frames do not
tell how it has moved. There the decoder also sees how ball and paddle have moved so far. Elsewhere it does not, so that
all motion is in the codes: a wrong code is a wrong picture.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import (
    BACKGROUND,
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CLASSES,
    CODE_DIM,
    GRID_ROWS,
    ROWS,
)
from model.checkpoint import SCALE, pack
from model.gaze import (
    AT_BRICKS,
    BALL_FRAMES,
    BALL_HEIGHT,
    BALL_TRAIL,
    BALL_WIDTH,
    BALL_WINDOW,
    FIELD_LEFT,
    FIELD_RIGHT,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    STRIP_EAST,
    STRIP_WEST,
    UP,
    WEST,
    Glance,
    both_ways,
    glance,
    places_of,
)
from model.pixels import changed, put_cells, take_cells
from model.quantizer import UNCHANGED, Quantizer

BALL_STEP, PADDLE_STEP = (9, 16), 28
"""The longest steps that the encoder tells apart, in pixels: of the ball in rows and columns, of the paddle."""
SAMPLE_ROWS, SAMPLE_COLUMNS = 2, 4
"""Every digit is made of blocks of this size: one pixel of each says it all."""
SAMPLES = CELL_ROWS // SAMPLE_ROWS * (CELL_COLUMNS // SAMPLE_COLUMNS)
STRIP = STRIP_WEST + STRIP_EAST
AT_WALL = 6
"""So near to side walls or paddle, in pixels, the ball may meet them."""
LINES = (-1.0, 1.0, -2.5)
"""Where else to draw the line between what is there and what is not, in logits: see `VQVAE.draw`."""
BOTTOM_TOP = (GRID_ROWS - 1) * CELL_ROWS
"""The first scanline of the bottom row of cells."""


class Encoder(nn.Module):
    """Pairs of frames -> one vector for each changed cell."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        rows, columns = BALL_STEP
        self.ball = nn.Embedding((2 * rows + 1) * (2 * columns + 1), CODE_DIM)
        self.paddle = nn.Embedding(2 * PADDLE_STEP + 1, CODE_DIM)
        self.alone = nn.Embedding(2, CODE_DIM)
        self.rest = nn.Sequential(nn.Linear(2 * SAMPLES, width), nn.ReLU(), nn.Linear(width, CODE_DIM, bias=False))
        self.norm = nn.LayerNorm(CODE_DIM, bias=False)

    def forward(
        self, before: Tensor, after: Tensor, which: Tensor, cells: Tensor, seen: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """(B, 210, 160) uint8 classes of frames t and t + 1, M frame numbers and changed cells -> (M, 128).

        `seen` are the `places` in frame t, looked at backwards in time, where the ball is what vanishes, and in frame
        t + 1, each (B, 3), if they are known already.
        """
        old, new = seen or both_ways(before, after)
        left = take_cells(before, which, cells) != BACKGROUND
        came = take_cells(after, which, cells) != BACKGROUND
        differs = left != came
        went, here = old[:, 0] >= 0, new[:, 0] >= 0
        vanishes, appears = went & ~here, here & ~went & _meets(new)
        of_old, of_new = (went & here) | vanishes, (went & here) | appears
        at_ball = _ball_in(old, which, cells) & of_old[which, None, None]
        at_ball |= _ball_in(new, which, cells) & of_new[which, None, None]
        at_paddle = torch.zeros_like(differs)
        strip = slice(PADDLE_TOP - BOTTOM_TOP, PADDLE_BOTTOM - BOTTOM_TOP)
        moved = left[:, strip].all(1) != came[:, strip].all(1)
        at_paddle[:, strip] = (moved & (cells % GRID_ROWS == GRID_ROWS - 1)[:, None])[:, None]
        of_ball = (differs & at_ball).flatten(1).any(1)
        of_paddle = (differs & at_paddle).flatten(1).any(1)
        # A pixel of every block, and whether anything in the block's scanline differs.
        rest = (differs & ~at_ball & ~at_paddle)[:, ::SAMPLE_ROWS].unflatten(2, (-1, SAMPLE_COLUMNS)).any(3).flatten(1)
        there = sampled(came)
        bits = torch.cat((rest & there, rest & ~there), 1)
        rows, columns = BALL_STEP
        step = new - old
        dy, dx = step[:, 0].clamp(-rows, rows) + rows, step[:, 1].clamp(-columns, columns) + columns
        ball = self.ball(dy * (2 * columns + 1) + dx)
        ball = torch.where((vanishes | appears)[:, None], self.alone(appears.long()), ball)[which] * of_ball[:, None]
        paddle = self.paddle(step[:, 2].clamp(-PADDLE_STEP, PADDLE_STEP) + PADDLE_STEP)[which] * of_paddle[:, None]
        return self.norm(ball + paddle + self.rest(bits.to(ball.dtype)))


def _meets(ball: Tensor) -> Tensor:
    """Whether balls (B, 2 or 3) are at walls, bricks or paddle, where the Atari leaves them out of a frame at times."""
    row, column = ball[:, 0], ball[:, 1]
    high_or_low = (row < AT_BRICKS) | (row + BALL_HEIGHT > PADDLE_TOP - AT_WALL)
    return high_or_low | (column < FIELD_LEFT + AT_WALL) | (column + BALL_WIDTH > FIELD_RIGHT - AT_WALL)


def _ball_in(seen: Tensor, which: Tensor, cells: Tensor) -> Tensor:
    """Where the ball is in cells: places (B, 3), M frame numbers and cells -> (M, 30, 32) bool.

    It is a row taller here on both sides: where it takes two colours it may be drawn five rows tall.
    """
    row = seen[which, 0] - CELL_ROWS * (cells % GRID_ROWS)
    column = seen[which, 1] - CELL_COLUMNS * (cells // GRID_ROWS)
    rows = torch.arange(CELL_ROWS, device=seen.device) - row[:, None]
    columns = torch.arange(CELL_COLUMNS, device=seen.device) - column[:, None]
    in_rows, in_columns = (rows >= -1) & (rows <= BALL_HEIGHT), (columns >= 0) & (columns < BALL_WIDTH)
    return in_rows[:, :, None] & in_columns[:, None]


def sampled(there: Tensor) -> Tensor:
    """One pixel of every block of a digit: cells (M, 30, 32) -> (M, 120)."""
    return there[:, ::SAMPLE_ROWS, ::SAMPLE_COLUMNS].flatten(1)


class Sight(NamedTuple):
    """What a decoder has seen of B moments, whatever the cell; see `Decoder.see`.

    Where ball (B, 2) and paddle (B,) are, whether the ball may meet something outside the bottom row (B,), and what is
    around the ball (B, width), along the paddle (B, 64), and of how the ball has moved (B, meeting).
    """

    ball: Tensor
    paddle: Tensor
    may_meet: Tensor
    around: Tensor
    along: Tensor
    meet: Tensor


class Looked(NamedTuple):
    """What a decoder has seen of M cells; see `Decoder.look`.

    `meets` and `bottom` are the numbers of the cells in which the ball may meet something, and of those in the bottom
    row; `ball_at` and `paddle_at` are where a cell's first row and column fall in the drawings around the ball and
    along the paddle.
    """

    there: Tensor
    ball: Tensor
    ball_at: tuple[Tensor, Tensor]
    meets: Tensor
    meet: Tensor
    bottom: Tensor
    paddle: Tensor
    paddle_at: Tensor
    cell: Tensor


class Drawn(NamedTuple):
    """What `VQVAE.draw` gives: frames (B, 210, 160) uint8 classes; and of those that it looked at again, n of them, the
    places around them, two of (n, 3), as `both_ways` has them, and whether they have the codes that they were drawn
    from at once (n,). None where it looked at none."""

    frames: Tensor
    seen: tuple[Tensor, Tensor] | None = None
    fits: Tensor | None = None


class Decoder(nn.Module):
    """What is there in a cell one step later, from the last frame and a code vector.

    Three small networks draw in coordinates of their own: around the ball, along the paddle, and in the cell. Their
    logits are added up where they fall into the cell.
    """

    def __init__(self, width: int = 128, meeting: int = 256) -> None:
        super().__init__()
        window = BALL_WINDOW[0] * BALL_WINDOW[1]
        self.ball_seen, self.ball_code = nn.Linear(window, width), nn.Linear(CODE_DIM, width, bias=False)
        self.ball_row = nn.Embedding(ROWS + 1, width)
        self.meet_trail = nn.EmbeddingBag(BALL_TRAIL, meeting, mode="sum")
        self.meet_paddle, self.meet_code = nn.Linear(STRIP, meeting), nn.Linear(CODE_DIM, meeting, bias=False)
        self.meet = nn.Sequential(nn.ReLU(), nn.Linear(meeting, meeting), nn.ReLU(), nn.Linear(meeting, width))
        self.ball_draw = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, window))
        self.paddle_seen, self.paddle_code = nn.Linear(STRIP, 64), nn.Linear(CODE_DIM, 64, bias=False)
        self.paddle_draw = nn.Sequential(nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, STRIP))
        self.cell_seen, self.cell_code = nn.Linear(SAMPLES, 64), nn.Linear(CODE_DIM, 64, bias=False)
        self.cell = nn.Embedding(CELLS, 64)
        self.cell_draw = nn.Sequential(nn.ReLU(), nn.Linear(64, CELL_ROWS * CELL_COLUMNS))
        self.keep = nn.Parameter(torch.tensor(3.0))
        nn.init.normal_(self.cell.weight, std=0.1)
        for bag in (self.meet_trail, self.ball_row):  # rows that never occur stay zeros, which pack well
            nn.init.zeros_(bag.weight)
        for draw in (self.ball_draw, self.paddle_draw, self.cell_draw, self.meet):
            for parameter in draw[-1].parameters():
                nn.init.zeros_(parameter)

    def see(self, now: Tensor, seen: Tensor, shown: Glance | None = None) -> Sight:
        """What depends neither on the cell nor on the code, for `look`: frames (B, 210, 160) uint8 classes and places
        (B, n, 3 or 6). `shown` is the `glance` at them, if it is known."""
        ball, in_newest, paddle, window, strip, trail = shown or glance(now, seen)
        dtype = self.ball_seen.weight.dtype
        strip = strip.to(dtype)
        return Sight(
            ball,
            paddle,
            may_meet=(ball[:, 0] < AT_BRICKS) | ~in_newest,
            around=self.ball_seen(window.flatten(1).to(dtype)) + self.ball_row(ball[:, 0] + 1),
            along=self.paddle_seen(strip),
            meet=self.meet_trail(trail) + self.meet_paddle(strip),
        )

    def look(self, now: Tensor, sight: Sight, which: Tensor, cells: Tensor) -> Looked:
        """What does not depend on the code, for `paint`: frames (B, 210, 160) uint8 classes, what was seen of them, M
        frame numbers and cells."""
        there = take_cells(now, which, cells) != BACKGROUND
        bottom = cells % GRID_ROWS == GRID_ROWS - 1
        meets = bottom | sight.may_meet[which]
        row, column = CELL_ROWS * (cells % GRID_ROWS), CELL_COLUMNS * (cells // GRID_ROWS)
        ball, of_bottom = sight.ball[which], which[bottom]
        return Looked(
            there=there,
            ball=sight.around[which],
            ball_at=(row - ball[:, 0] + UP, column - ball[:, 1] + WEST),
            meets=meets.nonzero().flatten(),
            meet=sight.meet[which[meets]],
            bottom=bottom.nonzero().flatten(),
            paddle=sight.along[of_bottom],
            paddle_at=column[bottom] - sight.paddle[of_bottom] + STRIP_WEST,
            cell=self.cell_seen(sampled(there).to(self.cell_seen.weight.dtype)) + self.cell(cells),
        )

    def paint(self, looked: Looked, vectors: Tensor) -> Tensor:
        """Code vectors (M, 128) -> (M, 30, 32) logits that something is there."""
        logits = self.keep * (2 * looked.there.float() - 1)
        cell = self.cell_draw(looked.cell + self.cell_code(vectors)).float()
        meet = self.meet(looked.meet + self.meet_code(vectors[looked.meets]))
        ball = looked.ball + self.ball_code(vectors)
        ball = ball.index_add(0, looked.meets, meet)
        ball = self.ball_draw(ball).float()
        logits = logits + cell.unflatten(1, (CELL_ROWS, CELL_COLUMNS))
        logits = logits + _place(ball.unflatten(1, BALL_WINDOW), *looked.ball_at, CELL_ROWS)
        if len(looked.bottom):
            strip = self.paddle_draw(looked.paddle + self.paddle_code(vectors[looked.bottom])).float()
            top = torch.zeros_like(looked.paddle_at)
            strip = _place(strip[:, None], top, looked.paddle_at, 1)
            rows = PADDLE_TOP - BOTTOM_TOP, BOTTOM_TOP + CELL_ROWS - PADDLE_BOTTOM
            strip = F.pad(strip.expand(-1, PADDLE_BOTTOM - PADDLE_TOP, -1), (0, 0, *rows))
            logits = logits.index_add(0, looked.bottom, strip)
        return logits


def _place(drawn: Tensor, top: Tensor, left: Tensor, height: int) -> Tensor:
    """Cut (M, height, 32) out of drawings (M, H, W), at rows and columns (M,) of theirs; beyond them there is 0."""
    size = drawn.shape[1:]
    rows = top[:, None] + torch.arange(height, device=top.device)
    columns = left[:, None] + torch.arange(CELL_COLUMNS, device=top.device)
    inside = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[:, None]
    spots = rows.clamp(0, size[0] - 1)[:, :, None] * size[1] + columns.clamp(0, size[1] - 1)[:, None]
    return drawn.flatten(1).gather(1, spots.flatten(1)).unflatten(1, (height, CELL_COLUMNS)) * inside


class VQVAE(nn.Module):
    """Encoder, quantiser and decoder, and the grid of codes they share.

    `colours` (210, 9) counts in which classes things have appeared on each scanline.
    """

    colours: Tensor

    def __init__(self, encoder_width: int = 64, decoder_width: int = 128, meeting_width: int = 256) -> None:
        super().__init__()
        self.settings = {
            "encoder_width": encoder_width, "decoder_width": decoder_width, "meeting_width": meeting_width
        }  # fmt: skip
        self.encoder = Encoder(encoder_width)
        self.quantizer = Quantizer()
        self.decoder = Decoder(decoder_width, meeting_width)
        self.register_buffer("colours", torch.zeros(ROWS, CLASSES))

    @torch.no_grad()
    def encode(self, before: Tensor, after: Tensor, seen: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Pairs of frames (B, 210, 160) uint8 classes -> codes (B, 35) int64; 0 exactly where a cell stays the same.

        `seen` as in `Encoder.forward`.
        """
        codes = torch.full((len(before), CELLS), UNCHANGED, dtype=torch.int64, device=before.device)
        which, cells = changed(before, after).nonzero(as_tuple=True)
        if len(which):
            codes[which, cells] = self.quantizer(self.encoder(before, after, which, cells, seen))
        return codes

    @torch.no_grad()
    def decode(self, history: Tensor, codes: Tensor, seen: Tensor | None = None) -> Tensor:
        """Frames (B, n, 210, 160) uint8 classes, oldest first, n >= 1, and codes (B, 35) -> the next frames
        (B, 210, 160) uint8 classes. Of the history the last nine frames count; a short one repeats its first.

        `seen` are the places (B, n, 3 or 6) of the history, where they are known already; then the newest frame is
        enough.
        """
        if seen is None:
            seen = places_of(history[:, -BALL_FRAMES - 1 :])
        return self.draw(history[:, -1], codes, self.decoder.see(history[:, -1], seen)).frames

    @torch.no_grad()
    def draw(self, now: Tensor, codes: Tensor, sight: Sight, surely: bool = False) -> Drawn:
        """`decode` of what was seen already; of a single moment (1, 210, 160) any number of codes (B, 35).

        `surely`: where the ball may meet something, or was left out of the frame, look whether what was drawn has the
        codes that it was drawn from. Where it has not (most often a ball may be here or there, and no pixel of it is
        likelier to be there than not), draw the line between the two elsewhere, and take the first picture that has.
        """
        which, cells = (codes != UNCHANGED).nonzero(as_tuple=True)
        now = now.expand(len(codes), -1, -1)
        if not len(which):
            return Drawn(now.clone(memory_format=torch.contiguous_format))
        of = which if len(sight.ball) == len(codes) else torch.zeros_like(which)
        looked = self.decoder.look(now, sight, of, cells)
        logits = self.decoder.paint(looked, self.quantizer.embed(codes[which, cells]))
        old = take_cells(now, which, cells)

        def fill(there: Tensor) -> Tensor:
            drawn = now.clone(memory_format=torch.contiguous_format)
            put_cells(drawn, which, cells, self.coloured(old, there, cells))
            return drawn

        drawn = fill(logits > 0)
        if not surely:
            return Drawn(drawn)
        may_meet = (sight.ball[:, 0] >= 0) & (sight.may_meet | _meets(sight.ball))
        doubtful = may_meet.expand(len(codes)).nonzero().flatten()
        if not len(doubtful):
            return Drawn(drawn)
        seen = both_ways(now[doubtful], drawn[doubtful])
        wrong = torch.zeros_like(codes, dtype=torch.bool)
        wrong[doubtful] = self.encode(now[doubtful], drawn[doubtful], seen) != codes[doubtful]
        fits = ~wrong[doubtful].any(1)
        bad = doubtful[~fits]
        if len(bad):
            again = wrong[which, cells][:, None, None]
            tries = torch.stack([fill(logits > line * again)[bad] for line in LINES])
            said = self.encode(now[bad].repeat(len(LINES), 1, 1), tries.flatten(0, 1)).unflatten(0, tries.shape[:2])
            good = (said == codes[bad]).all(2)
            best = tries[good.to(torch.uint8).argmax(0), torch.arange(len(bad), device=bad.device)]
            drawn[bad] = torch.where(good.any(0)[:, None, None], best, drawn[bad])
        return Drawn(drawn, seen, fits)

    def coloured(self, cell: Tensor, there: Tensor, cells: Tensor) -> Tensor:
        """Cells (M, 30, 32) uint8 classes one step later, given what is there then (M, 30, 32) bool."""
        scanlines = self.colours.argmax(1).to(torch.uint8).view(GRID_ROWS, CELL_ROWS)[cells % GRID_ROWS]
        return torch.where(there, torch.where(cell != BACKGROUND, cell, scanlines[:, :, None]), BACKGROUND)

    @torch.no_grad()
    def learn_colours(self, before: Tensor, after: Tensor) -> None:
        """Count the classes of what appears between frames (B, 210, 160) and the next ones."""
        fresh = ((before == BACKGROUND) & (after != BACKGROUND)).nonzero(as_tuple=True)
        spots = fresh[1] * CLASSES + after[fresh].long()
        self.colours += torch.bincount(spots, minlength=ROWS * CLASSES).view(ROWS, CLASSES)

    def codes_sha256(self) -> str:
        """What gives the codes their meaning: SHA-256 of the encoder and the codebook, but for the scales, in the bytes
        in which they are shipped. The decoder does not count."""
        digest = hashlib.sha256()
        meaning = {**self.encoder.state_dict(), "codebook": self.quantizer.codebook.detach()}
        for name, tensor in sorted(pack(meaning).items()):
            if not name.endswith(SCALE):
                digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
