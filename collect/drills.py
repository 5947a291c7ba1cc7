"""Drills: short scenes around what is rare in a game, a bounce off the paddle or a way through the bricks.

In a game the ball is in free flight most of the time, and no two bounces are alike. A drill takes up a game just before
the ball comes down to the paddle or up to the wall, there mostly with another wall and score, and lets the policy play
on for a moment: the same bounce is met at many places of the paddle, under every key, among all kinds of bricks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collect.emulator import Emulator, Objects, Snapshot
from collect.episode import EpisodeWriter
from collect.policies import PADDLE_WIDTH, Policy, laid_wall, make_policy, random_wall, start_episode, toward
from model.breakout import EMULATOR_HZ, MOST_HITS, Action
from model.memory import BELOW_WALL

POOL_SECONDS = 40
"""Game time that the moments of one episode of drills come from."""
BEFORE_PADDLE, AFTER_PADDLE = (20, 32), 12
"""A drill at the paddle begins so many emulator frames before the ball is there, and ends so many after."""
AT_PADDLE, GOES_UP = 185, range(97, 126)
"""The ball's row when it rests on the paddle, and rows on its way up from which a drill at the wall begins."""
WALL_FRAMES = 48
"""How long a drill at the wall lasts, in emulator frames."""
OTHER_WALL, WALL_SHARE = 0.7, 0.35
"""The share of drills at the wall that get another one, and of drills that are at the wall."""
SETTLE = 2
"""Steps before a scene begins, in which an edit, and what a restored screen keeps of before, go by."""


@dataclass(frozen=True)
class _Moment:
    snapshot: Snapshot
    frames: int
    """How many emulator frames a drill from here lasts."""
    at_wall: bool
    lands_at: float
    """The column where the ball will come down, if no wall is in its way."""
    hits: int
    """How often the ball has come off the paddle since it was served."""


class _Meet:
    """Brings the paddle to where the ball comes down, to any part of it, now and then with another key."""

    def __init__(self, rng: np.random.Generator, lands_at: float) -> None:
        self._rng = rng
        self._target = lands_at - float(rng.uniform(-4, PADDLE_WIDTH + 2))
        self._noise = float(rng.choice([0.0, 0.15, 0.4]))

    def act(self, objects: Objects) -> int:
        """See `collect.policies.Policy.act`."""
        if self._rng.random() < self._noise:
            return int(self._rng.integers(len(Action)))
        return toward(self._target, objects.paddle, 3.0)


def play_drills(emulator: Emulator, rng: np.random.Generator, steps: int) -> EpisodeWriter:
    """An episode of drills with `steps` transitions, each drill a scene of its own."""
    full_wall, moments = _moments(emulator, rng)
    writer: EpisodeWriter | None = None
    done = 0
    while done < steps:
        at_wall = rng.random() < WALL_SHARE
        kinds = [moment for moment in moments if moment.at_wall == at_wall] or moments
        moment = kinds[int(rng.integers(len(kinds)))]
        emulator.restore(moment.snapshot)
        if moment.at_wall and rng.random() < OTHER_WALL:
            emulator.edit(wall=random_wall(rng, full_wall), score=int(rng.integers(0, 500)))
        policy: Policy = make_policy("mixed", rng, emulator.frameskip)
        if not moment.at_wall:
            policy = _Meet(rng, moment.lands_at)
        for _ in range(SETTLE):
            emulator.advance(policy.act(emulator.objects()))
        objects = emulator.objects()
        if writer is None:
            writer = EpisodeWriter(emulator.screen, objects.lives, moment.hits, emulator.knob)
        else:
            writer.cut(emulator.screen, objects.lives, moment.hits, emulator.knob)
        for _ in range(min(steps - done, max(1, moment.frames // emulator.frameskip))):
            action = policy.act(objects)
            reward = emulator.advance(action)
            objects = emulator.objects()
            writer.add(action, emulator.screen, reward, objects.lives)
            done += 1
            if emulator.over:
                break
    assert writer is not None
    return writer


def _moments(emulator: Emulator, rng: np.random.Generator) -> tuple[bytes, list[_Moment]]:
    """A full wall, and moments of a game of the mixed policy, from which drills begin."""
    found: list[_Moment] = []
    emulator.reset()
    wall = laid_wall(emulator)
    while not found:
        start_episode(emulator, "mixed", rng)
        policy = make_policy("mixed", rng, emulator.frameskip)
        objects, speed, hits = emulator.objects(), 0.0, 0
        for _ in range(round(POOL_SECONDS * EMULATOR_HZ / emulator.frameskip)):
            emulator.advance(policy.act(objects))
            before, objects = objects, emulator.objects()
            if emulator.over:
                break
            if before.ball is None or objects.ball is None:
                hits = 0
                continue
            came, speed = speed, (objects.ball[0] - before.ball[0]) / emulator.frameskip or speed
            if came > 0 > speed and before.ball[0] > BELOW_WALL:
                hits = min(hits + 1, MOST_HITS)
            if speed < 0 and objects.ball[0] in GOES_UP and rng.random() < 0.2:
                found.append(_Moment(emulator.snapshot(), WALL_FRAMES, True, 0.0, hits))
            elif speed > 0:
                frames = (AT_PADDLE - objects.ball[0]) / speed
                if BEFORE_PADDLE[0] <= frames <= BEFORE_PADDLE[1]:
                    lands_at = objects.ball[1] + frames * (objects.ball[1] - before.ball[1]) / emulator.frameskip
                    found.append(_Moment(emulator.snapshot(), round(frames) + AFTER_PADDLE, False, lands_at, hits))
    return wall, found
