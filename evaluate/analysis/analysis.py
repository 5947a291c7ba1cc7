"""`analyze`: from weights to a report and its pictures; `page.py` writes them."""

from collections import namedtuple
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from collect.dataset import TransitionDataset
from collect.pairs import count_codes
from console import Show, quiet, within
from evaluate import heldout, summaries
from evaluate.analysis import statistics
from evaluate.heldout import SEED_OFFSET, Event, Report, Starts, Zone, about, label_of
from evaluate.rollouts import Pass, Predicted, Rollout, dream, predict_all, probabilities, select, watched_games
from model.breakout import ACTIONS, CELLS, CODES, COLUMNS, EMULATOR_HZ, UNCHANGED, Action, Frame
from model.engine import Engine
from model.metrics import Numbers, ball_error, paddle_error
from model.readers import Bools, Floats, Ints

WORST, CHANGES = 7, 5  # steps shown as the worst of all; codes shown for each action, all positions together
GAME_SECONDS, FUTURE_SECONDS, TRIES = 90.0, 0.5, 20_000
DREAM_TEMPERATURES = (0.0, 0.5, 1.0, 2.0)
BALL_BETWEEN = 130, 165  # rows in which the ball rises at the moment whose futures are shown: room on both sides


AnalysisSettings = namedtuple("AnalysisSettings", "seed policy episodes transitions per_event runs dream_seconds top")
"""What an analysis depends on, beside the weights and the pairs: the options of `analyze` (`commands.py`)."""


class Futures(NamedTuple):
    """Screens of classes (210, 160) uint8: the moment, and by key the real end and every controller's."""

    start: Frame
    real: dict[str, Frame]
    dreamt: dict[str, dict[str, Frame]]


class Pictures(NamedTuple):
    """What the plots show beside numbers. Frames are (210, 160) uint8 classes."""

    frame: Frame  # any real one
    examples: statistics.Examples
    worst: dict[str, list[tuple[Frame, Frame]]]  # real and drawn, in the order of the report's lists
    futures: Futures


class Sample(NamedTuple):
    """What was played and predicted: N steps drawn evenly, and more of those with rare events."""

    dataset: TransitionDataset
    events: Ints  # of each frame
    found: Pass
    shares: dict[str, Numbers]  # (4, 35, 256) float64, probabilities summed over even steps by action
    wrong: dict[int, Frame]  # what the first controller drew, where that was wrong, by frame number
    even: Bools  # (N,) whether a step was drawn evenly
    starts: Starts


def take_sample(engine: Engine, settings: AnalysisSettings, show: Show = quiet) -> Sample:
    """Play held-out games, choose steps, and let every controller predict them from real history."""
    seed, rng = settings.seed, np.random.default_rng([settings.seed, 1])
    playing = within(show, 0, 0.2)
    dataset = heldout.play_held_out(settings.policy, engine.frameskip, seed, settings.episodes, GAME_SECONDS, playing)
    events = heldout.classify(dataset)
    starts = heldout.dream_starts(dataset, settings.runs, settings.dream_seconds, settings.dream_seconds, rng)
    evenly = heldout.sample_transitions(dataset, settings.transitions, rng)
    # Of each rare event more steps, drawn evenly within it.
    rest, chosen = np.setdiff1d(dataset.transitions(), evenly), [evenly]
    for event in Event:
        missing = max(0, settings.per_event - int((events[evenly] == event).sum()))
        of_event = rest[events[rest] == event]
        chosen.append(rng.choice(of_event, min(missing, len(of_event)), replace=False))
    shares = {name: np.zeros((ACTIONS, CELLS, CODES)) for name in engine.controllers}
    wrong: dict[int, Frame] = {}

    def watch(name: str, t: Ints, logits: Floats, drawn: Frame) -> None:
        even = np.isin(t, evenly)
        np.add.at(shares[name], dataset.actions[t[even]], probabilities(logits[even]))
        if name == engine.controllers[0]:
            rows = np.flatnonzero((drawn != dataset.frame(t + 1)).any((1, 2)))
            wrong.update({int(t[row]): drawn[row].copy() for row in rows})

    steps, predicting = np.unique(np.concatenate(chosen)), within(show, 0.2, 1)
    found = predict_all(engine, dataset, steps, starts.t, seed, show=predicting, watch=watch)
    return Sample(dataset, events, found, shares, wrong, np.isin(found.truth.t, evenly), starts)


