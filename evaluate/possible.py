"""Possible seconds: how long a dream that is left alone shows only what Breakout can show, and keeps its books.

No emulator is asked. What a frame shows is judged by itself (one paddle, one ball, whole bricks, digits that are ones);
the books compare frames with those before: lives with balls that fell, points with bricks that went."""

from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np

from collect import ram
from console import Show, quiet
from evaluate.rollouts import Rollout, select
from model import breakout, readers
from model.breakout import EMULATOR_HZ, FIELD_BOTTOM, FIELD_TOP, LONG_PADDLE, PADDLE_TOP, SHORT_PADDLE, Action, Frame
from model.engine import Engine
from model.metrics import PARTED_STEPS
from model.readers import FIELD_COLUMNS, OPEN_ROWS, Bools, Ints, read_digits
from model.state import BALL_COLUMN, BALL_ROW, LIVES, PADDLE, State, lives_left

# In so long a served ball appears, a ball that fell costs its life, and one that the paddle hides is back.
NO_BALL_SECONDS, FALL_SECONDS, HIDDEN_SECONDS = 4.0, 1.0, 0.15
LEAST_PADDLE = 8  # at least so much of the paddle shows beside the right wall
BALL_HEIGHT, BALL_WIDTH, BALL_ROWS = breakout.BALL_HEIGHT, breakout.BALL_WIDTH, breakout.BALL_ROWS
FASTEST = 4  # rows that the ball moves in an emulator frame, at most: its speed is 3.375


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
    """What frames show beside walls and digits, all that is neither brick nor paddle being a ball."""

    ball: Ints  # (B, 4) first and last row, first and last column of the ball, 0 where there is none
    pixels: Ints  # (B,) of it
    paddle: Bools  # (B,) whether there is one of full shape
    bricks: Bools  # (B, 6, 18)


def look(frames: Frame) -> Shown:
    """Take whole bricks and the paddle away from frames (B, 210, 160) uint8 classes: what is left must be a ball."""
    field = frames[:, FIELD_TOP:FIELD_BOTTOM, FIELD_COLUMNS]
    rest, bricks = field > 0, readers.find_bricks(frames)
    wall, rows = (slice(of.start - FIELD_TOP, of.stop - FIELD_TOP) for of in (readers.WALL_ROWS, readers.PADDLE_ROWS))
    colours = np.where(bricks, readers.BRICK_CLASSES[:, None], 0).astype(np.uint8)
    rest[:, wall] = field[:, wall] != colours.repeat(breakout.BRICK_HEIGHT, 1).repeat(breakout.BRICK_WIDTH, 2)
    whole: Bools = np.all(field[:, rows] == readers.BRICK_CLASSES[0], axis=1)
    # The longest run of columns that are red in all four rows: a paddle, or a paddle and a ball that touches it.
    numbers = np.arange(1, whole.shape[1] + 1)
    runs = numbers - np.maximum.accumulate(np.where(whole, 0, numbers), 1)
    end, run = runs.argmax(1), runs.max(1)
    width = np.where(run >= LONG_PADDLE, LONG_PADDLE, SHORT_PADDLE)
    hidden = (end == whole.shape[1] - 1) & (run >= LEAST_PADDLE) & (run < LONG_PADDLE)  # under the right wall
    width = np.where(hidden, run, width)
    rests = np.stack((rest, rest))
    for one, right in zip(rests, (end, end - run + width), strict=True):  # the ball touches its left, or its right
        columns = (numbers > (right - width + 1)[:, None]) & (numbers <= right[:, None] + 1)
        one[:, rows] &= ~columns[:, None]
    lit: Bools = np.any(rests, axis=2)
    spans = lit.shape[-1] - lit[..., ::-1].argmax(-1) - lit.argmax(-1)
    rest = np.where((spans[1] < spans[0])[:, None, None], rests[1], rests[0])
    ends = []
    for line, corner in ((np.any(rest, axis=2), FIELD_TOP), (np.any(rest, axis=1), FIELD_COLUMNS.start)):
        ends += [corner + line.argmax(1), corner + line.shape[1] - 1 - line[:, ::-1].argmax(1)]
    pixels = rest.sum((1, 2))
    ball = np.where(pixels[:, None] > 0, np.stack(ends, 1), 0)
    return Shown(ball, pixels, (run >= width) & (run <= width + BALL_WIDTH), bricks)


def judge(shown: Shown, digits: Ints) -> Ints:
    """The first `Reason` why frames are impossible by themselves: (B,) int64. `digits` (B, 5) are `read_digits`'s."""
    first, last, left, right = shown.ball.T
    there = shown.pixels > 0
    # Here nothing can hide a part of the ball.
    free = there & (first > OPEN_ROWS.start) & (last < PADDLE_TOP - 1)
    free &= (left > FIELD_COLUMNS.start) & (right < FIELD_COLUMNS.stop - 1)
    scar = (last - first > BALL_HEIGHT) | (right - left >= BALL_WIDTH)  # on some scanlines the ball is five rows tall
    cases = {
        Reason.PADDLE: ~shown.paddle,
        Reason.DIGIT: (digits < 0).any(1),
        Reason.SCAR: there & scar,
        Reason.BALL: free & (shown.pixels != BALL_HEIGHT * BALL_WIDTH),
    }
    return np.select(list(cases.values()), list(cases)).astype(np.int64)


def _points(digits: Ints) -> Ints:
    return digits[:, :LIVES] @ np.array([100, 10, 1])


