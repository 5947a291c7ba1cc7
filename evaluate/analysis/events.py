"""What happened in the game at a step, read from frames, rewards and lives alone, never from RAM.

Every transition t -> t + 1 belongs to exactly one group, the first of this list that fits:

- life lost: there is a life less at t + 1;
- serve: the ball is first seen in the open field since the game or the life began. Where it appears cannot be known;
- brick hit: a brick that stood at t does not stand at t + 1;
- score change: the digits (score, lives) changed without a brick seen to go: the game often draws them a step later;
- paddle bounce: low in the field, the ball's way down turns round in this step, as far as the paddle lets it be seen;
- wall bounce: near a side wall, the ball's way left or right in the step before ends or turns round in this one;
- nothing: none of these. Free flight, ball among the bricks, waiting for a serve.

Bounces need the ball in the open field at t - 1, t and t + 1 (`evaluate.objects`); those off bricks and the ceiling,
where a ball cannot be told from its surroundings, are not among them.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset
from evaluate.heldout import episode_of
from evaluate.objects import (
    BALL_COLUMNS,
    BALL_ROWS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_TOP,
    FIELD_COLUMNS,
    FIELD_ROWS,
    find_balls,
    find_bricks,
)
from model.breakout import CELL_ROWS, GRID_ROWS

BATCH = 256
WALL_REACH = 10
"""Pixels between ball and side wall at t within which a turn is a bounce off it: as far as the ball goes in a step."""
PADDLE_REACH = 20
"""The same between the ball's top row and the lower edge of the open field."""
DIGIT_ROWS = 16
"""The score and the lives are drawn in the rows above this one."""


class Event(IntEnum):
    """The groups, in the order in which they are tried."""

    LIFE_LOST = 0
    SERVE = 1
    BRICK_HIT = 2
    SCORE_CHANGE = 3
    PADDLE_BOUNCE = 4
    WALL_BOUNCE = 5
    NOTHING = 6

    @property
    def label(self) -> str:
        """As the page writes it."""
        return self.name.lower().replace("_", " ")


class Place(IntEnum):
    """Where the ball was at t. "hidden": in play, or not yet served, but not to be seen in the open field."""

    OPEN_FIELD = 0
    HIDDEN = 1
    NOT_SERVED = 2

    @property
    def label(self) -> str:
        """As the page writes it."""
        return ("in the open field", "at the bricks or the paddle", "not served yet")[self]


Events = npt.NDArray[np.int64]


def find_all_balls(dataset: TransitionDataset) -> npt.NDArray[np.float32]:
    """`find_balls` of every frame: (N, 2) float32, NaN where the open field shows none."""
    batches = (
        np.arange(start, min(start + BATCH, len(dataset.index))) for start in range(0, len(dataset.index), BATCH)
    )
    return np.concatenate([find_balls(dataset.frame(numbers)) for numbers in batches])


def classify(dataset: TransitionDataset, balls: npt.NDArray[np.float32]) -> Events:
    """The `Event` of each transition t -> t + 1: (N,) int64. An episode's last frame, which has none, is NOTHING."""
    events = np.full(len(dataset.index), Event.NOTHING, np.int64)
    t = dataset.transitions()
    for event, happened in (
        (Event.WALL_BOUNCE, _wall_bounces(dataset, balls, t)),
        (Event.PADDLE_BOUNCE, _paddle_bounces(dataset, balls, t)),
        (Event.SCORE_CHANGE, (dataset.rewards[t] > 0) | _digits_changed(dataset, t)),
        (Event.BRICK_HIT, _bricks_gone(dataset, t)),
        (Event.SERVE, first_seen(dataset, balls)[t + 1]),
        (Event.LIFE_LOST, dataset.lives[t + 1] < dataset.lives[t]),
    ):
        events[t[happened]] = event  # the earlier in the list comes later here, and wins
    return events


def _spells(dataset: TransitionDataset) -> npt.NDArray[np.int64]:
    """Which life of which game a frame belongs to: (N,) int64, a new number at every loss and every game."""
    starts = np.zeros(len(dataset.index), np.int64)
    starts[dataset.first[:-1]] = 1
    lost = np.flatnonzero(np.diff(dataset.lives.astype(int)) < 0) + 1
    starts[lost] = 1
    return np.cumsum(starts)


