"""Possible seconds: how long a dream that is left alone shows only what Breakout can show, and keeps its books.

No emulator is asked. What a frame shows is judged by itself (one paddle, one ball, whole bricks, digits that are ones);
the books compare frames with those before: lives with balls that fell, points with bricks that went. On real frames
nothing is found (`tests/evaluate/test_possible.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.breakout import (
    BALL_HEIGHT,
    BALL_WIDTH,
    BRICK_HEIGHT,
    BRICK_WIDTH,
    EMULATOR_HZ,
    FIELD_BOTTOM,
    FIELD_TOP,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    SHORT_PADDLE,
    Action,
    Frame,
)
from model.metrics import PARTED_STEPS
from model.readers import (
    BRICK_CLASSES,
    BRICK_POINTS,
    FIELD_COLUMNS,
    OPEN_ROWS,
    WALL_ROWS,
    Bools,
    Ints,
    find_bricks,
    read_digits,
)
from model.state import BALL_COLUMN, BALL_ROW, PADDLE, State, lives_left

if TYPE_CHECKING:
    from model.engine import Engine

NO_BALL_SECONDS, FALL_SECONDS, HIDDEN_SECONDS = 4.0, 1.0, 0.15
"""A served ball appears within the first, a ball that fell costs its life within the second; one that the paddle hides
is back within the third."""
LEAST_PADDLE = 8
"""At least so much of the paddle shows beside the right wall."""
TALLEST_BALL = BALL_HEIGHT + 1
"""On some scanlines the Atari draws the ball five rows tall."""
FASTEST = 4
"""Rows that the ball moves in an emulator frame, at most: its speed is 3.375."""
SECOND_WALL = 432
"""Points of a whole wall; with so many, the ball coming off the paddle has the second one laid, all at once."""
LIVES = 3


class Reason(IntEnum):
    """What was impossible first."""

    NOTHING = 0
    PADDLE = 1  # not one of full shape
    DIGIT = 2  # one that is none
    SCAR = 3  # a brick drawn in part where no ball is, or more than one ball
    BALL = 4  # part of a ball where nothing hides the rest
    NO_BALL = 5  # none appears in spite of FIRE
    FALL = 6  # a ball fell and no life was taken
    LIFE = 7  # a life was taken without a ball that fell, or given
    WALL = 8  # a brick came back
    POINTS = 9  # a brick went without its points, or points came without a brick


class Shown(NamedTuple):
    """What frames show beside walls and digits: `ball` (B, 4) int64 first and last row and first and last column of all
    that is neither brick nor paddle, row 0 where that is nothing; `pixels` (B,) of it; `paddle` (B,) one of full shape;
    `bricks` (B, 6, 18)."""

    ball: Ints
    pixels: Ints
    paddle: Bools
    bricks: Bools


def _box(rest: Bools) -> Ints:
    """First and last row, first and last column of what is set in masks (B, H, W): (B, 4)."""
    rows, columns = np.asarray(rest.any(2)), np.asarray(rest.any(1))
    ends = rows.argmax(1), rest.shape[1] - 1 - rows[:, ::-1].argmax(1)
    return np.stack((*ends, columns.argmax(1), rest.shape[2] - 1 - columns[:, ::-1].argmax(1)), 1)


def look(frames: Frame) -> Shown:
    """Take whole bricks and the paddle away from frames (B, 210, 160) uint8 classes: what is left must be a ball."""
    field = frames[:, FIELD_TOP:FIELD_BOTTOM, FIELD_COLUMNS]
    rest, bricks = field > 0, find_bricks(frames)
    wall = slice(WALL_ROWS.start - FIELD_TOP, WALL_ROWS.stop - FIELD_TOP)
    colours = np.where(bricks, BRICK_CLASSES[:, None], 0).astype(np.uint8)
    rest[:, wall] = field[:, wall] != colours.repeat(BRICK_HEIGHT, 1).repeat(BRICK_WIDTH, 2)
    rows = slice(PADDLE_TOP - FIELD_TOP, PADDLE_BOTTOM - FIELD_TOP)
    whole: Bools = np.all(field[:, rows] == BRICK_CLASSES[0], axis=1)
    # The longest run of columns that are red in all four rows: a paddle, or a paddle and a ball that touches it.
    numbers = np.arange(1, whole.shape[1] + 1)
    runs = numbers - np.maximum.accumulate(np.where(whole, 0, numbers), 1)
    end = runs.argmax(1)
    run = runs[np.arange(len(runs)), end]
    width = np.where(run >= LONG_PADDLE, LONG_PADDLE, SHORT_PADDLE)
    hidden = (end == whole.shape[1] - 1) & (run >= LEAST_PADDLE) & (run < LONG_PADDLE)  # under the right wall
    width = np.where(hidden, run, width)
    paddle = (run >= width) & (run <= width + BALL_WIDTH)
    rests = []
    for right in (end, end - run + width):  # the ball may touch it at its left or at its right
        columns = (numbers > (right - width + 1)[:, None]) & (numbers <= right[:, None] + 1)
        rests.append(rest.copy())
        rests[-1][:, rows] &= ~columns[:, None]
    boxes = [_box(one) for one in rests]
    second = boxes[1][:, 3] - boxes[1][:, 2] < boxes[0][:, 3] - boxes[0][:, 2]
    box, rest = np.where(second[:, None], boxes[1], boxes[0]), np.where(second[:, None, None], rests[1], rests[0])
    pixels = rest.sum((1, 2))
    corner = np.array([FIELD_TOP, FIELD_TOP, FIELD_COLUMNS.start, FIELD_COLUMNS.start])
    ball = np.where(pixels[:, None] > 0, box + corner, 0)
    return Shown(ball, pixels, paddle, bricks)


def judge(shown: Shown, digits: Ints) -> Ints:
    """The first `Reason` why frames are impossible by themselves: (B,) int64. `digits` (B, 5) are `read_digits`'s."""
    first, last, left, right = shown.ball.T
    there = shown.pixels > 0
    too_large = there & ((last - first >= TALLEST_BALL) | (right - left >= BALL_WIDTH))
    # Here nothing can hide a part of the ball.
    free = there & (first > OPEN_ROWS.start) & (last < PADDLE_TOP - 1)
    free &= (left > FIELD_COLUMNS.start) & (right < FIELD_COLUMNS.stop - 1)
    part = free & (shown.pixels != BALL_HEIGHT * BALL_WIDTH)
    reasons = np.select(
        (~shown.paddle, (digits < 0).any(1), too_large, part), (Reason.PADDLE, Reason.DIGIT, Reason.SCAR, Reason.BALL)
    )
    return reasons.astype(np.int64)


