"""Accuracy, distributions, calibration and temperature from predictions of held-out steps; and what each code does.

An example of a code is a step in which a cell got it. By RAM the ball or paddle there went a way, and the median way is
the code's name: "ball 2 right, 3 up", "paddle 8 left"."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from evaluate.rollouts import TEMPERATURES, Doubles, Predicted, Truth
from evaluate.summaries import TOP, ball_cells, ball_seen, codebook_use, summarise_predicted, summarise_truth
from model.breakout import CELLS, CODES, GRID_ROWS, UNCHANGED, Action, Frame, to_cells
from model.metrics import Rate, mean, ratio
from model.readers import Bools, Ints

ACTION_NAMES = [action.name.lower() for action in Action]
BINS = 10
# A cell is in doubt where the controller gives "nothing changes" less. Its own doubt does not spoil the calibration.
IN_DOUBT = 0.95
LEAST_SHARE = 0.001
EXAMPLES = 6  # examples that a code's name is measured on, fewer for a rare code


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


def top_codes(shares: dict[str, Doubles], actual: Ints, top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action and position, by the first of the controllers in `shares`, which gives
    them `LEAST_SHARE` or more. Each is {code, actual, <controller>...}, shares of the steps with that action."""
    columns, first = {"actual": actual, **shares}, next(iter(shares.values()))
    found = {name: [list[Any]() for _ in range(CELLS)] for name in ACTION_NAMES}
    for action, name in enumerate(ACTION_NAMES):
        steps = int(actual[action, 0].sum())
        for cell, entries in enumerate(found[name] if steps else ()):
            for code in np.argsort(-first[action, cell], kind="stable")[:top].tolist():
                if first[action, cell, code] >= LEAST_SHARE * steps:
                    rates = {column: float(of[action, cell, code] / steps) for column, of in columns.items()}
                    entries.append({"code": code, **rates})
    return found


def top_changes(distributions: dict[str, Any], names: list[str], top: int) -> dict[str, list[Any]]:
    """The `top` likeliest codes of each action but code 0, all positions together, by the first of the controllers, of
    their `distances`. Each is {code, actual, <controller>...}, times a step; `actual` is of the first one's steps."""
    found: dict[str, list[Any]] = {}
    for action in ACTION_NAMES:
        of = {name: distributions[name]["by_action"][action] for name in names}
        times = {name: d["predicted_a_step"] for name, d in of.items() if d["predicted_a_step"] is not None}
        columns = {"actual": of[names[0]]["actual_a_step"], **times}
        order: Any = 1 + np.argsort(-np.array(times[names[0]])[1:], kind="stable")[:top] if names[0] in times else []
        found[action] = [{"code": int(code), **{name: of[code] for name, of in columns.items()}} for code in order]
    return found


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
    """One cell before and after a step in which it got this code, and what happened there."""

    code: int
    cell: int
    before: Frame  # (30, 32) uint8 classes
    after: Frame
    ways: dict[str, tuple[float, float]]  # of "ball" and "paddle", if they are here: rows and columns gone
    others: tuple[str, ...]  # what else happened

    @property
    def kind(self) -> tuple[str, ...]:
        """What sort of thing it is, without how far it went."""
        return (*self.ways, *self.others) or ("something else",)


Examples = dict[int, list[Example]]  # by code, in the order of the codes


def collect_examples(dataset: TransitionDataset, truth: Truth, wanted: Iterable[tuple[int, int]]) -> Examples:
    """Examples of every code that occurs: `EXAMPLES` of each, and one of each `wanted` (code, cell) that occurs."""
    rows, cells = np.nonzero(truth.codes != UNCHANGED)
    codes = truth.codes[rows, cells]
    missing, found = set(wanted), {int(code): list[Example]() for code in np.unique(codes)}
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    here, was, there = ball_cells(now, after), ball_seen(dataset, truth.t), ball_seen(dataset, truth.t + 1)
    for number in np.random.default_rng(0).permutation(len(codes)):
        code, cell, n = int(codes[number]), int(cells[number]), int(rows[number])
        if len(found[code]) >= EXAMPLES and (code, cell) not in missing:
            continue
        missing.discard((code, cell))
        ways: dict[str, tuple[float, float]] = {}
        others, row = list[str](), cell % GRID_ROWS
        moved = float(after.paddle_column[n] - now.paddle_column[n])
        if row == 0:
            others.append("digits")
        elif here[n, cell]:
            if was[n] and there[n]:
                step = after.ball_row[n] - now.ball_row[n], after.ball_column[n] - now.ball_column[n]
                ways["ball"] = float(step[0]), float(step[1])
            elif was[n] or there[n]:
                others.append("ball appears" if there[n] else "ball goes out of sight")
            if (now.wall[n] & ~after.wall[n]).any():
                others.append("brick goes")
        if moved and row == GRID_ROWS - 1:
            ways["paddle"] = 0.0, moved
        pair = to_cells(dataset.frame(truth.t[n] + np.arange(2)))[:, cell]
        found[code].append(Example(code, cell, pair[0], pair[1], ways, tuple(others)))
    return found


def way_text(rows: float, columns: float) -> str:
    """A way in words: "2 right, 3 up", "still"."""
    across = f"{abs(columns):g} {'right' if columns > 0 else 'left'}" if columns else ""
    along = f"{abs(rows):g} {'down' if rows > 0 else 'up'}" if rows else ""
    return ", ".join(part for part in (across, along) if part) or "still"


def _commonest(examples: list[Example]) -> tuple[str, ...]:
    kinds = Counter(example.kind for example in examples)
    return min(kinds, key=lambda kind: (-kinds[kind], kind))


def describe(examples: list[Example]) -> str:
    """The name of a code by the median ways of its examples of the commonest kind."""
    kind = _commonest(examples)
    same = [example for example in examples if example.kind == kind]
    ways = {thing: np.median([example.ways[thing] for example in same], 0) for thing in same[0].ways}
    name = "; ".join([f"{thing} {way_text(*way)}" for thing, way in ways.items()] + list(kind[len(ways) :]))
    return name if 2 * len(same) > len(examples) else f"mixed, often {name}"


def representative(examples: list[Example]) -> Example:
    """The example that shows a code best: of the commonest kind, with most to see."""
    kind = _commonest(examples)
    return min(examples, key=lambda one: (one.kind != kind, -int((one.before != one.after).sum())))


def describe_codes(codes: Ints, examples: Examples) -> dict[str, dict[str, Any]]:
    """Each code's name, and how often it was `seen` in codes (N, 35); one never seen has no name."""
    names = {code: describe(of) for code, of in examples.items()} | {UNCHANGED: "nothing changes"}
    counts = np.bincount(codes.ravel(), minlength=CODES)
    return {str(code): {"seen": int(counts[code]), "name": names.get(code)} for code in range(CODES)}
