"""What the twin remembers beside what is so: each variable of `State.memory` against the emulator's RAM."""

from __future__ import annotations

from typing import Any

import numpy as np

from collect import knob, ram
from collect.dataset import TransitionDataset
from model.breakout import GRID_ROWS
from model.metrics import Numbers, ratio
from model.readers import Ints, read_digits
from model.state import NOT_KNOWN, SIGNED_SPEEDS, VARIABLES

EIGHTH, HALF, WHOLE = 32, 128, 256
"""Parts of a pixel in RAM's fixed point."""
POINTS = (0, 1, 4, 7)


def true_memory(dataset: TransitionDataset) -> Ints:
    """The class that each variable really has in each frame: (N, V) int64, -1 where RAM does not tell it."""
    place = knob.places(dataset.ram, dataset.actions, dataset.first, dataset.frameskip)
    return true_classes(ram.read(dataset.ram), digits_shown(dataset), place)


def true_classes(truth: ram.GameState, shown: Ints, place: Numbers) -> Ints:
    """The same from what RAM says of N frames, the digits that they show (N, 4 or more) and the knob's place (N,)."""
    played = truth.ball_row > 0
    speeds = np.stack((truth.row_speed, truth.column_speed), 1)
    speed = np.full(len(played), -1)
    for number, signed in enumerate(SIGNED_SPEEDS):
        speed[played & (speeds == np.array(signed) * WHOLE).all(1)] = number
    values: dict[str, Any] = {
        "speed": np.where(played, speed, 0),
        "half_row": (1 << truth.row_fraction.astype(np.int64) // EIGHTH) - 1,  # the class is a set of one eighth
        "half_column": truth.column_fraction // HALF,
        "hits": truth.hits,
        "fast": truth.fast,
        "contact": truth.contact,
        "steep": truth.steep,
        "clock": truth.clock % 4,
        "points_due": (truth.score - shown[:, :3] @ (100, 10, 1)) % 1000,
        "life_due": shown[:, 3] != truth.lives,
        "knob": place,
    }
    # A class is a value's number, but for points.
    points = np.array([POINTS.index(due) if due in POINTS else -1 for due in range(1000)])
    values["points_due"] = points[values["points_due"]]
    return np.stack([_classes(values[variable.name]) for variable in VARIABLES], 1)


def _classes(numbers: Numbers) -> Ints:
    """Classes from numbers 0, 1, ...: the first class is "not known"; -1, not told, stays."""
    wide = np.asarray(numbers).astype(np.int64)
    return np.where(wide < 0, -1, wide + 1)


def digits_shown(dataset: TransitionDataset) -> Ints:
    """The digits of each frame: (N, 5). Few different ones are shown, so each is read once."""
    _, first, which = np.unique(dataset.index[:, ::GRID_ROWS], axis=0, return_index=True, return_inverse=True)
    return read_digits(dataset.frame(first))[which.reshape(-1)]


def summarise_memory(memory: Ints, truth: Ints, episodes: Ints) -> dict[str, Any]:
    """Per variable how often it is known, and how often right when known; memory and truth (N, V), episodes (N,).

    Moments of which RAM does not tell a variable do not count for it.
    """
    found = {}
    for number, variable in enumerate(VARIABLES):
        told = truth[:, number] >= 0
        # Of the row's fraction the class is a set: it is known when that holds one eighth.
        one = variable.name != "half_row" or np.bitwise_count(memory[told, number]) == 1
        known = (memory[told, number] != NOT_KNOWN) & one
        right = memory[told, number] == truth[told, number]
        found[variable.name] = {
            "known": ratio(known, np.ones(len(known)), episodes[told]),
            "right_when_known": ratio(right & known, known, episodes[told]),
            "right": ratio(right, np.ones(len(known)), episodes[told]),
        }
    return found