class Possible(NamedTuple):
    """The books of B dreams. A value: `add` gives those after one more step."""

    reason: Ints  # (B,) `Reason` why a dream is no longer possible, 0 while it is
    over: Bools  # (B,) the last ball is lost, and with it the game
    horizon: Ints  # (B,) steps that it was possible, to the first impossible one, the game's end or now
    wrong: Ints  # (B,) steps running that were impossible by themselves
    bricks: Bools  # (B, 6, 18)
    lives: Ints  # (B,)
    account: Ints  # (B,) points, and what the bricks are worth that still stand
    row: Ints  # (B,) the ball's last row when it was last seen, 0 when it has cost its life, `BALL_ROWS`: not seen yet
    gone: Ints  # (B,) steps without a ball
    unpaid: Ints  # (B,) steps running with wrong points
    asked: Ints  # (B,) steps since FIRE was first pressed without a ball, -1: it was not

    @classmethod
    def begin(cls, frames: Frame) -> Self:
        """Opened at frames (B, 210, 160) uint8 classes."""
        shown, digits = look(frames), read_digits(frames, 0)
        none, account = np.zeros(len(frames), np.int64), _points(digits) + ram.wall_points(shown.bricks)
        lives, unseen = digits[:, LIVES], shown.pixels == 0  # it may be falling: then it costs a life soon
        row = np.where(unseen, BALL_ROWS, shown.ball[:, 1])
        return cls(none, none > 0, none, none, shown.bricks, lives, account, row, none + unseen, none, none - 1)

    def add(self, frames: Frame, actions: Ints, frameskip: int, ended: Any = False) -> Self:
        """The frames (B, 210, 160) that `actions` (B,) led to, a step lasting `frameskip` frames, and whether the twin
        says that the game has `ended` (B,), for which a ball must have fallen. What is judged already stays so."""
        low, second = PADDLE_TOP - FASTEST * frameskip, EMULATOR_HZ / frameskip
        shown, digits = look(frames), read_digits(frames, 0)
        there, fell = shown.pixels > 0, self.row >= low
        lives = np.where(digits[:, LIVES] < 0, self.lives, digits[:, LIVES])
        taken = lives != self.lives
        unpunished = ~taken & fell & (self.row < BALL_ROWS) & (self.gone > HIDDEN_SECONDS * second)
        asked = (self.asked >= 0) | (actions == Action.FIRE)
        new = shown.bricks & ~self.bricks
        laid = shown.bricks.all((1, 2)) & (_points(digits) == ram.FIRST_WALL)  # the second wall, all at once
        account, total = self.account + ram.wall_points(new) * laid, _points(digits) + ram.wall_points(shown.bricks)
        # When the books were opened points may have been due, which the next frame shows.
        account = np.where(self.horizon > 0, account, np.maximum(account, total))
        unpaid = (total - account) % 1000 != 0
        now = judge(shown, digits)
        books = self._replace(
            wrong=np.where(now > 0, self.wrong + 1, 0),
            bricks=shown.bricks,
            lives=lives,
            account=account,
            # A ball that cost its life is forgotten; the next one is asked for by FIRE.
            row=np.where(there, shown.ball[:, 1], np.where(taken, 0, self.row)),
            gone=np.where(there | taken, 0, self.gone + 1),
            unpaid=np.where(unpaid & (digits >= 0).all(1), self.unpaid + 1, 0),
            asked=np.where(there | taken | ~asked, -1, self.asked + 1),
        )
        parted, falls = books.wrong >= PARTED_STEPS, (books.gone > 0) & (books.row >= low)
        cases: dict[Any, Any] = {
            Reason.LIFE: taken & ((lives != self.lives - 1) | ~fell | (self.gone == 0)),
            # The last ball ends the game, below; but it does not come back.
            Reason.FALL: unpunished & (there | ((self.lives > 1) & (self.gone > FALL_SECONDS * second))),
            Reason.WALL: new.any((1, 2)) & ~laid,
            Reason.POINTS: books.unpaid >= PARTED_STEPS,
            Reason.NO_BALL: books.asked > NO_BALL_SECONDS * second,
        }
        broken = np.select(list(cases.values()), list(cases), np.where(ended & ~falls, Reason.LIFE, 0))
        found = np.where(parted, now, broken)
        alive = (self.reason == 0) & ~self.over
        # What takes three steps to be found began with the first of them.
        back = np.where(parted, PARTED_STEPS, found > 0)
        lost = (lives == 1) & (books.gone > FALL_SECONDS * second) & unpunished
        return books._replace(
            reason=np.where(alive, found, self.reason),
            over=self.over | (alive & (found == 0) & (ended | lost | (digits[:, LIVES] == 0))),
            horizon=np.where(alive, self.horizon + 1 - back, self.horizon),
        )


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


def live_alone(engine: Engine, states: State, seconds: float, seed: int, show: Show = quiet) -> Possible:
    """Let B twins play on by themselves, no emulator beside them, until something impossible, the end or `seconds`."""
    count, longest = len(states.frame), round(seconds * EMULATOR_HZ / engine.frameskip)
    chaser = Chaser(count, engine.frameskip, seed)
    roll = Rollout(engine, states)
    watch = Possible.begin(states.frame)
    found = Possible._make(part.copy() for part in watch)
    for step in range(longest):
        actions = chaser.act(roll.state, roll.rows)
        roll.step(actions)
        watch = watch.add(roll.state.frame, actions, engine.frameskip, lives_left(roll.state) == 0)
        for of_all, part in zip(found, watch, strict=True):
            of_all[roll.rows] = part
        stays = (watch.reason == 0) & ~watch.over
        if not stays.all():
            roll.keep(stays)
            watch = select(watch, stays)
        show((step + 1) / longest, f"{count} dreams left alone")
        if not len(roll.rows):
            break
    return found
