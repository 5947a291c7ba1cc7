"""What the twin expects of the next half second, for each of the four keys: four dreams as one batch.

The work is spread over the steps of play, a few of its own steps in each, so that the pace holds.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.breakout import ACTIONS, Frame
from model.state import BALL_COLUMN, BALL_ROW, stack

if TYPE_CHECKING:
    from app.session import Session

SECONDS = 0.5
BUDGET = 0.003
"""Seconds of work in one step of play, or one step of the four dreams if that takes longer: the picture is new at least
twice a second."""


class Ahead(NamedTuple):
    """For each key: the frame after half a second (4, 210, 160) uint8, and where the ball was at each step
    (steps + 1, 4, 2) int64, row and column of its top left corner, row 0 for none."""

    frames: Frame
    balls: npt.NDArray[np.int64]


class Futures:
    """Four dreams from the twin's newest moment, begun anew whenever they are done."""

    def __init__(self) -> None:
        self.ahead: Ahead | None = None
        self._left = 0

    def work(self, session: Session, seconds: float = BUDGET) -> None:
        """Go on for so long, at most to the end of the four dreams. Changes nothing in the session."""
        end = time.perf_counter() + seconds
        if self._left == 0:
            self._states, self._controller = stack([session.twin] * ACTIONS), session.controller
            self._balls = [self._where()]
            self._left = session.steps(SECONDS)
        actions = np.arange(ACTIONS)
        while True:
            guess = session.engine.predict(self._states, actions, self._controller)
            self._states = session.engine.advance(self._states, actions, guess.frame, guess)
            self._balls.append(self._where())
            self._left -= 1
            if self._left == 0 or time.perf_counter() > end:
                break
        if self._left == 0:
            self.ahead = Ahead(self._states.frame, np.stack(self._balls))

    def finish(self, session: Session) -> None:
        """Let the four dreams start from this very moment and come to their end now: time stands still."""
        self._left = 0
        self.work(session, math.inf)

    def _where(self) -> npt.NDArray[np.int64]:
        return self._states.objects[:, -1, [BALL_ROW, BALL_COLUMN]]
