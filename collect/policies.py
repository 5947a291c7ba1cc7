"""Scripted policies: they read the game's RAM and choose an action for the next step.

`random` is the uniform agent of the seed design. `mixed` explores: it meets every stage of the wall. `drill`, which
training uses, is `mixed` with short scenes between its games (`collect.drills`). `people` plays the held-out games."""

from collections import deque

import numpy as np

from collect import ram
from collect.emulator import Emulator, Objects
from model.breakout import ACTIONS, BRICK_COLUMNS, BRICK_ROWS, EMULATOR_HZ, LONG_PADDLE, Action

FULL_WALL = ram.wall_bytes(np.ones((BRICK_ROWS, BRICK_COLUMNS), np.bool_))


def toward(target: float, paddle: float, slack: float) -> Action:
    """The key that brings the paddle from a column to within `slack` pixels of another."""
    key = Action.RIGHT if target > paddle + slack else Action.NOOP
    return Action.LEFT if target < paddle - slack else key


class Policy:
    """Chooses actions for one episode, for which it is made. This one gives each the same chance at every step."""

    def __init__(self, rng: np.random.Generator, frameskip: int) -> None:
        self._rng, self._per_second = rng, EMULATOR_HZ / frameskip

    def act(self, objects: Objects) -> int:
        """The action 0..3 for the next step, given what RAM says now."""
        return int(self._rng.integers(ACTIONS))

    def _steps(self, least: float, most: float) -> int:
        """A random time between so many seconds, in steps."""
        return int(self._rng.uniform(least, most) * self._per_second)


class MixedPolicy(Policy):
    """Spells of following the ball (with lag and noise), holding keys, idling and pure chance. Following wins often
    enough to reach the deep wall; the rest shows every key in every situation."""

    def __init__(self, rng: np.random.Generator, frameskip: int) -> None:
        super().__init__(rng, frameskip)
        self._seen: deque[int] = deque(maxlen=max(1, round(0.25 * self._per_second)))
        self._left, self._noise = 0, rng.choice([0.0, 0.05, 0.2])

    def act(self, objects: Objects) -> int:
        if self._left == 0:
            self._spell = self._rng.choice(["follow", "hold", "chance", "idle"], p=[0.66, 0.14, 0.12, 0.08])
            self._left = self._steps(0.1, 4.0 if self._spell == "follow" else 1.0) + 1
            self._lag = int(self._rng.integers(1, max(2, round(0.12 * self._per_second))))
            self._aim, self._slack = self._rng.uniform(-9, 9), self._rng.uniform(0.5, 5)
            self._held, self._hold_left = 0, 0
        self._left -= 1
        if objects.ball is not None:
            self._seen.append(objects.ball[1])
        elif self._rng.random() < 0.15:
            return Action.FIRE
        if self._spell == "chance" or self._rng.random() < self._noise:
            return super().act(objects)
        if self._spell == "idle":
            return Action.NOOP
        if self._spell == "hold" or not self._seen:
            if self._hold_left == 0:
                self._held, self._hold_left = super().act(objects), self._steps(0.05, 0.6) + 1
            self._hold_left -= 1
            return self._held
        seen = self._seen[max(0, len(self._seen) - self._lag)]
        return toward(seen + self._aim, objects.paddle + LONG_PADDLE / 2 - 1, self._slack)


class PeoplePolicy(Policy):
    """A person at the keys: reacts late, leads the ball, overshoots, rests, and mashes a key now and then."""

    def __init__(self, rng: np.random.Generator, frameskip: int) -> None:
        super().__init__(rng, frameskip)
        lag = max(1, round(rng.uniform(0.06, 0.22) * self._per_second))
        self._past: deque[Objects] = deque(maxlen=lag + 1)
        self._lead = rng.uniform(0.0, 0.3) * self._per_second
        self._key, self._key_left, self._serve_in = Action.NOOP, 0, 0
        self._new_aim()

    def _new_aim(self) -> None:
        self._aim, self._aim_left = self._rng.normal(0, 4), self._steps(0.5, 2.0) + 1

    def act(self, objects: Objects) -> int:
        self._past.append(objects)
        self._aim_left -= 1
        if self._aim_left <= 0:
            self._new_aim()
        if objects.ball is None:
            self._serve_in = (self._serve_in or self._steps(0.2, 1.2) + 1) - 1
            if self._serve_in == 0:
                return Action.FIRE
        if self._key_left > 0:
            self._key_left -= 1
            return self._key
        chance = self._rng.random() * self._per_second
        if chance < 0.15:  # a rest
            self._key, self._key_left = Action.NOOP, self._steps(0.2, 0.8)
        elif chance < 0.35:  # a burst of one held key
            self._key = Action(self._rng.choice([Action.LEFT, Action.RIGHT]))
            self._key_left = self._steps(0.1, 0.4)
        else:
            late, then = self._past[0].ball, self._past[min(1, len(self._past) - 1)].ball
            if late is None:
                return Action.NOOP
            speed = then[1] - late[1] if then is not None else 0
            target = late[1] + speed * self._lead + self._aim
            self._key = toward(target, objects.paddle + LONG_PADDLE / 2 - 1, 6.0)
            if self._key != Action.NOOP:  # a pressed key stays down a moment, so the paddle overshoots
                self._key_left = self._steps(0.0, 0.12)
        return self._key


POLICIES = {"random": Policy, "mixed": MixedPolicy, "drill": MixedPolicy, "people": PeoplePolicy}


def make_policy(name: str, rng: np.random.Generator, frameskip: int) -> Policy:
    """A policy by name; raises ValueError for a name that is not in `POLICIES`."""
    if name not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, got {name!r}")
    return POLICIES[name](rng, frameskip)


def random_wall(rng: np.random.Generator) -> bytes:
    """A wall at a random stage of being eaten: the 36 bytes of RAM, with bricks (two bits each) cleared. Columns are
    eaten from below to random depths, some go all the way through (tunnels), and a few bricks elsewhere are missing."""
    depth, holes = rng.uniform(0, 5), rng.choice([0.0, 0.05, 0.3])
    bricks = bytearray(FULL_WALL)
    for block in range(0, ram.WALL_BYTES, 6):  # six bytes, lowest row first, hold up to four columns of bricks
        for pair in range(4):
            eaten = 6 if rng.random() < 0.08 else int(np.clip(rng.normal(depth, 1.2), 0, 6))
            for row in range(6):
                if row < eaten or rng.random() < holes:
                    bricks[block + row] &= ~(3 << (2 * pair)) & 255
    return bytes(bricks)


def lay_wall(emulator: Emulator) -> None:
    """Let a new game lay its bricks, which it does over any edit for half a second."""
    for _ in range(EMULATOR_HZ // emulator.frameskip):
        emulator.advance(Action.NOOP)


def start_episode(emulator: Emulator, policy: str, rng: np.random.Generator) -> None:
    """Start a game for `policy`: at a random stage of the wall in all `people` games and in two thirds of `mixed` and
    `drill` ones. The edited wall is on the screen when this returns, so no pair of later frames spans the edit."""
    emulator.reset()
    if policy == "random" or (policy in ("mixed", "drill") and rng.random() < 0.33):
        return
    lay_wall(emulator)
    emulator.poke(ram.wall_and_score(random_wall(rng), int(rng.integers(0, 500))))
    for _ in range(4):
        emulator.advance(Action.NOOP)
