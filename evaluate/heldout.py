"""Held-out games: played afresh for the evaluation with seeds that no training data has, and what RAM says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, play_episode
from model.breakout import EMULATOR_HZ, GRID_ROWS, PADDLE_TOP
from model.readers import OPEN_ROWS, Ints

SEED_OFFSET = 1 << 40
"""Added to every held-out seed: `collect frames` seeds are far below it, so no game was ever trained on."""
WALL_REACH, PADDLE_REACH = 10, 12
"""Pixels from a side wall, and rows above the paddle, within which the ball belongs to that zone."""
LEFT_END, RIGHT_END = 8, 150
"""The ball's first and last column between the side walls."""


def play_held_out(
    policy: str,
    frameskip: int,
    seed: int,
    episodes: int,
    seconds: float,
    progress: Callable[[int], None] = lambda done: None,
) -> TransitionDataset:
    """Play `episodes` games of at most `seconds` of game time each; the same seed gives the same games, RAM included.

    `progress` is told how many are done. ValueError if there is nothing to play.
    """
    if episodes < 1 or seconds <= 0 or seed < 0:
        raise ValueError(f"held-out games need 1 or more episodes, got {episodes} of {seconds} s with seed {seed}")
    settings = CollectSettings(0, policy, frameskip, SEED_OFFSET + seed, seconds)
    played = []
    for number in range(episodes):
        writer, over = play_episode(settings, number)
        played.append(writer.to_episode(over))
        progress(number + 1)
    return TransitionDataset(
        played, {"policy": policy, "frameskip": frameskip, "seed": settings.seed, "episode_seconds": seconds}
    )


def episode_of(dataset: TransitionDataset, t: Ints) -> Ints:
    """The episode number of each frame number, the same shape."""
    return np.searchsorted(dataset.first, t, side="right") - 1


def sample_transitions(dataset: TransitionDataset, count: int, rng: np.random.Generator) -> Ints:
    """At most `count` different transitions, drawn evenly over all episodes, in order."""
    every = dataset.transitions()
    return np.sort(rng.choice(every, min(count, len(every)), replace=False))


@dataclass(frozen=True)
class Starts:
    """Moments to start dreams from, the ball in play: frame numbers `t` (R,), and the most `steps` (R,) of each."""

    t: Ints
    steps: Ints

    def __len__(self) -> int:
        return len(self.t)


def dream_starts(
    dataset: TransitionDataset, count: int, least: float, longest: float, rng: np.random.Generator
) -> Starts:
    """At most `count` random moments with the ball in play and at least `least` seconds of the recording to go.

    A run lasts until the recording ends, at most `longest` seconds. That it is long enough is asked of the real game
    only, so what is measured after 10 s is measured on the same runs as after 1 s.
    """
    per_second = EMULATOR_HZ / dataset.frameskip
    enough, most = max(1, round(least * per_second)), max(1, round(longest * per_second))
    t = dataset.transitions(skip=1)
    left = dataset.first[episode_of(dataset, t) + 1] - 1 - t
    fit = (left >= enough) & (ram.read(dataset.ram[t]).ball_row > 0)
    t, left = t[fit], left[fit]
    chosen = np.sort(rng.choice(len(t), min(count, len(t)), replace=False)) if len(t) else np.zeros(0, np.int64)
    return Starts(t[chosen], np.minimum(left[chosen], most))


# --- what happened in a step, by RAM ---


class Event(IntEnum):
    """What a transition t -> t + 1 is; the first that fits."""

    LIFE_LOST = 0
    SERVE = 1
    BRICK = 2
    PADDLE = 3
    SIDE_WALL = 4
    TOP_WALL = 5
    SCORE = 6  # digits are drawn a frame after what they count
    NOTHING = 7

    @property
    def label(self) -> str:
        """As tables and pages write it."""
        return _EVENT_LABELS[self]


_EVENT_LABELS = (
    "life lost", "serve", "brick hit", "paddle bounce", "side wall bounce", "top wall bounce", "score changed",
    "nothing",
)  # fmt: skip


class Zone(IntEnum):
    """Where the ball is at t."""

    FREE = 0
    BRICKS = 1
    PADDLE = 2
    SIDE_WALLS = 3
    NO_BALL = 4

    @property
    def label(self) -> str:
        """As tables and pages write it."""
        return ("free flight", "bricks", "paddle", "side walls", "no ball")[self]


def classify(dataset: TransitionDataset) -> Ints:
    """The `Event` of each transition t -> t + 1: (N,) int64. An episode's last frame, which has none, is NOTHING."""
    now, after = ram.read(dataset.ram[:-1]), ram.read(dataset.ram[1:])
    bricks = (now.wall & ~after.wall).any((1, 2))
    played = (now.ball_row > 0) & (after.ball_row > 0)
    # A bounce is where the speed's sign turns; bricks and paddle turn it too, and are tried before the walls.
    turned = played & (now.row_speed * np.sign(after.row_speed) < 0)
    changed_digits = (dataset.index[:-1, ::GRID_ROWS] != dataset.index[1:, ::GRID_ROWS]).any(1)
    found = np.select(
        (
            after.lives < now.lives,
            (now.ball_row == 0) & (after.ball_row > 0),
            bricks,
            turned & (now.row_speed > 0) & (now.ball_row > OPEN_ROWS.start),
            played & (now.column_speed * np.sign(after.column_speed) < 0),
            turned & (now.row_speed < 0),
            changed_digits,
        ),
        (Event.LIFE_LOST, Event.SERVE, Event.BRICK, Event.PADDLE, Event.SIDE_WALL, Event.TOP_WALL, Event.SCORE),
        Event.NOTHING,
    )
    events = np.append(found, Event.NOTHING).astype(np.int64)
    events[dataset.first[1:] - 1] = Event.NOTHING
    return events


def zones(dataset: TransitionDataset) -> Ints:
    """The `Zone` of the ball at each frame: (N,) int64."""
    truth = ram.read(dataset.ram)
    row, column = truth.ball_row, truth.ball_column
    return np.select(
        (
            row == 0,
            row > PADDLE_TOP - PADDLE_REACH,
            (column < LEFT_END + WALL_REACH) | (column > RIGHT_END - WALL_REACH),
            row < OPEN_ROWS.start,
        ),
        (Zone.NO_BALL, Zone.PADDLE, Zone.SIDE_WALLS, Zone.BRICKS),
        Zone.FREE,
    ).astype(np.int64)
