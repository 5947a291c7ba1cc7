"""Every metric, defined once: the window, `evaluate` and training all call this module.

Frames are palette classes, (210, 160) or (B, 210, 160) uint8; codes are (35,) or (B, 35) int64. Each number stands
beside what a model gets for free: the majority code of each position, and the last frame again. Intervals are 95%
bootstrap intervals over whole episodes: steps of one game are alike, games are not.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.breakout import CELLS, CODES, COLUMNS, PALETTE, ROWS, Frame, changed_cells
from model.readers import Bools, Floats, Ints, find_balls, find_bricks, find_paddles

Numbers = npt.NDArray[Any]

PARTED_PIXELS, PARTED_DISTANCE, PARTED_STEPS = 34, 4, 3
"""A dream has parted when for three steps running more than 34 pixels (0.1%) differ, or the ball in the open field is
missing or more than 4 pixels away on either axis."""
_QUARTERS = (0.25, 0.5, 0.75)


class StepScore(NamedTuple):
    """What one step counts for. Codes are of 35, pixels of 33,600."""

    codes_right: int
    majority_right: int
    cells_changed: int  # whose 30 x 32 pixels differ between the two real frames
    changed_cells_right: int
    majority_changed_right: int
    pixels_wrong: int
    pixels_changed: int  # between the two real frames
    changed_pixels_right: int

    @property
    def exact(self) -> bool:
        """Whether every pixel is right."""
        return self.pixels_wrong == 0


def score_step(before: Frame, real: Frame, twin: Frame, predicted: Ints, actual: Ints, majority: Ints) -> StepScore:
    """Score a prediction: frames (210, 160), codes (35,); `before` is the real frame before."""
    wrong, moved = twin != real, before != real  # (210, 160) bool
    right, often, dynamic = predicted == actual, majority == actual, changed_cells(before, real)  # (35,) bool
    cells = right, often, dynamic, right & dynamic, often & dynamic
    return StepScore(*(int(np.count_nonzero(part)) for part in (*cells, wrong, moved, moved & ~wrong)))


_COLUMNS = (*StepScore._fields, "exact", "still", "codes", "steps", "in_play")
_RATES = {
    "code_accuracy": ("codes_right", "codes"),
    "majority_code_accuracy": ("majority_right", "codes"),
    "dynamic_code_accuracy": ("changed_cells_right", "cells_changed"),
    "majority_dynamic_code_accuracy": ("majority_changed_right", "cells_changed"),
    "exact_frames": ("exact", "steps"),
    "copy_last_exact_frames": ("still", "steps"),
    "wrong_pixels": ("pixels_wrong", "steps"),
    "copy_last_wrong_pixels": ("pixels_changed", "steps"),
    "changed_pixels_right": ("changed_pixels_right", "pixels_changed"),
}
"""Each rate: the sum of one column over that of another."""


class Tally:
    """Sums since the start, and every step of the last `memory` steps (a ring: memory does not grow).

    Steps with the ball in play are summed apart as well: without a ball there is little to get wrong."""

    def __init__(self, memory: int) -> None:
        self._ring = np.zeros((memory, len(_COLUMNS)), np.int64)  # (memory, 13)
        self._totals = np.zeros((2, len(_COLUMNS)), np.int64)  # of all steps, of those with the ball in play
        self.steps = 0

    def add(self, score: StepScore, in_play: bool = True) -> None:
        """Count one step; `in_play`: whether there was a ball."""
        row = self._ring[self.steps % len(self._ring)]  # (13,), a view: what is written here stands in the ring
        row[:] = (*score, score.exact, score.pixels_changed == 0, CELLS, 1, in_play)
        self._totals[: 1 + in_play] += row  # without a ball the first row alone
        self.steps += 1

    def _last(self, steps: int) -> Ints:
        """The newest `steps` rows or fewer, oldest first."""
        newest = min(steps, self.steps, len(self._ring))
        return self._ring[np.arange(self.steps - newest, self.steps) % len(self._ring)]  # (n, 13)

    def series(self, steps: int) -> tuple[Ints, Ints]:
        """Codes right and wrong pixels of the newest steps, oldest first."""
        rows = self._last(steps)
        return rows[:, _COLUMNS.index("codes_right")], rows[:, _COLUMNS.index("pixels_wrong")]

    def rates(self, steps: int | None = None, in_play: bool = False) -> dict[str, float | None]:
        """Rates over the newest `steps` (None: since the start), all or only those with the ball in play; None where
        nothing was there to be right about."""
        sums = self._totals[int(in_play)]
        if steps is not None:
            rows = self._last(steps)
            sums = (rows[:, -1] >= in_play) @ rows  # (n,) @ (n, 13) -> (13,): the last column is "in_play"
        of = dict(zip(_COLUMNS, sums.tolist(), strict=True))
        return {name: of[part] / of[whole] if of[whole] else None for name, (part, whole) in _RATES.items()}


_SQUARED = ((PALETTE.astype(np.int64)[:, None] - PALETTE.astype(np.int64)[None]) ** 2).sum(-1)  # (9, 9), by class


def psnr(real: Frame, drawn: Frame) -> npt.NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, at most 60: frames (B, 210, 160), taken as RGB 0..255 -> (B,). Controllability
    is psnr of the codes of the real pair less psnr of codes for a random action (Bruce et al. 2024, Genie,
    https://arxiv.org/abs/2402.15391, delta PSNR)."""
    differ = real != drawn
    squared = np.zeros(len(real))  # (B,)
    np.add.at(squared, np.nonzero(differ)[0], _SQUARED[real[differ], drawn[differ]])  # `+=` would add one a frame
    mean_error = squared / (3 * ROWS * COLUMNS)
    return np.minimum(60.0, 20 * math.log10(255) - 10 * np.log10(np.maximum(mean_error, 1e-12)))


