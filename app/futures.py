"""What the twin expects of the next half second, for each of the four keys: four dreams as one batch.

The work is spread over the steps of play, a few of its own steps in each, so that the pace holds.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.session import Session
from model.breakout import ACTIONS, Frame
from model.state import BALL_COLUMN, BALL_ROW, Prediction, stack

SECONDS = 0.5
BUDGET = 0.0003
"""Seconds of work in one step of play, or half a step of the four dreams (its prediction, or what follows from it) if
that takes longer: the picture is new at least once a second."""


class Ahead(NamedTuple):
    """For each key: the frame after half a second (4, 210, 160) uint8, and where the ball was at each step
    (steps + 1, 4, 2) int64, row and column of its top left corner, row 0 for none."""

    frames: Frame
    balls: npt.NDArray[np.int64]


class Futures:
    """Four dreams from the twin's newest moment, begun anew whenever they are done."""

    def __init__(self) -> None:
        self.ahead: Ahead | None = None
        self._left, self._finished = 0, -1
        self._guess: Prediction | None = None

    def finish(self, session: Session) -> None:
        """Time stands still: unless that is done, let the four dreams start from this very moment, and end, now."""
        if self._finished != session.taken:
            self._left, self._finished = 0, session.taken
            self.work(session, math.inf)

    def work(self, session: Session, seconds: float = BUDGET) -> None:
        """Go on for so long, at most to the end of the four dreams. Changes nothing in the session."""
        end = time.perf_counter() + seconds
        if self._left == 0:
            self._states, self._controller = stack([session.twin] * ACTIONS), session.controller
            self._left, self._balls, self._guess = session.steps(SECONDS), [self._states.objects], None
        actions = np.arange(ACTIONS)
        while self._left:
            if self._guess is None:
                self._guess = session.engine.predict(self._states, actions, self._controller)
            else:
                self._states = session.engine.advance(self._states, actions, self._guess.frame, self._guess)
                self._balls.append(self._states.objects)
                self._left, self._guess = self._left - 1, None
            if time.perf_counter() > end:
                break
        if self._left == 0:
            self.ahead = Ahead(self._states.frame, np.stack(self._balls)[:, :, -1, [BALL_ROW, BALL_COLUMN]])
