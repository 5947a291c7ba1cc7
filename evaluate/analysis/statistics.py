"""Accuracy, distributions, calibration and temperature, as numbers from predictions of held-out steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evaluate.rollouts import Logits, Predicted, Truth, probabilities
from evaluate.summaries import TOP, codebook_use, summarise_predicted, summarise_truth
from model.breakout import ACTIONS, CELLS, CODES, UNCHANGED, Action, Frame
from model.metrics import Rate, mean, ratio
from model.readers import Bools, Floats, Ints

Distribution = npt.NDArray[np.float64]
ACTION_NAMES = [action.name.lower() for action in Action]
BINS = 10
IN_DOUBT = 0.95
"""A cell is in doubt where the controller gives "nothing changes" less than this. It is the controller's own doubt,
not what happened, so choosing these cells does not spoil the calibration."""
LEAST_SHARE = 0.001
TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Above 0; at 0 the likeliest code is taken, and there is nothing to be drawn."""


class Watched:
    """What is kept of one controller's logits and frames, which are too many to keep themselves.

    `shares` (4, 35, 256) float64: its probabilities, summed over the evenly drawn steps with each action.
    """

    def __init__(self) -> None:
        self.shares = np.zeros((ACTIONS, CELLS, CODES))
        self._wrong: dict[int, tuple[Ints, Frame]] = {}  # by frame number: which pixels are wrong, and what they show
        self._t: list[Ints] = []
        self._tempered: list[Floats] = []
        self._unchanged: list[Floats] = []

    def add(self, t: Ints, actions: Ints, codes: Ints, logits: Logits, even: Bools) -> None:
        """One batch of B steps; `even` (B,) says which of them were drawn evenly."""
        shares = probabilities(logits)
        np.add.at(self.shares, actions[even], shares[even])
        self._t.append(t)
        self._unchanged.append(shares[..., UNCHANGED])
        of_truth = [np.take_along_axis(probabilities(logits, heat), codes[..., None], -1) for heat in TEMPERATURES]
        self._tempered.append(np.concatenate(of_truth, -1))

    def add_frames(self, t: Ints, after: Frame, drawn: Frame) -> None:
        """What was drawn for steps t (B,) that led to `after`, (B, 210, 160) each."""
        for number, real, frame in zip(t.tolist(), after, drawn, strict=True):
            wrong = np.flatnonzero(real != frame)
            if len(wrong):
                self._wrong[number] = wrong, frame.flat[wrong]

    def drawn(self, t: int, after: Frame) -> Frame:
        """The frame (210, 160) that was drawn for step t, which led to `after`."""
        frame = after.copy()
        wrong, values = self._wrong.get(t, ((), ()))
        frame.flat[list(wrong)] = values
        return frame

    @property
    def tempered(self) -> Floats:
        """(N, 35, 6) float32: its probability of the real code at each of `TEMPERATURES`; steps in their order."""
        return np.concatenate(self._tempered)[np.argsort(np.concatenate(self._t))]

    @property
    def unchanged(self) -> Floats:
        """(N, 35) float32: its probability that a cell stays as it is."""
        return np.concatenate(self._unchanged)[np.argsort(np.concatenate(self._t))]


def accuracy(truth: Truth, predicted: list[Predicted], majority: Ints) -> dict[str, Any]:
    """By action and by position, of every controller and of the majority code."""
    controllers = {
        one.name: {
            **summarise_predicted(one, truth),
            "by_position": _by_position(truth, one.codes == truth.codes)
            | {"changed_top5": _by_position(truth, one.rank < TOP)["changed"]},
        }
        for one in predicted
    }
    return {
        "truth": summarise_truth(truth, majority),
        "controllers": controllers,
        "majority_by_position": _by_position(truth, truth.codes == majority),
    }


def _by_position(truth: Truth, hits: Bools) -> dict[str, list[Rate]]:
    """For each of the 35 positions: all steps, and the steps in which the cell changed."""
    changed = hits & truth.dynamic
    return {
        "all": [mean(hits[:, cell], truth.episodes) for cell in range(CELLS)],
        "changed": [ratio(changed[:, cell], truth.dynamic[:, cell], truth.episodes) for cell in range(CELLS)],
    }


def jensen_shannon(p: Distribution, q: Distribution) -> float | None:
    """The Jensen-Shannon divergence of two distributions (256,) in bits: 0 the same, 1 nothing in common.

    They need not be normalised; None if one of them is empty. Lin 1991, https://doi.org/10.1109/18.61115
    """
    if not p.sum() or not q.sum():
        return None
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2

    def divergence(a: Distribution) -> float:
        some = a > 0
        return float((a[some] * np.log2(a[some] / middle[some])).sum())

    return min(1.0, max(0.0, (divergence(p) + divergence(q)) / 2))


def count_codes(actions: Ints, codes: Ints) -> Ints:
    """How often each action (N,) went with each code at each position (N, 35): (4, 35, 256)."""
    counts = np.zeros((ACTIONS, CELLS, CODES), np.int64)
    np.add.at(counts, (actions[:, None], np.arange(CELLS), codes), 1)
    return counts


