"""What things look like: learned stamps, and a frame as layers of them.

A frame is a plate with bricks, digits, paddle and ball on it, and each comes whole: a drawn ball is a ball, a drawn
brick is a brick. (A sprite decoder; compare MarioNette, Smirnov et al. 2021, https://arxiv.org/abs/2104.14553, whose
layers are found without a teacher.) That there are these layers, and where their boxes lie, is a prior. What is in them
is learned from frames by `train/appearance.py`: the commonest class of each pixel.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model import breakout as screen
from model.breakout import BALL_ROWS, BALL_WIDTH, BRICK_COLUMNS, BRICK_ROWS, BRICK_WIDTH, COLUMNS, ROWS, WALL_TOP
from model.state import Things

CLEAR = 255  # in a stamp: this pixel shows what lies beneath
WALL_HEIGHT, WALL_WIDTH = BRICK_ROWS * screen.BRICK_HEIGHT, BRICK_COLUMNS * BRICK_WIDTH
WALL_BOTTOM = WALL_TOP + WALL_HEIGHT
REACH = range(-2, screen.BALL_HEIGHT + 3)  # where a ball may show, from its row: the Atari may draw it higher or taller


class Tables(NamedTuple):
    """What follows from the stamps."""

    balls: Tensor  # (672, 18) uint8: the pixels in a ball's reach, by its row * 3 + how many the last scanline may show
    ball: Tensor  # (672, 18) bool: which of them are its own
    bricks: Tensor  # (33600,) uint8: the brick at each pixel, from 1 on; 0 where there is none
    open: Tensor  # (33600,) bool: whether the plate hides nothing there
    colours: Tensor  # (33600,) uint8: the class of that brick
    along: Tensor  # (33600,) int16: the column of each pixel in the paddle's rows, elsewhere -4096
    last: Tensor  # (224,) int64: as the stamp
    wall: Tensor  # (6, 6, 160) uint8: what a whole wall adds to the plate, by rows of bricks (modulo 256)
    edges: Tensor  # (2, 210) int64: which ball has its first pixel on each scanline, and which its last, 0 where none


class Ball(NamedTuple):
    """The pixels in reach of a ball, (B, 18) each."""

    number: Tensor  # on the screen
    stamp: Tensor  # its class
    drawn: Tensor  # whether it is drawn there
    seen: Tensor  # whether it can be told from what is beneath


def pixels(rows: Iterable[int], columns: Iterable[int]) -> Tensor:
    """The numbers of a box's pixels on the screen, (n,) int64, row by row."""
    return (torch.tensor([*rows])[:, None] * COLUMNS + torch.tensor([*columns])).flatten()