def first_seen(dataset: TransitionDataset, balls: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """(N,) bool: frames that show a life's ball in the open field for the first time."""
    seen = np.flatnonzero(~np.isnan(balls[:, 0]))
    _, firsts = np.unique(_spells(dataset)[seen], return_index=True)
    found = np.zeros(len(balls), bool)
    found[seen[firsts]] = True
    return found


def places(dataset: TransitionDataset, balls: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The `Place` of the ball at each frame: (N,) int64."""
    seen = ~np.isnan(balls[:, 0])
    served = np.zeros(len(seen), bool)
    spells = _spells(dataset)
    for spell in np.split(np.arange(len(spells)), np.flatnonzero(np.diff(spells)) + 1):
        served[spell] = np.maximum.accumulate(seen[spell])
    return np.where(seen, Place.OPEN_FIELD, np.where(served, Place.HIDDEN, Place.NOT_SERVED)).astype(np.int64)


def _velocities(
    dataset: TransitionDataset, balls: npt.NDArray[np.float32], t: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The ball's way (rows, columns) in the step before and in this one, (T, 2) each; NaN where it is not known."""
    earlier = np.maximum(t - 1, 0)
    before = balls[t] - balls[earlier]
    before[episode_of(dataset, earlier) != episode_of(dataset, t)] = np.nan
    before[t == 0] = np.nan
    return before, balls[t + 1] - balls[t]


def _paddle_bounces(
    dataset: TransitionDataset, balls: npt.NDArray[np.float32], t: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    before, now = _velocities(dataset, balls, t)
    rises = (balls[t, 0] >= FIELD_ROWS.stop - PADDLE_REACH) & (now[:, 0] < 0) & ~(before[:, 0] < 0)
    at_once = rises & (before[:, 0] > 0)
    # At the field's lower edge the paddle hides the ball: it stands still, or is gone, while it turns. The turn was
    # then in the step before the one that shows it rise.
    hidden = rises & ~at_once & (balls[t, 0] >= FIELD_ROWS.stop - BALL_ROWS - 3)
    step_before = np.isin(t, t[hidden] - 1)
    return at_once | step_before


def _wall_bounces(
    dataset: TransitionDataset, balls: npt.NDArray[np.float32], t: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    before, now = _velocities(dataset, balls, t)
    column = balls[t, 1]
    left = (column - FIELD_COLUMNS.start <= WALL_REACH) & (before[:, 1] < 0) & (now[:, 1] >= 0)
    right = (FIELD_COLUMNS.stop - BALL_COLUMNS - column <= WALL_REACH) & (before[:, 1] > 0) & (now[:, 1] <= 0)
    return left | right


def _changed_rows(dataset: TransitionDataset, t: npt.NDArray[np.int64], rows: range) -> npt.NDArray[np.bool_]:
    """Whether any cell of these grid rows differs between t and t + 1: equal cells have equal numbers in an episode."""
    cells = np.isin(np.arange(dataset.index.shape[1]) % GRID_ROWS, rows)
    return (dataset.index[t][:, cells] != dataset.index[t + 1][:, cells]).any(1)


def _digits_changed(dataset: TransitionDataset, t: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    found = _changed_rows(dataset, t, range(1))
    for start in range(0, len(t), BATCH):
        some = np.flatnonzero(found[start : start + BATCH]) + start
        digits = dataset.frame(np.stack((t[some], t[some] + 1)))[:, :, :DIGIT_ROWS]
        found[some] = (digits[0] != digits[1]).any((1, 2))
    return found


def _bricks_gone(dataset: TransitionDataset, t: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    lowest = BRICK_TOP + BRICK_ROWS * BRICK_HEIGHT - 1
    found = _changed_rows(dataset, t, range(BRICK_TOP // CELL_ROWS, lowest // CELL_ROWS + 1))
    which = np.flatnonzero(found)
    for start in range(0, len(which), BATCH):
        some = which[start : start + BATCH]
        bricks = [find_bricks(dataset.frame(t[some] + later)) for later in (0, 1)]
        found[some] = (bricks[0] & ~bricks[1]).any((1, 2))
    return found