def ambiguous(codes: Ints, outcomes: Ints) -> Bools:
    """Of changed cells (N,): whether a cell's outcome is not the commonest one of its code. `outcomes` number what
    happened (ball step, bricks gone, digits changed); a code is ambiguous as far as it does not tell."""
    pairs, pair, counts = np.unique(np.stack((codes, outcomes)), axis=1, return_inverse=True, return_counts=True)
    commonest = np.zeros(CODES, np.int64)
    order = np.argsort(counts, kind="stable")  # (n,), the commonest pair last
    commonest[pairs[0][order]] = order  # the last one written is the commonest
    return commonest[codes] != pair.reshape(-1)  # numpy 2.0 gave it an axis more


def ball_error(real: Frame, drawn: Frame) -> Floats:
    """Pixels between the balls in the open field of frames (B, 210, 160), the larger of both axes: (B,) float32; NaN
    where the real field has no ball, infinite where the drawn one lacks it."""
    return _apart(find_balls(real), find_balls(drawn)).max(1)


def paddle_error(real: Frame, drawn: Frame) -> Floats:
    """Pixels between the paddles of frames (B, 210, 160): (B,) float32, infinite where the drawn frame has none."""
    return _apart(find_paddles(real), find_paddles(drawn))


def _apart(there: Floats, here: Floats) -> Floats:
    return np.where(np.isnan(here) & ~np.isnan(there), np.float32(np.inf), np.abs(there - here))


def wrong_bricks(real: Frame, drawn: Frame) -> Ints:
    """How many of the 108 bricks stand in only one of two frames, each (B, 210, 160): (B,) int64."""
    return (find_bricks(real) != find_bricks(drawn)).sum((1, 2))  # (B, 6, 18) each


def is_off(real: Frame, twin: Frame) -> Bools:
    """Whether dreamt frames are too far from the real ones, (B, 210, 160) each: (B,) bool; three running part them."""
    wrong = (real != twin).sum((1, 2))  # (B,) pixels
    off = wrong > PARTED_PIXELS
    look = np.flatnonzero((wrong > 0) & ~off)  # in an equal frame the ball is where it should be
    if len(look):
        off[look] = ball_error(real[look], twin[look]) > PARTED_DISTANCE  # no real ball: NaN, which is not above
    return off


class Parting:
    """Watches one dream: has it parted, and when."""

    def __init__(self) -> None:
        self.steps, self._off = 0, 0
        self.parted_at: int | None = None

    @property
    def horizon(self) -> int:
        """Steps that the dream was true: those before the first of three wrong ones running."""
        return self.steps - self._off if self.parted_at is None else self.parted_at

    def add(self, real: Frame, twin: Frame) -> bool:
        """Count a step, frames (210, 160); true on the step where the twin is found to have parted."""
        self.steps += 1
        if self.parted_at is not None:
            return False
        self._off = self._off + 1 if is_off(real[None], twin[None])[0] else 0
        if self._off == PARTED_STEPS:
            self.parted_at = self.steps - PARTED_STEPS
        return self.parted_at is not None