class Appearance(nn.Module):
    """Stamps of classes 0..8, or `CLEAR`. Of a ball, for each of its rows: its two columns on all scanlines, for the
    Atari draws it taller, or a line higher, at some rows, and in the colour of the scanline; and from which column on
    it is not on the field's last scanline, where the Atari turns it off while the beam is on its way across."""

    def __init__(self) -> None:
        super().__init__()

        def stamp(*shape: int, of: int = 0) -> nn.Buffer:
            return nn.Buffer(torch.full(shape, of, dtype=torch.uint8))

        self.plate = stamp(ROWS, COLUMNS)  # what is always there
        self.bricks = stamp(WALL_HEIGHT, WALL_WIDTH)  # a whole wall
        self.digits = stamp(10, screen.DIGIT_HEIGHT, screen.DIGIT_WIDTH)
        band = range(screen.PADDLE_TOP, screen.PADDLE_BOTTOM)
        self.paddle = stamp(len(band), screen.LONG_PADDLE)  # a short one is its left part
        self.balls, self.last = stamp(BALL_ROWS, ROWS, of=CLEAR), stamp(BALL_ROWS, of=COLUMNS)
        digit = range(screen.DIGIT_TOP, screen.DIGIT_TOP + screen.DIGIT_HEIGHT)
        digits = torch.cat([pixels(digit, range(c, c + screen.DIGIT_WIDTH)) for c in screen.DIGIT_COLUMNS])
        self.digit_pixels = nn.Buffer(digits, persistent=False)
        self.paddle_pixels = nn.Buffer(pixels(band, [0])[:, None], persistent=False)
        self.ball_pixels = nn.Buffer(pixels(REACH, range(BALL_WIDTH)), persistent=False)
        self._tables: Tables | None = None

    def fix(self) -> None:
        """Look up once and for all what follows from the stamps: they do not change any more."""
        self._tables = self.tables()

    def tables(self) -> Tables:
        """What follows from the stamps."""
        if self._tables is not None:
            return self._tables
        device = self.plate.device
        field = slice(WALL_TOP, WALL_BOTTOM), slice(screen.FIELD_LEFT, screen.FIELD_RIGHT)
        number = 1 + torch.arange(BRICK_ROWS * BRICK_COLUMNS, dtype=torch.uint8, device=device)
        bricks, colours, is_open = torch.zeros_like(self.plate), self.plate.clone(), self.plate == 0
        whole = number.reshape(BRICK_ROWS, -1).repeat_interleave(screen.BRICK_HEIGHT, 0)
        bricks[field] = whole.repeat_interleave(BRICK_WIDTH, 1)
        colours[field], is_open[field] = self.bricks, True
        along = torch.full_like(self.plate, -4096, dtype=torch.int16)
        along[screen.PADDLE_TOP : screen.PADDLE_BOTTOM] = torch.arange(COLUMNS, dtype=torch.int16, device=device)
        lines, rows = torch.arange(ROWS, device=device), torch.arange(BALL_ROWS, device=device)
        reach = rows[:, None] + torch.tensor(REACH, device=device)
        near = self.balls.gather(1, reach.clamp(0, ROWS - 1)).masked_fill((reach < 0) | (reach >= ROWS), CLEAR)
        near = near.repeat_interleave(BALL_WIDTH, 1)
        column, line = self.ball_pixels % COLUMNS, (reach == screen.FIELD_BOTTOM - 1).repeat_interleave(BALL_WIDTH, 1)
        balls = torch.stack([near.masked_fill(line & (column >= shown), CLEAR) for shown in range(BALL_WIDTH + 1)], 1)
        drawn = self.balls != CLEAR
        edges = torch.stack((drawn.int().argmax(1), ROWS - 1 - drawn.flip(1).int().argmax(1)))
        edges = torch.where(drawn.any(1), edges, -1)  # (2, 224): the scanlines of each ball
        return Tables(
            balls.flatten(0, 1),
            balls.flatten(0, 1) != CLEAR,
            bricks.flatten(),
            is_open.flatten(),
            colours.flatten(),
            along.flatten(),
            self.last.long(),
            (colours - self.plate)[WALL_TOP:WALL_BOTTOM].reshape(BRICK_ROWS, screen.BRICK_HEIGHT, COLUMNS),
            torch.where(edges[:, None] == lines[:, None], rows, 0).amax(2),
        )

    def paint(self, things: Things) -> Tensor:
        """Draw the things of B moments: -> (B, 210, 160) uint8 classes."""
        return self.draw(things)[0]

    def draw(self, things: Things) -> tuple[Tensor, Tensor]:
        """As `paint`, and whether the frame shows the ball (B,), as `shows` says. Walls hide what is under them: paddle
        and ball are drawn only where the plate is background."""
        frame = self.beneath(things.wall, 0, ROWS).flatten(1)
        number, stamp = self.paddle_at(things.paddle)
        number = torch.cat((self.digit_pixels + 0 * things.paddle[:, :1], number), 1)
        frame = frame.scatter(1, number, torch.cat((self.digits[things.board].flatten(1), stamp), 1))
        ball = self.ball(things)
        shown = torch.where(ball.drawn, ball.stamp, frame.gather(1, ball.number))
        return frame.scatter(1, ball.number, shown).reshape(-1, ROWS, COLUMNS), somewhere(ball.seen)

    def beneath(self, wall: Tensor, top: int, bottom: int) -> Tensor:
        """Rows of the plate with bricks, without all else: wall (B, 6, 18) -> (B, bottom - top, 160)."""
        edge = screen.FIELD_LEFT // BRICK_WIDTH
        whole = nn.functional.pad(wall, (edge, COLUMNS // BRICK_WIDTH - BRICK_COLUMNS - edge))
        stands = (whole[..., None] * torch.ones_like(self.paddle[0, :BRICK_WIDTH])).reshape(-1, BRICK_ROWS, 1, COLUMNS)
        adds = (stands * self.tables().wall).reshape(-1, WALL_HEIGHT, COLUMNS)
        return self.plate[top:bottom] + nn.functional.pad(adds, (0, 0, WALL_TOP - top, bottom - WALL_BOTTOM))

    def paddle_at(self, paddle: Tensor) -> tuple[Tensor, Tensor]:
        """The pixels where a paddle (B, 2) may be: their numbers on the screen (B, 64), and their classes."""
        along = torch.arange(screen.LONG_PADDLE, device=paddle.device)
        number = (paddle[:, :1] + along).clamp(0, COLUMNS - 1)[:, None] + self.paddle_pixels  # (B, 4, 16)
        plate = self.plate.flatten()[number]
        there = (along < paddle[:, 1:])[:, None] & ~plate.bool()
        return number.flatten(1), torch.where(there, self.paddle, plate).flatten(1)

    def ball(self, things: Things) -> Ball:
        """The ball's pixels. Walls hide it; bricks and the paddle are beneath it."""
        tables, most = self.tables(), torch.tensor((BALL_ROWS - 1, COLUMNS - BALL_WIDTH), device=things.ball.device)
        ball = torch.minimum(things.ball.clamp(min=0), most)
        row, column = ball[:, :1], ball[:, 1:]
        number = (row * COLUMNS + column + self.ball_pixels).clamp(0, ROWS * COLUMNS - 1)
        shown = (tables.last[row] - column).clamp(0, BALL_WIDTH)
        which = (row * (BALL_WIDTH + 1) + shown)[:, 0]
        stamp, drawn = tables.balls[which], tables.ball[which] & tables.open[number]
        stands = nn.functional.pad(things.wall.flatten(1), (1, 0)).gather(1, tables.bricks[number].long()).bool()
        along = tables.along[number].long() - things.paddle[:, :1]
        in_paddle = (along >= 0) & (along < things.paddle[:, 1:])
        return Ball(number, stamp, drawn, drawn & ~(stands & (tables.colours[number] == stamp) | in_paddle))


def shows(things: Things, look: Appearance, whole: bool = False) -> Tensor:
    """Whether a frame shows the ball, or all of it, or walls, bricks or the paddle of its own colour hide it: (B,)."""
    ball = look.ball(things)
    if whole:
        return (ball.seen == (ball.stamp != CLEAR)).all(1) & (things.ball[:, 0] > 0)
    return somewhere(ball.seen)


def somewhere(mask: Tensor) -> Tensor:
    """Whether anything is set along the second axis of a mask. (As a graph, `any` would add up numbers of 64 bits.)"""
    return mask.to(torch.uint8).amax(1).bool()
