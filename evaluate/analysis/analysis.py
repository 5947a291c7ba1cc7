"""`analyze`: from weights to a report and its pictures; `page.py` writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from collect.dataset import TransitionDataset
from evaluate.analysis.gallery import Example, Futures, collect_examples, describe_codes, four_futures
from evaluate.analysis.patterns import by_group, confusions, frequency, mistakes, worst_steps
from evaluate.analysis.statistics import (
    Watched,
    accuracy,
    calibration,
    codebook,
    count_codes,
    distances,
    temperatures,
    top_changes,
    top_codes,
)
from evaluate.evaluate import refuse_trained_seed
from evaluate.heldout import Event, Starts, Zone, classify, dream_starts, play_held_out, sample_transitions, zones
from evaluate.rollouts import Logits, Predicted, Truth, dream, predict_all, probabilities, select
from evaluate.summaries import summarise_dreams
from model.breakout import ACTIONS, CELLS, CODES, UNCHANGED, Frame
from model.files import SCHEMA, FileError, read_json
from model.readers import Bools, Ints
from model.state import State

if TYPE_CHECKING:
    from model.engine import Engine

Show = Callable[[float, str], None]
WORST, CHANGES = 7, 5
"""Steps shown as the worst of all; codes shown for each action, all positions together."""
GAME_SECONDS = 90.0
DREAM_TEMPERATURES = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class AnalysisSettings:
    """What an analysis depends on, beside the weights and the pairs.

    `episodes` games are played by `policy`. `transitions` of their steps are predicted by every controller, and so many
    more that each `Event` has `per_event`, or all that there are. `runs` dreams of at most `dream_seconds` are dreamt
    at each temperature. `top` codes are shown for every action and position.
    """

    seed: int = 0
    policy: str = "mixed"
    episodes: int = 16
    transitions: int = 3000
    per_event: int = 60
    runs: int = 12
    dream_seconds: float = 10.0
    top: int = 4

    def __post_init__(self) -> None:
        if min(self.episodes, self.transitions, self.runs, self.top) < 1 or self.per_event < 0:
            raise ValueError("episodes, transitions, runs and top must be 1 or more, per-event 0 or more")
        if not 0 < self.dream_seconds <= 60:
            raise ValueError(f"dreams last more than 0 and at most 60 seconds, got {self.dream_seconds}")


@dataclass(frozen=True)
class ActionPairs:
    """(action, code) pairs of `collect pairs`: `actions` (N,) int64, `codes` (N, 35) int64, and where from."""

    actions: Ints
    codes: Ints
    source: str


def load_pairs(path: Path) -> ActionPairs:
    """Pairs as `collect pairs` writes them. FileError if the file is missing or not one."""
    found = read_json(path, "pairs", limit=1 << 30)
    try:
        actions = np.array([pair["action"] for pair in found])
        codes = np.array([pair["latent_code"] for pair in found])
        sound = len(actions) > 0 and actions.dtype.kind == codes.dtype.kind == "i" and codes.shape[1:] == (CELLS,)
        sound = sound and bool(np.isin(actions, range(ACTIONS)).all() and ((codes >= 0) & (codes < CODES)).all())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise FileError(f"pairs {path} are not a list of actions 0..3, each with 35 codes 0..255")
    return ActionPairs(actions.astype(np.int64), codes.astype(np.int64), path.name)


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


@dataclass(frozen=True)
class Sample:
    """What was played and predicted. `truth`, `predicted` and `watched` are of N steps, of which `even` (N,) bool were
    drawn evenly; the others are there to make rare events frequent enough."""

    dataset: TransitionDataset
    events: Ints
    truth: Truth
    predicted: list[Predicted]
    watched: dict[str, Watched]
    even: Bools
    starts: Starts
    states: State


def take_sample(engine: Engine, settings: AnalysisSettings, show: Show = lambda share, text: None) -> Sample:
    """Play held-out games, choose steps, and let every controller predict them from real history."""
    count, rng = settings.episodes, np.random.default_rng([settings.seed, 1])
    dataset = play_held_out(
        settings.policy, engine.frameskip, settings.seed, count, GAME_SECONDS,
        lambda n: show(0.2 * n / count, f"{n} of {count} games played"),
    )  # fmt: skip
    events = classify(dataset)
    starts = dream_starts(dataset, settings.runs, settings.dream_seconds, settings.dream_seconds, rng)
    evenly = sample_transitions(dataset, settings.transitions, rng)
    t = np.union1d(evenly, more_of_rare(dataset, events, evenly, settings.per_event, rng))
    watched = {name: Watched() for name in engine.controllers}

    def watch(name: str, t: Ints, codes: Ints, logits: Logits, drawn: Frame) -> None:
        watched[name].add(t, dataset.actions[t].astype(np.int64), codes, logits, np.isin(t, evenly))
        watched[name].add_frames(t, dataset.frame(t + 1), drawn)

    found = predict_all(
        engine, dataset, t, starts.t, settings.seed,
        progress=lambda share: show(0.2 + 0.8 * share, "one step from real history"), watch=watch,
    )  # fmt: skip
    even = np.isin(found.truth.t, evenly)
    return Sample(dataset, events, found.truth, found.predicted, watched, even, starts, found.states)


def more_of_rare(dataset: TransitionDataset, events: Ints, even: Ints, least: int, rng: np.random.Generator) -> Ints:
    """Steps besides `even`, drawn evenly within each rare event until it has `least`, or all that there are."""
    rest = np.setdiff1d(dataset.transitions(), even)
    more = []
    for event in Event:
        missing = max(0, least - int((events[even] == event).sum()))
        of_event = rest[events[rest] == event]
        more.append(rng.choice(of_event, min(missing, len(of_event)), replace=False))
    return np.concatenate(more)


def analyse(
    engine: Engine,
    settings: AnalysisSettings,
    pairs: ActionPairs | None = None,
    show: Show = lambda share, text: None,
) -> tuple[dict[str, Any], Pictures]:
    """Every number of the page, and the pictures. The same weights, settings, pairs and machine give the same.

    With `pairs` the action-only controller is compared with them instead of with the held-out steps.
    """
    refuse_trained_seed(engine, settings.seed)
    sample = take_sample(engine, settings, lambda share, text: show(0.6 * share, text))
    show(0.6, "counting")
    distributions = _compare_distributions(engine, sample, pairs)
    top = top_codes({name: watched.shares for name, watched in sample.watched.items()}, _counts(sample), settings.top)
    wanted = {(entry["code"], cell) for cells in top.values() for cell, of in enumerate(cells) for entry in of}
    examples = collect_examples(sample.dataset, sample.truth, wanted)
    dreams = _dreams_by_temperature(engine, sample, lambda share, text: show(0.65 + 0.3 * share, text))
    show(0.96, "four futures")
    futures, futures_report = four_futures(engine, settings.policy, settings.seed)
    report = {
        "schema": SCHEMA,
        "kind": "analysis",
        "weights": engine.checksum,
        "frameskip": engine.frameskip,
        "context": engine.context,
        "settings": asdict(settings),
        "controllers": list(engine.controllers),
        "distributions": distributions,
        "top_codes": top,
        "top_changes": top_changes(distributions, list(engine.controllers), CHANGES),
        "dreams": dreams,
        "futures": futures_report,
        **_of_steps(sample, describe_codes(sample.truth.codes, examples), engine.majority),
    }
    shown = sample.dataset.frame(int(sample.truth.t[len(sample.truth.t) // 2]))
    return report, Pictures(shown, examples, _draw_steps(sample, report["worst"]), futures)


def _of_steps(sample: Sample, names: dict[str, dict[str, Any]], majority: Ints) -> dict[str, Any]:
    """What follows from the predicted steps alone."""
    dataset, events, every, even = sample.dataset, sample.events, sample.truth, sample.even
    truth, predicted = select(every, even), [select(one, even) for one in sample.predicted]
    watched = sample.watched
    first = sample.predicted[0]
    return {
        "sample": {
            "policy": dataset.manifest["policy"],
            "seed": dataset.manifest["seed"],
            "games": dataset.episodes,
            "steps_played": len(dataset),
            "steps_predicted": len(every.t),
            "steps_drawn_evenly": len(truth.t),
        },
        "accuracy": accuracy(truth, predicted, majority),
        "codes": names,
        "codebook": codebook(truth, predicted),
        "calibration": {one.name: calibration(truth, one, watched[one.name].unchanged[even]) for one in predicted},
        "temperature": {one.name: temperatures(truth, one, watched[one.name].tempered[even]) for one in predicted},
        "events": {"frequency": frequency(dataset, events), "groups": by_group(every, sample.predicted, Event, events)},
        "zones": by_group(truth, predicted, Zone, zones(dataset)),
        "mistakes": {one.name: mistakes(truth, one, events) for one in predicted},
        "confusions": {one.name: confusions(every.codes, one.codes, names) for one in sample.predicted},
        "worst": {"controller": first.name, **worst_steps(dataset, every, first, events, WORST)},
    }


def _counts(sample: Sample) -> Ints:
    return count_codes(sample.truth.actions[sample.even], sample.truth.codes[sample.even])


def _compare_distributions(engine: Engine, sample: Sample, pairs: ActionPairs | None) -> dict[str, Any]:
    """`distances` of every controller, and of "unchanged", which always says that nothing changes."""
    source, actual = "held-out steps", _counts(sample)
    found = {name: distances(actual, watched.shares, source) for name, watched in sample.watched.items()}
    if pairs is not None:
        if "action" not in engine.controllers:
            raise FileError("these weights hold no action-only controller to compare with --pairs: train action first")
        counts = count_codes(pairs.actions, pairs.codes)
        # From the action alone, every step with it has the same distribution.
        blank = engine.begin(sample.dataset.frame(np.zeros((ACTIONS, 1), np.int64)))
        shares = probabilities(engine.logits(blank, np.arange(ACTIONS), "action")).astype(np.float64)
        found["action"] = distances(counts, shares * counts[:, 0].sum(-1)[:, None, None], pairs.source)
    unchanged = np.zeros(actual.shape)
    unchanged[..., UNCHANGED] = actual.sum(-1)
    found["unchanged"] = distances(actual, unchanged, source)
    return found


def _dreams_by_temperature(engine: Engine, sample: Sample, show: Show) -> dict[str, list[Any]]:
    """Dream horizons of every controller at a few temperatures, in seconds; all from the same moments."""
    found: dict[str, list[Any]] = {}
    jobs = [(name, temperature) for name in engine.controllers for temperature in DREAM_TEMPERATURES]
    for number, (name, temperature) in enumerate(jobs):
        text = f"{len(sample.starts)} dreams of the {name} controller at temperature {temperature}"

        def part(share: float, number: int = number, text: str = text) -> None:
            show((number + share) / len(jobs), text)

        dreams = dream(
            engine, sample.dataset, sample.starts, sample.states, np.zeros(0, np.int64), controller=name,
            temperature=temperature, progress=part,
        )  # fmt: skip
        summary = summarise_dreams(dreams, engine.frameskip)
        row = {key: summary[key] for key in ("runs", "horizon_seconds", "partings_per_minute", "reach_the_end")}
        found.setdefault(name, []).append({"temperature": temperature, **row})
    return found


def _draw_steps(sample: Sample, worst: dict[str, Any]) -> dict[str, list[WorstStep]]:
    """The worst steps as the first controller draws them."""
    watched = sample.watched[sample.predicted[0].name]

    def draw(t: int) -> WorstStep:
        before, after = sample.dataset.frame(np.array([t, t + 1]))
        return WorstStep(before, after, watched.drawn(t, after))

    return {name: [draw(step["frame"]) for step in worst[name]] for name in ("of_each_event", "of_all")}