def analyse(
    engine: Engine, settings: AnalysisSettings, pairs: tuple[Ints, str] | None = None, show: Show = quiet
) -> tuple[Report, Pictures]:
    """Every number of the page, and the pictures. The same weights, settings, pairs and machine give the same. With
    `pairs`, their `count_codes` and their name, the action-only controller is compared with them instead of with the
    held-out steps."""
    sample = take_sample(engine, settings, within(show, 0, 0.6))
    show(0.6, "counting")
    dataset, events, every = sample.dataset, sample.events, sample.found.truth
    names = list(engine.controllers)
    truth = select(every, sample.even)
    predicted = {name: select(one, sample.even) for name, one in sample.found.predicted.items()}
    counts = count_codes(truth.actions, truth.codes)
    distributions = _compare_distributions(engine, sample, counts, pairs)
    top = statistics.top_codes(sample.shares, counts, taken := counts[:, 0].sum(-1), settings.top)
    wanted = {(entry["code"], cell) for cells in top.values() for cell, of in enumerate(cells) for entry in of}
    examples = statistics.collect_examples(dataset, every, wanted)
    dreams = _dreams_by_temperature(engine, sample, within(show, 0.65, 0.95))
    show(0.96, "four futures")
    futures, futures_report = four_futures(engine, settings.policy, settings.seed)
    played = {"policy": settings.policy, "seed": dataset.manifest["seed"], "games": dataset.episodes}
    steps = {"steps_played": len(dataset), "steps_predicted": len(every.t), "steps_drawn_evenly": len(truth.t)}
    worst, worst_pictures = _worst_steps(sample, sample.found.predicted[names[0]])
    report = {
        **about(engine, "analysis", context=engine.context),
        "settings": settings._asdict(),
        "controllers": names,
        "distributions": distributions,
        "top_codes": top,
        "top_changes": statistics.top_changes(sample.shares, counts, taken, CHANGES),
        "dreams": dreams,
        "futures": futures_report,
        "sample": played | steps,
        "accuracy": statistics.accuracy(truth, predicted, engine.majority),
        "codes": statistics.describe_codes(every.codes, engine.says),
        "codebook": statistics.codebook(truth, predicted),
        "calibration": {name: statistics.calibration(truth, one) for name, one in predicted.items()},
        "temperature": {name: statistics.temperatures(truth, one) for name, one in predicted.items()},
        "events": {
            "frequency": summaries.frequency(dataset, events),
            "groups": summaries.by_group(every, sample.found.predicted, Event, events),
        },
        "zones": summaries.by_group(truth, predicted, Zone, heldout.zones(dataset)),
        "mistakes": {name: summaries.mistakes(truth, one, events) for name, one in predicted.items()},
        "worst": {"controller": names[0], **worst},
    }
    return report, Pictures(dataset.frame(int(every.t[len(every.t) // 2])), examples, worst_pictures, futures)


def _worst_steps(sample: Sample, predicted: Predicted) -> tuple[Report, dict[str, list[tuple[Frame, Frame]]]]:
    """The worst step of each group of events and the `WORST` worst of all; and what was to be drawn and what was."""
    dataset, truth = sample.dataset, sample.found.truth
    of_step, order = sample.events[truth.t], np.argsort(-predicted.wrong, kind="stable")
    rows = {"of_each_event": [row for event in Event for row in order[of_step[order] == event][:1]]}
    steps, pictures = {}, {}
    for which, chosen in (rows | {"of_all": order[:WORST]}).items():
        steps[which], pictures[which] = list[Report](), list[tuple[Frame, Frame]]()
        for row in chosen:
            t, episode = int(truth.t[row]), int(truth.episodes[row])
            real = dataset.frame(t + 1)
            pictures[which].append((real, sample.wrong.get(t, real)))
            about = {
                "frame": t,
                "game": episode,
                "second": (t - int(dataset.first[episode])) * (dataset.frameskip / EMULATOR_HZ),
                "action": Action(truth.actions[row]).name.lower(),
                "event": label_of(Event(of_step[row])),
                "wrong_pixels": int(predicted.wrong[row]),
                "wrong_codes": int((predicted.codes[row] != truth.codes[row]).sum()),
                "wrong_pixels_with_real_codes": int(truth.wrong[row]),
            }
            steps[which].append(about)
    return steps, pictures


def _compare_distributions(engine: Engine, sample: Sample, actual: Ints, pairs: tuple[Ints, str] | None) -> Report:
    """`distances` of every controller, and of "unchanged", which always says that nothing changes."""
    unchanged = np.zeros(actual.shape)
    unchanged[..., UNCHANGED] = actual.sum(-1)
    expected = sample.shares | {"unchanged": unchanged}
    found = {name: statistics.distances(actual, shares, "held-out steps") for name, shares in expected.items()}
    if pairs is not None:
        # From the action alone, every step with it has the same distribution.
        blank = engine.begin(sample.dataset.frame(np.zeros((ACTIONS, 1), np.int64)))
        shares = probabilities(engine.logits(blank, np.arange(ACTIONS), "action")).astype(np.float64)
        counts, name = pairs
        found["action"] = statistics.distances(counts, shares * counts[:, 0].sum(-1)[:, None, None], name)
    return found


def _dreams_by_temperature(engine: Engine, sample: Sample, show: Show) -> dict[str, list[Any]]:
    """Dream horizons of every controller at a few temperatures, in seconds; all from the same moments."""
    found: dict[str, list[Any]] = {name: [] for name in engine.controllers}
    jobs = [(name, temperature) for name in found for temperature in DREAM_TEMPERATURES]
    for number, (name, temperature) in enumerate(jobs):
        part = within(show, number / len(jobs), (number + 1) / len(jobs), f"temperature {temperature}, ")
        rng = np.random.default_rng([0, 4])
        roll = Rollout(engine, sample.found.states, controller=name, temperature=temperature, rng=rng)
        dreams = dream(roll, sample.dataset, sample.starts, np.zeros(0, np.int64), part)
        summary = summaries.summarise_dreams(dreams, engine.frameskip)
        row = {key: summary[key] for key in ("runs", "horizon_seconds", "partings_per_minute", "reach_the_end")}
        found[name].append({"temperature": temperature, **row})
    return found


def four_futures(engine: Engine, policy: str, seed: int) -> tuple[Futures, Report]:
    """Each key held for a while in the real game and in every controller's dream, and how far off these are, in pixels,
    from when the ball first rises below the bricks with the paddle near the middle. ValueError if it never does."""
    rng = np.random.default_rng([SEED_OFFSET + seed, 1 << 20])
    row = 0
    for emulator, roll, action in islice(watched_games(engine, policy, rng), TRIES):
        emulator.step(action)
        roll.step(np.array([action]), emulator.frame[None])
        ball, paddle = emulator.objects()[:2]
        last, row = row, ball[0] if ball else 0
        if row < last and BALL_BETWEEN[0] < row < BALL_BETWEEN[1] and COLUMNS * 0.3 < paddle < COLUMNS * 0.6:
            break
    else:
        raise ValueError(f"the {policy} policy never had the ball in free flight; choose another --policy or --seed")
    snapshot, state = emulator.snapshot(), roll.state
    steps = max(1, round(FUTURE_SECONDS * emulator.steps_per_second))
    found = Futures(state.frame[0], {}, {name: {} for name in engine.controllers})
    numbers: dict[str, Any] = {}
    for key in Action:
        emulator.restore(snapshot)
        rolls = {name: Rollout(engine, state, controller=name) for name in engine.controllers}
        for _ in range(steps):
            emulator.step(key)
            for roll in rolls.values():
                roll.step(np.array([key]))
        label, real = key.name.lower(), emulator.frame
        found.real[label] = real
        numbers[label] = {}
        for name, roll in rolls.items():
            drawn = roll.state.frame
            found.dreamt[name][label] = drawn[0]
            numbers[label][name] = {
                "wrong_pixels": int((real != drawn[0]).sum()),
                "ball_error": float(ball_error(real[None], drawn)[0]),
                "paddle_error": float(paddle_error(real[None], drawn)[0]),
            }
    return found, {"seconds": steps * engine.frameskip / EMULATOR_HZ, "keys": numbers}
