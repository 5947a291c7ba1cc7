"""Scenario resets: short scenes around what is rare in a game, made by editing RAM.

In a game the ball is in free flight most of the time, and no two bounces are alike. A scene takes up a game at some
place of the paddle, puts wall, score, lives, clock and ball as its kind asks for (`collect.staging`), lets the edit
show, and plays on for a moment: the same bounce is met at many places of the paddle, under every key, among all bricks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from collect import ram
from collect.dataset import EpisodeWriter
from collect.emulator import Emulator, Objects, Snapshot
from collect.policies import Policy, laid_wall, make_policy, toward
from collect.staging import RIGHT_WALL, SETTLE, WALL_BOTTOM, draw_ball, draw_wall, flown, put_game
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


@dataclass(frozen=True)
class Scene:
    """A scene that is set up: how many emulator frames it lasts, and who plays it."""

    frames: int
    policy: Policy


class Meet:
    """Brings the paddle's left end to a column, now and then with another key."""

    def __init__(self, rng: np.random.Generator, target: float) -> None:
        self._rng, self._target = rng, target
        self._noise = float(rng.choice([0.0, 0.15, 0.4]))

    def act(self, objects: Objects) -> int:
        """See `collect.policies.Policy.act`."""
        if self._rng.random() < self._noise:
            return int(self._rng.integers(len(Action)))
        return toward(self._target, objects.paddle, 3.0)


class Keys:
    """Holds random keys for random times; `fire` is the chance of FIRE at each step."""

    def __init__(self, rng: np.random.Generator, fire: float = 0.0) -> None:
        self._rng, self._fire, self._left, self._key = rng, fire, 0, 0

    def act(self, objects: Objects) -> int:
        """See `collect.policies.Policy.act`."""
        if self._rng.random() < self._fire:
            return Action.FIRE
        if self._left == 0:
            self._key, self._left = int(self._rng.integers(len(Action))), int(self._rng.integers(1, 25))
        self._left -= 1
        return self._key


def _at_paddle(emulator: Emulator, rng: np.random.Generator, score: int | None = None) -> Scene:
    """The ball comes down to the paddle, to any part of it, or just past an end."""
    ball = replace(draw_ball(rng, True, served=SERVED_SHARE), row=AT_PADDLE)
    frames = float(rng.uniform(5, 8))
    paddle = emulator.objects().paddle
    lands = float(np.clip(paddle + rng.uniform(-12, 12 + LONG_PADDLE), FIELD_LEFT, RIGHT_WALL))
    wall = np.zeros((BRICK_ROWS, BRICK_COLUMNS), np.bool_) if score == ram.FIRST_WALL else None
    put_game(emulator, rng, flown(replace(ball, column=lands), -frames), wall, score)
    return Scene(round(frames) + AFTER, Meet(rng, lands - float(rng.uniform(-2, LONG_PADDLE + 1))))


