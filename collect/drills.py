"""Scenario resets: short scenes around what is rare in a game, made by editing RAM.

In a game the ball is in free flight most of the time, and no two bounces are alike. A scene takes up a game at some
place of the paddle, puts wall, score, lives, clock and ball as its kind asks for (`collect.staging`), lets the edit
show, and plays on for a moment: the same bounce is met at many places of the paddle, under every key, among all bricks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from collect import ram
from collect.dataset import EpisodeWriter
from collect.emulator import Emulator, Objects, Snapshot
from collect.policies import MixedPolicy, Policy, lay_wall, toward
from collect.staging import RIGHT_WALL, SETTLE, WALL_BOTTOM, Ball, draw_ball, draw_wall, put_game
from model.breakout import (
    BRICK_COLUMNS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_WIDTH,
    EMULATOR_HZ,
    FIELD_LEFT,
    FIELD_TOP,
    LONG_PADDLE,
    WALL_TOP,
    Action,
)

POOL_FRAMES = 480
"""Emulator frames of an episode's pool: the moments with the paddle in all places that scenes begin from."""
AT_PADDLE, LOST = 185, 217
"""The ball's row when it touches the paddle, and after which it is lost."""
SERVED_SHARE = 0.07
"""The share of falling balls that have met nothing since their serve."""
AFTER = 8
"""Emulator frames that a scene goes on after what it is about."""
TURNING = (9, 19, 49, 99, 199, 299, 399, 499, 599, 699, 799)
"""Scores that are about to turn over: a scene of digits begins up to six points below."""
Wall = npt.NDArray[np.bool_]
Scene = tuple[int, Policy | None]
"""A scene that is set up: how many emulator frames it lasts, and who plays it; None: the mixed policy."""


class Meet:
    """Brings the paddle's left end to a column, now and then with another key."""

    def __init__(self, rng: np.random.Generator, target: float) -> None:
        self._rng, self._target, self._noise = rng, target, rng.choice([0.0, 0.15, 0.4])

    def act(self, objects: Objects) -> int:
        if self._rng.random() < self._noise:
            return int(self._rng.integers(len(Action)))
        return toward(self._target, objects.paddle, 3.0)


class Keys:
    """Holds random keys for random times; `fire` is the chance of FIRE at each step."""

    def __init__(self, rng: np.random.Generator, fire: float = 0.0) -> None:
        self._rng, self._fire, self._left, self._key = rng, fire, 0, 0

    def act(self, objects: Objects) -> int:
        if self._rng.random() < self._fire:
            return Action.FIRE
        if self._left == 0:
            self._key, self._left = int(self._rng.integers(len(Action))), int(self._rng.integers(1, 25))
        self._left -= 1
        return self._key


def _at_paddle(
    emulator: Emulator, rng: np.random.Generator, wall: Wall | None = None, score: int | None = None
) -> Scene:
    """The ball comes down to the paddle, to any part of it, or just past an end."""
    ball, frames = draw_ball(rng, True, served=SERVED_SHARE), rng.uniform(5, 8)
    lands = np.clip(emulator.objects().paddle + rng.uniform(-12, 12 + LONG_PADDLE), FIELD_LEFT, RIGHT_WALL)
    put_game(emulator, rng, replace(ball, row=AT_PADDLE, column=lands).flown(-frames), wall, score)
    return round(frames) + AFTER, Meet(rng, lands - rng.uniform(-2, LONG_PADDLE + 1))