class Possible:
    """Watches B dreams from their first frames (B, 210, 160) uint8 classes, a step lasting `frameskip` frames.

    reason   (B,) int64 `Reason`: why a dream is no longer possible, 0 while it is
    over     (B,) bool: the last ball is lost, and with it the game
    horizon  (B,) int64: steps that a dream was possible, to the first impossible one, the game's end or now
    """

    def __init__(self, frames: Frame, frameskip: int) -> None:
        self._second = EMULATOR_HZ / frameskip
        self._low = PADDLE_TOP - FASTEST * frameskip
        shown, digits = look(frames), read_digits(frames, 0)
        count = len(frames)
        self.reason, self.horizon, self._running = np.zeros((3, count), np.int64)
        self.over = np.zeros(count, bool)
        self._bricks, self._lives = shown.bricks, digits[:, LIVES]
        self._account = self._points(digits) + self._worth(shown.bricks)
        self._last_row = shown.ball[:, 1]  # of the ball, when it was last seen
        self._gone, self._unpaid = np.zeros((2, count), np.int64)  # steps without a ball, and with wrong points
        self._asked = np.full(count, -1)  # steps since FIRE was first pressed without a ball, -1: it was not

    @staticmethod
    def _points(digits: Ints) -> Ints:
        return digits[:, :LIVES] @ np.array([100, 10, 1])

    @staticmethod
    def _worth(bricks: Bools) -> Ints:
        return (bricks * BRICK_POINTS[:, None]).sum((1, 2))

    def rows(self, which: Bools) -> Possible:
        """The same for some of the dreams."""
        found = copy(self)
        vars(found).update({k: v[which] for k, v in vars(self).items() if isinstance(v, np.ndarray)})
        return found

    def add(self, frames: Frame, actions: Ints, ended: Bools | None = None) -> None:
        """The frames (B, 210, 160) that `actions` (B,) led to, and whether the twin says that the game has `ended`
        (B,), which needs a ball that fell. Dreams that are judged already are not looked at."""
        shown, digits = look(frames), read_digits(frames, 0)
        now = judge(shown, digits)
        self._running = np.where(now > 0, self._running + 1, 0)
        found = np.where(self._running >= PARTED_STEPS, now, 0)
        books = self._check_books(shown, digits, actions)
        found = np.where(found > 0, found, books)
        lost = (self._gone > 0) & (self._last_row >= self._low)
        ended = np.zeros_like(lost) if ended is None else ended
        found = np.where((found == 0) & ended & ~lost, Reason.LIFE, found)
        alive = (self.reason == 0) & ~self.over
        self.horizon = np.where(alive, self.horizon + 1, self.horizon)
        self.reason = np.where(alive, found, self.reason)
        late = alive & (found > 0)
        # What takes three steps to be found began with the first of them.
        self.horizon[late] -= np.where(self._running[late] >= PARTED_STEPS, PARTED_STEPS, 1)
        last_ball = (self._lives == 1) & (self._gone > FALL_SECONDS * self._second) & lost
        self.over |= alive & (found == 0) & (ended | last_ball | (digits[:, LIVES] == 0))

    def _check_books(self, shown: Shown, digits: Ints, actions: Ints) -> Ints:
        there = shown.pixels > 0
        fell = self._last_row >= self._low
        lives = np.where(digits[:, LIVES] < 0, self._lives, digits[:, LIVES])
        taken = lives != self._lives
        unfair = taken & ((lives != self._lives - 1) | ~fell | (self._gone == 0))
        unpunished = ~taken & fell & (self._gone > HIDDEN_SECONDS * self._second) & (self._lives > 1)
        unpunished &= there | (self._gone > FALL_SECONDS * self._second)
        # A ball that cost its life is forgotten; the next one is asked for by FIRE.
        self._last_row = np.where(there, shown.ball[:, 1], np.where(taken, 0, self._last_row))
        self._gone = np.where(there | taken, 0, self._gone + 1)
        asked = (self._asked >= 0) | (actions == Action.FIRE)
        self._asked = np.where(there | taken | ~asked, -1, self._asked + 1)
        self._lives = lives

        new = shown.bricks & ~self._bricks
        laid = shown.bricks.all((1, 2)) & (self._points(digits) >= SECOND_WALL)
        back = new.any((1, 2)) & ~laid
        self._account += self._worth(new) * laid
        self._bricks = shown.bricks
        wrong = (self._points(digits) + self._worth(shown.bricks) - self._account) % 1000 != 0
        self._unpaid = np.where(wrong & (digits >= 0).all(1), self._unpaid + 1, 0)
        found = np.select(
            (unfair, unpunished, back, self._unpaid >= PARTED_STEPS, self._asked > NO_BALL_SECONDS * self._second),
            (Reason.LIFE, Reason.FALL, Reason.WALL, Reason.POINTS, Reason.NO_BALL),
        )
        return found.astype(np.int64)