def horizons(off: Bools, steps: Ints) -> tuple[Ints, Bools]:
    """Steps that runs stayed true, and whether they parted, (R,) each, from `is_off` of each step (R, S) and how many
    of the steps each run has (R,). A run that did not part stayed true to its end; there it is censored."""
    inside = off & (np.arange(off.shape[1]) < steps[:, None])  # (R, S): off, and within the run
    running = inside[:, 2:] & inside[:, 1:-1] & inside[:, :-2]  # (R, S - 2): this step and the next two
    parted: Bools = np.any(running, axis=1)
    return np.where(parted, running.argmax(1) if running.size else 0, steps), parted  # of no steps argmax raises


@dataclass(frozen=True)
class Rate:
    """A share, mean or rate, its 95% interval, and of how many; None where there was nothing to count."""

    value: float | None
    low: float | None
    high: float | None
    of: float


@dataclass(frozen=True)
class Quartiles:
    """The quartiles of `of` values; None for one that is infinite or not reached, or without values."""

    low: float | None
    median: float | None
    high: float | None
    of: int


def ratio(parts: Numbers, wholes: Numbers, episodes: Numbers) -> Rate:
    """sum(parts) / sum(wholes) with its interval, and `of`, sum(wholes); `parts`, `wholes` and `episodes` (N,) are of
    one sample each. With one episode that has a part of it there is no interval."""
    total = float(wholes.sum())
    if total == 0:
        return Rate(None, None, None, 0)
    names, which = np.unique(episodes, return_inverse=True)  # (E,) episodes, (N,) of each sample
    a, b = (np.bincount(which, each.astype(np.float64), len(names)) for each in (parts, wholes))  # (E,) each
    low = high = None
    if np.count_nonzero(b) > 1:
        # A fixed seed: the interval belongs to the numbers, not to the run.
        draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), 1000)
        sums = draws @ b  # (1000,)
        low, high = (float(v) for v in np.quantile((draws @ a)[sums > 0] / sums[sums > 0], (0.025, 0.975)))
    return Rate(float(parts.sum()) / total, low, high, int(total) if total.is_integer() else total)


def mean(values: Numbers, episodes: Numbers) -> Rate:
    """The mean of values (N,) with its interval; see `ratio`."""
    return ratio(values, np.ones(len(values)), episodes)


def partings_per_minute(seconds: Numbers, parted: Bools, episodes: Numbers) -> Rate:
    """Dreams that parted, over all dreamt time up to parting or censoring, in minutes; (R,) each, one for each run."""
    rate = ratio(parted, seconds / 60, episodes)
    if rate.value == 0:
        # Resampling nothing gives nothing; the exact Poisson bound of no event in so many minutes does not.
        return Rate(0.0, 0.0, -math.log(0.025) / rate.of, rate.of)
    return rate


def kaplan_meier(values: Numbers, parted: Bools) -> Quartiles:
    """Quartiles of horizons (R,) of which some are censored, not `parted` (Kaplan & Meier 1958). None where fewer have
    parted than the quartile asks for: it is beyond what was watched."""
    times = np.unique(values[parted])
    at_risk = (values[:, None] >= times).sum(0)  # (n,) runs that last as long
    events = ((values[:, None] == times) & parted[:, None]).sum(0)
    survival = np.cumprod(1 - events / np.maximum(at_risk, 1))  # (n,): the share that lasts longer
    reached = (times[survival <= 1 - q + 1e-12] for q in _QUARTERS)  # 1e-12: products are rounded
    low, median, high = (float(of[0]) if len(of) else None for of in reached)
    return Quartiles(low, median, high, len(values))


def quartiles(values: Numbers) -> Quartiles:
    """Quartiles of finite or infinite values (N,)."""
    if len(values) == 0:
        return Quartiles(None, None, None, 0)
    # The middle between a number and infinity means nothing, so there it is not interpolated.
    method: Any = "linear" if np.isfinite(values).all() else "higher"
    found = np.quantile(values.astype(np.float64), _QUARTERS, method=method)
    low, median, high = (float(v) if math.isfinite(v) else None for v in found)
    return Quartiles(low, median, high, len(values))
