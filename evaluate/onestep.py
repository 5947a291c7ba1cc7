"""One step from real history ("teacher forced"): predictions on held-out transitions, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collect.dataset import TransitionDataset
from evaluate.heldout import episode_of, memory_of
from evaluate.metrics import Numbers, codebook_use, mean, psnr, ratio
from evaluate.predictors import Codes, Logits, Memory, Predictor, probabilities
from model import WorldModel
from model.breakout import ACTIONS, CELLS, Action, Frame, changed_cells

BATCH = 64
TOP = 5


@dataclass(frozen=True)
class Drawn:
    """How N drawn frames compare: `wrong` pixels, `right` of those that changed, `psnr` in dB, each (N,)."""

    wrong: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    psnr: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What really happened in N held-out steps, and how the codes of the real pair draw it.

    `t` frame numbers, `actions`, `episodes` (N,) int64; `codes` (N, 35) int64; `dynamic` (N, 35) bool, cells whose
    pixels changed; `changed` (N,) pixels that changed.
    """

    t: npt.NDArray[np.int64]
    actions: npt.NDArray[np.int64]
    episodes: npt.NDArray[np.int64]
    codes: Codes
    dynamic: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.int64]
    inferred: Drawn


@dataclass(frozen=True)
class Said:
    """What one predictor said of the same N steps.

    `codes` (N, 35); `confidence` (N, 35) its probability of those codes; `truth` (N, 35) its probability of the real
    ones; `rank` (N, 35) how many codes it held likelier than the real one.
    """

    name: str
    codes: Codes
    confidence: npt.NDArray[np.float32]
    truth: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int64]
    drawn: Drawn


@dataclass(frozen=True)
class Predicted(Said):
    """The same, and `random_psnr` (N,): of the frame for a random action instead of the one taken."""

    random_psnr: npt.NDArray[np.float64]


def compare(before: Frame, after: Frame, drawn: Frame) -> Drawn:
    """Real frames before and after a step and the drawn ones, each (B, 210, 160) uint8 classes."""
    wrong = drawn != after
    moved = before != after
    return Drawn(wrong.sum((1, 2)), (moved & ~wrong).sum((1, 2)), psnr(after, drawn))