class Chaser:
    """A policy for B dreams that chases the dreamt ball, as the twin sees it, with a changing aim; FIRE without one."""

    def __init__(self, games: int, frameskip: int, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 5])
        self._spell = max(1, EMULATOR_HZ // frameskip)
        self._aim, self._step = np.zeros(games), 0

    def act(self, state: State, games: Ints | slice = slice(None)) -> Ints:
        """Actions (K,) int64 for the next step of the `games` that go on; `state` is of these."""
        if self._step % self._spell == 0:  # a new place of the paddle to meet the ball with, so that no bounce repeats
            self._aim = self._rng.uniform(-LONG_PADDLE / 2, LONG_PADDLE / 2, len(self._aim))
        self._step += 1
        now = state.objects[:, -1]
        off = now[:, BALL_COLUMN] + self._aim[games] - (now[:, PADDLE] + LONG_PADDLE / 2)
        chase = np.select((off > 3, off < -3), (Action.RIGHT, Action.LEFT), Action.NOOP)
        # FIRE comes after a while, not at once: a serve's place follows from its moment.
        fire = np.where(self._rng.random(len(self._aim))[games] < 0.1, Action.FIRE, Action.NOOP)
        return np.where(now[:, BALL_ROW] == 0, fire, chase).astype(np.int64)


class Alone(NamedTuple):
    """What became of B dreams left alone: `reason`, `over` and `horizon` as in `Possible`."""

    reason: Ints
    over: Bools
    horizon: Ints


def live_alone(
    engine: Engine, states: State, seconds: float, seed: int, progress: Callable[[float], None] = lambda share: None
) -> Alone:
    """Let B twins play on by themselves, no emulator beside them, until something impossible, the end or `seconds`."""
    count, longest = len(states.frame), round(seconds * EMULATOR_HZ / engine.frameskip)
    found = Alone(np.zeros(count, np.int64), np.zeros(count, bool), np.zeros(count, np.int64))
    watch, chaser = Possible(states.frame, engine.frameskip), Chaser(count, engine.frameskip, seed)
    state, alive = states, np.arange(count)
    for step in range(longest):
        actions = chaser.act(state, alive)
        prediction = engine.predict(state, actions)
        state = engine.advance(state, actions, prediction.frame, prediction)
        watch.add(state.frame, actions, lives_left(state) == 0)
        for of_all, part in zip(found, (watch.reason, watch.over, watch.horizon), strict=True):
            of_all[alive] = part
        stays = (watch.reason == 0) & ~watch.over
        if not stays.all():
            state, alive, watch = state.rows(stays), alive[stays], watch.rows(stays)
        progress((step + 1) / longest)
        if not len(alive):
            break
    return found
