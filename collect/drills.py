"""Scenario resets: short scenes around what is rare in a game, made by editing RAM.

In a game the ball is in free flight most of the time. A scene takes up a game at some place of the paddle, puts wall,
score, lives, clock and ball as its kind asks for, lets the edit show, and plays on for a moment: the same bounce is met
at many places of the paddle, under every key, among all bricks. Every state is one that a game could be in: the ball's
speed follows from hits, fast and steep; a fast ball or a narrow paddle has a wall that lets it through; wall and score
agree, unless a score is given."""

import struct
from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.random import Generator

from collect import ram
from collect.dataset import EpisodeWriter
from collect.emulator import Emulator, Objects, Snapshot
from collect.policies import MixedPolicy, Policy, lay_wall, random_wall, toward
from collect.ram import Wall
from model import breakout
from model.breakout import BRICK_COLUMNS, BRICK_HEIGHT, BRICK_ROWS, BRICK_WIDTH, FIELD_LEFT, WALL_TOP, Action

POOL_FRAMES = 480  # emulator frames of an episode's pool of moments that scenes begin from
AT_PADDLE, LOST = 185, 217  # the ball's row when it touches the paddle, and after which it is lost
AFTER = 8  # emulator frames that a scene goes on after what it is about
TURNING = (9, 19, 49, 99, 199, 299, 399, 499, 599, 699, 799)
"""Scores that are about to turn over: a scene of digits begins up to six points below."""
NO_WALL = np.zeros((BRICK_ROWS, BRICK_COLUMNS), np.bool_)  # whether a brick is there, from the top left
Scene = tuple[int, Policy]  # one that is set up: how many emulator frames it lasts, and who plays it
MOST_HITS = 12
SETTLE = 3  # emulator frames in which an edit, and what a restored screen keeps of before, go by; never part of a scene
WALL_BOTTOM, RIGHT_WALL = WALL_TOP + BRICK_ROWS * BRICK_HEIGHT, 150
"""The first row below the bricks, and the ball's last column before the right wall."""
NARROW_SHARE, STEEP_SHARE, FAST_SHARE, OFF_TOP_SHARE, EIGHTHS_SHARE = 0.25, 0.5, 0.25, 0.2, 0.6
SERVED_SHARE = 0.07  # of falling balls; they have met nothing since their serve


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


class Ball(NamedTuple):
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

    def flown(self, frames: float) -> Self:
        """After so many frames (before, if negative) if only the side walls turned it."""
        rows, columns = self.velocity
        column, right = self.column + columns * frames, self.right
        for wall in (FIELD_LEFT, RIGHT_WALL, FIELD_LEFT, RIGHT_WALL):
            if (column < wall) == (wall == FIELD_LEFT) and column != wall:
                column, right = 2 * wall - column, not right
        return self._replace(row=self.row + rows * frames, column=column, right=right)


def draw_ball(rng: Generator, down: bool, fast_share: float = FAST_SHARE, served: float = 0.0) -> Ball:
    """A ball of any speed at no place yet. It comes off the paddle if it flies up, else off top wall or bricks."""
    fast = rng.random() < fast_share
    hits = 0 if fast else int(rng.integers(1, MOST_HITS + 1))
    right, steep = rng.random() < 0.5, rng.random() < STEEP_SHARE
    if rng.random() < served:  # it has not met anything since the serve
        return Ball(True, right, 0, False, steep, 0)
    return Ball(down, right, hits, fast, steep, 1 if not down else 0 if rng.random() < OFF_TOP_SHARE else 2)


def draw_wall(rng: Generator) -> Wall:
    """A wall at a random stage of being eaten."""
    return ram.read_wall(np.frombuffer(random_wall(rng), np.uint8))


