"""A moment is a value: all that the twin carries from one step to the next, and what a prediction is.

Nothing here is ever changed in place, so keeping a moment is an assignment. Arrays are numpy's in play and torch's in
training; all are batch first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any
"""An array of numpy's in play, a tensor of torch's in training."""
HISTORY = 4
"""How many of the last moments' object positions a state keeps."""
BALL_ROW, BALL_COLUMN, PADDLE, WIDTH = range(4)
"""The columns of `State.objects`."""
HUNDREDS, TENS, ONES, LIVES = range(4)
"""The columns of `State.board`."""
NOT_KNOWN = 0
"""The class of a variable of the memory that is not known; its others begin at 1."""


class Variable(NamedTuple):
    """A variable of the memory: its name, and what each class means; class 0 is always "not known"."""

    name: str
    classes: tuple[str, ...]


SPEEDS = tuple(
    (row, column)
    for row, columns in (
        (1.0, (1.0, 1.5, 2.0)),
        (1.5, (1.0,)),
        (2.0, (0.5, 1.0, 1.5, 2.0)),
        (3.375, (2.0,)),
    )
    for column in columns
)
"""(rows, columns) the ball moves in an emulator frame, up to the signs: the values the emulator's RAM takes."""
SIGNED_SPEEDS = ((0.0, 0.0), *((y * a, x * b) for y, x in SPEEDS for a in (1, -1) for b in (1, -1)))


def _variable(name: str, classes: tuple[object, ...]) -> Variable:
    return Variable(name, ("not known", *map(str, classes)))


FRACTIONS = 8
"""A ball's row is a multiple of an eighth of a pixel."""


def _fractions(number: int) -> str:
    return "|".join(f"{eighths}/8" for eighths in range(FRACTIONS) if number >> eighths & 1)


VARIABLES = (
    _variable("speed", tuple("no ball" if s == (0, 0) else f"{s[0]:+g} {s[1]:+g}" for s in SIGNED_SPEEDS)),
    _variable("half_row", tuple(_fractions(number) for number in range(1, 1 << FRACTIONS))),
    _variable("half_column", ("0", "1/2")),
    _variable("hits", tuple(range(13))),
    _variable("fast", ("no", "yes")),
    _variable("contact", ("top wall", "paddle", "brick")),
    _variable("steep", ("no", "yes")),
    _variable("clock", tuple(range(4))),
    _variable("points_due", (0, 1, 4, 7)),
    _variable("life_due", ("no", "yes")),
    _variable("knob", tuple(range(233))),
)
"""What no frame shows and the next one needs. The emulator's RAM teaches it (`collect.ram`); the twin sees pixels and
keys only. `speed` is in (rows, columns) an emulator frame, `half_row` and `half_column` the fractions of the ball's
place. The first of these is told bit by bit, so its class is a set: the number whose bits are the eighths that are
still possible. `clock` is the emulator's frame counter modulo 4, `points_due` and `life_due` what score and lives will
show a frame later, `knob` how far the keys have turned the paddle controller."""
SIZES = tuple(len(variable.classes) for variable in VARIABLES)
INDEX = {variable.name: number for number, variable in enumerate(VARIABLES)}


class State(NamedTuple):
    """All that the twin carries from one step to the next, for a batch of B games.

    frame      (B, 210, 160) uint8 classes, the newest frame
    objects    (B, 4, 4) int64, the last four moments, oldest first: ball row and column (top left, pixels; row 0: no
               ball; a ball that the screen hides is followed too), paddle column, paddle width
    wall       (B, 6, 18) uint8, 1 where a brick stands
    board      (B, 4) int64, the digits shown: hundreds, tens, ones of the score, lives
    memory     (B, V) int64, the class of each of `VARIABLES`, 0 where it is not known
    certainty  (B, V) float32, how sure the network is of its likeliest class, also where that counts as not known
    """

    frame: Array
    objects: Array
    wall: Array
    board: Array
    memory: Array
    certainty: Array

    def rows(self, which: Any) -> State:
        """The games `which` (a slice, or numbers, or a mask) of the batch."""
        return State(*(part[which] for part in self))


def lives_left(state: State) -> Array:
    """The lives (B,) that are left: a lost ball costs its life at once, and the digit shows it a frame later."""
    return (state.board[:, LIVES] - (state.memory[:, INDEX["life_due"]] == 2)).clip(0)


def stack(states: list[State]) -> State:
    """Several batches of games as one."""
    return State(*(np.concatenate(parts) for parts in zip(*states, strict=True)))


def where(mask: Array, these: State, others: State) -> State:
    """`these` games where `mask` (B,) bool holds, the `others` elsewhere."""
    return State(*(np.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(these, others, strict=True)))


class Things(NamedTuple):
    """What a frame shows: ball (B, 2) int64 row and column, paddle (B, 2) int64 column and width, wall (B, 6, 18)
    uint8, board (B, 4) int64. As in `State`."""

    ball: Array
    paddle: Array
    wall: Array
    board: Array


class Prediction(NamedTuple):
    """The next step: codes (B, 35) int64, the frame they draw (B, 210, 160) uint8 classes, and what it shows; and what
    the networks were told of the state, which `advance` tells the memory too (`model.context.Around`), opaque."""

    codes: Array
    frame: Array
    things: Things
    around: Sequence[Array]
