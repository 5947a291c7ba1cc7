"""`evaluate`: every metric of every controller on games that were never trained on, as one report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.heldout import SEED_OFFSET, Starts, classify, dream_starts, episode_of, play_held_out, sample_transitions
from evaluate.memory import summarise_memory, true_memory
from evaluate.possible import live_alone
from evaluate.rollouts import Mode, Without, dream, predict_all
from evaluate.summaries import (
    summarise_ambiguity,
    summarise_dreams,
    summarise_events,
    summarise_possible,
    summarise_predicted,
    summarise_truth,
)
from model.breakout import EMULATOR_HZ
from model.files import SCHEMA
from model.metrics import mean
from model.readers import Ints

if TYPE_CHECKING:
    from model.engine import Engine

Show = Callable[[float, str], None]
MARKS = (1, 2, 5, 10, 30)
"""Seconds of game time after which the objects are compared."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What an evaluation depends on, beside the weights.

    For each policy `episodes` games of at most `game_seconds` are played. All their steps are predicted one by one from
    real history, and `transitions` of them are looked at closely. `runs` dreams are started where the ball is in play
    and the game goes on for `least_seconds` or more; a dream lasts at most `run_seconds`. `alone` dreams of at most
    `alone_seconds`, begun in games of the first policy, are left alone. `without` says what is taken from the twin.
    """

    seed: int = 0
    policies: tuple[str, ...] = ("people", "mixed")
    episodes: int = 16
    game_seconds: float = 90.0
    transitions: int = 4000
    runs: int = 24
    least_seconds: float = 10.0
    run_seconds: float = 60.0
    alone: int = 8
    alone_seconds: float = 600.0
    without: Without = Without.nothing

    def __post_init__(self) -> None:
        if min(self.episodes, self.transitions, self.runs) < 1 or self.alone < 0:
            raise ValueError("episodes, transitions and runs must be 1 or more, alone 0 or more")
        if not 0 < self.least_seconds <= self.run_seconds:
            raise ValueError("a run lasts more than 0 seconds, and at least as long as its least length")
        if min(self.game_seconds, self.alone_seconds) <= 0:
            raise ValueError("games and dreams left alone last more than 0 seconds")


def evaluate(engine: Engine, settings: EvaluationSettings, show: Show = lambda share, text: None) -> dict[str, Any]:
    """All metrics of an engine. The same weights, settings and machine give the same report; `plain` makes it JSON."""
    refuse_trained_seed(engine, settings.seed)
    sets = {}
    for number, policy in enumerate(settings.policies):

        def part(share: float, text: str, number: int = number, policy: str = policy) -> None:
            show((number + share) / len(settings.policies), f"{policy}: {text}")

        sets[policy] = evaluate_policy(engine, policy, settings, part)
    return {
        "schema": SCHEMA,
        "kind": "evaluation",
        "weights": engine.checksum,
        "frameskip": engine.frameskip,
        "context": engine.context,
        "settings": asdict(settings),
        "held_out": sets,
    }


def refuse_trained_seed(engine: Engine, seed: int) -> None:
    """ValueError if the weights say that they were trained on the games of `seed`."""

    def seeds(value: Any) -> list[Any]:
        if not isinstance(value, dict):
            return []
        return [value.get("seed"), *(found for item in value.values() for found in seeds(item))]

    if SEED_OFFSET + seed in seeds(engine.meta):
        raise ValueError(f"the weights were trained on the games of --seed {seed}; choose another --seed")


def marks_of(starts: Starts, frameskip: int, marks: tuple[int, ...]) -> Ints:
    """Those of the marks, in steps, that some run can reach."""
    steps = np.array([round(mark * EMULATOR_HZ / frameskip) for mark in marks], np.int64)
    return steps[steps <= starts.steps.max(initial=0)]


def evaluate_policy(engine: Engine, policy: str, settings: EvaluationSettings, show: Show) -> dict[str, Any]:
    """The metrics on games that `policy` plays."""
    seed, count, without = settings.seed, settings.episodes, settings.without
    dataset = play_held_out(
        policy, engine.frameskip, seed, count, settings.game_seconds,
        lambda n: show(0.05 * n / count, f"{n} of {count} games played"),
    )  # fmt: skip
    rng = np.random.default_rng([seed, 1])
    starts = dream_starts(dataset, settings.runs, settings.least_seconds, settings.run_seconds, rng)
    t = sample_transitions(dataset, settings.transitions, rng)
    found = predict_all(
        engine, dataset, t, starts.t, seed, without,
        lambda share: show(0.05 + 0.3 * share, "one step from real history"),
    )  # fmt: skip
    events, truth = classify(dataset), true_memory(dataset)
    numbers = dataset.transitions()
    held = {
        "episodes": dataset.episodes,
        "transitions": len(dataset),
        "seed": dataset.manifest["seed"],
        "truth": summarise_truth(found.truth, engine.majority),
        "controllers": {one.name: {"one_step": summarise_predicted(one, found.truth)} for one in found.predicted},
        "exact_frames_of_all_steps": mean(found.exact[numbers], episode_of(dataset, numbers)),
        "events": summarise_events(dataset, events, found),
        "ambiguity": summarise_ambiguity(dataset, found.truth),
        "memory": {"real_history": summarise_memory(found.memory, truth, episode_of(dataset, np.arange(len(truth))))},
    }
    jobs = [(Mode.dream, name) for name in engine.controllers]
    jobs += [(Mode.decoder, "context"), (Mode.controller, "context"), (Mode.copy, "context")]
    held["dreams"] = {}
    for number, (mode, controller) in enumerate(jobs):
        name = controller if mode == Mode.dream else mode.value

        def part(share: float, number: int = number, name: str = name) -> None:
            show(0.35 + 0.5 * (number + share) / len(jobs), f"{len(starts)} dreams: {name}")

        # A dream that has parted is drawn to the last mark, which takes its time.
        marks = marks_of(starts, engine.frameskip, MARKS if number == 0 else MARKS[:-1])
        dreams = dream(
            engine, dataset, starts, found.states, marks, mode, controller, seed=seed, without=without, progress=part
        )
        held["dreams"][name] = summarise_dreams(dreams, engine.frameskip)
        if number == 0:
            held["memory"]["dreams"] = summarise_memory(dreams.memory, truth[dreams.at], episode_of(dataset, dreams.at))
    if policy == settings.policies[0] and settings.alone and len(starts):
        alone = np.linspace(0, len(starts) - 1, min(settings.alone, len(starts))).astype(np.int64)
        lived = live_alone(
            engine, found.states.rows(alone), settings.alone_seconds, seed,
            lambda share: show(0.85 + 0.15 * share, f"{len(alone)} dreams left alone"),
        )  # fmt: skip
        held["alone"] = summarise_possible(lived, episode_of(dataset, starts.t[alone]), engine.frameskip)
    return held
