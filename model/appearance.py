"""What things look like: learned stamps, and a frame as layers of them.

A frame is a plate with bricks, digits, paddle and ball on it, and each comes whole: a drawn ball is a ball, a drawn
brick is a brick. (A sprite decoder; compare MarioNette, Smirnov et al. 2021, https://arxiv.org/abs/2104.14553, whose
layers are found without a teacher.) That there are these layers, and where their boxes lie, is a prior. What is in them
is learned from frames by `train/appearance.py`: the commonest class of each pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.breakout import (
    BALL_HEIGHT,
    BALL_ROWS,
    BALL_WIDTH,
    BRICK_COLUMNS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_WIDTH,
    COLUMNS,
    DIGIT_COLUMNS,
    DIGIT_HEIGHT,
    DIGIT_TOP,
    DIGIT_WIDTH,
    FIELD_BOTTOM,
    FIELD_LEFT,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    ROWS,
    WALL_TOP,
)
from model.state import Things

CLEAR = 255
"""In a stamp: this pixel shows what lies beneath."""
WALL_HEIGHT, WALL_WIDTH = BRICK_ROWS * BRICK_HEIGHT, BRICK_COLUMNS * BRICK_WIDTH


class Appearance(nn.Module):
    """Stamps of classes 0..8, or `CLEAR`.

    plate   (210, 160)    what is always there
    bricks  (36, 144)     a whole wall
    digits  (10, 10, 12)  0..9
    paddle  (4, 16)       a long one; a short one is its left part
    balls   (224, 210)    for each row of a ball, its two columns on all scanlines: the Atari draws it taller, or a line
                          higher, at some rows, and in the colour of the scanline
    last    (224,)        for each row of a ball, from which column on it is not on the last scanline of the field: the
                          Atari turns the ball off there while the beam is on its way across
    """

    plate: Tensor
    bricks: Tensor
    digits: Tensor
    paddle: Tensor
    balls: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        empty: dict[str, tuple[int, ...]] = {"plate": (ROWS, COLUMNS), "bricks": (WALL_HEIGHT, WALL_WIDTH)}
        empty |= {"digits": (10, DIGIT_HEIGHT, DIGIT_WIDTH), "paddle": (PADDLE_BOTTOM - PADDLE_TOP, LONG_PADDLE)}
        for name, shape in empty.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.uint8))
        self.register_buffer("balls", torch.full((BALL_ROWS, ROWS), CLEAR, dtype=torch.uint8))
        self.register_buffer("last", torch.full((BALL_ROWS,), COLUMNS, dtype=torch.uint8))
        self._edges: Tensor | None = None

    def fix(self) -> None:
        """Look up once and for all what follows from the stamps: they do not change any more."""
        self._edges = self.ball_of_edge()

    def ball_of_edge(self) -> Tensor:
        """Which ball has its first pixel on each scanline, and which its last: (2, 210) int64 rows, 0 where none."""
        if self._edges is not None:
            return self._edges
        drawn, lines = self.balls != CLEAR, torch.arange(ROWS, device=self.balls.device)
        edges = torch.stack((drawn.int().argmax(1), ROWS - 1 - drawn.flip(1).int().argmax(1)))
        edges = torch.where(drawn.any(1), edges, -1)  # (2, 224): the scanlines of each ball
        rows = torch.arange(BALL_ROWS, device=lines.device)
        return torch.where(edges[:, None] == lines[:, None], rows, 0).amax(2)

    def paint(self, things: Things) -> Tensor:
        """Draw the things of B moments: -> (B, 210, 160) uint8 classes.

        Walls hide what is under them: paddle and ball are drawn only where the plate is background.
        """
        device = self.plate.device
        rows, columns = torch.arange(ROWS, device=device), torch.arange(COLUMNS, device=device)
        below = self._score(things.board)  # (B, 210, 160): the plate with digits and bricks
        below = torch.where(self._over_wall(things.wall), self._whole_wall(), below)
        open_field = self.plate == 0
        at = columns - things.paddle[:, :1]  # (B, 160): columns from the paddle's left end
        along = (at >= 0) & (at < things.paddle[:, 1:])
        band = slice(PADDLE_TOP, PADDLE_BOTTOM)
        stamp = self.paddle.T[at.clamp(0, LONG_PADDLE - 1)].movedim(2, 1)  # (B, 4, 160)
        paddle = torch.where(along[:, None] & open_field[band], stamp, below[:, band])
        below = torch.cat((below[:, :PADDLE_TOP], paddle, below[:, PADDLE_BOTTOM:]), 1)
        row = things.ball[:, 0].clamp(0, BALL_ROWS - 1)
        ball = self.balls[row]  # (B, 210)
        at = columns - things.ball[:, 1:]
        beside = (at >= 0) & (at < BALL_WIDTH)
        on = (rows != FIELD_BOTTOM - 1)[:, None] | (columns < self.last[row][:, None])[:, None]  # (B, 210, 160)
        return torch.where((ball != CLEAR)[:, :, None] & on & beside[:, None] & open_field, ball[:, :, None], below)

    def _score(self, board: Tensor) -> Tensor:
        stamps = self.digits[board]  # (B, 4, 10, 12)
        band = self.plate[DIGIT_TOP : DIGIT_TOP + DIGIT_HEIGHT].expand(board.shape[0], -1, -1)
        parts, end = [], 0
        for number, column in enumerate(DIGIT_COLUMNS):
            parts += [band[:, :, end:column], stamps[:, number]]
            end = column + DIGIT_WIDTH
        band = torch.cat([*parts, band[:, :, end:]], 2)
        above = self.plate[:DIGIT_TOP].expand(board.shape[0], -1, -1)
        return torch.cat((above, band, self.plate[DIGIT_TOP + DIGIT_HEIGHT :].expand(board.shape[0], -1, -1)), 1)

    def _over_wall(self, wall: Tensor) -> Tensor:
        """(B, 6, 18) -> (B, 210, 160) bool, the pixels of standing bricks."""
        blocks = (wall > 0)[:, :, None, :, None].expand(-1, -1, BRICK_HEIGHT, -1, BRICK_WIDTH)
        pixels = blocks.reshape(-1, WALL_HEIGHT, WALL_WIDTH)
        right, below = COLUMNS - FIELD_LEFT - WALL_WIDTH, ROWS - WALL_TOP - WALL_HEIGHT
        return nn.functional.pad(pixels.to(torch.int32), (FIELD_LEFT, right, WALL_TOP, below)) > 0

    def _whole_wall(self) -> Tensor:
        right, below = COLUMNS - FIELD_LEFT - WALL_WIDTH, ROWS - WALL_TOP - WALL_HEIGHT
        return nn.functional.pad(self.bricks.to(torch.int32), (FIELD_LEFT, right, WALL_TOP, below)).to(torch.uint8)


def shows(things: Things, look: Appearance, whole: bool = False) -> Tensor:
    """Whether a frame shows the ball, or all of it, or walls, bricks or the paddle of its own colour hide it: (B,)."""
    ball = things.ball
    # The Atari may draw a ball a little higher or taller than it is.
    rows = ball[:, :1] + torch.arange(-2, BALL_HEIGHT + 3, device=ball.device)  # (B, 9)
    columns = ball[:, 1:] + torch.arange(BALL_WIDTH, device=ball.device)  # (B, 2)
    on_screen = (rows >= 0) & (rows < ROWS)
    rows, columns = rows.clamp(0, ROWS - 1), columns.clamp(0, COLUMNS - 1)
    which = ball[:, :1].clamp(0, BALL_ROWS - 1)
    drawn = torch.where(on_screen, look.balls[which, rows], CLEAR)[:, :, None]  # (B, 9, 1)
    on = (rows != FIELD_BOTTOM - 1)[:, :, None] | (columns < look.last[which])[:, None]  # (B, 9, 2)
    plate = look.plate[rows[:, :, None], columns[:, None]]  # (B, 9, 2)
    row, column = (rows - WALL_TOP)[:, :, None], (columns - FIELD_LEFT)[:, None]
    inside = (row >= 0) & (row < WALL_HEIGHT) & (column >= 0) & (column < WALL_WIDTH)
    row, column = row.clamp(0, WALL_HEIGHT - 1), column.clamp(0, WALL_WIDTH - 1)
    number = row // BRICK_HEIGHT * BRICK_COLUMNS + column // BRICK_WIDTH
    stands = things.wall.flatten(1).gather(1, number.flatten(1)).reshape(number.shape) > 0
    in_brick = inside & stands & (look.bricks[row, column] == drawn)
    at = columns[:, None] - things.paddle[:, :1, None]
    band = ((rows >= PADDLE_TOP) & (rows < PADDLE_BOTTOM))[:, :, None]
    in_paddle = band & (at >= 0) & (at < things.paddle[:, 1:, None])
    there = (drawn != CLEAR) & on
    seen = there & (plate == 0) & ~in_brick & ~in_paddle
    enough = (seen == there).flatten(1).all(1) if whole else seen.flatten(1).any(1)
    return enough & (ball[:, 0] > 0)
