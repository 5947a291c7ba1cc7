"""Accuracy, distributions, calibration, temperature and examples of each code, from predictions of held-out steps."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from collect.dataset import TransitionDataset
from evaluate.rollouts import TEMPERATURES, Doubles, Predicted, Truth
from evaluate.summaries import TOP, codebook_use, summarise_predicted, summarise_truth
from model.breakout import CELLS, CODES, UNCHANGED, Action, Frame, to_cells
from model.metrics import Rate, mean, ratio
from model.readers import Bools, Ints

ACTION_NAMES = [action.name.lower() for action in Action]
BINS = 10
# A cell is in doubt where the controller gives "nothing changes" less. Its own doubt does not spoil the calibration.
IN_DOUBT = 0.95
LEAST_SHARE = 0.001
EXAMPLES = 6  # of each code, fewer of a rare one


def accuracy(truth: Truth, predicted: dict[str, Predicted], majority: Ints) -> dict[str, Any]:
    """By action and by position, of every controller and of the majority code."""
    found = {name: summarise_predicted(one, truth) for name, one in predicted.items()}
    for name, one in predicted.items():
        found[name]["by_position"] = _by_position(truth, one.codes == truth.codes)
        found[name]["by_position"]["changed_top5"] = _by_position(truth, one.rank < TOP)["changed"]
    every = _by_position(truth, truth.codes == majority)
    return {"truth": summarise_truth(truth, majority), "controllers": found, "majority_by_position": every}


def _by_position(truth: Truth, hits: Bools) -> dict[str, list[Rate]]:
    """For each of the 35 positions: all steps, and the steps in which the cell changed."""
    changed = hits & truth.dynamic
    return {
        "all": [mean(hits[:, cell], truth.episodes) for cell in range(CELLS)],
        "changed": [ratio(changed[:, cell], truth.dynamic[:, cell], truth.episodes) for cell in range(CELLS)],
    }


def jensen_shannon(p: Doubles, q: Doubles) -> float | None:
    """The Jensen-Shannon divergence of two distributions (256,) in bits: 0 the same, 1 nothing in common. They need not
    be normalised; None if one of them is empty. Lin 1991, https://doi.org/10.1109/18.61115"""
    if not p.sum() or not q.sum():
        return None
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    parts = [float((of[of > 0] * np.log2(of[of > 0] / middle[of > 0])).sum()) for of in (p, q)]
    return min(1.0, max(0.0, sum(parts) / 2))


def distances(actual: Ints, predicted: Doubles, source: str) -> dict[str, Any]:
    """Actual counts against predicted shares, both (4, 35, 256), for each action. `pooled` adds up all positions, as do
    `actual_a_step` and `predicted_a_step`; `pooled_changes` leaves code 0 out, which drowns the others."""
    found = {}
    for name, real, expected in zip(ACTION_NAMES, actual.astype(np.float64), predicted, strict=True):
        steps, (all_real, all_expected) = int(real[0].sum()), (real.sum(0), expected.sum(0))
        found[name] = {
            "steps": steps,
            "pooled": jensen_shannon(all_real, all_expected),
            "pooled_changes": jensen_shannon(all_real[1:], all_expected[1:]),
            "by_position": list(map(jensen_shannon, real, expected)),
            "actual_a_step": (all_real / steps).tolist() if steps else None,
            "predicted_a_step": (all_expected / steps).tolist() if steps else None,
        }
    return {"source": source, "by_action": found}


