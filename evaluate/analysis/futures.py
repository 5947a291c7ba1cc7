"""Four futures of one moment: each key held for a while, in the real game and in every controller's dream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from collect.emulator import Emulator, Snapshot
from collect.policies import make_policy, start_episode
from evaluate.heldout import SEED_OFFSET
from evaluate.objects import ball_distance, find_balls, find_paddles
from model import WorldModel
from model.breakout import COLUMNS, EMULATOR_HZ, Action, Frame

SECONDS = 0.5
BALL_BETWEEN = 130, 165
"""Rows in which the ball rises at that moment: high enough above the paddle, with room left below the bricks."""
_TRIES = 20_000


@dataclass(frozen=True)
class Futures:
    """Screens of classes (210, 160) uint8: the moment, and by key the real end and every controller's."""

    start: Frame
    real: dict[str, Frame]
    dreamt: dict[str, dict[str, Frame]]


def four_futures(wm: WorldModel, policy: str, seed: int, seconds: float = SECONDS) -> tuple[Futures, dict[str, Any]]:
    """The futures, and how far the dreams are off: wrong pixels, ball and paddle in pixels (None where one is lost)."""
    emulator = Emulator(wm.frameskip)
    snapshot, history = find_moment(emulator, wm.context, policy, seed)
    steps = max(1, round(seconds * emulator.steps_per_second))
    before = wm.controller
    real: dict[str, Frame] = {}
    dreamt: dict[str, dict[str, Frame]] = {name: {} for name in wm.controllers}
    numbers: dict[str, Any] = {}
    try:
        for action in Action:
            key = action.name.lower()
            emulator.restore(snapshot)
            for _ in range(steps):
                emulator.step(action)
            real[key] = emulator.frame
            numbers[key] = {}
            for name in wm.controllers:
                wm.controller = name
                wm.reset_classes(history)
                for _ in range(steps):
                    prediction = wm.step_classes(action)
                dreamt[name][key] = prediction.classes
                numbers[key][name] = _difference(real[key], prediction.classes)
    finally:
        wm.controller = before
    return Futures(history[-1], real, dreamt), {"seconds": steps * wm.frameskip / EMULATOR_HZ, "keys": numbers}


def find_moment(emulator: Emulator, context: int, policy: str, seed: int) -> tuple[Snapshot, Frame]:
    """The first moment of a held-out game with the ball rising below the bricks and the paddle near the middle.

    Returns the emulator there and its last `context` frames, classes. ValueError if `policy` never gets there.
    """
    rng = np.random.default_rng([SEED_OFFSET + seed, 1 << 20])
    start_episode(emulator, policy, rng)
    player = make_policy(policy, rng, emulator.frameskip)
    frames = [emulator.frame]
    for _ in range(_TRIES):
        if emulator.over:
            start_episode(emulator, policy, rng)
            frames = [emulator.frame]
        emulator.step(player.act(emulator.objects()))
        frames = [*frames[1 - context :], emulator.frame]
        if len(frames) == context and _is_open(frames):
            return emulator.snapshot(), np.stack(frames)
    raise ValueError(f"the {policy} policy never had the ball in free flight; choose another --policy or --seed")


def _is_open(frames: list[Frame]) -> bool:
    balls = find_balls(np.stack(frames[-2:]))
    if not (balls[1, 0] < balls[0, 0] and BALL_BETWEEN[0] < balls[1, 0] < BALL_BETWEEN[1]):
        return False
    return bool(COLUMNS * 0.3 < find_paddles(frames[-1][None])[0] < COLUMNS * 0.6)


def _difference(real: Frame, dreamt: Frame) -> dict[str, Any]:
    """NaN and infinity become None when the report is rounded."""
    ball = ball_distance(find_balls(real[None]), find_balls(dreamt[None]))[0]
    paddle = abs(find_paddles(real[None])[0] - find_paddles(dreamt[None])[0])
    return {"wrong_pixels": int((real != dreamt).sum()), "ball_error": float(ball), "paddle_error": float(paddle)}
