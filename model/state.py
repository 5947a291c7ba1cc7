"""A moment is a value: all that the twin carries from one step to the next, and what a prediction is.

Nothing here is ever changed in place, so keeping a moment is an assignment. Arrays are numpy's in play and torch's in
training; all are batch first.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any  # an array of numpy's in play, a tensor of torch's in training
HISTORY = 4  # how many of the last moments' object positions a state keeps
BALL_ROW, BALL_COLUMN, PADDLE, WIDTH = range(4)  # the columns of `State.objects`
HUNDREDS, TENS, ONES, LIVES = range(4)  # the columns of `State.board`
NOT_KNOWN = 0  # the class of a variable of the memory that is not known; its others begin at 1


SPEEDS = (1.0, 1.0), (1.0, 1.5), (1.0, 2.0), (1.5, 1.0), (2.0, 0.5), (2.0, 1.0), (2.0, 1.5), (2.0, 2.0), (3.375, 2.0)
"""(rows, columns) the ball moves in an emulator frame, up to the signs: the values the emulator's RAM takes."""
SIGNED_SPEEDS = ((0.0, 0.0), *((y * a, x * b) for y, x in SPEEDS for a in (1, -1) for b in (1, -1)))
FRACTIONS = 8  # a ball's row is a multiple of an eighth of a pixel


class Variable(NamedTuple):
    """A variable of the memory: its name, and what each class means; class 0 is always "not known"."""

    name: str
    classes: tuple[str, ...]


_CLASSES: dict[str, Iterable[object]] = {
    "speed": ("no ball", *(f"{row:+g} {column:+g}" for row, column in SIGNED_SPEEDS[1:])),
    "half_row": ("|".join(f"{n}/8" for n in range(FRACTIONS) if bits >> n & 1) for bits in range(1, 1 << FRACTIONS)),
    "half_column": ("0", "1/2"),
    "hits": range(13),
    "fast": ("no", "yes"),
    "contact": ("top wall", "paddle", "brick"),
    "steep": ("no", "yes"),
    "clock": range(4),
    "points_due": (0, 1, 4, 7),
    "life_due": ("no", "yes"),
    "knob": range(233),
}
VARIABLES = tuple(Variable(name, ("not known", *map(str, classes))) for name, classes in _CLASSES.items())
"""What no frame shows and the next one needs. The emulator's RAM teaches it (`collect.ram`); the twin sees pixels and
keys only. `speed` is in (rows, columns) an emulator frame, `half_row` and `half_column` the fractions of the ball's
place. The first of these is told bit by bit, so its class is a set: the number whose bits are the eighths that are
still possible. `clock` is the emulator's frame counter modulo 4, `points_due` and `life_due` what score and lives will
show a frame later, `knob` how far the keys have turned the paddle controller."""
SIZES = tuple(len(variable.classes) for variable in VARIABLES)
INDEX = {variable.name: number for number, variable in enumerate(VARIABLES)}


class State(NamedTuple):
    """All that the twin carries from one step to the next, for a batch of B games.

    `objects` are the last four moments, oldest first: ball row and column (top left, pixels; row 0: no ball; one that
    the screen hides is followed too), paddle column, paddle width."""

    frame: Array  # (B, 210, 160) uint8 classes, the newest frame
    objects: Array  # (B, 4, 4) int64
    wall: Array  # (B, 6, 18) uint8, 1 where a brick stands
    board: Array  # (B, 4) int64, the digits shown: hundreds, tens, ones of the score, lives
    memory: Array  # (B, V) int64, the class of each of `VARIABLES`, 0 where it is not known
    certainty: Array  # (B, V) float32: how sure of the likeliest class, also where that counts as not known

    def rows(self, which: Any) -> "State":
        """The games `which` (a slice, or numbers, or a mask) of the batch."""
        return State(*(part[which] for part in self))


def lives_left(state: State) -> Array:
    """The lives (B,) that are left: a lost ball costs its life at once, and the digit shows it a frame later."""
    return (state.board[:, LIVES] - (state.memory[:, INDEX["life_due"]] == 2)).clip(0)


def in_words(state: State) -> dict[str, tuple[str, float]]:
    """What the first game's memory holds that no frame shows: each variable in words, and how sure it is, 0..1."""
    known, sure = state.memory[0].tolist(), state.certainty[0].tolist()
    return {v.name: (v.classes[known[n]], sure[n]) for n, v in enumerate(VARIABLES)}


def stack(states: list[State]) -> State:
    """Several batches of games as one."""
    return State(*(np.concatenate(parts) for parts in zip(*states, strict=True)))


def where(mask: Array, these: State, others: State) -> State:
    """`these` games where `mask` (B,) bool holds, the `others` elsewhere."""
    return State(*(np.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(these, others, strict=True)))


class Things(NamedTuple):
    """What a frame shows, as in `State`."""

    ball: Array  # (B, 2) int64 row and column
    paddle: Array  # (B, 2) int64 column and width
    wall: Array  # (B, 6, 18) uint8
    board: Array  # (B, 4) int64


class Prediction(NamedTuple):
    """The next step."""

    codes: Array  # (B, 35) int64
    frame: Array  # (B, 210, 160) uint8 classes, as the codes draw it
    things: Things  # what it shows
    around: Sequence[Array]  # what the networks were told (`model.context.Around`); `advance` tells the memory too
    sure: bool = True  # the context's likeliest codes, which say where a real ball is as well
