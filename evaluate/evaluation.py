"""`evaluate`: both held-out sets, every controller, one step and dreaming, as one JSON-ready report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collect.dataset import TransitionDataset
from evaluate.dream import MARKS, dream, summarise_dreams
from evaluate.heldout import SEED_OFFSET, Starts, dream_starts, play_held_out, sample_transitions
from evaluate.metrics import rounded
from evaluate.onestep import predict_transitions, summarise, summarise_truth
from evaluate.predictors import Predictor, controllers_of, copy_last
from model import WorldModel
from model.files import SCHEMA

Show = Callable[[float, str], None]


@dataclass(frozen=True)
class EvaluationSettings:
    """What an evaluation depends on, beside the weights.

    For each policy `episodes` games are played; `transitions` steps of them are predicted one by one, and `runs`
    dreams are started where the ball stays in play for at least `least_seconds` more. A dream lasts at most
    `run_seconds`.
    """

    seed: int = 0
    policies: tuple[str, ...] = ("mixed", "people")
    episodes: int = 24
    transitions: int = 800
    runs: int = 64
    least_seconds: float = 10.0
    run_seconds: float = 60.0

    def __post_init__(self) -> None:
        if min(self.episodes, self.transitions, self.runs) < 1:
            raise ValueError("episodes, transitions and runs must be 1 or more")
        if not 0 < self.least_seconds <= self.run_seconds:
            raise ValueError("a run lasts more than 0 seconds, and at least as long as its least length")


def evaluate(wm: WorldModel, settings: EvaluationSettings, show: Show = lambda share, text: None) -> dict[str, Any]:
    """All metrics of all controllers of `wm`. The same weights, settings and machine give the same report."""
    predictors = controllers_of(wm)
    sets = {}
    for number, policy in enumerate(settings.policies):

        def part(share: float, text: str, number: int = number, policy: str = policy) -> None:
            show((number + share) / len(settings.policies), f"{policy}: {text}")

        sets[policy] = evaluate_policy(wm, predictors, policy, settings, part)
    return rounded(
        {
            "schema": SCHEMA,
            "kind": "evaluation",
            "weights": wm.checksum,
            "frameskip": wm.frameskip,
            "context": wm.context,
            "settings": asdict(settings),
            "held_out": sets,
        }
    )


def held_out(
    wm: WorldModel, policy: str, settings: EvaluationSettings, show: Show
) -> tuple[TransitionDataset, Starts, np.random.Generator]:
    """The games of one policy, the moments to dream from, and the generator that all chance comes from."""
    trained = [meta.get("dataset") for meta in wm.meta.values() if isinstance(meta, dict)]
    if any(isinstance(data, dict) and data.get("seed") == SEED_OFFSET + settings.seed for data in trained):
        raise ValueError(f"the weights were trained on the games of --seed {settings.seed}; choose another --seed")
    count = settings.episodes
    dataset = play_held_out(
        policy, wm.frameskip, settings.seed, count, progress=lambda n: show(n / count, f"{n} of {count} games played")
    )
    rng = np.random.default_rng([settings.seed, 1])
    starts = dream_starts(dataset, settings.runs, settings.least_seconds, settings.run_seconds, rng)
    return dataset, starts, rng


def evaluate_policy(
    wm: WorldModel, predictors: Sequence[Predictor], policy: str, settings: EvaluationSettings, show: Show
) -> dict[str, Any]:
    """The metrics of all `predictors` on games that `policy` plays."""
    dataset, starts, rng = held_out(wm, policy, settings, lambda share, text: show(0.05 * share, text))
    t = sample_transitions(dataset, settings.transitions, rng)
    truth, said = predict_transitions(
        wm, predictors, dataset, t, rng, lambda n: show(0.05 + 0.35 * n / len(t), f"{n} of {len(t)} steps predicted")
    )
    controllers = {predicted.name: {"one_step": summarise(predicted, truth)} for predicted in said}
    marks = marks_of(settings)
    baseline = dream(wm, copy_last(), dataset, starts, rng, marks)
    for number, predictor in enumerate(predictors):

        def part(share: float, number: int = number, name: str = predictor.name) -> None:
            show(0.4 + 0.6 * (number + share) / len(predictors), f"{len(starts)} dreams of the {name} controller")

        dreams = dream(wm, predictor, dataset, starts, rng, marks, part)
        controllers[predictor.name]["dream"] = summarise_dreams(dreams, wm.frameskip, marks)
    return {
        "episodes": dataset.episodes,
        "transitions": len(dataset),
        "seed": dataset.manifest["seed"],
        "truth": summarise_truth(truth, wm.majority),
        "controllers": controllers,
        "copy_last": {"dream": summarise_dreams(baseline, wm.frameskip, marks)},
    }


def marks_of(settings: EvaluationSettings) -> list[int]:
    """The marks, in seconds, that runs of these settings can reach."""
    return [mark for mark in MARKS if mark <= settings.run_seconds]
