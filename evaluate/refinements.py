"""`evaluate --refinements`: the seed design's controller and what may be done to it, by the same held-out metrics.

The seed maps the key alone to codes. Its refinements are trained here, all on the same pairs, and put beside the
context controller: balanced actions, a model for each action, and drawing codes instead of taking the likeliest (drawn
once, and the best of many, which is what a viewer of many futures could pick; the probability of the truth is the
accuracy that drawing gives on average).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from torch.nn import functional as F

from evaluate.evaluation import EvaluationSettings, Show, held_out
from evaluate.heldout import play_held_out, sample_transitions
from evaluate.metrics import rounded
from evaluate.onestep import predict_transitions, summarise, summarise_truth
from evaluate.predictors import Actions, Logits, Memory, Predictor, controllers_of
from evaluate.report import make_table, share, with_interval
from model import WorldModel
from model.breakout import ACTIONS, Frame
from model.latent_action_model import ActionToLatentMLP
from model.weights import ACTION_NAME, load_module
from train.action import train_action
from train.latent_action_data import Pairs
from train.loop import LoopSettings, RunOptions

PAIR_GAMES, PAIR_SECONDS = 24, 40.0
BEST_OF = 16
_COLUMNS = {
    "codes": "code_accuracy",
    "of changed cells": "dynamic_accuracy",
    "probability of the truth": "expected_dynamic_accuracy",
    "changed pixels": "changed_pixels",
    "exact frames": "exact_frames",
}


def play_pairs(wm: WorldModel, seed: int, show: Show) -> Pairs:
    """(action, codes) pairs of games that the mixed policy plays, none of them among those tested on."""
    games = play_held_out("mixed", wm.frameskip, seed + (1 << 20), PAIR_GAMES, PAIR_SECONDS)
    t = games.transitions()
    codes = []
    for start in range(0, len(t), 256):
        chunk = t[start : start + 256]
        codes.append(wm.encode_batch(games.frame(chunk), games.frame(chunk + 1)))
        show(start / len(t), f"{start} of {len(t)} pairs encoded")
    lengths = (np.diff(games.first) - 1).tolist()
    return Pairs(
        torch.from_numpy(games.actions[t].astype(np.int64)), torch.from_numpy(np.concatenate(codes)), lengths, None
    )


def balanced(pairs: Pairs, seed: int) -> Pairs:
    """As many pairs of each action that occurs as of the commonest: the rarer ones are repeated."""
    rng = np.random.default_rng([seed, 2])
    actions = pairs.actions.numpy()
    most = np.bincount(actions, minlength=ACTIONS).max()
    chosen = [rng.choice(np.flatnonzero(actions == a), most) for a in range(ACTIONS) if (actions == a).any()]
    return _some(pairs, np.sort(np.concatenate(chosen)))


def _some(pairs: Pairs, chosen: npt.NDArray[np.int64]) -> Pairs:
    """Some of the pairs, in order; episodes stay whole, and empty ones go."""
    ends = np.cumsum(pairs.lengths)
    lengths = np.bincount(np.searchsorted(ends, chosen, side="right"), minlength=len(ends))
    return Pairs(pairs.actions[chosen], pairs.codes[chosen], lengths[lengths > 0].tolist(), None)


def fit(pairs: Pairs, epochs: float, seed: int) -> ActionToLatentMLP:
    """The action-only controller trained on `pairs`, at the step where it was best on held-out episodes of them."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        train_action(pairs, LoopSettings(512, 1e-3, seed, epochs=epochs), RunOptions(out), torch.device("cpu"))
        module, _ = load_module(out, ACTION_NAME)
    assert isinstance(module, ActionToLatentMLP)
    return module