def _ball_bytes(rng: Generator, ball: Ball) -> dict[int, int]:
    """What RAM holds of a ball that will be in its place when the edit has settled. Half pixels are chance's."""
    ball = ball.flown(-SETTLE)
    speeds = struct.pack(">2h", round(256 * ball.velocity[0]), -round(256 * ball.velocity[1]))  # high bytes first
    finest = 32 if ball.fast or rng.random() < EIGHTHS_SHARE else 128  # eighths, as all balls after a fast one have
    return {
        ram.BALL_Y: int(ball.row) + ram.BALL_Y_OFFSET,
        ram.BALL_X: int(ball.column) + ram.BALL_X_OFFSET,
        ram.BALL_Y_FRACTION: finest * int(rng.integers(256 // finest)),
        ram.BALL_X_FRACTION: 128 * int(rng.integers(2)),
        **dict(enumerate(speeds, ram.SPEED_Y)),
        ram.CONTACT: ball.contact << 6 | ball.fast << 4 | ball.hits,
        ram.STEEP: 2 * ball.steep,
    }


def game_bytes(rng: Generator, ball: Ball | None, wall: Wall | None = None, score: int | None = None) -> dict[int, int]:
    """What RAM holds of everything but the paddle's place: what is not given is drawn, so that it fits what is."""
    narrow = rng.random() < NARROW_SHARE
    if ball is not None and ball.contact == 0:  # either it was at the top wall, or it has just been served
        narrow = ball.fast or ball.hits > 0
    if wall is None:
        wall = draw_wall(rng)
        if ball is not None and (narrow or ball.fast):
            wall[:, rng.integers(BRICK_COLUMNS)] = False
    if score is None:  # of the first wall or the second
        score = ram.FIRST_WALL * int(rng.integers(1, 3)) - int(ram.wall_points(wall))
    found = {ram.LIVES: int(rng.integers(1, 6)), ram.CLOCK: int(rng.integers(256))}
    found |= ram.wall_and_score(ram.wall_bytes(wall), score)
    if ball is None:
        return found
    if narrow and not wall.any(axis=0).all():  # there must be a way to the top wall
        found |= {ram.NARROW: 128, ram.SPRITE: 0xE0, ram.SPRITE_PLACE: 6}
    return found | _ball_bytes(rng, ball)


class Meet(Policy):
    """Brings the paddle's left end to a column, now and then with another key."""

    def __init__(self, rng: Generator, target: float) -> None:
        super().__init__(rng, 1)
        self._target, self._noise = target, rng.choice([0.0, 0.15, 0.4])

    def act(self, objects: Objects) -> int:
        if self._rng.random() < self._noise:
            return super().act(objects)
        return toward(self._target, objects.paddle, 3.0)


class Keys(Policy):
    """Holds random keys for random times; `fire` is the chance of FIRE at each step."""

    def __init__(self, rng: Generator, fire: float = 0.0) -> None:
        super().__init__(rng, 1)
        self._fire, self._left, self._key = fire, 0, 0

    def act(self, objects: Objects) -> int:
        if self._rng.random() < self._fire:
            return Action.FIRE
        if self._left == 0:
            self._key, self._left = super().act(objects), int(self._rng.integers(1, 25))
        self._left -= 1
        return self._key


def _at_paddle(emulator: Emulator, rng: Generator, wall: Wall | None = None, score: int | None = None) -> Scene:
    """The ball comes down to the paddle, to any part of it, or just past an end."""
    ball, frames = draw_ball(rng, True, served=SERVED_SHARE), rng.uniform(5, 8)
    lands = np.clip(emulator.objects().paddle + rng.uniform(-12, 12 + breakout.LONG_PADDLE), FIELD_LEFT, RIGHT_WALL)
    emulator.poke(game_bytes(rng, ball._replace(row=AT_PADDLE, column=lands).flown(-frames), wall, score))
    return round(frames) + AFTER, Meet(rng, lands - rng.uniform(-2, breakout.LONG_PADDLE + 1))


def _to_brick(rng: Generator, ball: Ball, brick: tuple[int, int], longest: int) -> tuple[Ball, int]:
    """The ball on its way to a brick (row, column) from below, in `longest` frames at most, and how long that takes."""
    frames, (row, column) = rng.uniform(4, longest), brick
    hit = FIELD_LEFT + BRICK_WIDTH * column + rng.uniform(0, 7)
    return ball._replace(row=WALL_TOP + BRICK_HEIGHT * (row + 1), column=hit).flown(-frames), round(frames)


def _bricks(emulator: Emulator, rng: Generator, score: int | None = None) -> Scene:
    """The ball comes up to a brick from below, off the paddle."""
    wall, ball = draw_wall(rng), draw_ball(rng, down=False, fast_share=0.35)
    wall[0, rng.integers(BRICK_COLUMNS)] = True  # one at least
    column = rng.choice(np.flatnonzero(wall.any(axis=0)))
    if ball.fast:
        wall[:3, (column + rng.integers(5, 14)) % BRICK_COLUMNS] = False  # what made it fast is gone
    ball, frames = _to_brick(rng, ball, (np.flatnonzero(wall[:, column]).max(), column), 7)
    emulator.poke(game_bytes(rng, ball, wall, score))
    return frames + AFTER, MixedPolicy(rng, emulator.frameskip)


def _last_bricks(emulator: Emulator, rng: Generator) -> Scene:
    """The ball flies at one of the last bricks of a wall."""
    wall, bricks = NO_WALL.copy(), rng.integers(1, 4)
    wall[rng.integers(BRICK_ROWS, size=bricks), rng.integers(BRICK_COLUMNS, size=bricks)] = True
    ball, frames = _to_brick(rng, draw_ball(rng, down=False), tuple(np.argwhere(wall)[-1]), 12)
    emulator.poke(game_bytes(rng, ball, wall))
    return frames + AFTER, MixedPolicy(rng, emulator.frameskip)


def _above(emulator: Emulator, rng: Generator) -> Scene:
    """The ball is above a wall whose top rows stand, and meets top wall and bricks by turns."""
    wall, down = draw_wall(rng), rng.random() < 0.5
    wall[0] |= rng.random(BRICK_COLUMNS) < 0.8
    wall[:, rng.integers(BRICK_COLUMNS)] = False
    ball = draw_ball(rng, down, fast_share=0.8)
    row, column = rng.uniform(breakout.FIELD_TOP + 12, WALL_TOP - 6), rng.uniform(10, 148)
    emulator.poke(game_bytes(rng, ball._replace(contact=0 if down else ball.contact, row=row, column=column), wall))
    return int(rng.integers(24, 48)), MixedPolicy(rng, emulator.frameskip)


def _tunnel(emulator: Emulator, rng: Generator) -> Scene:
    """The ball is in a gap that goes through the wall, where it meets bricks from the side."""
    wall, left, wide = draw_wall(rng), rng.integers(BRICK_COLUMNS - 1), rng.integers(1, 4)
    wall[:, left : left + wide] = False
    down = rng.random() < 0.5
    ball, row = draw_ball(rng, down), rng.uniform(WALL_TOP, WALL_BOTTOM - 4)
    column = FIELD_LEFT + BRICK_WIDTH * left + rng.uniform(1, 6)
    emulator.poke(game_bytes(rng, ball._replace(contact=0 if down else ball.contact, row=row, column=column), wall))
    return int(rng.integers(14, 26)), MixedPolicy(rng, emulator.frameskip)


def _among(emulator: Emulator, rng: Generator) -> Scene:
    """The ball is anywhere among the bricks of a wall with many holes, on its way up or down."""
    wall = draw_wall(rng) & (rng.random((BRICK_ROWS, BRICK_COLUMNS)) < rng.uniform(0.2, 1.0))
    down = rng.random() < 0.4
    ball = draw_ball(rng, down, fast_share=0.5)
    standing = np.pad(wall, ((1, 3), (0, 0)))  # there is room above the wall and below it
    row, column = rng.choice(np.argwhere(~standing)) * (BRICK_HEIGHT, BRICK_WIDTH)
    row, column = row + WALL_TOP - BRICK_HEIGHT + rng.uniform(0, 3), column + FIELD_LEFT + rng.uniform(0, 7)
    emulator.poke(game_bytes(rng, ball._replace(contact=0 if down else ball.contact, row=row, column=column), wall))
    return int(rng.integers(8, 20)), MixedPolicy(rng, emulator.frameskip)


def _side_wall(emulator: Emulator, rng: Generator) -> Scene:
    """The ball flies at a side wall, at any height below the bricks."""
    ball = draw_ball(rng, down=rng.random() < 0.5)
    frames, row = rng.uniform(2, 8), rng.uniform(WALL_BOTTOM + 24, AT_PADDLE - 8)
    ball = ball._replace(row=row, column=RIGHT_WALL if ball.right else FIELD_LEFT)
    emulator.poke(game_bytes(rng, ball.flown(-frames)))
    return round(frames) + AFTER, MixedPolicy(rng, emulator.frameskip)


def _serve(emulator: Emulator, rng: Generator) -> Scene:
    """No ball is in play, and FIRE is pressed at some phase of the clock."""
    emulator.poke(game_bytes(rng, None))
    emulator.poke({place: 128 * int(rng.integers(2)) for place in (ram.BALL_X_FRACTION, ram.BALL_Y_FRACTION)})
    return int(rng.integers(14, 22)), Keys(rng, 0.2)


def _reset(emulator: Emulator, rng: Generator) -> Scene:
    """The first second of a game, in which it lays its bricks one after the other."""
    emulator.reset()
    return int(rng.integers(20, 60)), Keys(rng, 0.04 if rng.random() < 0.5 else 0.0)


def _lost(emulator: Emulator, rng: Generator) -> Scene:
    """The ball falls past the paddle: a life is lost, or with the last one the game."""
    ball, frames = draw_ball(rng, True, served=SERVED_SHARE), rng.uniform(4, 12)
    paddle, below = emulator.objects().paddle, rng.uniform(FIELD_LEFT, RIGHT_WALL)
    if abs(below - paddle - breakout.LONG_PADDLE / 2) < 40:  # too near: the other half of the field
        below = RIGHT_WALL - 20 * rng.random() if paddle < 70 else FIELD_LEFT + 20 * rng.random()
    emulator.poke(game_bytes(rng, ball._replace(row=LOST, column=below).flown(-frames)))
    return round(frames) + AFTER, Meet(rng, rng.normal(paddle, 8))


KINDS: dict[str, tuple[float, Callable[[Emulator, Generator], Scene]]] = {
    "paddle": (0.32, _at_paddle),
    "bricks": (0.235, _bricks),
    "among bricks": (0.15, _among),
    # The same, with a score that is about to turn over.
    "digits": (0.08, lambda game, rng: _bricks(game, rng, max(0, int(rng.choice(TURNING)) - int(rng.integers(7))))),
    "last bricks": (0.02, _last_bricks),
    # The first wall is gone, and the ball comes down to the paddle: another wall is built.
    "new wall": (0.015, lambda game, rng: _at_paddle(game, rng, NO_WALL, ram.FIRST_WALL)),
    "above": (0.06, _above),
    "tunnel": (0.03, _tunnel),
    "side wall": (0.01, _side_wall),
    "serve": (0.04, _serve),
    "reset": (0.005, _reset),
    "lost": (0.035, _lost),
}
"""The kinds of scenes: the share of each, which add up to 1, and what sets it up."""


def play(emulator: Emulator, policy: Policy, steps: int, writer: EpisodeWriter | None = None) -> EpisodeWriter:
    """Play a scene of so many transitions, at least one, or until the game is over; after what `writer` holds."""
    if writer is None:
        writer = EpisodeWriter(emulator.screen, emulator.ram())
    else:
        writer.cut(emulator.screen, emulator.ram())
    end = len(writer) + steps
    while True:
        action = policy.act(emulator.objects())
        reward = emulator.advance(action)
        writer.add(action, emulator.screen, emulator.ram(), reward)
        if len(writer) >= end or emulator.over:
            return writer


def play_drills(emulator: Emulator, rng: Generator, steps: int) -> EpisodeWriter:
    """An episode of drills with `steps` transitions, each drill a scene of its own, from one of a pool's moments."""
    pool, writer, left = _pool(emulator, rng), None, steps
    while writer is None or left > 0:
        kind = rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()])
        emulator.restore(pool[rng.integers(len(pool))])
        frames, policy = KINDS[kind][1](emulator, rng)
        if kind != "reset":  # there nothing was edited, and the first frame counts
            for _ in range(-(-SETTLE // emulator.frameskip)):
                emulator.advance(Action.NOOP if kind == "serve" else policy.act(emulator.objects()))
        if emulator.over:  # steps so long that the last life was lost before the scene: nothing would move in it
            continue
        writer = play(emulator, policy, min(left, frames // emulator.frameskip), writer)
        left = steps - len(writer)
    return writer


def _pool(emulator: Emulator, rng: Generator) -> list[Snapshot]:
    """Moments of a game before its first serve, with the paddle in all places, moving and at rest."""
    emulator.reset()
    lay_wall(emulator)
    pool, frames = list[Snapshot](), max(1, POOL_FRAMES // emulator.frameskip)
    while len(pool) < frames:
        key = rng.choice([Action.NOOP, Action.RIGHT, Action.LEFT], p=[0.2, 0.4, 0.4])
        held = int(rng.integers(1, breakout.EMULATOR_HZ // 2)) // emulator.frameskip + 1
        for _ in range(min(held, frames - len(pool))):
            emulator.advance(key)
            pool.append(emulator.snapshot())
    return pool
