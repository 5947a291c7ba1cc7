"""The encoder of the VQ-VAE: pixels around what moved -> a vector for each changed cell.

It is shown what is there before and after: a crop around what moved in the field, one along the paddle, or a cell of
the score. Where these crops lie is a rule; what they show is pixels.
"""

import torch
from torch import Tensor, nn

from model import breakout as screen
from model.appearance import WALL_BOTTOM
from model.breakout import CELL_COLUMNS, CELL_ROWS, CODE_DIM, COLUMNS, GRID_COLUMNS, PADDLE_BOTTOM, PADDLE_TOP, ROWS
from model.context import Embedding
from model.tracker import cut_off, edges, paddle

BALL_BOX, STRIP, DIGIT_BLOCK = 20, 40, (2, 4)  # pixels: sides of the ball's crop, the paddle's, and of digits' blocks
SCORE_PIXELS = CELL_ROWS // DIGIT_BLOCK[0] * (CELL_COLUMNS // DIGIT_BLOCK[1])
NEW_WALL = 1  # the place that is given for a new wall, which has no crop of its own; nothing else comes from there
CROPS = 2 * BALL_BOX**2 + 2 * STRIP + 2 * SCORE_PIXELS
SCORE_CELLS, FIELD_CELLS, PADDLE_CELLS, WALL_CELLS = range(4)
"""Kinds of changed cells: in the score's row; where ball or single bricks changed; where only the paddle did; where
many bricks came at once."""
RANKS = -1, PADDLE_CELLS, WALL_CELLS, FIELD_CELLS, SCORE_CELLS  # of several in one cell the last counts


def _rows(*bands: tuple[int, int]) -> Tensor:
    """(210, 1) uint8: 1 in these bands of rows, 0 elsewhere."""
    return torch.tensor([[any(top <= row < bottom for top, bottom in bands)] for row in range(ROWS)], dtype=torch.uint8)


SCORE_ROWS, WALL_ROWS = _rows((0, CELL_ROWS)), _rows((screen.WALL_TOP, WALL_BOTTOM))
FIELD_ROWS = _rows((screen.FIELD_TOP, PADDLE_TOP), (PADDLE_BOTTOM, screen.FIELD_BOTTOM))  # but the paddle's


def paddles_in(strips: Tensor) -> tuple[Tensor, Tensor]:
    """Where the paddle is in its rows of frames, before and after (B, 2, 4, 160) uint8, up to the right wall: (B, 2,
    160) bool; and its column + 1 before (B,) if the wall cut it off there, else 0."""
    columns = torch.arange(COLUMNS, device=strips.device)
    long = torch.full_like(columns[:1], screen.LONG_PADDLE)[None]
    at = paddle(strips.reshape(-1, PADDLE_BOTTOM - PADDLE_TOP, COLUMNS), long).reshape(-1, 2, 1, 2)
    left, right = at[..., 0], (at[..., 0] + at[..., 1]).clamp(max=screen.FIELD_RIGHT)
    return (columns >= left) & (columns < right), torch.where(cut_off(at[:, 0, 0]), left[:, 0, 0] + 1, 0)