def _new_wall(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The first wall is gone, and the ball comes down to the paddle: another wall is built."""
    return _at_paddle(emulator, rng, ram.FIRST_WALL)


def _at_bricks(emulator: Emulator, rng: np.random.Generator, score: int | None = None) -> Scene:
    """The ball comes up to a brick from below, off the paddle."""
    wall, ball = draw_wall(rng), draw_ball(rng, down=False, fast_share=0.35)
    wall[0, int(rng.integers(BRICK_COLUMNS))] = True  # one at least
    column = int(rng.choice(np.flatnonzero(wall.any(axis=0))))
    if ball.fast:
        wall[:3, (column + int(rng.integers(5, 14))) % BRICK_COLUMNS] = False  # what made it fast is gone
    lowest = np.flatnonzero(wall[:, column]).max()
    frames = float(rng.uniform(4, 7))
    hit = replace(
        ball,
        row=WALL_TOP + BRICK_HEIGHT * (lowest + 1),
        column=FIELD_LEFT + BRICK_WIDTH * column + float(rng.uniform(0, 7)),
    )
    put_game(emulator, rng, flown(hit, -frames), wall, score)
    return Scene(round(frames) + AFTER, make_policy("mixed", rng, emulator.frameskip))


def _digits(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The same, with a score that is about to turn over."""
    return _at_bricks(emulator, rng, max(0, int(rng.choice(TURNING)) - int(rng.integers(7))))


def _last_bricks(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball flies at one of the last bricks of a wall."""
    wall = np.zeros((BRICK_ROWS, BRICK_COLUMNS), np.bool_)
    bricks = int(rng.integers(1, 4))
    wall[rng.integers(BRICK_ROWS, size=bricks), rng.integers(BRICK_COLUMNS, size=bricks)] = True
    row, column = np.argwhere(wall)[-1]
    ball = draw_ball(rng, down=False)
    frames = float(rng.uniform(4, 12))
    hit = replace(
        ball,
        row=WALL_TOP + BRICK_HEIGHT * (row + 1),
        column=FIELD_LEFT + BRICK_WIDTH * column + float(rng.uniform(0, 7)),
    )
    put_game(emulator, rng, flown(hit, -frames), wall)
    return Scene(round(frames) + AFTER, make_policy("mixed", rng, emulator.frameskip))


def _above(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball is above a wall whose top rows stand, and meets top wall and bricks by turns."""
    wall, down = draw_wall(rng), bool(rng.random() < 0.5)
    wall[0] |= rng.random(BRICK_COLUMNS) < 0.8
    wall[:, int(rng.integers(BRICK_COLUMNS))] = False
    ball = draw_ball(rng, down, fast_share=0.8)
    ball = replace(ball, contact=0 if down else ball.contact)
    row, column = float(rng.uniform(FIELD_TOP + 12, WALL_TOP - 6)), float(rng.uniform(10, 148))
    put_game(emulator, rng, replace(ball, row=row, column=column), wall)
    return Scene(int(rng.integers(24, 48)), make_policy("mixed", rng, emulator.frameskip))


def _tunnel(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball is in a gap that goes through the wall, where it meets bricks from the side."""
    wall, left, wide = draw_wall(rng), int(rng.integers(BRICK_COLUMNS - 1)), int(rng.integers(1, 4))
    wall[:, left : left + wide] = False
    down = bool(rng.random() < 0.5)
    ball = replace(draw_ball(rng, down), row=float(rng.uniform(WALL_TOP, WALL_BOTTOM - 4)))
    ball = replace(
        ball,
        contact=0 if down else ball.contact,
        column=FIELD_LEFT + BRICK_WIDTH * left + float(rng.uniform(1, 6)),
    )
    put_game(emulator, rng, ball, wall)
    return Scene(int(rng.integers(14, 26)), make_policy("mixed", rng, emulator.frameskip))


def _side_wall(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball flies at a side wall, at any height below the bricks."""
    ball = draw_ball(rng, down=bool(rng.random() < 0.5))
    frames, row = float(rng.uniform(2, 8)), float(rng.uniform(WALL_BOTTOM + 24, AT_PADDLE - 8))
    put_game(emulator, rng, flown(replace(ball, row=row, column=RIGHT_WALL if ball.right else FIELD_LEFT), -frames))
    return Scene(round(frames) + AFTER, make_policy("mixed", rng, emulator.frameskip))


def _serve(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """No ball is in play, and FIRE is pressed at some phase of the clock."""
    put_game(emulator, rng)
    emulator.poke(ram.BALL_X_FRACTION, 128 * int(rng.integers(2)))
    emulator.poke(ram.BALL_Y_FRACTION, 128 * int(rng.integers(2)))
    return Scene(int(rng.integers(14, 22)), Keys(rng, 0.2))


def _reset(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The first second of a game, in which it lays its bricks one after the other."""
    emulator.reset()
    return Scene(int(rng.integers(20, 60)), Keys(rng, 0.04 if rng.random() < 0.5 else 0.0))


def _lost(emulator: Emulator, rng: np.random.Generator) -> Scene:
    """The ball falls past the paddle: a life is lost, or with the last one the game."""
    ball = draw_ball(rng, True, served=SERVED_SHARE)
    frames = float(rng.uniform(4, 12))
    paddle = emulator.objects().paddle
    below = float(rng.uniform(FIELD_LEFT, RIGHT_WALL))
    if abs(below - paddle - LONG_PADDLE / 2) < 40:  # too near: the other half of the field
        below = RIGHT_WALL - 20.0 * float(rng.random()) if paddle < 70 else FIELD_LEFT + 20.0 * float(rng.random())
    ball = flown(replace(ball, row=LOST, column=below), -frames)
    put_game(emulator, rng, ball)
    return Scene(round(frames) + AFTER, Meet(rng, float(rng.normal(paddle, 8))))


KINDS: dict[str, tuple[float, Callable[[Emulator, np.random.Generator], Scene]]] = {
    "paddle": (0.37, _at_paddle),
    "bricks": (0.335, _at_bricks),
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


def play_drills(emulator: Emulator, rng: np.random.Generator, steps: int) -> EpisodeWriter:
    """An episode of drills with `steps` transitions, each drill a scene of its own."""
    pool = _pool(emulator, rng)
    writer: EpisodeWriter | None = None
    done = 0
    while done < steps:
        kind = str(rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()]))
        scene = begin(emulator, rng, pool, kind)
        if writer is None:
            writer = EpisodeWriter(emulator.screen, emulator.ram())
        else:
            writer.cut(emulator.screen, emulator.ram())
        for _ in range(min(steps - done, max(1, scene.frames // emulator.frameskip))):
            action = scene.policy.act(emulator.objects())
            reward = emulator.advance(action)
            writer.add(action, emulator.screen, emulator.ram(), reward)
            done += 1
            if emulator.over:
                break
    assert writer is not None
    return writer


def begin(emulator: Emulator, rng: np.random.Generator, pool: list[Snapshot], kind: str) -> Scene:
    """Set up a scene of a kind of `KINDS` from one of the pool's moments. The emulator shows its first frame."""
    emulator.restore(pool[int(rng.integers(len(pool)))])
    scene = KINDS[kind][1](emulator, rng)
    if kind == "reset":
        return scene  # nothing was edited, and the first frame counts
    for _ in range(-(-SETTLE // emulator.frameskip)):
        emulator.advance(scene.policy.act(emulator.objects()) if kind != "serve" else Action.NOOP)
    return scene


def _pool(emulator: Emulator, rng: np.random.Generator) -> list[Snapshot]:
    """Moments of a game before its first serve, with the paddle in all places, moving and at rest."""
    emulator.reset()
    laid_wall(emulator)
    pool, left, key = [], 0, Action.NOOP
    for _ in range(max(1, POOL_FRAMES // emulator.frameskip)):
        if left == 0:
            key = Action(rng.choice([Action.NOOP, Action.RIGHT, Action.LEFT], p=[0.2, 0.4, 0.4]))
            left = int(rng.integers(1, EMULATOR_HZ // 2)) // emulator.frameskip + 1
        left -= 1
        emulator.advance(key)
        pool.append(emulator.snapshot())
    return pool
