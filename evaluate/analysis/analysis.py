"""`analyze`: from weights to a report, and from the report to the page, its PNGs and its JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluate.analysis.events import Event, Place
from evaluate.analysis.futures import Futures, four_futures
from evaluate.analysis.gallery import Example, collect_examples, describe_codes
from evaluate.analysis.patterns import by_group, confusions, frequency, mistakes, worst_steps
from evaluate.analysis.sample import AnalysisSettings, Sample, take_sample
from evaluate.analysis.statistics import (
    accuracy,
    calibration,
    codebook,
    count_codes,
    distances,
    dreams_by_temperature,
    temperatures,
    top_changes,
    top_codes,
)
from evaluate.heldout import memory_of
from evaluate.metrics import rounded
from evaluate.predictors import Codes, action_to_shares, controllers_of
from model import WorldModel
from model.breakout import ACTIONS, Frame
from model.files import SCHEMA, FileError
from model.quantizer import UNCHANGED

Show = Callable[[float, str], None]
WORST = 7
CHANGES = 5
"""Codes shown for each action, all positions together."""


@dataclass(frozen=True)
class ActionPairs:
    """(action, code) pairs of `collect pairs`: `actions` (N,) int64, `codes` (N, 35) int64, and where from.

    `codes_sha256` says whose codes they are, None where nothing does.
    """

    actions: npt.NDArray[np.int64]
    codes: Codes
    source: str
    codes_sha256: str | None = None


@dataclass(frozen=True)
class WorstStep:
    """Classes (210, 160) uint8 of a step: before it, after it, and as the controller drew it."""

    before: Frame
    real: Frame
    predicted: Frame


@dataclass(frozen=True)
class Pictures:
    """What the plots show beside numbers. `frame` is any real one; `worst` is in the order of the report's lists."""

    frame: Frame
    examples: list[Example]
    worst: dict[str, list[WorstStep]]
    futures: Futures