def joined(parts: list[Any]) -> Any:
    """One record of arrays from the records of its batches."""
    first = parts[0]
    fields: dict[str, Any] = {}
    for name in first.__dataclass_fields__:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], str):
            fields[name] = values[0]
        else:
            fields[name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else joined(values)
    return type(first)(**fields)


def predict_transitions(
    wm: WorldModel,
    predictors: Sequence[Predictor],
    dataset: TransitionDataset,
    t: npt.NDArray[np.int64],
    rng: np.random.Generator,
    progress: Callable[[int], None] = lambda done: None,
    watch: Callable[[str, Truth, Logits], None] = lambda name, truth, logits: None,
) -> tuple[Truth, list[Predicted]]:
    """Run every predictor on the transitions t -> t + 1 of `dataset`.

    `progress` is told how many are done. `watch` is shown each batch: a predictor's name, what really happened, and
    the predictor's logits (B, 35, 256), which are too many to keep.
    """
    truths: list[Truth] = []
    said: list[list[Predicted]] = [[] for _ in predictors]
    others = rng.integers(0, ACTIONS, len(t))
    for start in range(0, len(t), BATCH):
        chunk = t[start : start + BATCH]
        memory = memory_of(dataset, chunk, wm.context)
        truth, history, after = _real(wm, dataset, chunk, memory)
        truths.append(truth)
        for predictor, parts in zip(predictors, said, strict=True):
            logits, codes = predictor.predict(history, truth.actions, memory, rng, truth.codes)
            watch(predictor.name, truth, logits)
            drawn = compare(history[:, -1], after, wm.decode_batch(history, codes, memory.unseen))
            said_now = judge(predictor.name, codes, logits, truth, drawn)
            _, random_codes = predictor.predict(history, others[start : start + BATCH], memory, rng)
            random = psnr(after, wm.decode_batch(history, random_codes, memory.unseen))
            parts.append(Predicted(**vars(said_now), random_psnr=random))
        progress(start + len(chunk))
    return joined(truths), [joined(parts) for parts in said]


def _real(
    wm: WorldModel, dataset: TransitionDataset, t: npt.NDArray[np.int64], memory: Memory
) -> tuple[Truth, Frame, Frame]:
    history = dataset.frame(dataset.history(t, wm.context))
    before, after = history[:, -1], dataset.frame(t + 1)
    codes = wm.encode_batch(before, after)
    truth = Truth(
        t,
        dataset.actions[t].astype(np.int64),
        episode_of(dataset, t),
        codes,
        np.stack([changed_cells(b, a) for b, a in zip(before, after, strict=True)]),
        (before != after).sum((1, 2)),
        compare(before, after, wm.decode_batch(history, codes, memory.unseen)),
    )
    return truth, history, after


def judge(name: str, codes: Codes, logits: Logits, truth: Truth, drawn: Drawn) -> Said:
    """What a predictor called `name` said of a batch: the codes it chose, from these logits, and how they draw."""
    shares = probabilities(logits)
    of_truth = np.take_along_axis(shares, truth.codes[..., None], -1)
    of_chosen = np.take_along_axis(shares, codes[..., None], -1)
    return Said(name, codes, of_chosen[..., 0], of_truth[..., 0], (shares > of_truth).sum(-1), drawn)


def _by_action(parts: Numbers, wholes: Numbers, truth: Truth) -> dict[str, Any]:
    """`ratio` over all steps and for each action taken."""
    chosen = {action.name.lower(): truth.actions == action for action in Action}
    return {
        "all": ratio(parts, wholes, truth.episodes),
        **{name: ratio(parts[of], wholes[of], truth.episodes[of]) for name, of in chosen.items()},
    }


def summarise_truth(truth: Truth, majority: Codes) -> dict[str, Any]:
    """What needs no predictor: the baselines, and the picture for the codes of the real pair."""
    cells = np.full(len(truth.t), CELLS)
    ones = np.ones(len(truth.t), np.int64)
    hits = truth.codes == majority
    dynamic = truth.dynamic.sum(1)
    return {
        "steps": {
            "all": len(truth.t),
            **{action.name.lower(): int((truth.actions == action).sum()) for action in Action},
        },
        "changed_cells_a_step": mean(dynamic, truth.episodes),
        "changed_pixels_a_step": mean(truth.changed, truth.episodes),
        "majority_code_accuracy": _by_action(hits.sum(1), cells, truth),
        "majority_dynamic_accuracy": _by_action((hits & truth.dynamic).sum(1), dynamic, truth),
        "copy_last_exact_frames": _by_action(truth.changed == 0, ones, truth),
        "copy_last_changed_pixels": 0.0,
        "inferred": _picture(truth.inferred, truth),
        "codebook": {
            "all_cells": codebook_use(truth.codes),
            "changed_cells": codebook_use(truth.codes[truth.dynamic]),
        },
    }


def _picture(drawn: Drawn, truth: Truth) -> dict[str, Any]:
    ones = np.ones(len(truth.t), np.int64)
    return {
        "exact_frames": _by_action(drawn.wrong == 0, ones, truth),
        "changed_pixels": _by_action(drawn.right, truth.changed, truth),
        "wrong_pixels_a_step": mean(drawn.wrong, truth.episodes),
        "psnr": mean(drawn.psnr, truth.episodes),
    }


def summarise_said(said: Said, truth: Truth) -> dict[str, Any]:
    """The contract's one-step metrics of one predictor but delta PSNR, each as {value, low, high, of}."""
    hits = said.codes == truth.codes
    cells, dynamic = np.full(len(truth.t), CELLS), truth.dynamic.sum(1)
    return {
        "code_accuracy": _by_action(hits.sum(1), cells, truth),
        "dynamic_accuracy": _by_action((hits & truth.dynamic).sum(1), dynamic, truth),
        "dynamic_top5_accuracy": _by_action(((said.rank < TOP) & truth.dynamic).sum(1), dynamic, truth),
        "expected_code_accuracy": _by_action(said.truth.sum(1, dtype=np.float64), cells, truth),
        "expected_dynamic_accuracy": _by_action((said.truth * truth.dynamic).sum(1, dtype=np.float64), dynamic, truth),
        **_picture(said.drawn, truth),
    }


def summarise(predicted: Predicted, truth: Truth) -> dict[str, Any]:
    """All of the contract's one-step metrics of one predictor, each as {value, low, high, of}."""
    ones = np.ones(len(truth.t), np.int64)
    return {
        **summarise_said(predicted, truth),
        "delta_psnr": _by_action(truth.inferred.psnr - predicted.random_psnr, ones, truth),
        "delta_psnr_of_the_key": _by_action(predicted.drawn.psnr - predicted.random_psnr, ones, truth),
    }
