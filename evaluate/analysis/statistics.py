"""Accuracy, distributions, calibration and temperature, as numbers from the raw predictions of a `Sample`.

Rates are {value, low, high, of}, see `evaluate.metrics.ratio`: 95% intervals over whole games, None where a class is
empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluate.analysis.sample import TEMPERATURES, Sample, Watched
from evaluate.dream import dream, summarise_dreams
from evaluate.metrics import codebook_use, mean, ratio
from evaluate.onestep import TOP, Predicted, Truth, summarise, summarise_truth
from evaluate.predictors import Codes, Predictor
from model import WorldModel
from model.breakout import ACTIONS, CELLS, CODES, Action
from model.quantizer import UNCHANGED

Distribution = npt.NDArray[np.float64]
BINS = 10
IN_DOUBT = 0.95
"""A cell is in doubt where the controller gives "nothing changes" less than this. It is the controller's own doubt,
not what happened, so choosing these cells does not spoil the calibration."""
LEAST_SHARE = 0.001
DREAM_TEMPERATURES = (0.0, 0.5, 1.0, 2.0)


def action_names() -> list[str]:
    """The names of the actions, in their order."""
    return [action.name.lower() for action in Action]


# --- accuracy ---


def accuracy(truth: Truth, said: list[Predicted], majority: Codes) -> dict[str, Any]:
    """By action and by position, of every controller and of the majority code."""
    return {
        "truth": summarise_truth(truth, majority),
        "controllers": {
            predicted.name: {
                **summarise(predicted, truth),
                "by_position": _by_position(truth, predicted.codes == truth.codes, predicted.rank < TOP),
            }
            for predicted in said
        },
        "majority_by_position": _by_position(truth, truth.codes == majority),
    }


def _by_position(
    truth: Truth, hits: npt.NDArray[np.bool_], top: npt.NDArray[np.bool_] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """For each of the 35 positions: all steps, steps in which the cell changed, and the latter by the top five."""
    found: dict[str, list[dict[str, Any]]] = {"all": [], "changed": []}
    if top is not None:
        found["changed_top5"] = []
    for cell in range(CELLS):
        dynamic = truth.dynamic[:, cell]
        found["all"].append(mean(hits[:, cell], truth.episodes))
        found["changed"].append(ratio(hits[:, cell] & dynamic, dynamic, truth.episodes))
        if top is not None:
            found["changed_top5"].append(ratio(top[:, cell] & dynamic, dynamic, truth.episodes))
    return found


# --- distributions ---


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


def count_codes(actions: npt.NDArray[np.int64], codes: Codes) -> npt.NDArray[np.int64]:
    """How often each action (N,) went with each code at each position (N, 35): (4, 35, 256)."""
    counts = np.zeros((ACTIONS, CELLS, CODES), np.int64)
    np.add.at(counts, (actions[:, None], np.arange(CELLS), codes), 1)
    return counts


def distances(actual: npt.NDArray[np.int64], predicted: Distribution, source: str) -> dict[str, Any]:
    """Actual counts against predicted shares, both (4, 35, 256), for each action.

    `pooled` adds up all positions; `pooled_changes` leaves code 0 out, which drowns the others. `counts` and `shares`
    are the pooled histograms: how often a code occurs in a step, in reality and by the controller.
    """
    found = {}
    for number, name in enumerate(action_names()):
        real, said = actual[number].astype(np.float64), predicted[number]
        steps = int(actual[number, 0].sum())
        found[name] = {
            "steps": steps,
            "pooled": jensen_shannon(real.sum(0), said.sum(0)),
            "pooled_changes": jensen_shannon(real.sum(0)[1:], said.sum(0)[1:]),
            "by_position": [jensen_shannon(real[cell], said[cell]) for cell in range(CELLS)],
            "actual_a_step": (real.sum(0) / steps).tolist() if steps else None,
            "predicted_a_step": (said.sum(0) / steps).tolist() if steps else None,
        }
    return {"source": source, "by_action": found}


def top_codes(shares: dict[str, Distribution], actual: npt.NDArray[np.int64], top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action and position, by the first of the controllers in `shares`.

    Those that it gives less than `LEAST_SHARE` are left out. Each is {code, actual, <controller>...}, shares of the
    steps with that action. An action that never occurs has none.
    """
    first = next(iter(shares))
    found: dict[str, list[Any]] = {}
    for number, name in enumerate(action_names()):
        steps = actual[number, 0].sum()
        found[name] = [
            [
                {
                    "code": int(code),
                    "actual": float(actual[number, cell, code] / steps),
                    **{who: float(share[number, cell, code] / steps) for who, share in shares.items()},
                }
                for code in np.argsort(-shares[first][number, cell], kind="stable")[:top]
                if shares[first][number, cell, code] >= LEAST_SHARE * steps
            ]
            if steps
            else []
            for cell in range(CELLS)
        ]
    return found