def top_codes(shares: dict[str, Doubles], actual: Ints, steps: Ints, top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action and position, by the first of the controllers in `shares`, which gives
    them `LEAST_SHARE` or more. Each is {code, actual, <controller>...}, shares of the `steps` (4,) with that action.
    Shares and counts are (4, P, 256), for P positions."""
    columns, first = {"actual": actual, **shares}, next(iter(shares.values()))
    found = {name: [list[Any]() for _ in actual[0]] for name in ACTION_NAMES}
    for action, (name, taken) in enumerate(zip(ACTION_NAMES, steps.tolist(), strict=True)):
        for cell, entries in enumerate(found[name] if taken else ()):
            for code in np.argsort(-first[action, cell], kind="stable")[:top].tolist():
                if first[action, cell, code] >= LEAST_SHARE * taken:
                    rates = {column: float(of[action, cell, code] / taken) for column, of in columns.items()}
                    entries.append({"code": code, **rates})
    return found


def top_changes(shares: dict[str, Doubles], actual: Ints, steps: Ints, top: int) -> dict[str, list[Any]]:
    """As `top_codes`, but all positions together, and without code 0: how often in a step."""

    def pooled(counts: Any) -> Any:
        return counts.sum(1, keepdims=True) * (np.arange(CODES) != UNCHANGED)

    found = top_codes({name: pooled(of) for name, of in shares.items()}, pooled(actual), steps, top)
    return {name: entries for name, (entries,) in found.items()}


def codebook(truth: Truth, predicted: dict[str, Predicted]) -> dict[str, Any]:
    """How the codebook is used by what really happened, and by every controller's guesses."""
    counts = np.bincount(truth.codes.ravel(), minlength=CODES)
    chosen = {name: truth.actions == number for number, name in enumerate(ACTION_NAMES)}
    return {
        "steps": len(truth.t),
        "counts": counts.tolist(),
        "never_used": np.flatnonzero(counts == 0).tolist(),
        **codebook_use(truth.codes),
        "by_action": {name: {"steps": int(of.sum()), **codebook_use(truth.codes[of])} for name, of in chosen.items()},
        "predicted": {name: codebook_use(one.codes) for name, one in predicted.items()},
    }


def calibration(truth: Truth, predicted: Predicted) -> dict[str, Any]:
    """How often the likeliest code is right, in ten bins of the probability that it was given, and the expected
    calibration error, their weighted mean distance from the diagonal (Guo 2017, https://arxiv.org/abs/1706.04599)."""
    hits = predicted.codes == truth.codes
    scopes = {"all_cells": np.ones(hits.shape, bool), "cells_in_doubt": predicted.stays < IN_DOUBT}
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


def temperatures(truth: Truth, predicted: Predicted) -> list[dict[str, Any]]:
    """What drawing codes at a temperature costs: the chance that they are the real ones, exactly, not by drawing.
    `grid` is the chance that all 35 are: cells are drawn apart from each other."""
    each = predicted.codes == truth.codes, *np.moveaxis(predicted.truth.astype(np.float64), -1, 0)
    found = []
    for temperature, right in zip((0.0, *TEMPERATURES), each, strict=True):
        codes = ratio(right.sum(1), np.full(len(truth.t), CELLS), truth.episodes)
        changed = ratio((right * truth.dynamic).sum(1), truth.dynamic.sum(1), truth.episodes)
        grid = mean(right.prod(1), truth.episodes)
        found.append({"temperature": temperature, "codes": codes, "changed_cells": changed, "grid": grid})
    return found


class Example(NamedTuple):
    """One cell, (30, 32) uint8 classes, before and after a step in which it got a code."""

    cell: int
    before: Frame
    after: Frame


Examples = dict[int, list[Example]]  # by code, in the order of the codes


def collect_examples(dataset: TransitionDataset, truth: Truth, wanted: Iterable[tuple[int, int]]) -> Examples:
    """Examples of every code that occurs: `EXAMPLES` of each, and one of each `wanted` (code, cell) that occurs."""
    rows, cells = np.nonzero(truth.codes != UNCHANGED)
    codes = truth.codes[rows, cells]
    missing, found = set(wanted), {int(code): list[Example]() for code in np.unique(codes)}
    for number in np.random.default_rng(0).permutation(len(codes)):
        code, cell = int(codes[number]), int(cells[number])
        if len(found[code]) < EXAMPLES or (code, cell) in missing:
            missing.discard((code, cell))
            pair = to_cells(dataset.frame(truth.t[rows[number]] + np.arange(2)))[:, cell]
            found[code].append(Example(cell, *pair))
    return found


def representative(examples: list[Example]) -> Example:
    """The example that shows a code best: the one of the middle, by how much there is to see."""
    changes = [int((one.before != one.after).sum()) for one in examples]
    return examples[int(np.argsort(changes, kind="stable")[len(changes) // 2])]


def describe_codes(codes: Ints, says: list[str]) -> dict[str, dict[str, Any]]:
    """What each code says, and how often it was `seen` in codes (N, 35); of one never seen nothing is said."""
    counts = np.bincount(codes.ravel(), minlength=CODES).tolist()
    return {str(code): {"seen": seen, "name": says[code] if seen else None} for code, seen in enumerate(counts)}
