"""`evaluate --live N`: play N steps afresh, predict each from what came before it, compare with what then happened.

Each step is listed, so that a mistake can be looked up: game, action, event, wrong codes and pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, play_episode
from evaluate.analysis.patterns import by_group, frequency, mistakes
from evaluate.heldout import SEED_OFFSET, Event, Zone, classify, zones
from evaluate.rollouts import Without, predict_all
from evaluate.summaries import summarise_predicted, summarise_truth
from evaluate.tables import EMPTY, make_table, number, one_step_table, with_interval
from model.breakout import Action
from model.files import SCHEMA
from model.readers import Bools

if TYPE_CHECKING:
    from model.engine import Engine

STREAM = 1 << 21
"""Keeps these games apart from those of `play_held_out` with the same seed."""
GAME_SECONDS = 600.0


def live(
    engine: Engine,
    steps: int,
    policy: str,
    seed: int = 0,
    without: Without = Without.nothing,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Play `steps` steps and report every controller's accuracy, overall and by action, and where it fails."""
    if steps < 1:
        raise ValueError(f"--live plays 1 step or more, got {steps}")
    settings = CollectSettings(0, policy, engine.frameskip, SEED_OFFSET + seed, GAME_SECONDS)
    games: list[Any] = []
    while (left := steps - sum(len(game) for game in games)) > 0:
        writer, over = play_episode(settings, STREAM + len(games), left)
        games.append(writer.to_episode(over))
    dataset = TransitionDataset(games, {"policy": policy, "frameskip": engine.frameskip, "seed": settings.seed})
    found = predict_all(engine, dataset, dataset.transitions(), np.zeros(0, np.int64), seed, without, progress)
    truth, events = found.truth, classify(dataset)
    hits = {one.name: one.codes == truth.codes for one in found.predicted}
    wrong = {one.name: one.drawn.wrong for one in found.predicted}
    return {
        "schema": SCHEMA,
        "kind": "live",
        "weights": engine.checksum,
        "context": engine.context,
        **dataset.manifest,
        "steps": len(truth.t),
        "games": dataset.episodes,
        "truth": summarise_truth(truth, engine.majority),
        "controllers": {one.name: summarise_predicted(one, truth) for one in found.predicted},
        "mistakes": {one.name: mistakes(truth, one, events) for one in found.predicted},
        "longest_run_of_right_grids": {name: longest_run(of.all(1)) for name, of in hits.items()},
        "frequency": frequency(dataset, events),
        "events": by_group(truth, found.predicted, Event, events),
        "zones": by_group(truth, found.predicted, Zone, zones(dataset)),
        "steps_taken": [
            {
                "game": int(truth.episodes[n]),
                "action": Action(truth.actions[n]).name.lower(),
                "event": Event(events[truth.t[n]]).label,
                "wrong_codes": {name: int((~of[n]).sum()) for name, of in hits.items()},
                "wrong_pixels": {name: int(of[n]) for name, of in wrong.items()},
            }
            for n in range(len(truth.t))
        ],
    }


def longest_run(right: Bools) -> int:
    """The most steps running that were right: (N,) bool."""
    ends = np.flatnonzero(np.concatenate(([True], ~right, [True])))
    return int(np.diff(ends).max()) - 1


def print_live(report: dict[str, Any], console: Console) -> None:
    """Print the report of `live`, before it is made JSON, as tables."""
    names = list(report["controllers"])
    title = f"{report['steps']} steps of {report['games']} games played by the {report['policy']} policy"
    console.print(one_step_table(title, report["truth"], report["controllers"]))
    groups: tuple[tuple[str, str, Any], ...] = (
        ("steps with all 35 codes right, by what happened", "events", Event),
        ("the same, by where the ball was", "zones", Zone),
    )
    for title, key, kinds in groups:
        table = make_table(title, "", "steps", *names, "wrong pixels a step")
        for kind in kinds:
            of = report[key][kind.name.lower()]
            grids = (with_interval(of["controllers"][name]["grid"]) for name in names)
            wrong = " / ".join(number(of["controllers"][name]["wrong_pixels"].value) for name in names)
            table.add_row(kind.label, str(of["steps"] or EMPTY), *grids, wrong if of["steps"] else EMPTY)
        console.print(table)
    for name in names:
        found = report["mistakes"][name]
        codes = found["codes"]
        console.print(
            f"{name}: {found['failures']} of {found['of_steps']} steps have a wrong code, in all {codes['wrong']}: "
            f"{codes['missed']} changes taken for none, {codes['invented']} where there was none, "
            f"{codes['wrong_change']} taken for another; longest run without one: "
            f"{report['longest_run_of_right_grids'][name]} steps",
            highlight=False,
        )
