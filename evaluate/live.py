"""`evaluate --live N`: play in the emulator, predict every step before it is taken, compare with what then happened.

The same as a person at the keys does with the twin: `logits`, take the step, `encode` the real pair, `observe`. Games
are played with seeds that no training data has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from collect.dataset import TransitionDataset
from collect.emulator import Emulator
from collect.episode import EpisodeWriter
from collect.policies import make_policy, start_episode
from evaluate.analysis.events import Event, Place, classify, find_all_balls, places
from evaluate.analysis.patterns import by_group, frequency, mistakes
from evaluate.heldout import SEED_OFFSET
from evaluate.metrics import rounded
from evaluate.onestep import Said, Truth, compare, joined, judge, summarise_said, summarise_truth
from evaluate.predictors import Logits
from evaluate.report import EMPTY, number, share, with_interval
from model import WorldModel
from model.breakout import Action, Frame, changed_cells
from model.files import SCHEMA, FileError
from model.memory import Unseen

STREAM = 1 << 21
"""Keeps these games apart from those of `play_held_out` with the same seed."""


def live(
    wm: WorldModel, steps: int, policy: str, seed: int = 0, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Play `steps` steps and report every controller's accuracy, overall and by action, and where it fails.

    `steps_taken` has one row for each step: game, action, event, and the wrong codes of each controller.
    FileError if the weights hold no controller, ValueError without steps to play.
    """
    if steps < 1:
        raise ValueError(f"--live plays 1 step or more, got {steps}")
    if not wm.controllers:
        raise FileError("these weights hold no controller to compare; train one with: python main.py train context")
    games: list[EpisodeWriter] = []
    truths: list[Truth] = []
    said: dict[str, list[Said]] = {name: [] for name in wm.controllers}
    chosen = wm.controller
    try:
        while len(truths) < steps:
            _play_game(wm, policy, seed, games, truths, said, steps, progress)
    finally:
        wm.controller = chosen
    about = {"policy": policy, "frameskip": wm.frameskip, "seed": SEED_OFFSET + seed}
    dataset = TransitionDataset([game.to_episode(False) for game in games], about)
    return rounded(_report(wm, dataset, joined(truths), [joined(parts) for parts in said.values()], about))


def _play_game(
    wm: WorldModel,
    policy: str,
    seed: int,
    games: list[EpisodeWriter],
    truths: list[Truth],
    said: dict[str, list[Said]],
    steps: int,
    progress: Callable[[int], None],
) -> None:
    """One game, or as much of it as there are steps left. Adds to `games`, `truths` and `said`."""
    game = len(games)
    rng = np.random.default_rng([SEED_OFFSET + seed, STREAM + game])
    emulator = Emulator(wm.frameskip)
    start_episode(emulator, policy, rng)
    player = make_policy(policy, rng, wm.frameskip)
    objects = emulator.objects()
    writer = EpisodeWriter(emulator.screen, objects.lives, knob=emulator.knob)
    games.append(writer)
    before = emulator.frame
    wm.reset_classes(before[None], unseen=Unseen(knob=emulator.knob))
    while len(truths) < steps and not emulator.over:
        action = player.act(objects)
        predicted: dict[str, Logits] = {}
        for name in wm.controllers:
            wm.controller = name
            predicted[name] = wm.logits(action)
        after = emulator.step(action)
        objects = emulator.objects()
        writer.add(action, emulator.screen, after.reward, after.lives)
        # Frame numbers are those of the dataset that the games become: each has one frame more than steps.
        truth = _what_happened(wm, len(truths) + game, game, action, before, after.frame)
        truths.append(truth)
        for name, logits in predicted.items():
            codes = logits.argmax(-1)
            drawn = compare(before[None], after.frame[None], wm.decode_classes(codes)[None])
            said[name].append(judge(name, codes[None], logits[None], truth, drawn))
        wm.observe_classes(after.frame, action)
        before = after.frame
        progress(len(truths))


