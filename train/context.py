"""`train context`: learn the codes of the next step from the state and the key.

What the codes should be follows from the emulator's RAM and what each code says (`train/targets.py`), so no frame is
drawn in training. The controller is told the memory as it may be at play: whole, or with parts not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from collect.dataset import TransitionDataset
from model.controllers import EVENTS, PADDLE_EVENT, ContextController
from model.files import FileError
from model.state import INDEX
from train.data import Data, Sampler, about, held_out, load_frames, taught_loss
from train.loop import Run, Task, check_new, train
from train.targets import NO_CODE, targets
from train.vqvae import hide
from train.weights import load_vqvae

WHOLE = 0.7
"""The share of a batch that is told all its memory."""
NAMES = ("ball", "paddle", "score", "points", "life", "new_wall")
"""The events in the order of `model.controllers`, for figures."""
PART = 4096


class ContextTask(Task):
    """See `train.loop.Task`. The codes are those of the VQ-VAE in `weights`; `sizes` are settings of the controller,
    where they are not its own. FileError if the weights are of another frame skip than the dataset."""

    def __init__(
        self, dataset: TransitionDataset, weights: Path, device: torch.device, sizes: dict[str, int] | None = None
    ) -> None:
        super().__init__()
        vqvae, of = load_vqvae(weights)
        if of["frameskip"] != dataset.frameskip:
            text = f"the dataset is of frame skip {dataset.frameskip}, the weights {weights} are of {of['frameskip']}"
            raise FileError(text)
        vqvae = vqvae.to(device)
        self.data, self.held = (data.to(device) for data in Data.split(dataset))
        self.wanted, self._held_wanted = (targets(data, vqvae) for data in (self.data, self.held))  # (T, 6)
        self._held_steps = held_out(self.held)
        self.sampler, self.samples = Sampler.of(self.data), len(self.data.steps)
        self.model = ContextController(**(sizes or {})).to(device)
        self.module = nn.ModuleDict({"context": self.model})
        self.meta = {"kind": "context", "model": {"context": self.model.settings}, **about(dataset)}
        self.meta["codes_sha256"] = of["sha256"]

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum over events of the cross-entropy of their codes; a step that no code says is left out."""
        drawn = self.sampler(batch, generator)
        t, wanted = self.data.steps[drawn], self.wanted[drawn].long()
        told = hide(self.data.memory[t].long(), generator, WHOLE)
        with self.coarse():
            logits = self.model(self.data.state(t, told), self.data.action[t].long()).float()  # (B, 6, 256)
        losses = [taught_loss(logits[:, event], wanted[:, event]) for event in range(EVENTS)]
        return torch.stack(losses).sum(), {}

    @torch.no_grad()
    def validate(self) -> tuple[float, dict[str, Any]]:
        """The share of held-out steps whose codes are all right, chosen as `Twin.events` chooses them at play, and the
        share of each event. What no code says counts as wrong. The score is the share where something happens."""
        figures: dict[str, Any] = {}
        for name, numbers in self._held_steps.items():
            right = []
            for part in numbers.split(PART):
                t = self.held.steps[part]
                chosen = self.model(self.held.state(t), self.held.action[t].long()).argmax(2)
                right.append(chosen == self._held_wanted[part])
                # Where RAM does not tell the knob, nobody can know where the paddle goes.
                right[-1][:, PADDLE_EVENT] |= self.held.memory[t, INDEX["knob"]] < 0
            good = torch.cat(right)
            figures[f"{name}_right"] = float(good.all(1).float().mean())
            figures[f"{name}_by_event"] = dict(zip(NAMES, good.float().mean(0).tolist(), strict=True))
        figures["no_code"] = float((self._held_wanted == NO_CODE).any(1).float().mean())
        return figures["events_right"], figures


def train_context(
    frames: Sequence[Path], weights: Path, run: Run, sizes: dict[str, int] | None = None
) -> dict[str, Any]:
    """Train on one or several datasets into `run.out`/context.safetensors, with the codes of the VQ-VAE in `weights`.
    Returns the last validation's figures."""
    check_new("context", run)
    dataset = load_frames(frames, run.show, pictures=False)
    run.show(0.0, "preparing: finding the codes of every step")
    torch.manual_seed(run.settings.seed)
    return train(ContextTask(dataset, weights, run.device, sizes), "context", run)
