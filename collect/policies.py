"""Scripted policies: they read the game's RAM and choose an action for the next step.

`random` is the uniform agent of the seed design. `mixed` explores: it meets every stage of the wall. `drill` is its
distribution with scenario resets (`collect.drills`): whole games and between them short scenes; it is what training
uses. `people` is never trained on: it plays the held-out games, with reaction time, overshoot, idle spells and bursts.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from collect.emulator import Emulator, Objects
from collect.ram import WALL_BYTES
from model.breakout import ACTIONS, EMULATOR_HZ, Action
from model.breakout import LONG_PADDLE as PADDLE_WIDTH

POLICIES = ("random", "mixed", "drill", "people")


class Policy(Protocol):
    """Chooses actions for one episode. A fresh one is made for every episode."""

    def act(self, objects: Objects) -> int:
        """The action 0..3 for the next step, given what RAM says now."""
        ...


def make_policy(name: str, rng: np.random.Generator, frameskip: int) -> Policy:
    """A policy by name; raises ValueError for a name that is not in `POLICIES`."""
    if name == "random":
        return RandomPolicy(rng)
    if name in ("mixed", "drill"):
        return MixedPolicy(rng, frameskip)
    if name == "people":
        return PeoplePolicy(rng, frameskip)
    raise ValueError(f"policy must be one of {', '.join(POLICIES)}, got {name!r}")


class RandomPolicy:
    """Every action equally likely at every step."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, objects: Objects) -> int:
        """See `Policy.act`."""
        return int(self._rng.integers(ACTIONS))


def toward(target: float, paddle: float, slack: float) -> Action:
    """The key that brings the paddle from a column to within `slack` pixels of another."""
    if target > paddle + slack:
        return Action.RIGHT
    if target < paddle - slack:
        return Action.LEFT
    return Action.NOOP


class MixedPolicy:
    """Spells of following the ball (with lag and noise), holding keys, idling and pure chance.

    Following wins often enough to reach the deep wall; the rest shows every key in every situation.
    """

    SPELLS = ("follow", "hold", "chance", "idle")
    SHARES = (0.66, 0.14, 0.12, 0.08)

    def __init__(self, rng: np.random.Generator, frameskip: int) -> None:
        self._rng, self._per_second = rng, EMULATOR_HZ / frameskip
        self._seen: deque[int] = deque(maxlen=max(1, round(0.25 * self._per_second)))
        self._left = 0
        self._noise = float(rng.choice([0.0, 0.05, 0.2]))

    def _new_spell(self) -> None:
        self._spell = str(self._rng.choice(self.SPELLS, p=self.SHARES))
        longest = 4.0 if self._spell == "follow" else 1.0
        self._left = int(self._rng.uniform(0.1, longest) * self._per_second) + 1
        self._lag = int(self._rng.integers(1, max(2, round(0.12 * self._per_second))))
        self._aim = float(self._rng.uniform(-9, 9))
        self._slack = float(self._rng.uniform(0.5, 5))
        self._held, self._hold_left = 0, 0

    def act(self, objects: Objects) -> int:
        """See `Policy.act`."""
        if self._left == 0:
            self._new_spell()
        self._left -= 1
        if objects.ball is not None:
            self._seen.append(objects.ball[1])
        elif self._rng.random() < 0.15:
            return Action.FIRE
        if self._spell == "chance" or self._rng.random() < self._noise:
            return int(self._rng.integers(ACTIONS))
        if self._spell == "idle":
            return Action.NOOP
        if self._spell == "hold" or not self._seen:
            if self._hold_left == 0:
                self._held = int(self._rng.integers(ACTIONS))
                self._hold_left = int(self._rng.uniform(0.05, 0.6) * self._per_second) + 1
            self._hold_left -= 1
            return self._held
        seen = self._seen[max(0, len(self._seen) - self._lag)]
        return toward(seen + self._aim, objects.paddle + PADDLE_WIDTH / 2 - 1, self._slack)


