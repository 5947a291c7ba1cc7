"""What is measured, as pure functions of arrays: rates with their intervals, PSNR, horizons, codebook use.

Intervals are 95% bootstrap intervals over whole episodes: steps of one game are alike, games are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from model.breakout import CODES, PALETTE, Frame

PSNR_CAP = 60.0
RESAMPLES = 1000
BROKEN_STEPS = 3
"""A dream ends when it is wrong for this many steps running."""
WRONG_PIXELS = 34
"""A frame with more wrong pixels than this, 0.1% of 33,600, is wrong."""
BALL_AWAY = 4.0
"""A ball more than this many pixels away is wrong."""

Numbers = npt.NDArray[np.floating[Any]] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]

_colours = PALETTE.astype(np.int64)
_SQUARED = ((_colours[:, None] - _colours[None]) ** 2).sum(-1)


def psnr(real: Frame, drawn: Frame) -> npt.NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, at most 60: frames (B, 210, 160) uint8 classes, taken as RGB 0..255 -> (B,)."""
    mean = _SQUARED[real, drawn].mean((1, 2)) / 3
    return np.minimum(PSNR_CAP, 20 * math.log10(255) - 10 * np.log10(np.maximum(mean, 1e-12)))


def ratio(parts: Numbers, wholes: Numbers, episodes: npt.NDArray[np.int64]) -> dict[str, Any]:
    """sum(parts) / sum(wholes) with its interval, as {value, low, high, of}; all None where `wholes` sums to 0.

    `parts`, `wholes` and `episodes` (N,) are of one sample each. `of` is sum(wholes). With one episode there is no
    interval: low and high are None.
    """
    total = float(wholes.sum())
    if total == 0:
        return {"value": None, "low": None, "high": None, "of": 0}
    value = float(parts.sum()) / total
    names, which = np.unique(episodes, return_inverse=True)
    low = high = None
    if len(names) > 1:
        a = np.bincount(which, parts.astype(np.float64), len(names))
        b = np.bincount(which, wholes.astype(np.float64), len(names))
        # A fixed seed: the interval belongs to the numbers, not to the run.
        draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
        sums = draws @ b
        values = (draws @ a)[sums > 0] / sums[sums > 0]
        low, high = (float(v) for v in np.quantile(values, (0.025, 0.975)))
    return {"value": value, "low": low, "high": high, "of": int(total)}


def mean(values: Numbers, episodes: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The mean of values (N,) with its interval; see `ratio`."""
    return ratio(values, np.ones(len(values)), episodes)


def horizon(wrong_pixels: npt.NDArray[np.integer[Any]], ball_away: npt.NDArray[np.floating[Any]]) -> int:
    """Steps (S,) that a dream stays true: those before the first of 3 wrong steps running; S if that never happens.

    `ball_away` (S,) is the ball's error in pixels, NaN where the real field shows no ball, infinite where the dream
    lacks it.
    """
    wrong = (wrong_pixels > WRONG_PIXELS) | (ball_away > BALL_AWAY)
    running = wrong[2:] & wrong[1:-1] & wrong[:-2]
    return int(running.argmax()) if running.any() else len(wrong)


def quartiles(values: Sequence[float] | Numbers) -> dict[str, Any]:
    """{low, median, high}: the quartiles of finite or infinite values; None for an infinite one, or without values."""
    if len(values) == 0:
        return {"low": None, "median": None, "high": None}
    numbers = np.asarray(values, np.float64)
    # The middle between a number and infinity means nothing, so there it is not interpolated.
    method: Literal["linear", "higher"] = "linear" if np.isfinite(numbers).all() else "higher"
    found = np.quantile(numbers, (0.25, 0.5, 0.75), method=method)
    low, median, high = (float(v) if math.isfinite(v) else None for v in found)
    return {"low": low, "median": median, "high": high}


def codebook_use(codes: npt.NDArray[np.int64]) -> dict[str, Any]:
    """How many codes (any shape) are in use and their perplexity: how many there would be were all used alike."""
    counts = np.bincount(codes.ravel(), minlength=CODES)
    if not counts.sum():
        return {"used": 0, "perplexity": None}
    shares = counts[counts > 0] / counts.sum()
    return {"used": int((counts > 0).sum()), "perplexity": float(np.exp(-(shares * np.log(shares)).sum()))}


def rounded(value: Any, digits: int = 6) -> Any:
    """The same nested value with floats rounded, and NaN and infinity turned into None."""
    if isinstance(value, dict):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item, digits) for item in value]
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