def _what_happened(wm: WorldModel, t: int, game: int, action: int, before: Frame, after: Frame) -> Truth:
    codes = wm.encode_classes(before, after)
    return Truth(
        np.array([t]),
        np.array([action]),
        np.array([game]),
        codes[None],
        changed_cells(before, after)[None],
        np.array([(before != after).sum()]),
        compare(before[None], after[None], wm.decode_classes(codes)[None]),
    )


def _report(
    wm: WorldModel, dataset: TransitionDataset, truth: Truth, said: list[Said], about: dict[str, Any]
) -> dict[str, Any]:
    balls = find_all_balls(dataset)
    events = classify(dataset, balls)
    hits = {one.name: one.codes == truth.codes for one in said}
    return {
        "schema": SCHEMA,
        "kind": "live",
        "weights": wm.checksum,
        "context": wm.context,
        **about,
        "steps": len(truth.t),
        "games": dataset.episodes,
        "truth": summarise_truth(truth, wm.majority),
        "controllers": {one.name: summarise_said(one, truth) for one in said},
        "mistakes": {one.name: mistakes(truth, one, events) for one in said},
        "longest_run_of_right_grids": {name: longest_run(of.all(1)) for name, of in hits.items()},
        "frequency": frequency(dataset, events),
        "events": by_group(truth, said, Event, events),
        "places": by_group(truth, said, Place, places(dataset, balls)),
        "steps_taken": [
            {
                "game": int(truth.episodes[n]),
                "action": Action(truth.actions[n]).name.lower(),
                "event": Event(events[truth.t[n]]).label,
                "wrong_codes": {name: int((~of[n]).sum()) for name, of in hits.items()},
            }
            for n in range(len(truth.t))
        ],
    }


def longest_run(right: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """The most steps running that were right: (N,) bool."""
    ends = np.flatnonzero(np.concatenate(([True], ~right, [True])))
    return int(np.diff(ends).max()) - 1


def print_live(report: dict[str, Any], console: Console) -> None:
    """Print the report of `live` as tables. An empty class shows as "-"."""
    names = list(report["controllers"])
    console.print(
        f"{report['steps']} steps of {report['games']} games played by the {report['policy']} policy, every one "
        "predicted before it was taken",
        highlight=False,
    )
    table = _table("codes right, 95% interval", "action", "steps", *names, "majority")
    for part, key, baseline in (
        ("", "code_accuracy", "majority_code_accuracy"),
        (", changed cells", "dynamic_accuracy", "majority_dynamic_accuracy"),
    ):
        table.add_section()
        for action in ("all", *(action.name.lower() for action in Action)):
            found = (with_interval(report["controllers"][name][key][action]) for name in names)
            steps = str(report["truth"]["steps"][action])
            table.add_row(action + part, steps, *found, share(report["truth"][baseline][action]))
    console.print(table)
    for title, key, labels in (
        ("steps with all 35 codes right, by what happened", "events", {e.name.lower(): e.label for e in Event}),
        ("the same, by where the ball was", "places", {p.name.lower(): p.label for p in Place}),
    ):
        table = _table(title, "", "steps", *names, "wrong pixels a step")
        for group, label in labels.items():
            of = report[key][group]
            grids = (with_interval(of["controllers"][name]["grid"]) for name in names)
            wrong = " / ".join(number(of["controllers"][name]["wrong_pixels"]["value"]) for name in names)
            table.add_row(label, str(of["steps"] or EMPTY), *grids, wrong if of["steps"] else EMPTY)
        console.print(table)
    for name in names:
        found = report["mistakes"][name]
        codes = found["codes"]
        kinds = (
            f"{codes['missed']} changes taken for none, {codes['invented']} where there was none, "
            f"{codes['wrong_change']} taken for another"
        )
        run = report["longest_run_of_right_grids"][name]
        console.print(
            f"{name}: {found['failures']} of {found['of_steps']} steps have a wrong code, in all {codes['wrong']}: "
            f"{kinds}; longest run without one: {run} steps",
            highlight=False,
        )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number_, column in enumerate(columns):
        table.add_column(column, justify="right" if number_ else "left", no_wrap=True)
    return table
