"""`train action`: the seed design's controller, from the key alone to the 35 codes.

Cross-entropy, Adam at 1e-3, dropout, gradient clipping. Its accuracy is reported beside two numbers without which it
says little: the majority code per position (what a model that ignores even the key gets), and the majority code per
position and action (the best that any model can get that sees the key alone).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from collect.stopwatch import MAKING_DATA
from model.breakout import ACTIONS, CELLS, CODES, Action
from model.latent_action_model import ActionToLatentMLP
from model.quantizer import UNCHANGED
from model.weights import ACTION_NAME
from train.latent_action_data import ActionLatentPairDataset, EpochBatches, Pairs, load_pairs, make_loaders
from train.loop import LoopSettings, RunOptions, train

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


class ActionTask:
    """See `train.loop.Task`."""

    def __init__(self, pairs: Pairs, batch: int, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self._device = device
        self._module = ActionToLatentMLP().to(device)
        self._loader, validation = make_loaders(pairs, batch, seed=seed)
        self._batches: Iterator[tuple[Tensor, Tensor]] | None = None
        self._inputs = torch.eye(ACTIONS, device=device)
        training, held = self._loader.dataset, validation.dataset
        assert isinstance(training, ActionLatentPairDataset)
        assert isinstance(held, ActionLatentPairDataset)
        self._held = held
        self._majority, self._ceiling = majority_by_action(training.actions, training.codes)
        self.samples = len(self._loader) * batch  # whole batches, so that an epoch of the loop is one of the loader
        self.extra: dict[str, Tensor] = {}
        stats = pairs.stats or {}
        names = ("frameskip", "policy", "seed", "pairs_sha256")
        self.meta = {
            "kind": "action",
            "frameskip": stats.get("frameskip"),
            "model": self._module.settings,
            "codes_sha256": stats.get("codes_sha256"),
            "majority": self._majority.tolist(),
            "dataset": {"pairs": len(pairs.actions), **{name: stats.get(name) for name in names}},
        }

    @property
    def module(self) -> ActionToLatentMLP:
        """See `train.loop.Task.module`."""
        return self._module

    def _next(self, step: int) -> tuple[Tensor, Tensor]:
        """The loader's batch of this step, whether or not the run began at step 0."""
        epoch, number = divmod(step, len(self._loader))
        if number == 0 or self._batches is None:
            batches = self._loader.sampler
            assert isinstance(batches, EpochBatches)
            batches.epoch, batches.skip = epoch, number
            self._batches = iter(self._loader)
        return next(self._batches)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Mean cross-entropy of the codes."""
        with MAKING_DATA:
            one_hot, codes = (tensor.to(self._device) for tensor in self._next(step))
        logits = self._module(self._inputs.repeat(MASKS, 1)).float()
        scores = F.log_softmax(logits, -1)
        mask = torch.arange(len(codes), device=self._device) % MASKS
        row = mask * ACTIONS + one_hot.argmax(1)
        chosen = scores[row[:, None], torch.arange(CELLS, device=self._device), codes]
        return -chosen.mean(), {}

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Code accuracy on held-out episodes, overall and per action, beside its baselines."""
        logits = self._module(self._inputs).float().cpu()
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


def train_action(
    pairs: Path | Pairs,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
) -> dict[str, Any]:
    """Train on pairs, or a file of them, into `options.out`/action_to_latent_best.*.

    Returns the last validation's figures. Validates at the end of every epoch, whatever `settings` say. FileError if
    the pairs cannot be used.
    """
    loaded = load_pairs(pairs) if isinstance(pairs, Path) else pairs
    task = ActionTask(loaded, settings.batch, device, settings.seed)
    every = task.samples // settings.batch
    return train(task, ACTION_NAME, replace(settings, validate_every=every), options, device, show)


def report(figures: dict[str, Any]) -> list[str]:
    """The validation's figures as the lines of a table: accuracy (and dynamic accuracy) beside the baselines."""
    columns = (figures, figures["majority"], figures["majority_by_action"])
    lines = [f"{'code accuracy (changed cells)':32}{'model':>16}{'majority':>16}{'per action':>16}"]
    for name in ("all actions", *figures["per_action"]):
        parts = [column if name == "all actions" else column["per_action"][name] for column in columns]
        cells = [f"{_percent(part['accuracy'])} ({_percent(part['dynamic_accuracy'])})" for part in parts]
        lines.append(f"{name:32}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
