"""`train action`: the seed design's controller, from the key alone to the 35 codes.

Cross-entropy, Adam at 1e-3, dropout, gradient clipping. Its accuracy is reported beside two numbers without which it
says little: the majority code per position (what a model that ignores even the key gets), and the majority code per
position and action (the best that any model can get that sees the key alone).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import ACTIONS, CELLS, CODES, UNCHANGED, Action
from model.controllers import ActionToLatentMLP
from train.latent_action_data import ActionLatentPairDataset, Pairs, load_pairs, split_episodes
from train.loop import Run, Task, check_new, train

ACTION_NAME = "action_to_latent_best"
MASKS = 16
"""Dropout masks drawn per action and step. There are only four inputs, so samples of one action share them: the
expected gradient is the same as with a mask for each sample, at a fraction of the work."""


def accuracies(predicted: Tensor, actions: Tensor, codes: Tensor) -> dict[str, Any]:
    """How well codes predicted per action (4, 35) fit the pairs (N,) and (N, 35): shares of codes that are right.

    `dynamic` counts cells that changed only; a share of nothing (an action that never occurs) is None.
    """

    def shares(chosen: Tensor) -> dict[str, float | None]:
        right, moved = predicted[actions[chosen]] == codes[chosen], codes[chosen] != UNCHANGED
        return {
            "accuracy": right.double().mean().item() if right.numel() else None,
            "dynamic_accuracy": right[moved].double().mean().item() if moved.any() else None,
        }

    per_action = {Action(number).name: shares(actions == number) for number in range(ACTIONS)}
    return {**shares(torch.ones_like(actions, dtype=torch.bool)), "per_action": per_action}


def majority_by_action(actions: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The most frequent codes per position: overall (35,), and per action (4, 35), int64.

    An action that never occurs gets the overall ones; the lower code wins a tie.
    """
    counts = torch.zeros(ACTIONS, CELLS, CODES, dtype=torch.int64)
    counts.index_put_((actions[:, None], torch.arange(CELLS), codes), torch.ones(1, dtype=torch.int64), accumulate=True)
    overall = counts.sum(0).argmax(-1)
    seen = counts.sum((1, 2)) > 0
    return overall, torch.where(seen[:, None], counts.argmax(-1), overall)


class ActionTask(Task):
    """See `train.loop.Task`."""

    def __init__(self, pairs: Pairs, batch: int, device: torch.device, seed: int) -> None:
        super().__init__()
        self.model = ActionToLatentMLP().to(device)
        self.module = nn.ModuleDict({"action": self.model})
        training, self._held = (ActionLatentPairDataset(pairs, part) for part in split_episodes(pairs.lengths))
        self._actions, self._codes = training.actions.to(device), training.codes.to(device)
        self._majority, self._ceiling = majority_by_action(training.actions, training.codes)
        self._inputs, self._cells = torch.eye(ACTIONS, device=device), torch.arange(CELLS, device=device)
        self._seed, self._steps = seed, -(-len(training) // batch)
        self._order: tuple[int, Tensor] | None = None
        self.samples = self._steps * batch  # whole batches, so that an epoch of the loop goes through the pairs once
        stats = pairs.stats or {}
        names = ("policy", "seed", "pairs_sha256")
        self.meta = {
            "kind": "action",
            "frameskip": stats.get("frameskip"),
            "model": {"action": self.model.settings},
            "codes_sha256": stats.get("codes_sha256"),
            "dataset": {"pairs": len(pairs.actions), **{name: stats.get(name) for name in names}},
        }

    def _batch(self, step: int, batch: int) -> Tensor:
        """The numbers of the pairs of a step (B,): every epoch all of them, in an order of its own."""
        epoch, number = divmod(step, self._steps)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._actions))
            self._order = epoch, torch.from_numpy(order).to(self._actions.device)
        return self._order[1][number * batch : (number + 1) * batch]

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the codes."""
        which = self._batch(step, batch)
        scores = F.log_softmax(self.model(self._inputs.repeat(MASKS, 1)), -1)  # (MASKS * 4, 35, 256)
        mask = torch.arange(len(which), device=which.device) % MASKS
        row = mask * ACTIONS + self._actions[which]
        return -scores[row[:, None], self._cells, self._codes[which]].mean(), {}

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Code accuracy on held-out episodes, overall and per action, beside its baselines."""
        logits = self.model(self._inputs).float().cpu()
        actions, codes = self._held.actions, self._held.codes
        chosen = F.log_softmax(logits, -1)[actions[:, None], torch.arange(CELLS), codes]
        found = accuracies(logits.argmax(-1), actions, codes)
        figures = {
            **found,
            "majority": accuracies(self._majority.expand(ACTIONS, -1), actions, codes),
            "majority_by_action": accuracies(self._ceiling, actions, codes),
            "loss": -chosen.double().mean().item(),
        }
        return found["accuracy"], figures


def train_action(pairs: Path | Pairs, run: Run) -> dict[str, Any]:
    """Train on pairs, or a file of them, into `run.out`/action_to_latent_best.safetensors.

    Returns the last validation's figures; there is one at the end of every epoch, whatever the settings say. FileError
    if the pairs cannot be used.
    """
    check_new(ACTION_NAME, run)
    loaded = load_pairs(pairs) if isinstance(pairs, Path) else pairs
    torch.manual_seed(run.settings.seed)
    task = ActionTask(loaded, run.settings.batch, run.device, run.settings.seed)
    every = task.samples // run.settings.batch
    return train(task, ACTION_NAME, replace(run, settings=replace(run.settings, validate_every=every)))


def report(figures: dict[str, Any]) -> list[str]:
    """The validation's figures as the lines of a table: accuracy (and dynamic accuracy) beside the baselines; and a
    word if the model is worse than one that ignores its input."""
    columns = (figures, figures["majority"], figures["majority_by_action"])
    lines = [f"{'code accuracy (changed cells)':32}{'model':>16}{'majority':>16}{'per action':>16}"]
    for name in ("all actions", *figures["per_action"]):
        parts = [column if name == "all actions" else column["per_action"][name] for column in columns]
        cells = [f"{_percent(part['accuracy'])} ({_percent(part['dynamic_accuracy'])})" for part in parts]
        lines.append(f"{name:32}" + "".join(f"{cell:>16}" for cell in cells))
    if figures["accuracy"] < figures["majority"]["accuracy"]:
        lines.append("it is worse than always giving the majority code: it has not learned yet, train for more epochs")
    return lines


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