def of_modules(name: str, modules: list[ActionToLatentMLP]) -> Predictor:
    """One model for all actions, or one for each."""

    @torch.inference_mode()
    def by_action() -> Logits:
        one_hot = F.one_hot(torch.arange(ACTIONS), ACTIONS).float()
        rows = [modules[a % len(modules)](one_hot[a : a + 1]) for a in range(ACTIONS)]
        return torch.cat(rows).numpy()

    table = by_action()

    def logits(history: Frame, actions: Actions, memory: Memory) -> Logits:
        return table[actions]

    return Predictor(name, logits)


def variants(wm: WorldModel, pairs: Pairs, epochs: float, seed: int, show: Show) -> list[Predictor]:
    """All that is compared, from the seed's controller to the one with context."""
    steps = ("action only", "balanced", *(f"action {a}" for a in range(ACTIONS)))

    def say(number: int) -> None:
        show(number / len(steps), f"training: {steps[number]}")

    say(0)
    plain = fit(pairs, epochs, seed)
    say(1)
    even = fit(balanced(pairs, seed), epochs, seed)
    separate = []
    for action in range(ACTIONS):
        say(2 + action)
        mine = np.flatnonzero(pairs.actions.numpy() == action)
        # An action that nobody took has nothing to learn from: the model of all actions speaks for it.
        separate.append(fit(_some(pairs, mine), epochs, seed) if len(mine) > 1 else plain)
    found = [
        of_modules("action only", [plain]),
        of_modules("action only, actions balanced", [even]),
        of_modules("action only, a model for each action", separate),
    ]
    found += _drawn(found[0])
    for controller in controllers_of(wm):
        if controller.name == "context":
            found += [controller, *_drawn(controller)]
    return found


def _drawn(predictor: Predictor) -> list[Predictor]:
    once = replace(predictor, name=f"{predictor.name}, drawn once", temperature=1.0, choose=None)
    return [once, replace(once, name=f"{predictor.name}, best of {BEST_OF} draws", draws=BEST_OF)]


def compare_refinements(
    wm: WorldModel, settings: EvaluationSettings, epochs: float = 20.0, show: Show = lambda share, text: None
) -> dict[str, Any]:
    """One step from real history, for every variant, on each policy's held-out games."""
    pairs = play_pairs(wm, settings.seed, lambda share, text: show(0.2 * share, text))
    found = variants(wm, pairs, epochs, settings.seed, lambda share, text: show(0.2 + 0.3 * share, text))
    sets = {}
    for number, policy in enumerate(settings.policies):

        def part(share: float, text: str, number: int = number, policy: str = policy) -> None:
            show(0.5 + 0.5 * (number + share) / len(settings.policies), f"{policy}: {text}")

        dataset, _, rng = held_out(wm, policy, settings, lambda share, text: part(0.1 * share, text))
        t = sample_transitions(dataset, settings.transitions, rng)
        truth, said = predict_transitions(wm, found, dataset, t, rng, lambda n: part(n / settings.transitions, "steps"))
        sets[policy] = {
            "truth": summarise_truth(truth, wm.majority),
            "variants": {predicted.name: summarise(predicted, truth) for predicted in said},
        }
    return rounded({"weights": wm.checksum, "pairs": len(pairs.actions), "epochs": epochs, "held_out": sets})


def print_refinements(report: dict[str, Any], console: Console) -> None:
    """One table for each policy."""
    for policy, result in report["held_out"].items():
        truth = result["truth"]
        title = (
            f"{policy}: one step, {truth['steps']['all']} steps; action-only models trained on {report['pairs']} pairs"
        )
        table = make_table(title, "share, 95% interval", *_COLUMNS)
        baselines = {
            "majority code, copy of the last frame": (
                truth["majority_code_accuracy"], truth["majority_dynamic_accuracy"], None, None,
                truth["copy_last_exact_frames"],
            )
        }  # fmt: skip
        for name, rates in baselines.items():
            table.add_row(name, *("-" if rate is None else share(rate["all"]) for rate in rates))
        for name, one in result["variants"].items():
            table.add_row(name, *(with_interval(one[key]["all"]) for key in _COLUMNS.values()))
        console.print(table)
