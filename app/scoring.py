"""How well the twin does: each step's score, the sums since the start, and the last thirty seconds.

Everything is counted beside what a model gets for free: the majority code of each position, and a twin that
merely repeats the last frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from model.breakout import BALL_CLASS, CELLS, ROWS, Frame

FIELD_TOP, FIELD_BOTTOM = 93, 189
"""Rows of the open field between the wall and the paddle, where the ball is the only red thing."""
PARTED_PIXELS, PARTED_DISTANCE, PARTED_STEPS = 34, 4, 3
"""A dream has parted from reality when for three steps more than 34 pixels differ or the ball is 4 px off."""


@dataclass(frozen=True)
class StepScore:
    """What one step counts for. Codes are of 35, pixels of 33,600."""

    codes_right: int
    majority_right: int
    cells_changed: int
    changed_cells_right: int
    pixels_wrong: int
    pixels_changed: int
    changed_pixels_right: int

    @property
    def exact(self) -> bool:
        """Whether every pixel is right."""
        return self.pixels_wrong == 0


def score_step(
    before: Frame, real: Frame, twin: Frame, predicted: npt.NDArray, actual: npt.NDArray, majority: npt.NDArray
) -> StepScore:
    """Score one prediction: frames (210, 160) uint8 classes, codes (35,) int64; `before` is the real frame before."""
    right = predicted == actual
    moved = actual != 0  # code 0 says that a cell stays as it is
    wrong_pixels, moved_pixels = twin != real, before != real
    return StepScore(
        codes_right=int(right.sum()),
        majority_right=int((majority == actual).sum()),
        cells_changed=int(moved.sum()),
        changed_cells_right=int((right & moved).sum()),
        pixels_wrong=int(np.count_nonzero(wrong_pixels)),
        pixels_changed=int(np.count_nonzero(moved_pixels)),
        changed_pixels_right=int(np.count_nonzero(moved_pixels & ~wrong_pixels)),
    )


_NAMES = tuple(field.name for field in fields(StepScore))
_COLUMNS = (*_NAMES, "exact", "still")
_WRONG = _NAMES.index("pixels_wrong")
_CODES = _NAMES.index("codes_right")


class Tally:
    """Sums since the start, and every step of the last `memory` steps (a ring: memory does not grow)."""

    def __init__(self, memory: int) -> None:
        self._ring = np.zeros((memory, len(_COLUMNS)), np.int64)
        self._totals = [0] * len(_COLUMNS)
        self.steps = 0

    def add(self, score: StepScore) -> None:
        """Count one step."""
        row = [getattr(score, name) for name in _NAMES]
        row += [int(score.exact), int(score.pixels_changed == 0)]
        self._ring[self.steps % len(self._ring)] = row
        self._totals = [total + value for total, value in zip(self._totals, row, strict=True)]
        self.steps += 1

    def last(self, steps: int) -> npt.NDArray[np.int64]:
        """The newest `steps` rows or fewer, oldest first; columns in the order of `StepScore`, then exact, still."""
        count = min(steps, self.steps, len(self._ring))
        end = self.steps % len(self._ring)
        if count <= end:
            return self._ring[end - count : end].copy()
        return np.concatenate((self._ring[end - count :], self._ring[:end]))

    def series(self, steps: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Codes right and wrong pixels of the newest steps, oldest first."""
        rows = self.last(steps)
        return rows[:, _CODES], rows[:, _WRONG]

    def rates(self, steps: int | None = None) -> dict[str, float | None]:
        """Rates over the newest `steps` (None: since the start). None where nothing was there to be right about."""
        if steps is None:
            sums, count = self._totals, self.steps
        else:
            rows = self.last(steps)
            sums, count = rows.sum(0).tolist(), len(rows)
        by_name = dict(zip(_COLUMNS, sums, strict=True))

        def share(part: str, whole: float) -> float | None:
            return by_name[part] / whole if whole else None

        return {
            "code_accuracy": share("codes_right", count * CELLS),
            "majority_code_accuracy": share("majority_right", count * CELLS),
            "dynamic_code_accuracy": share("changed_cells_right", by_name["cells_changed"]),
            "exact_frames": share("exact", count),
            "copy_last_exact_frames": share("still", count),
            "wrong_pixels": share("pixels_wrong", count),
            "copy_last_wrong_pixels": share("pixels_changed", count),
            "changed_pixels_right": share("changed_pixels_right", by_name["pixels_changed"]),
        }


def ball_in_field(frame: Frame) -> tuple[int, int] | None:
    """Top left (row, column) of the ball in the open field of a screen of classes, or None when none is there."""
    rows, columns = np.nonzero(frame[FIELD_TOP:FIELD_BOTTOM, 8:-8] == BALL_CLASS)
    return (int(rows.min()) + FIELD_TOP, int(columns.min()) + 8) if len(rows) else None


class Drift:
    """Watches one stretch since the twin was last on reality: has it parted, and when; the longest stretch so far."""

    def __init__(self) -> None:
        self.longest = 0
        self.restart()

    def restart(self) -> None:
        """The twin is on reality again."""
        self.steps, self._bad = 0, 0
        self.parted_at: int | None = None

    def add(self, score: StepScore, real: Frame, twin: Frame) -> bool:
        """Count a step of classes (210, 160); true on the step where the twin is found to have parted."""
        self.steps += 1
        if self.parted_at is not None:
            return False
        self._bad = self._bad + 1 if self._off(score, real, twin) else 0
        if self._bad == PARTED_STEPS:
            self.parted_at = self.steps - PARTED_STEPS
        self.longest = max(self.longest, self.steps - self._bad)
        return self.parted_at is not None

    @staticmethod
    def _off(score: StepScore, real: Frame, twin: Frame) -> bool:
        if score.pixels_wrong > PARTED_PIXELS:
            return True
        if score.exact:
            return False
        ball, imagined = ball_in_field(real), ball_in_field(twin)
        if ball is None or imagined is None:
            return ball is not None
        return max(abs(ball[0] - imagined[0]), abs(ball[1] - imagined[1])) > PARTED_DISTANCE


def as_json(tally: Tally, drift: Drift, longest_exact: int) -> dict[str, Any]:
    """The sums since the start, for a report; rates are null where nothing was there to be right about."""
    return {
        "scored_steps": tally.steps,
        "codes_per_step": CELLS,
        "pixels_per_step": ROWS * 160,
        **tally.rates(),
        "longest_exact_steps": longest_exact,
        "longest_true_steps": drift.longest,
    }
