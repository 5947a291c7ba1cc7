"""`train action`: the seed design's controller, from the key alone to the 35 codes.

Cross-entropy, Adam at 1e-3, dropout, gradient clipping, on (action, latent code) pairs split by whole episode. Its
accuracy is reported beside two numbers without which it says little: that of the majority code per position (a model
that ignores even the key), and per position and action (the best for any model that sees the key alone)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from collect.dataset import split_episodes
from collect.pairs import Pairs, count_codes, load_pairs
from model.breakout import ACTIONS, CELLS, UNCHANGED, Action
from model.controllers import ActionToLatentMLP
from model.readers import Ints
from train.loop import Run, Task, begin, train

ACTION_NAME = "action_to_latent_best"
Loader = DataLoader[tuple[Tensor, Tensor]]
MASKS = 16
"""Dropout masks drawn per action and step. There are only four inputs, so samples of one action share them: the
expected gradient is the same as with a mask for each sample, at a fraction of the work."""


class ActionLatentPairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Item i: one-hot action (4,) float32 and codes (35,) int64. With a list of numbers, as a loader asks, of all."""

    def __init__(self, pairs: Pairs, chosen: Ints) -> None:
        self.actions = torch.from_numpy(pairs.actions[chosen])  # (N,) int64
        self.codes = torch.from_numpy(pairs.codes[chosen])  # (N, 35) int64

    def __len__(self) -> int:
        return len(self.actions)

    def __getitem__(self, number: int | list[int]) -> tuple[Tensor, Tensor]:
        return F.one_hot(self.actions[number], ACTIONS).float(), self.codes[number]  # (4,), (35,), or (B, 4), (B, 35)

    __getitems__ = __getitem__  # whole batches are looked up at once: item by item it would be slower than the network


def get_action_latent_dataloaders(path: Path, batch: int = 1024, seed: int = 0) -> tuple[Loader, Loader]:
    """Loaders for training (shuffled) and validation (in order): one-hot actions (B, 4) float32, codes (B, 35) int64.
    FileError if the pairs cannot be used."""
    pairs = load_pairs(path)
    training, held = (ActionLatentPairDataset(pairs, part) for part in split_episodes(pairs.lengths, seed))
    shuffled = RandomSampler(training, generator=torch.Generator().manual_seed(seed))  # its own: no other draw counts
    return DataLoader(training, batch, sampler=shuffled, collate_fn=tuple), DataLoader(held, batch, collate_fn=tuple)


def accuracies(predicted: Tensor, actions: Tensor, codes: Tensor) -> dict[str, Any]:
    """How well codes predicted per action (4, 35) fit the pairs (N,) and (N, 35): shares of codes that are right, of
    all and of cells that changed (`dynamic`). A share of nothing (an action that never occurs) is None."""

    def shares(chosen: Tensor) -> dict[str, float | None]:
        right = predicted[actions[chosen]] == codes[chosen]  # (n, 35) bool
        parts = {"accuracy": right, "dynamic_accuracy": right[codes[chosen] != UNCHANGED]}  # (n, 35), (m,) of m cells
        return {name: part.double().mean().item() if part.numel() else None for name, part in parts.items()}

    per_action = {Action(number).name: shares(actions == number) for number in range(ACTIONS)}
    return {**shares(torch.ones_like(actions, dtype=torch.bool)), "per_action": per_action}