def top_changes(distributions: dict[str, Any], names: list[str], top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action but code 0, all positions together, by the first of the controllers.

    Each is {code, actual, <controller>...}, times a step. `distributions` are those of `distances`; where a controller
    was compared with other steps, `actual` is still of the first one's.
    """
    found: dict[str, list[Any]] = {}
    for action in action_names():
        of = {name: distributions[name]["by_action"][action] for name in names}
        if of[names[0]]["predicted_a_step"] is None:
            found[action] = []
            continue
        said = {name: d["predicted_a_step"] for name, d in of.items() if d["predicted_a_step"] is not None}
        order = 1 + np.argsort(-np.array(said[names[0]])[1:], kind="stable")[:top]
        found[action] = [
            {
                "code": int(code),
                "actual": of[names[0]]["actual_a_step"][code],
                **{name: times[code] for name, times in said.items()},
            }
            for code in order
        ]
    return found


def codebook(sample: Sample) -> dict[str, Any]:
    """How the codebook is used by what really happened, over all encoded steps, and by every controller's guesses."""
    counts = np.bincount(sample.codes.ravel(), minlength=CODES)
    actions = sample.dataset.actions[sample.counted]
    _, said = sample.evenly()

    def use(codes: Codes) -> dict[str, Any]:
        return {"all_cells": codebook_use(codes), "changed_cells": codebook_use(codes[codes != UNCHANGED])}

    return {
        "steps": len(sample.counted),
        "counts": counts.tolist(),
        "never_used": np.flatnonzero(counts == 0).tolist(),
        **use(sample.codes),
        "by_action": {
            name: {"steps": int((actions == number).sum()), **use(sample.codes[actions == number])}
            for number, name in enumerate(action_names())
        },
        "predicted": {predicted.name: use(predicted.codes) for predicted in said},
    }


# --- calibration and temperature ---


def calibration(truth: Truth, predicted: Predicted, unchanged: npt.NDArray[np.float32]) -> dict[str, Any]:
    """How often the likeliest code is right, by the probability that it was given; `unchanged` as in `Watched`."""
    hits = predicted.codes == truth.codes
    every = np.ones(hits.shape, bool)
    scopes = {"all_cells": every, "cells_in_doubt": unchanged < IN_DOUBT}
    return {name: _reliability(truth.episodes, hits, predicted.confidence, of) for name, of in scopes.items()}


def _reliability(
    episodes: npt.NDArray[np.int64],
    hits: npt.NDArray[np.bool_],
    confidence: npt.NDArray[np.float32],
    scope: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """Ten bins, and the expected calibration error: their mean distance from the diagonal, weighted by their counts
    (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins, error, total = [], 0.0, int(scope.sum())
    for number in range(BINS):
        inside = scope & (which == number)
        cells = inside.sum(1)
        said = float(confidence[inside].mean(dtype=np.float64)) if cells.sum() else None
        right = ratio((hits & inside).sum(1), cells, episodes)
        if said is not None:
            error += abs(right["value"] - said) * int(cells.sum()) / total
        bins.append({"from": number / BINS, "to": (number + 1) / BINS, "confidence": said, "right": right})
    return {"cells": total, "expected_calibration_error": error if total else None, "bins": bins}


def temperatures(truth: Truth, predicted: Predicted, watched: Watched, even: npt.NDArray[np.bool_]) -> list[Any]:
    """What drawing codes at a temperature costs: the chance that they are the real ones, exactly, not by drawing.

    `grid` is the chance that all 35 are: cells are drawn apart from each other.
    """
    hits = (predicted.codes == truth.codes).astype(np.float64)
    tempered = watched.tempered[even].astype(np.float64)
    dynamic = truth.dynamic.sum(1)
    rows = []
    for temperature, right in zip((0.0, *TEMPERATURES), (hits, *np.moveaxis(tempered, -1, 0)), strict=True):
        rows.append(
            {
                "temperature": temperature,
                "codes": ratio(right.sum(1), np.full(len(right), CELLS), truth.episodes),
                "changed_cells": ratio((right * truth.dynamic).sum(1), dynamic, truth.episodes),
                "grid": mean(right.prod(1), truth.episodes),
            }
        )
    return rows


def dreams_by_temperature(
    wm: WorldModel, sample: Sample, predictors: list[Predictor], show: Callable[[float, str], None]
) -> dict[str, list[Any]]:
    """Dream horizons of every controller at a few temperatures, in seconds; all from the same moments."""
    found: dict[str, list[Any]] = {}
    jobs = [(predictor, temperature) for predictor in predictors for temperature in DREAM_TEMPERATURES]
    for number, (predictor, temperature) in enumerate(jobs):
        text = f"{len(sample.starts)} dreams of the {predictor.name} controller at temperature {temperature}"

        def part(share: float, number: int = number, text: str = text) -> None:
            show((number + share) / len(jobs), text)

        part(0.0)
        drawn = replace(predictor, temperature=temperature)
        # Without marks a dream is drawn only while it is true, which is all that is asked here.
        dreams = dream(wm, drawn, sample.dataset, sample.starts, np.random.default_rng(0), (), part)
        summary = summarise_dreams(dreams, wm.frameskip, ())
        row = {key: summary[key] for key in ("runs", "horizon_seconds", "reach_the_end")}
        found.setdefault(predictor.name, []).append({"temperature": temperature, **row})
    return found
