"""Made-up states of the game, written into RAM: a ball of any speed at any place, and the wall and score to fit it.

Every state is one that a game could be in: the ball's speed follows from hits, fast and steep; a fast ball or a narrow
paddle has a wall that lets it through; wall and score agree, unless a score is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collect import ram
from collect.emulator import MOST_LIVES, Emulator
from collect.policies import random_wall
from model.breakout import BRICK_COLUMNS, BRICK_HEIGHT, BRICK_ROWS, FIELD_LEFT, WALL_TOP

MOST_HITS = 12
SETTLE = 3
"""Emulator frames in which an edit, and what a restored screen keeps of before, go by; never part of a scene."""
WALL_BOTTOM, RIGHT_WALL = WALL_TOP + BRICK_ROWS * BRICK_HEIGHT, 150
"""The first row below the bricks, and the ball's last column before the right wall."""
NARROW_SHARE, STEEP_SHARE, FAST_SHARE, OFF_TOP_SHARE, EIGHTHS_SHARE = 0.25, 0.5, 0.25, 0.2, 0.6


def speed(hits: int, fast: bool, steep: bool) -> tuple[float, float]:
    """The ball's speed (rows, columns), pixels a frame, as the game sets it at the paddle and at the bricks."""
    if fast:
        return 3.375, 2.0
    if hits == 0:
        return 1.0, 1.0
    if hits < 4:
        return (1.5, 1.0) if steep else (1.0, 1.5)
    if hits < 8:
        return (2.0, 0.5) if steep else (2.0, 1.5)
    return (1.0, 2.0) if hits < MOST_HITS else (2.0, 2.0)


@dataclass(frozen=True)
class Ball:
    """The ball's state: its way, what RAM remembers of it, and its place in pixels of the screen."""

    down: bool
    right: bool
    hits: int
    fast: bool
    steep: bool
    contact: int
    row: float = 0.0
    column: float = 0.0

    @property
    def velocity(self) -> tuple[float, float]:
        """(rows, columns), pixels a frame, down and right positive."""
        rows, columns = speed(self.hits, self.fast, self.steep)
        return rows if self.down else -rows, columns if self.right else -columns

    def flown(self, frames: float) -> Ball:
        """After so many frames (before, if negative) if only the side walls turned it."""
        rows, columns = self.velocity
        column, right = self.column + columns * frames, self.right
        for wall in (FIELD_LEFT, RIGHT_WALL, FIELD_LEFT, RIGHT_WALL):
            if (column < wall) == (wall == FIELD_LEFT) and column != wall:
                column, right = 2 * wall - column, not right
        return replace(self, row=self.row + rows * frames, column=column, right=right)


def draw_ball(rng: np.random.Generator, down: bool, fast_share: float = FAST_SHARE, served: float = 0.0) -> Ball:
    """A ball of any speed at no place yet. It comes off the paddle if it flies up, else off top wall or bricks."""
    fast = rng.random() < fast_share
    hits = 0 if fast else int(rng.integers(1, MOST_HITS + 1))
    right, steep = rng.random() < 0.5, rng.random() < STEEP_SHARE
    if rng.random() < served:  # it has not met anything since the serve
        return Ball(True, right, 0, False, steep, 0)
    return Ball(down, right, hits, fast, steep, 1 if not down else 0 if rng.random() < OFF_TOP_SHARE else 2)


def draw_wall(rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A wall at a random stage of being eaten: (6, 18) bool."""
    return ram.read_wall(np.frombuffer(random_wall(rng), np.uint8))


def _ball_bytes(rng: np.random.Generator, ball: Ball) -> dict[int, int]:
    """What RAM holds of a ball that will be in its place when the edit has settled. Half pixels are chance's."""
    ball = ball.flown(-SETTLE)
    down, left = (round(256 * part) & 0xFFFF for part in (ball.velocity[0], -ball.velocity[1]))
    # A fast ball moves by eighths of a row, and all balls after it in a game begin at one.
    finest = 32 if ball.fast or rng.random() < EIGHTHS_SHARE else 128
    return {
        ram.BALL_Y: int(ball.row) + ram.BALL_Y_OFFSET,
        ram.BALL_X: int(ball.column) + ram.BALL_X_OFFSET,
        ram.BALL_Y_FRACTION: finest * int(rng.integers(256 // finest)),
        ram.BALL_X_FRACTION: 128 * int(rng.integers(2)),
        ram.SPEED_Y: down >> 8,
        ram.SPEED_Y_FRACTION: down & 255,
        ram.SPEED_X: left >> 8,
        ram.SPEED_X_FRACTION: left & 255,
        ram.CONTACT: ball.contact << 6 | ball.fast << 4 | ball.hits,
        ram.STEEP: 2 * ball.steep,
    }


def put_game(
    emulator: Emulator,
    rng: np.random.Generator,
    ball: Ball | None = None,
    wall: npt.NDArray[np.bool_] | None = None,
    score: int | None = None,
) -> None:
    """Put everything but the paddle's place: what is not given is drawn, so that it fits what is."""
    narrow = rng.random() < NARROW_SHARE
    if ball is not None and ball.contact == 0:  # either it was at the top wall, or it has just been served
        narrow = ball.fast or ball.hits > 0
    if wall is None:
        wall = draw_wall(rng)
        if ball is not None and (narrow or ball.fast):
            wall[:, rng.integers(BRICK_COLUMNS)] = False
    if score is None:  # of the first wall or the second
        score = ram.FIRST_WALL * int(rng.integers(1, 3)) - ram.wall_points(wall)
    lives, clock = int(rng.integers(1, MOST_LIVES + 1)), int(rng.integers(256))
    emulator.poke(ram.wall_and_score(ram.wall_bytes(wall), score) | {ram.LIVES: lives, ram.CLOCK: clock})
    if ball is not None:
        if narrow and not wall.any(axis=0).all():  # there must be a way to the top wall
            emulator.poke({ram.NARROW: 128, ram.SPRITE: 0xE0, ram.SPRITE_PLACE: 6})
        emulator.poke(_ball_bytes(rng, ball))
