"""Held-out games: played afresh for the evaluation, with seeds that no training data has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset
from collect.episode import load_episode
from collect.frames import CollectSettings, play_episode
from evaluate.objects import find_balls
from evaluate.predictors import Memory
from model.breakout import EMULATOR_HZ, GRID_ROWS
from train.places import all_places

SEED_OFFSET = 1 << 40
"""Added to every held-out seed: `collect frames` seeds are far below it, so no game was ever trained on."""


@dataclass(frozen=True)
class Starts:
    """Moments to start dreams from: frame numbers `t` (R,) and how many steps the ball stays in play, `steps` (R,)."""

    t: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t)


def play_held_out(
    policy: str,
    frameskip: int,
    seed: int,
    episodes: int,
    seconds: float = 90.0,
    progress: Callable[[int], None] = lambda done: None,
) -> TransitionDataset:
    """Play `episodes` games of at most `seconds` of game time each; the same seed gives the same games.

    `progress` is told how many are done. ValueError if there is nothing to play.
    """
    if episodes < 1 or seconds <= 0 or seed < 0:
        raise ValueError(f"held-out games need 1 or more episodes, got {episodes} of {seconds} s with seed {seed}")
    settings = CollectSettings(0, policy, frameskip, SEED_OFFSET + seed, seconds)
    played = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "episode.npz"
        for number in range(episodes):
            writer, over = play_episode(settings, number)
            writer.save(path, over)
            played.append(load_episode(path))
            progress(number + 1)
    manifest = {"policy": policy, "frameskip": frameskip, "seed": settings.seed, "episode_seconds": seconds}
    return TransitionDataset(played, manifest)


_UNSEEN: WeakKeyDictionary[TransitionDataset, npt.NDArray[np.int64]] = WeakKeyDictionary()


def memory_of(dataset: TransitionDataset, t: npt.NDArray[np.int64], context: int) -> Memory:
    """What the `context` frames up to frames t (B,) do not show: the keys that led to them, and hits, knob and whether
    a life is due, known by watching the games from their beginnings, as a twin does in play."""
    if dataset not in _UNSEEN:
        seen = all_places(dataset)[0].astype(np.int64)
        _UNSEEN[dataset] = np.concatenate((seen[:, 3:], _lives_due(dataset, seen[:, 0] >= 0)[:, None]), 1)
    return Memory(dataset.led_by(dataset.history(t, context)), _UNSEEN[dataset][t])


def _lives_due(dataset: TransitionDataset, seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """`model.memory.life_due` of every frame, from where the ball is `seen` (N,): (N,) of 0 and 1."""
    taken = np.zeros_like(seen)
    taken[1:] = (np.diff(dataset.index[:, ::GRID_ROWS].astype(np.int64), axis=0) != 0).any(1)
    taken[dataset.first[:-1]] = True  # no life is due when a game begins
    numbers = np.arange(len(seen))
    last = np.maximum.accumulate(np.where(seen | taken, numbers, -1))
    return seen[last].astype(np.int64)


def episode_of(dataset: TransitionDataset, t: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The episode number of each frame number, the same shape."""
    return np.searchsorted(dataset.first, t, side="right") - 1


def sample_transitions(dataset: TransitionDataset, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """At most `count` different transitions, drawn evenly over all episodes, in order."""
    every = dataset.transitions()
    return np.sort(rng.choice(every, min(count, len(every)), replace=False))


def rallies(dataset: TransitionDataset) -> npt.NDArray[np.int64]:
    """Spells with the ball in play: (S, 2) first and last frame number, both inclusive.

    One begins where the ball is first seen in the open field, and ends before the frame that takes a life; the last of
    an episode that was cut ends with it.
    """
    seen = np.zeros(len(dataset.index), bool)
    for start in range(0, len(seen), 256):
        numbers = np.arange(start, min(start + 256, len(seen)))
        seen[numbers] = ~np.isnan(find_balls(dataset.frame(numbers))[:, 0])
    found = []
    for first, end in zip(dataset.first[:-1], dataset.first[1:], strict=True):
        lost = first + 1 + np.flatnonzero(np.diff(dataset.lives[first:end].astype(int)) < 0)
        for begin, stop in zip((first, *lost), (*lost, end), strict=True):
            balls = np.flatnonzero(seen[begin:stop])
            if len(balls):
                found.append((begin + balls[0], stop - 1))
    return np.array(found, np.int64).reshape(-1, 2)


def dream_starts(
    dataset: TransitionDataset, count: int, least: float, longest: float, rng: np.random.Generator
) -> Starts:
    """At most `count` random moments with the ball in play and at least `least` seconds to go until it is lost.

    Each run lasts until the ball is lost, at most `longest` seconds. That a run is long enough is asked of the real
    game only, so that what is measured after 10 s is measured on the same runs as after 1 s.
    """
    per_second = EMULATOR_HZ / dataset.frameskip
    enough, most = max(1, round(least * per_second)), max(1, round(longest * per_second))
    moments = [(t, last) for first, last in rallies(dataset) for t in range(first, last + 1 - enough)]
    every = np.array(moments, np.int64).reshape(-1, 2)
    chosen = every[np.sort(rng.choice(len(every), min(count, len(every)), replace=False))] if len(every) else every
    return Starts(chosen[:, 0], np.minimum(chosen[:, 1] - chosen[:, 0], most))
