"""`train memory`: learn to carry what no frame shows, a step at a time, with the emulator's RAM as teacher.

The network is told what it may know at play, with parts of its memory hidden and some of it wrong: so it learns to find
a variable anew from what is seen, and not to trust a memory that the eyes contradict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from collect.dataset import TransitionDataset
from model.context import step_number
from model.memory import FRACTION, SPEED, Memory, rows_of
from model.state import FRACTIONS, VARIABLES
from train.data import Data, Sampler, about, held_out, load_frames, taught_loss
from train.loop import Run, Task, check_new, train
from train.vqvae import hide

WHOLE, WRONG = 0.5, 0.02
"""The share of a batch that is told all its memory, and the share of what is known that is made wrong."""
PART = 4096


def row_step(before: Tensor, after: Tensor) -> Tensor:
    """The ball's step in rows between two places (B, 2) by number (B,), below `ROW_STEPS`."""
    return rows_of(step_number(before[:, :2], after[:, :2]))


def answers(memory: Tensor) -> Tensor:
    """The true classes (B, V) of the memory as numbers of the network's logits, -1 where they are not known. Of the
    row's fraction the truth is one eighth, not a set of several."""
    bits = 2 ** torch.arange(FRACTIONS, device=memory.device)
    eighth = (memory[:, FRACTION, None] == bits).long().argmax(1)
    found = memory - 1
    return torch.cat((found[:, :FRACTION], eighth[:, None], found[:, FRACTION + 1 :]), 1).clamp(min=-1)


class MemoryTask(Task):
    """See `train.loop.Task`. `sizes` are the settings of `Memory`, where they are not its own."""

    def __init__(self, dataset: TransitionDataset, device: torch.device, sizes: dict[str, int] | None = None) -> None:
        super().__init__()
        self.data, held = (data.to(device) for data in Data.split(dataset))
        self.held, self._held_steps = held, held_out(held)
        self.sampler, self.samples = Sampler.of(self.data), len(self.data.steps)
        self.model = Memory(**(sizes or {})).to(device)
        self.module = nn.ModuleDict({"memory": self.model})
        self.meta = {"kind": "memory", "model": {"memory": self.model.settings}, **about(dataset)}

    def _predict(self, data: Data, t: Tensor, memory: Tensor) -> tuple[list[Tensor], Tensor]:
        """From memory (B, V) at t (B,): logits of each variable a step later, and the truth (B, V), -1: untaught."""
        state, after = data.state(t, memory), data.things(t + 1)
        seen = torch.ones_like(t, dtype=torch.bool)  # RAM sees through bricks
        logits = self.model(state, data.action[t].long(), after, seen)
        return logits, answers(data.memory[t + 1].long())

    def _fractions_loss(self, t: Tensor, later: Tensor) -> Tensor:
        """The loss of both tables of `Fractions` at t (B,), from the true eighth and speed; `later` (B, V) is the truth
        a step later."""
        tables, now = self.model.fractions, answers(self.data.memory[t].long())
        step = row_step(self.data.objects[t].long(), self.data.objects[t + 1].long())
        speed, was = later[:, SPEED], now[:, FRACTION]
        known = (speed >= 0) & (was >= 0)
        at = speed.clamp(min=0), was.clamp(min=0)
        return taught_loss(tables.steps[at], torch.where(known, step, -1)) + taught_loss(
            tables.moves[at], torch.where(known, later[:, FRACTION], -1)
        )

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum over variables of their cross-entropy, where RAM tells them."""
        t = self.data.steps[self.sampler(batch, generator)]
        told = hide(self.data.memory[t].long(), generator, WHOLE, WRONG)
        with self.coarse():
            logits, truth = self._predict(self.data, t, told)
        losses = [taught_loss(each.float(), truth[:, n]) for n, each in enumerate(logits) if n != FRACTION]
        return torch.stack(losses).sum() + self._fractions_loss(t, truth), {}

    @torch.no_grad()
    def validate(self) -> tuple[float, dict[str, Any]]:
        """From the true memory one held-out step on: how often each variable is right, and all of them at once. The
        score is the latter where something happens."""
        figures: dict[str, Any] = {}
        for name, numbers in self._held_steps.items():
            right, taught = [], []
            for t in self.held.steps[numbers].split(PART):
                logits, truth = self._predict(self.held, t, self.held.memory[t].long().clamp(min=0))
                right.append(torch.stack([each.argmax(1) for each in logits], 1) == truth)
                taught.append(truth >= 0)
            good, told = torch.cat(right), torch.cat(taught)
            figures[f"{name}_right"] = float((good | ~told).all(1).float().mean())
            shares = (good & told).sum(0) / told.sum(0).clamp(min=1)
            figures[f"{name}_by_variable"] = {v.name: float(share) for v, share in zip(VARIABLES, shares, strict=True)}
        return figures["events_right"], figures


def train_memory(frames: Sequence[Path], run: Run, sizes: dict[str, int] | None = None) -> dict[str, Any]:
    """Train on one or several datasets into `run.out`/memory.safetensors. Returns the last validation's figures."""
    check_new("memory", run)
    dataset = load_frames(frames, run.show, pictures=False)
    torch.manual_seed(run.settings.seed)
    return train(MemoryTask(dataset, run.device, sizes), "memory", run)
