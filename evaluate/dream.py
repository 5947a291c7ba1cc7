"""Dreaming: real history up to a moment, then the twin lives on its own frames under the real game's actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset
from evaluate.heldout import Starts, episode_of, memory_of
from evaluate.metrics import horizon, mean, quartiles
from evaluate.objects import ball_distance, find_balls, find_bricks, find_paddles
from evaluate.predictors import Memory, Predictor
from model import WorldModel
from model.breakout import EMULATOR_HZ

MARKS = (1, 2, 5, 10)
"""Seconds of game time after which the objects are compared."""
TRUE_AFTER = 10
CLOSE = 2.0
"""A ball within this many pixels counts as followed."""


@dataclass(frozen=True)
class Dreams:
    """R dreams, steps 1..S at index 0..S-1. What lies beyond a dream's `steps` is NaN, or -1 for the integers.

    `wrong_pixels` (R, S) int32; `ball` (R, S) float32, the ball's error in pixels as `ball_distance` gives it;
    `paddle` (R, S) float32, infinite where the dream shows none; `bricks` (R, S) int32, wrong bricks.
    A dream that is over (see `horizon`) is not drawn beyond the last mark. `horizons` (R,) int64 steps.
    """

    episodes: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    horizons: npt.NDArray[np.int64]
    wrong_pixels: npt.NDArray[np.int32]
    ball: npt.NDArray[np.float32]
    paddle: npt.NDArray[np.float32]
    bricks: npt.NDArray[np.int32]


def dream(
    wm: WorldModel,
    predictor: Predictor,
    dataset: TransitionDataset,
    starts: Starts,
    rng: np.random.Generator,
    marks: Sequence[int] = MARKS,
    progress: Callable[[float], None] = lambda share: None,
) -> Dreams:
    """Dream all runs side by side. `progress` is told the share of the steps that are done."""
    runs, longest = len(starts), int(starts.steps.max(initial=0))
    needed = np.minimum(starts.steps, round(max(marks, default=0) * EMULATOR_HZ / dataset.frameskip))
    wrong = np.full((runs, longest), -1, np.int32)
    bricks = wrong.copy()
    ball = np.full((runs, longest), np.nan, np.float32)
    paddle = ball.copy()
    history = dataset.frame(dataset.history(starts.t, wm.context))
    unseen = memory_of(dataset, starts.t, wm.context).unseen
    alive = np.arange(runs)
    for step in range(longest):
        t = starts.t[alive] + step
        keys = dataset.led_by(dataset.history(t, wm.context))
        actions = dataset.actions[t].astype(np.int64)
        _, codes = predictor.predict(history, actions, Memory(keys, unseen), rng)
        drawn = wm.decode_batch(history, codes, unseen)
        real = dataset.frame(t + 1)
        wrong[alive, step] = (drawn != real).sum((1, 2))
        ball[alive, step] = ball_distance(find_balls(real), find_balls(drawn))
        paddle[alive, step] = _paddle_error(find_paddles(real), find_paddles(drawn))
        bricks[alive, step] = (find_bricks(real) != find_bricks(drawn)).sum((1, 2))
        stays = np.array([_goes_on(wrong[r], ball[r], step + 1, needed[r], starts.steps[r]) for r in alive], bool)
        history = np.concatenate((history[stays, 1:], drawn[stays, None]), 1)
        alive = alive[stays]
        if not len(alive):
            break
        unseen = wm.next_unseen(history, actions[stays], unseen[stays])
        progress(1 - float(np.maximum(starts.steps[alive] - step - 1, 0).sum()) / float(starts.steps.sum()))
    horizons = [
        horizon(wrong[r, :length], ball[r, :length])
        for r, length in enumerate((wrong >= 0).sum(1))  # a broken dream is not drawn to its end
    ]
    return Dreams(
        episode_of(dataset, starts.t), starts.steps, np.array(horizons, np.int64), wrong, ball, paddle, bricks
    )


def _paddle_error(real: npt.NDArray[np.float32], drawn: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    missing = np.isnan(drawn) & ~np.isnan(real)
    return np.where(missing, np.float32(np.inf), np.abs(real - drawn)).astype(np.float32)


def _goes_on(wrong: npt.NDArray[np.int32], ball: npt.NDArray[np.float32], done: int, needed: int, steps: int) -> bool:
    """Whether a dream has steps left that are worth drawing: those to the last mark, and beyond it while it is true."""
    return done < needed or (done < steps and horizon(wrong[:done], ball[:done]) == done)


def _object_error(errors: npt.NDArray[np.float32], episodes: npt.NDArray[np.int64]) -> dict[str, Any]:
    known = ~np.isnan(errors)
    errors, episodes = errors[known], episodes[known]
    return {
        "of": len(errors),
        "error": quartiles(errors),
        "missing": mean(np.isinf(errors), episodes),
        f"within_{CLOSE:.0f}_pixels": mean(errors <= CLOSE, episodes),
    }


def summarise_dreams(dreams: Dreams, frameskip: int, marks: Sequence[int] = MARKS) -> dict[str, Any]:
    """The contract's dreaming metrics: horizons in seconds, and the objects after each mark."""
    seconds = frameskip / EMULATOR_HZ
    ends = dreams.horizons >= dreams.steps
    after = round(TRUE_AFTER / seconds)
    long = dreams.steps >= after
    at_marks: dict[str, Any] = {}
    for mark in marks:
        step = round(mark / seconds)
        runs = dreams.steps >= step
        column = min(step, dreams.ball.shape[1]) - 1
        episodes = dreams.episodes[runs]

        def at(values: npt.NDArray[Any], runs: npt.NDArray[np.bool_] = runs, column: int = column) -> npt.NDArray[Any]:
            return values[runs, column] if runs.any() else values[:0, :1].ravel()

        at_marks[str(mark)] = {
            "runs": int(runs.sum()),
            "still_true": mean(dreams.horizons[runs] >= step, episodes),
            "ball": _object_error(at(dreams.ball), episodes),
            "paddle": _object_error(at(dreams.paddle), episodes),
            "wrong_bricks": mean(at(dreams.bricks), episodes),
            "wrong_pixels": mean(at(dreams.wrong_pixels), episodes),
        }
    return {
        "runs": len(dreams.steps),
        "episodes": len(np.unique(dreams.episodes)),
        "run_seconds": quartiles(dreams.steps * seconds),
        "horizon_seconds": quartiles(dreams.horizons * seconds),
        "reach_the_end": mean(ends, dreams.episodes),
        f"true_after_{TRUE_AFTER}_seconds": mean(dreams.horizons[long] >= after, dreams.episodes[long]),
        "after_seconds": at_marks,
    }