def distances(actual: Ints, predicted: Distribution, source: str) -> dict[str, Any]:
    """Actual counts against predicted shares, both (4, 35, 256), for each action.

    `pooled` adds up all positions; `pooled_changes` leaves code 0 out, which drowns the others. `actual_a_step` and
    `predicted_a_step` are the pooled histograms: how often a code occurs in a step.
    """
    found = {}
    for number, name in enumerate(ACTION_NAMES):
        real, expected = actual[number].astype(np.float64), predicted[number]
        steps = int(actual[number, 0].sum())
        found[name] = {
            "steps": steps,
            "pooled": jensen_shannon(real.sum(0), expected.sum(0)),
            "pooled_changes": jensen_shannon(real.sum(0)[1:], expected.sum(0)[1:]),
            "by_position": [jensen_shannon(real[cell], expected[cell]) for cell in range(CELLS)],
            "actual_a_step": (real.sum(0) / steps).tolist() if steps else None,
            "predicted_a_step": (expected.sum(0) / steps).tolist() if steps else None,
        }
    return {"source": source, "by_action": found}


def top_codes(shares: dict[str, Distribution], actual: Ints, top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action and position, by the first of the controllers in `shares`.

    Those that it gives less than `LEAST_SHARE` are left out. Each is {code, actual, <controller>...}, shares of the
    steps with that action. An action that never occurs has none.
    """
    first = next(iter(shares.values()))

    def at(action: int, cell: int, steps: int) -> list[dict[str, Any]]:
        order = np.argsort(-first[action, cell], kind="stable")[:top]
        return [
            {
                "code": int(code),
                "actual": float(actual[action, cell, code] / steps),
                **{name: float(share[action, cell, code] / steps) for name, share in shares.items()},
            }
            for code in order
            if first[action, cell, code] >= LEAST_SHARE * steps
        ]

    taken = actual[:, 0].sum(1)
    return {
        name: [at(number, cell, int(taken[number])) if taken[number] else [] for cell in range(CELLS)]
        for number, name in enumerate(ACTION_NAMES)
    }


def top_changes(distributions: dict[str, Any], names: list[str], top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action but code 0, all positions together, by the first of the controllers.

    Each is {code, actual, <controller>...}, times a step. `distributions` are those of `distances`; where a controller
    was compared with other steps, `actual` is still of the first one's.
    """
    found: dict[str, list[Any]] = {}
    for action in ACTION_NAMES:
        of = {name: distributions[name]["by_action"][action] for name in names}
        times = {name: d["predicted_a_step"] for name, d in of.items() if d["predicted_a_step"] is not None}
        order: Any = 1 + np.argsort(-np.array(times[names[0]])[1:], kind="stable")[:top] if names[0] in times else []
        found[action] = [
            {
                "code": int(code),
                "actual": of[names[0]]["actual_a_step"][code],
                **{name: shares[code] for name, shares in times.items()},
            }
            for code in order
        ]
    return found


def codebook(truth: Truth, predicted: list[Predicted]) -> dict[str, Any]:
    """How the codebook is used by what really happened, and by every controller's guesses."""
    counts = np.bincount(truth.codes.ravel(), minlength=CODES)

    def use(codes: Ints) -> dict[str, Any]:
        return {"all_cells": codebook_use(codes), "changed_cells": codebook_use(codes[codes != UNCHANGED])}

    chosen = {name: truth.actions == number for number, name in enumerate(ACTION_NAMES)}
    return {
        "steps": len(truth.t),
        "counts": counts.tolist(),
        "never_used": np.flatnonzero(counts == 0).tolist(),
        **use(truth.codes),
        "by_action": {name: {"steps": int(of.sum()), **use(truth.codes[of])} for name, of in chosen.items()},
        "predicted": {one.name: use(one.codes) for one in predicted},
    }


def calibration(truth: Truth, predicted: Predicted, unchanged: Floats) -> dict[str, Any]:
    """How often the likeliest code is right, by the probability that it was given; `unchanged` as in `Watched`.

    Ten bins, and the expected calibration error: their mean distance from the diagonal, weighted by their counts
    (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """
    hits = predicted.codes == truth.codes
    scopes = {"all_cells": np.ones(hits.shape, bool), "cells_in_doubt": unchanged < IN_DOUBT}
    which = np.minimum((predicted.confidence * BINS).astype(int), BINS - 1)
    found = {}
    for name, scope in scopes.items():
        bins, error, total = [], 0.0, int(scope.sum())
        for number in range(BINS):
            inside = scope & (which == number)
            confidence = float(predicted.confidence[inside].mean(dtype=np.float64)) if inside.any() else None
            right = ratio((hits & inside).sum(1), inside.sum(1), truth.episodes)
            if confidence is not None and right.value is not None:
                error += abs(right.value - confidence) * right.of / total
            limits = {"from": number / BINS, "to": (number + 1) / BINS}
            bins.append({**limits, "confidence": confidence, "right": right})
        found[name] = {"cells": total, "expected_calibration_error": error if total else None, "bins": bins}
    return found


def temperatures(truth: Truth, predicted: Predicted, tempered: Floats) -> list[dict[str, Any]]:
    """What drawing codes at a temperature costs: the chance that they are the real ones, exactly, not by drawing.

    `tempered` as in `Watched`. `grid` is the chance that all 35 are: cells are drawn apart from each other.
    """
    hits = (predicted.codes == truth.codes).astype(np.float64)
    dynamic, rows = truth.dynamic.sum(1), []
    chances = (hits, *np.moveaxis(tempered.astype(np.float64), -1, 0))
    for temperature, right in zip((0.0, *TEMPERATURES), chances, strict=True):
        rows.append(
            {
                "temperature": temperature,
                "codes": ratio(right.sum(1), np.full(len(right), CELLS), truth.episodes),
                "changed_cells": ratio((right * truth.dynamic).sum(1), dynamic, truth.episodes),
                "grid": mean(right.prod(1), truth.episodes),
            }
        )
    return rows