def majority_by_action(actions: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The most frequent codes per position: overall (35,), and per action (4, 35), int64. An action that never occurs
    gets the overall ones; the lower code wins a tie."""
    counts = torch.from_numpy(count_codes(actions.numpy(), codes.numpy()))  # (4, 35, 256) int64
    overall = counts.sum(0).argmax(-1)  # (35,)
    seen = counts.sum((1, 2)) > 0  # (4,) bool
    return overall, torch.where(seen[:, None], counts.argmax(-1), overall)


class ActionTask(Task):
    """See `train.loop.Task`."""

    def __init__(self, pairs: Pairs, run: Run) -> None:
        super().__init__()
        device, batch = run.device, run.settings.batch
        self.model = ActionToLatentMLP().to(device)
        self.module = nn.ModuleDict({"action": self.model})  # named as in the `Twin`
        training, self._held = (ActionLatentPairDataset(pairs, part) for part in split_episodes(pairs.lengths))
        self._actions, self._codes = training.actions.to(device), training.codes.to(device)  # (N,), (N, 35)
        self._majority, self._ceiling = majority_by_action(training.actions, training.codes)  # (35,), (4, 35)
        self._inputs, self._cells = torch.eye(ACTIONS, device=device), torch.arange(CELLS, device=device)
        self._seed, self._steps = run.settings.seed, -(-len(training) // batch)  # rounded up: the last batch is smaller
        self._order: tuple[int, Tensor] | None = None  # an epoch, and its order (N,)
        self.samples = self._steps * batch  # whole batches, so that an epoch of the loop goes through the pairs once
        stats = pairs.stats or {}
        about = {name: stats.get(name) for name in ("policy", "seed", "pairs_sha256")}
        self.meta = {
            "kind": "action",
            "frameskip": stats.get("frameskip"),
            "model": {"action": self.model.settings},
            "codes_sha256": stats.get("codes_sha256"),
            "dataset": {"pairs": len(pairs.actions), **about},
        }

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the codes. Every epoch goes through all pairs, in an order of its own."""
        epoch, number = divmod(step, self._steps)  # of the step alone: a resumed run goes on in the same place
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._actions))
            self._order = epoch, torch.from_numpy(order).to(self._actions.device)
        which = self._order[1][number * batch : (number + 1) * batch]  # (B,) numbers of pairs
        scores = F.log_softmax(self.model(self._inputs.repeat(MASKS, 1)), -1)  # (MASKS * 4, 35, 256)
        row = torch.arange(len(which), device=which.device) % MASKS * ACTIONS + self._actions[which]  # (B,): 0..63
        return -scores[row[:, None], self._cells, self._codes[which]].mean(), {}

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Code accuracy on held-out episodes, overall and per action, beside its baselines."""
        logits = self.model(self._inputs).float().cpu()  # (4, 35, 256)
        actions, codes = self._held.actions, self._held.codes
        chosen = F.log_softmax(logits, -1)[actions[:, None], torch.arange(CELLS), codes]  # (N, 35)
        found = accuracies(logits.argmax(-1), actions, codes)
        figures = {
            **found,
            "majority": accuracies(self._majority.expand(ACTIONS, -1), actions, codes),  # the same whatever the action
            "majority_by_action": accuracies(self._ceiling, actions, codes),
            "loss": -chosen.double().mean().item(),
        }
        return found["accuracy"], figures


def train_action(pairs: Path, run: Run) -> dict[str, Any]:
    """Train on a file of pairs into `run.out`/action_to_latent_best.safetensors. Returns the last validation's figures;
    there is one at the end of every epoch, whatever the settings say. FileError if the pairs cannot be used."""
    begin(ACTION_NAME, run)
    task = ActionTask(load_pairs(pairs), run)
    every = task.samples // run.settings.batch
    return train(task, ACTION_NAME, replace(run, settings=replace(run.settings, validate_every=every)))


def report(figures: dict[str, Any]) -> list[str]:
    """The validation's figures as the lines of a table: accuracy (and dynamic accuracy) beside the baselines; and a
    word if the model is worse than one that ignores its input."""
    columns = (figures, figures["majority"], figures["majority_by_action"])
    lines = [f"{'code accuracy (changed cells)':32}{'model':>16}{'majority':>16}{'per action':>16}"]

    def percent(share: float | None) -> str:
        return "none" if share is None else f"{share:.1%}"

    rows = {name: [column["per_action"][name] for column in columns] for name in figures["per_action"]}
    for name, parts in {"all actions": columns, **rows}.items():
        cells = (f"{percent(part['accuracy'])} ({percent(part['dynamic_accuracy'])})" for part in parts)
        lines.append(f"{name:32}" + "".join(f"{cell:>16}" for cell in cells))
    if figures["accuracy"] < figures["majority"]["accuracy"]:
        lines.append("it is worse than always giving the majority code: it has not learned yet, train for more epochs")
    return lines
