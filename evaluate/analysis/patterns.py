"""Where the controllers succeed and fail: by what happened in the game, by where the ball was, and code by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from collect.dataset import TransitionDataset
from evaluate.heldout import Event, Zone
from evaluate.rollouts import Predicted, Truth
from model.breakout import EMULATOR_HZ, UNCHANGED, Action
from model.metrics import mean, ratio
from model.readers import Bools, Ints

CONFUSIONS = 12


def success(truth: Truth, predicted: Predicted, chosen: Bools) -> dict[str, Any]:
    """Rates over the chosen steps: `grid` all 35 codes right, `changed_cells`' codes right, `exact_frames`, and the
    mean of `wrong_pixels`."""
    hits, dynamic = (predicted.codes == truth.codes)[chosen], truth.dynamic[chosen]
    wrong, episodes = predicted.drawn.wrong[chosen], truth.episodes[chosen]
    return {
        "grid": mean(hits.all(1), episodes),
        "changed_cells": ratio((hits & dynamic).sum(1), dynamic.sum(1), episodes),
        "exact_frames": mean(wrong == 0, episodes),
        "wrong_pixels": mean(wrong, episodes),
    }


def by_group(
    truth: Truth, predicted: Sequence[Predicted], groups: type[Event] | type[Zone], of_frame: Ints
) -> dict[str, Any]:
    """`success` of every controller within each group; `of_frame` gives the group of each frame of the dataset.

    `real_codes` is the share of frames that the codes of the real pair draw exactly: what no controller can better.
    """
    found, of_step = {}, of_frame[truth.t]
    for group in groups:
        chosen = of_step == group
        found[group.name.lower()] = {
            "steps": int(chosen.sum()),
            "real_codes": mean(truth.inferred.wrong[chosen] == 0, truth.episodes[chosen]),
            "controllers": {one.name: success(truth, one, chosen) for one in predicted},
        }
    return found


def frequency(dataset: TransitionDataset, events: Ints) -> dict[str, Any]:
    """How often each group occurs in all that was played: its steps, and their share."""
    of_step = events[dataset.transitions()]
    counts = {event.name.lower(): of_step == event for event in Event}
    return {name: {"steps": int(of.sum()), "share": float(of.mean())} for name, of in counts.items()}


def mistakes(truth: Truth, predicted: Predicted, events: Ints) -> dict[str, Any]:
    """What sort of mistakes there are, in evenly drawn steps.

    Codes: `missed` a change taken for none, `invented` one where there was none, `wrong_change` another than the real
    one. Steps: `failures` with any wrong code, how many of them fall in each group of events, and the share that have
    just one or two wrong codes.
    """
    wrong = predicted.codes != truth.codes
    missed, invented = wrong & (predicted.codes == UNCHANGED), wrong & (truth.codes == UNCHANGED)
    failed, of_step = wrong.any(1), events[truth.t]
    few = failed & (wrong.sum(1) <= 2)
    return {
        "codes": {
            "wrong": int(wrong.sum()),
            "missed": int(missed.sum()),
            "invented": int(invented.sum()),
            "wrong_change": int((wrong & ~missed & ~invented).sum()),
        },
        "failures": int(failed.sum()),
        "of_steps": len(failed),
        "failures_by_event": {event.name.lower(): int((failed & (of_step == event)).sum()) for event in Event},
        "one_or_two_codes": ratio(few, failed, truth.episodes),
    }


def confusions(real: Ints, predicted: Ints, names: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The commonest mistakes (N, 35) twice: real code, the code it was taken for, with their `names`, how often, and of
    how many."""
    totals, wrong = np.bincount(real.ravel()), real != predicted
    pairs = Counter(zip(real[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "real": code,
            "real_name": names[str(code)]["name"],
            "taken_for": other,
            "taken_for_name": names[str(other)]["name"],
            "count": count,
            "of": int(totals[code]),
        }
        for (code, other), count in ordered[:CONFUSIONS]
    ]


def worst_steps(
    dataset: TransitionDataset, truth: Truth, predicted: Predicted, events: Ints, most: int
) -> dict[str, list[dict[str, Any]]]:
    """The steps with most wrong pixels: the worst of each group of events, and the `most` worst of all."""
    wrong, of_step = predicted.drawn.wrong, events[truth.t]
    order = np.argsort(-wrong, kind="stable")
    worst = [order[of_step[order] == event][:1] for event in Event]
    seconds = dataset.frameskip / EMULATOR_HZ

    def about(row: int) -> dict[str, Any]:
        t, episode = int(truth.t[row]), int(truth.episodes[row])
        return {
            "frame": t,
            "game": episode,
            "second": (t - int(dataset.first[episode])) * seconds,
            "action": Action(truth.actions[row]).name.lower(),
            "event": Event(of_step[row]).label,
            "wrong_pixels": int(wrong[row]),
            "wrong_codes": int((predicted.codes[row] != truth.codes[row]).sum()),
            "wrong_pixels_with_real_codes": int(truth.inferred.wrong[row]),
        }

    return {
        "of_each_event": [about(int(row)) for rows in worst for row in rows],
        "of_all": [about(int(row)) for row in order[:most]],
    }