def analyse(
    wm: WorldModel,
    settings: AnalysisSettings,
    pairs: ActionPairs | None = None,
    show: Show = lambda share, text: None,
) -> tuple[dict[str, Any], Pictures]:
    """Every number of the page, and the pictures. The same weights, settings, pairs and machine give the same.

    With `pairs` the action-only controller is compared with them instead of with the held-out steps. FileError if the
    weights hold no controller, none from the action alone for the pairs, or the pairs are of another VQ-VAE.
    """
    _check(wm, pairs)
    sample = take_sample(wm, settings, lambda share, text: show(0.55 * share, text))
    predictors = controllers_of(wm)
    truth, said = sample.evenly()
    first = sample.said[0]

    show(0.55, "counting")
    actual = count_codes(truth.actions, truth.codes)
    shares = {name: watched.shares for name, watched in sample.watched.items()}
    distributions = compare_distributions(wm, sample, actual, pairs)
    top = top_codes(shares, actual, settings.top)
    wanted = {
        (entry["code"], cell)
        for cells in top.values()
        for cell, entries in enumerate(cells)
        for entry in entries
        if entry["code"] != UNCHANGED
    }
    examples = collect_examples(wm, sample, wanted, lambda share: show(0.57 + 0.1 * share, "drawing what codes do"))
    names = describe_codes(sample, examples)
    dreams = dreams_by_temperature(wm, sample, predictors, lambda share, text: show(0.67 + 0.3 * share, text))
    show(0.97, "four futures")
    futures, futures_report = four_futures(wm, settings.policy, settings.seed)
    worst = worst_steps(sample.dataset, sample.truth, first, sample.events, WORST)
    evenly = {predicted.name: predicted for predicted in said}
    report = {
        "schema": SCHEMA,
        "kind": "analysis",
        "weights": wm.checksum,
        "frameskip": wm.frameskip,
        "context": wm.context,
        "settings": asdict(settings),
        "controllers": list(wm.controllers),
        "sample": {
            "policy": settings.policy,
            "seed": sample.dataset.manifest["seed"],
            "games": sample.dataset.episodes,
            "steps_played": len(sample.dataset),
            "steps_encoded": len(sample.counted),
            "steps_predicted": len(sample.truth.t),
            "steps_drawn_evenly": len(truth.t),
        },
        "accuracy": accuracy(truth, said, wm.majority),
        "distributions": distributions,
        "top_codes": top,
        "top_changes": top_changes(distributions, list(wm.controllers), CHANGES),
        "codes": names,
        "codebook": codebook(sample),
        "calibration": {
            name: calibration(truth, evenly[name], watched.unchanged[sample.even])
            for name, watched in sample.watched.items()
        },
        "temperature": {
            name: temperatures(truth, evenly[name], watched, sample.even) for name, watched in sample.watched.items()
        },
        "dreams": dreams,
        "events": {
            "frequency": frequency(sample.dataset, sample.events),
            "groups": by_group(sample.truth, sample.said, Event, sample.events),
        },
        "places": by_group(truth, said, Place, sample.places),
        "mistakes": {predicted.name: mistakes(truth, predicted, sample.events) for predicted in said},
        "confusions": {
            predicted.name: confusions(sample.truth.codes, predicted.codes, names) for predicted in sample.said
        },
        "worst": {"controller": first.name, **worst},
        "futures": futures_report,
    }
    drawn = {name: _draw_steps(wm, sample, [step["frame"] for step in steps]) for name, steps in worst.items()}
    return rounded(report), Pictures(sample.dataset.frame(int(truth.t[len(truth.t) // 2])), examples, drawn, futures)


def _check(wm: WorldModel, pairs: ActionPairs | None) -> None:
    if not wm.controllers:
        raise FileError("these weights hold no controller to analyse; train one with: python main.py train context")
    if pairs is None:
        return
    if "action" not in wm.controllers:
        raise FileError("these weights hold no action-only controller to compare with the pairs: train action first")
    if pairs.codes_sha256 not in (None, wm.vqvae.codes_sha256()):
        raise FileError(f"{pairs.source} holds codes of another VQ-VAE than the weights: run collect pairs again")


def compare_distributions(
    wm: WorldModel, sample: Sample, actual: npt.NDArray[np.int64], pairs: ActionPairs | None
) -> dict[str, Any]:
    """`distances` of every controller, and of "unchanged", which always says that nothing changes.

    `actual` are the counts of the sample's evenly drawn steps; `pairs` as in `analyse`.
    """
    source = "held-out steps"
    found = {name: distances(actual, watched.shares, source) for name, watched in sample.watched.items()}
    if pairs is not None:
        counts = count_codes(pairs.actions, pairs.codes)
        # From the action alone, every step with it has the same distribution.
        shares = np.stack([action_to_shares(wm, action) for action in range(ACTIONS)])
        found["action"] = distances(counts, shares * counts[:, 0].sum(-1)[:, None, None], pairs.source)
    unchanged = np.zeros(actual.shape)
    unchanged[..., UNCHANGED] = actual.sum(-1)
    found["unchanged"] = distances(actual, unchanged, source)
    return found


def _draw_steps(wm: WorldModel, sample: Sample, t: list[int]) -> list[WorstStep]:
    """The steps at these frame numbers, as the first controller draws them."""
    numbers = np.array(t, np.int64)
    if not len(numbers):
        return []
    history = sample.dataset.frame(sample.dataset.history(numbers, wm.context))
    memory = memory_of(sample.dataset, numbers, wm.context)
    predictor = controllers_of(wm)[0]
    _, codes = predictor.predict(history, sample.dataset.actions[numbers].astype(np.int64), memory, sample.rng)
    drawn, real = wm.decode_batch(history, codes, memory.unseen), sample.dataset.frame(numbers + 1)
    return [WorstStep(*frames) for frames in zip(history[:, -1], real, drawn, strict=True)]