def _new_wall(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The first wall is gone, and the ball comes down to the paddle: another wall is built."""
    return _at_paddle(emulator, rng, np.zeros((BRICK_ROWS, BRICK_COLUMNS), np.bool_), ram.FIRST_WALL)


def _at_brick(
    emulator: Emulator, rng: np.random.Generator, ball: Ball, wall: Wall, brick: tuple[int, int], longest: int,
    score: int | None = None,
) -> Scene:  # fmt: skip
    """The ball comes to a brick (row, column) from below, in `longest` frames at most."""
    row, column = brick
    frames = rng.uniform(4, longest)
    hit = FIELD_LEFT + BRICK_WIDTH * column + rng.uniform(0, 7)
    ball = replace(ball, row=WALL_TOP + BRICK_HEIGHT * (row + 1), column=hit)
    put_game(emulator, rng, ball.flown(-frames), wall, score)
    return round(frames) + AFTER, None


def _bricks(emulator: Emulator, rng: np.random.Generator, score: int | None = None) -> Scene:
    """The ball comes up to a brick from below, off the paddle."""
    wall, ball = draw_wall(rng), draw_ball(rng, down=False, fast_share=0.35)
    wall[0, rng.integers(BRICK_COLUMNS)] = True  # one at least
    column = rng.choice(np.flatnonzero(wall.any(axis=0)))
    if ball.fast:
        wall[:3, (column + rng.integers(5, 14)) % BRICK_COLUMNS] = False  # what made it fast is gone
    return _at_brick(emulator, rng, ball, wall, (np.flatnonzero(wall[:, column]).max(), column), 7, score)


def _digits(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The same, with a score that is about to turn over."""
    return _bricks(emulator, rng, max(0, int(rng.choice(TURNING)) - int(rng.integers(7))))


def _last_bricks(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball flies at one of the last bricks of a wall."""
    wall, bricks = np.zeros((BRICK_ROWS, BRICK_COLUMNS), np.bool_), rng.integers(1, 4)
    wall[rng.integers(BRICK_ROWS, size=bricks), rng.integers(BRICK_COLUMNS, size=bricks)] = True
    return _at_brick(emulator, rng, draw_ball(rng, down=False), wall, tuple(np.argwhere(wall)[-1]), 12)


def _above(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball is above a wall whose top rows stand, and meets top wall and bricks by turns."""
    wall, down = draw_wall(rng), rng.random() < 0.5
    wall[0] |= rng.random(BRICK_COLUMNS) < 0.8
    wall[:, rng.integers(BRICK_COLUMNS)] = False
    ball = draw_ball(rng, down, fast_share=0.8)
    row, column = rng.uniform(FIELD_TOP + 12, WALL_TOP - 6), rng.uniform(10, 148)
    put_game(emulator, rng, replace(ball, contact=0 if down else ball.contact, row=row, column=column), wall)
    return int(rng.integers(24, 48)), None


def _tunnel(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball is in a gap that goes through the wall, where it meets bricks from the side."""
    wall, left, wide = draw_wall(rng), rng.integers(BRICK_COLUMNS - 1), rng.integers(1, 4)
    wall[:, left : left + wide] = False
    down = rng.random() < 0.5
    ball, row = draw_ball(rng, down), rng.uniform(WALL_TOP, WALL_BOTTOM - 4)
    column = FIELD_LEFT + BRICK_WIDTH * left + rng.uniform(1, 6)
    put_game(emulator, rng, replace(ball, contact=0 if down else ball.contact, row=row, column=column), wall)
    return int(rng.integers(14, 26)), None


def _among(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball is anywhere among the bricks of a wall with many holes, on its way up or down."""
    wall = draw_wall(rng) & (rng.random((BRICK_ROWS, BRICK_COLUMNS)) < rng.uniform(0.2, 1.0))
    down = rng.random() < 0.4
    ball = draw_ball(rng, down, fast_share=0.5)
    standing = np.pad(wall, ((1, 3), (0, 0)))  # there is room above the wall and below it
    row, column = rng.choice(np.argwhere(~standing)) * (BRICK_HEIGHT, BRICK_WIDTH)
    row, column = row + WALL_TOP - BRICK_HEIGHT + rng.uniform(0, 3), column + FIELD_LEFT + rng.uniform(0, 7)
    put_game(emulator, rng, replace(ball, contact=0 if down else ball.contact, row=row, column=column), wall)
    return int(rng.integers(8, 20)), None


def _side_wall(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball flies at a side wall, at any height below the bricks."""
    ball = draw_ball(rng, down=rng.random() < 0.5)
    frames, row = rng.uniform(2, 8), rng.uniform(WALL_BOTTOM + 24, AT_PADDLE - 8)
    ball = replace(ball, row=row, column=RIGHT_WALL if ball.right else FIELD_LEFT)
    put_game(emulator, rng, ball.flown(-frames))
    return round(frames) + AFTER, None


def _serve(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """No ball is in play, and FIRE is pressed at some phase of the clock."""
    put_game(emulator, rng)
    emulator.poke({place: 128 * int(rng.integers(2)) for place in (ram.BALL_X_FRACTION, ram.BALL_Y_FRACTION)})
    return int(rng.integers(14, 22)), Keys(rng, 0.2)


def _reset(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The first second of a game, in which it lays its bricks one after the other."""
    emulator.reset()
    return int(rng.integers(20, 60)), Keys(rng, 0.04 if rng.random() < 0.5 else 0.0)


def _lost(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball falls past the paddle: a life is lost, or with the last one the game."""
    ball, frames = draw_ball(rng, True, served=SERVED_SHARE), rng.uniform(4, 12)
    paddle = emulator.objects().paddle
    below = rng.uniform(FIELD_LEFT, RIGHT_WALL)
    if abs(below - paddle - LONG_PADDLE / 2) < 40:  # too near: the other half of the field
        below = RIGHT_WALL - 20 * rng.random() if paddle < 70 else FIELD_LEFT + 20 * rng.random()
    put_game(emulator, rng, replace(ball, row=LOST, column=below).flown(-frames))
    return round(frames) + AFTER, Meet(rng, rng.normal(paddle, 8))


KINDS: dict[str, tuple[float, Callable[[Emulator, np.random.Generator], Scene]]] = {
    "paddle": (0.32, _at_paddle),
    "bricks": (0.235, _bricks),
    "among bricks": (0.15, _among),
    "digits": (0.08, _digits),
    "last bricks": (0.02, _last_bricks),
    "new wall": (0.015, _new_wall),
    "above": (0.06, _above),
    "tunnel": (0.03, _tunnel),
    "side wall": (0.01, _side_wall),
    "serve": (0.04, _serve),
    "reset": (0.005, _reset),
    "lost": (0.035, _lost),
}
"""The kinds of scenes: the share of each, which add up to 1, and what sets it up."""


def play(emulator: Emulator, policy: Policy, writer: EpisodeWriter, steps: int) -> None:
    """Play until the writer has so many transitions or the game is over, and at least a step."""
    while True:
        action = policy.act(emulator.objects())
        reward = emulator.advance(action)
        writer.add(action, emulator.screen, emulator.ram(), reward)
        if len(writer) >= steps or emulator.over:
            return


def play_drills(emulator: Emulator, rng: np.random.Generator, steps: int) -> EpisodeWriter:
    """An episode of drills with `steps` transitions, each drill a scene of its own."""
    pool, writer = _pool(emulator, rng), None
    while writer is None or len(writer) < steps:
        frames, policy = _begin(emulator, rng, pool)
        if writer is None:
            writer = EpisodeWriter(emulator.screen, emulator.ram())
        else:
            writer.cut(emulator.screen, emulator.ram())
        play(emulator, policy, writer, min(steps, len(writer) + frames // emulator.frameskip))
    return writer


def _begin(emulator: Emulator, rng: np.random.Generator, pool: list[Snapshot]) -> tuple[int, Policy]:
    """Set up a scene of some kind from one of the pool's moments. The emulator shows its first frame."""
    kind = rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()])
    emulator.restore(pool[rng.integers(len(pool))])
    frames, policy = KINDS[kind][1](emulator, rng)
    policy = policy or MixedPolicy(rng, emulator.frameskip)
    if kind != "reset":  # there nothing was edited, and the first frame counts
        for _ in range(-(-SETTLE // emulator.frameskip)):
            emulator.advance(Action.NOOP if kind == "serve" else policy.act(emulator.objects()))
    return frames, policy


def _pool(emulator: Emulator, rng: np.random.Generator) -> list[Snapshot]:
    """Moments of a game before its first serve, with the paddle in all places, moving and at rest."""
    emulator.reset()
    lay_wall(emulator)
    pool: list[Snapshot] = []
    frames = max(1, POOL_FRAMES // emulator.frameskip)
    while len(pool) < frames:
        key = rng.choice([Action.NOOP, Action.RIGHT, Action.LEFT], p=[0.2, 0.4, 0.4])
        held = int(rng.integers(1, EMULATOR_HZ // 2)) // emulator.frameskip + 1
        for _ in range(min(held, frames - len(pool))):
            emulator.advance(key)
            pool.append(emulator.snapshot())
    return pool