def window(masks: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The ball's box in masks (B, 2, 210, 160) from (B,) rows and columns on: (B, 800) float; 0 beyond the frame."""
    box = torch.arange(BALL_BOX, device=masks.device)
    rows, columns = row[:, None] + box, column[:, None] + box
    inside = ((rows < ROWS)[:, :, None] & (columns < COLUMNS)[:, None]).flatten(1)
    number = (rows.clamp(max=ROWS - 1)[:, :, None] * COLUMNS + columns.clamp(max=COLUMNS - 1)[:, None]).flatten(1)
    found = masks.flatten(2).gather(2, number[:, None].expand(-1, 2, -1))
    return (found & inside[:, None]).flatten(1).float()


def crops(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two frames (B, 210, 160) uint8 -> what is shown of each of the 35 cells. Bits of ball and paddle crops (B, 880),
    of each of the five score cells (B, 5, 240), the places (B, 3): the ball's two and the paddle's, and the kind of
    each cell (B, 35) int64, -1 where it does not change."""
    device, low = before.device, slice(PADDLE_TOP, PADDLE_BOTTOM)
    differs, strips = before != after, torch.stack((before[:, low], after[:, low]), 1)
    paddles, at_edge = paddles_in(strips)
    # In the paddle's rows all that is not the paddle is the ball, also where it takes the paddle's place.
    among = torch.tensor([screen.FIELD_LEFT <= column < screen.FIELD_RIGHT for column in range(COLUMNS)], device=device)
    strip = strips.bool() & ~paddles[:, :, None] & (differs[:, None, low] | among)  # (B, 2, 4, 160)
    old, new = (frame[:, screen.WALL_TOP : WALL_BOTTOM].bool() for frame in (before, after))
    # More pixels than a ball may bring, where the bricks are: it is a new wall.
    laid = ((new & ~old).float().sum((1, 2)) > 60).to(torch.uint8)[:, None, None] * WALL_ROWS.to(device)
    # Bytes are made bools: a graph compares them with 0 as whole numbers.
    moved = torch.stack((before, after), 1).bool() & differs[:, None]
    ball = moved & (FIELD_ROWS.to(device) - laid).bool()[:, None]
    ball = torch.cat((ball[:, :, :PADDLE_TOP], strip, ball[:, :, PADDLE_BOTTOM:]), 2)
    columns = torch.ones(ROWS, device=device) @ ball.float()  # (B, 2, 160): how many pixels
    (row, _), (column, _) = edges(ball.to(torch.uint8).amax(3).amax(1)), edges(columns.sum(1))
    gone, come = (columns.sum(2) > 0).unbind(1)
    # The row counts: on some lines the Atari draws the ball a line taller.
    place = torch.where(gone | come, row + 1, 0), torch.where(come & ~gone, column + 1, 0), at_edge
    start, _ = edges(paddles.to(torch.uint8).amax(1))
    reach = start[:, None] + torch.arange(STRIP, device=device)  # (B, 40)
    along = paddles.gather(2, reach.clamp(max=COLUMNS - 1)[:, None].expand(-1, 2, -1)) & (reach < COLUMNS)[:, None]
    # One pixel of each block of a digit in the score's row.
    top = moved[:, :, : CELL_ROWS : DIGIT_BLOCK[0], :: DIGIT_BLOCK[1]].float()
    top = top.reshape(-1, 2, CELL_ROWS // DIGIT_BLOCK[0], GRID_COLUMNS, CELL_COLUMNS // DIGIT_BLOCK[1])
    shared = torch.cat((window(ball, row, column), along.flatten(1).float()), 1)
    kind = kinds(differs, laid, strip, paddles)
    return shared, top.permute(0, 3, 1, 2, 4).flatten(2), torch.stack(place, 1), kind


def kinds(differs: Tensor, laid: Tensor, strip: Tensor, paddles: Tensor) -> Tensor:
    """The kind of each cell, (B, 35) int64, -1 where it does not change; of what `crops` makes of two frames."""
    device, low = differs.device, slice(PADDLE_TOP, PADDLE_BOTTOM)
    ranks = 4 * SCORE_ROWS.to(device) + 3 * FIELD_ROWS.to(device) - laid  # (B, 210, 1)
    ball, slid = (part.to(torch.uint8).amax(1).bool() for part in (strip, paddles))
    slid = (slid[:, None] & ~ball & differs[:, low]).to(torch.uint8)
    lowest = 3 * (ball & differs[:, low]).to(torch.uint8) + slid  # (B, 4, 160)
    cells = differs.to(torch.uint8).reshape(-1, ROWS, GRID_COLUMNS, CELL_COLUMNS).amax(3) * ranks
    lowest = lowest.reshape(-1, PADDLE_BOTTOM - PADDLE_TOP, GRID_COLUMNS, CELL_COLUMNS).amax(3)
    cells = torch.cat((cells[:, :PADDLE_TOP], lowest, cells[:, PADDLE_BOTTOM:]), 1)  # (B, 210, 5)
    cells = cells.reshape(-1, screen.GRID_ROWS, CELL_ROWS, GRID_COLUMNS).amax(2)  # (B, 7, 5)
    return torch.tensor(RANKS, device=device)[cells.transpose(1, 2).flatten(1).long()]


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

    def each(self, shared: Tensor, top: Tensor, place: Tensor) -> Tensor:
        """What `crops` gives -> the vectors of a field, a paddle, a wall, and of the five score cells (B * 8, 128)."""
        games, box = shared.shape[0], 2 * BALL_BOX**2
        weights = self.bits.weight.split((box, 2 * STRIP, 2 * SCORE_PIXELS), 1)  # the rest of the bits is blank
        parts = zip((shared[:, :box], shared[:, box:], top.flatten(0, 1)), weights, strict=True)
        ball, along, score = (
            nn.functional.linear(bits, weight).reshape(games, -1, len(weight)) for bits, weight in parts
        )
        own, at_edge = place[:, :2], nn.functional.pad(place[:, 2:], (1, 0))
        places = torch.stack((own, at_edge, torch.full_like(own, NEW_WALL)), 1)
        places = nn.functional.pad(places, (0, 0, 0, GRID_COLUMNS)).flatten(0, 1)
        seen = torch.cat((ball, along, torch.zeros_like(along), score), 1).flatten(0, 1)
        return self.norm(self.layers(seen + self.bits.bias + self.place(places)))
