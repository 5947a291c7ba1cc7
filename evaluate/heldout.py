"""Held-out games: played afresh with seeds that no training data has, and what RAM says of them."""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset as Dataset
from collect.frames import CollectSettings, play_episode
from console import Show, quiet
from model.breakout import BALL_WIDTH, EMULATOR_HZ, FIELD_LEFT, FIELD_RIGHT, GRID_ROWS, PADDLE_TOP
from model.engine import Engine
from model.files import SCHEMA
from model.readers import OPEN_ROWS, Ints, read_digits

SEED_OFFSET = 1 << 40  # added to every held-out seed: no game was trained on, as `collect frames` seeds are far below
Report = dict[str, Any]
WALL_REACH, PADDLE_REACH = 10, 12  # pixels from a side wall, and rows above the paddle, that belong to that zone


def play_held_out(policy: str, frameskip: int, seed: int, episodes: int, seconds: float, show: Show = quiet) -> Dataset:
    """Play `episodes` games of at most `seconds` of game time each; the same seed gives the same games and RAM."""
    settings, played = CollectSettings(0, policy, frameskip, SEED_OFFSET + seed, seconds), []
    for number in range(1, episodes + 1):  # not 0: NumPy draws alike for (2**40 + s, 0) and (s, 256), of training
        played.append(play_episode(settings, number))
        show(number / episodes, f"{number} of {episodes} games played")
    return Dataset(played, {"policy": policy, "frameskip": frameskip, "seed": settings.seed})


def about(engine: Engine, kind: str, **more: Any) -> Report:
    """How every report begins."""
    return {"schema": SCHEMA, "kind": kind, "weights": engine.checksum, "frameskip": engine.frameskip, **more}


def episode_of(dataset: Dataset, t: Ints) -> Ints:
    """The episode number of each frame number, the same shape."""
    return np.searchsorted(dataset.first, t, side="right") - 1


def sample_transitions(dataset: Dataset, count: int, rng: np.random.Generator) -> Ints:
    """At most `count` different transitions, drawn evenly over all episodes, in order."""
    every = dataset.transitions()
    return np.sort(rng.choice(every, min(count, len(every)), replace=False))


class Starts(NamedTuple):
    """Moments to start dreams from, the ball in play."""

    t: Ints  # (R,) frame numbers
    steps: Ints  # (R,) the most that a dream from there may last


def dream_starts(dataset: Dataset, count: int, least: float, longest: float, rng: np.random.Generator) -> Starts:
    """At most `count` random moments with the ball in play and at least `least` seconds of the recording to go. A run
    lasts until the recording ends, at most `longest` seconds. That it is long enough is asked of the real game only, so
    what is measured after 10 s is measured on the same runs as after 1 s."""
    per_second = EMULATOR_HZ / dataset.frameskip
    t = dataset.transitions(skip=1)
    left = dataset.first[episode_of(dataset, t) + 1] - 1 - t
    fit = (left >= max(1, round(least * per_second))) & (ram.read(dataset.ram[t]).ball_row > 0)
    t, left = t[fit], left[fit]
    chosen = np.sort(rng.choice(len(t), min(count, len(t)), replace=False)) if len(t) else np.zeros(0, np.int64)
    return Starts(t[chosen], np.minimum(left[chosen], max(1, round(longest * per_second))))


class Event(IntEnum):
    """What a transition t -> t + 1 is, the first that fits; digits are drawn a frame after what they count."""

    LIFE_LOST, SERVE, BRICK, PADDLE, SIDE_WALL, TOP_WALL, SCORE, NOTHING = range(8)


class Zone(IntEnum):
    """Where the ball is at t."""

    FREE, BRICKS, PADDLE, SIDE_WALLS, NO_BALL = range(5)


_ZONES = ("free flight", "bricks", "paddle", "side walls", "no ball")
_EVENTS = (
    "life lost", "serve", "brick hit", "paddle bounce", "side wall bounce", "top wall bounce", "score changed",
    "nothing",
)  # fmt: skip


def label_of(kind: IntEnum) -> str:
    """An `Event` or a `Zone` as tables and pages write it."""
    return (_EVENTS if isinstance(kind, Event) else _ZONES)[kind]


def classify(dataset: Dataset) -> Ints:
    """The `Event` of each transition t -> t + 1: (N,) int64. An episode's last frame, which has none, is NOTHING."""
    now, after = ram.read(dataset.ram[:-1]), ram.read(dataset.ram[1:])
    played = (now.ball_row > 0) & (after.ball_row > 0)
    # A bounce is where the speed's sign turns; bricks and paddle turn it too, and are tried before the walls.
    turned = played & (now.row_speed * np.sign(after.row_speed) < 0)
    cases = {
        Event.LIFE_LOST: after.lives < now.lives,
        Event.SERVE: (now.ball_row == 0) & (after.ball_row > 0),
        Event.BRICK: (now.wall & ~after.wall).any((1, 2)),
        Event.PADDLE: turned & (now.row_speed > 0) & (now.ball_row > OPEN_ROWS.start),
        Event.SIDE_WALL: played & (now.column_speed * np.sign(after.column_speed) < 0),
        Event.TOP_WALL: turned & (now.row_speed < 0),
        Event.SCORE: (dataset.index[:-1, ::GRID_ROWS] != dataset.index[1:, ::GRID_ROWS]).any(1),
    }
    events = np.append(np.select(list(cases.values()), list(cases), Event.NOTHING), Event.NOTHING).astype(np.int64)
    events[dataset.first[1:] - 1] = Event.NOTHING
    return events


def zones(dataset: Dataset) -> Ints:
    """The `Zone` of the ball at each frame: (N,) int64."""
    truth = ram.read(dataset.ram)
    row, column = truth.ball_row, truth.ball_column
    cases = {
        Zone.NO_BALL: row == 0,
        Zone.PADDLE: row > PADDLE_TOP - PADDLE_REACH,
        Zone.SIDE_WALLS: (column < FIELD_LEFT + WALL_REACH) | (column > FIELD_RIGHT - BALL_WIDTH - WALL_REACH),
        Zone.BRICKS: row < OPEN_ROWS.start,
    }
    return np.select(list(cases.values()), list(cases), Zone.FREE).astype(np.int64)


def true_memory(dataset: Dataset) -> Ints:
    """The class that each variable of the memory really has in each frame: (N, V) int64, -1 where RAM does not tell."""
    place = ram.knob_places(dataset.ram, dataset.actions, dataset.first, dataset.frameskip)
    return ram.hidden(ram.read(dataset.ram), digits_shown(dataset), place)


def digits_shown(dataset: Dataset) -> Ints:
    """The digits of each frame: (N, 5). Few different ones are shown, so each is read once."""
    _, first, which = np.unique(dataset.index[:, ::GRID_ROWS], axis=0, return_index=True, return_inverse=True)
    return read_digits(dataset.frame(first))[which.reshape(-1)]