class PeoplePolicy:
    """A person at the keys: reacts late, leads the ball, overshoots, rests, and mashes a key now and then."""

    def __init__(self, rng: np.random.Generator, frameskip: int) -> None:
        self._rng, self._per_second = rng, EMULATOR_HZ / frameskip
        self._lag = max(1, round(rng.uniform(0.06, 0.22) * self._per_second))
        self._past: deque[Objects] = deque(maxlen=self._lag + 1)
        self._lead = float(rng.uniform(0.0, 0.3) * self._per_second)
        self._key, self._key_left, self._serve_in = int(Action.NOOP), 0, 0
        self._new_aim()

    def _new_aim(self) -> None:
        self._aim = float(self._rng.normal(0, 4))
        self._aim_left = int(self._rng.uniform(0.5, 2.0) * self._per_second) + 1

    def act(self, objects: Objects) -> int:
        """See `Policy.act`."""
        self._past.append(objects)
        self._aim_left -= 1
        if self._aim_left <= 0:
            self._new_aim()
        if objects.ball is None:
            if self._serve_in == 0:
                self._serve_in = int(self._rng.uniform(0.2, 1.2) * self._per_second) + 1
            self._serve_in -= 1
            if self._serve_in == 0:
                return Action.FIRE
        if self._key_left > 0:
            self._key_left -= 1
            return self._key
        chance = self._rng.random() * self._per_second
        if chance < 0.15:  # a rest
            self._key, self._key_left = Action.NOOP, int(self._rng.uniform(0.2, 0.8) * self._per_second)
        elif chance < 0.35:  # a burst of one held key
            self._key = int(self._rng.choice([Action.LEFT, Action.RIGHT]))
            self._key_left = int(self._rng.uniform(0.1, 0.4) * self._per_second)
        else:
            late = self._past[0]
            if late.ball is None:
                return Action.NOOP
            speed = 0.0
            if len(self._past) > 1 and (then := self._past[1].ball) is not None:
                speed = then[1] - late.ball[1]
            target = late.ball[1] + speed * self._lead + self._aim
            self._key = toward(target, objects.paddle + PADDLE_WIDTH / 2 - 1, 6.0)
            # A pressed key stays down a moment, so the paddle overshoots.
            if self._key != Action.NOOP:
                self._key_left = int(self._rng.uniform(0.0, 0.12) * self._per_second)
        return self._key


def random_wall(rng: np.random.Generator, wall: bytes) -> bytes:
    """A wall at a random stage of being eaten: `wall` (36 bytes of RAM) with bricks (two bits each) cleared.

    Columns are eaten from below to random depths, some go all the way through (tunnels), and a few bricks
    elsewhere are missing.
    """
    depth = rng.uniform(0, 5)
    holes = rng.choice([0.0, 0.05, 0.3])
    bricks = bytearray(wall)
    for block in range(0, WALL_BYTES, 6):  # six bytes, lowest row first, hold up to four columns of bricks
        for pair in range(4):
            eaten = 6 if rng.random() < 0.08 else int(np.clip(rng.normal(depth, 1.2), 0, 6))
            for row in range(6):
                if row < eaten or rng.random() < holes:
                    bricks[block + row] &= ~(3 << (2 * pair)) & 255
    return bytes(bricks)


def laid_wall(emulator: Emulator) -> bytes:
    """Let a new game lay its bricks, which it does over any edit for half a second. Returns the wall, 36 bytes."""
    for _ in range(EMULATOR_HZ // emulator.frameskip):
        emulator.step(Action.NOOP)
    return bytes(emulator.ram()[:WALL_BYTES].tolist())


def start_episode(emulator: Emulator, policy: str, rng: np.random.Generator) -> None:
    """Start a game for `policy`: at a random stage of the wall in all `people` games and in two thirds of `mixed` and
    `drill` ones.

    The edited wall is on the screen when this returns, so no pair of later frames spans the edit.
    """
    emulator.reset()
    if policy == "random" or (policy in ("mixed", "drill") and rng.random() < 0.33):
        return
    emulator.edit(wall=random_wall(rng, laid_wall(emulator)), score=int(rng.integers(0, 500)))
    for _ in range(4):
        emulator.step(Action.NOOP)
