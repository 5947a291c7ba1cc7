"""`train decoder`: with the codes fixed, go on training the decoder alone, on what it draws worst.

The encoder and the codebook stay as they are, so controllers trained for their codes remain valid. Transitions are
drawn by priority, as in `train context`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from model.pixels import changed, middle, windows
from model.vqvae import VQVAE
from model.world_model import VQVAE_NAME
from train.loop import LoopSettings, RunOptions, train
from train.sampling import Priority
from train.vqvae import CELLS_A_TRANSITION, PIXELS_PER_CELL, VQVAETask, dataset_meta, load_both


class DecoderTask(VQVAETask):
    """See `train.loop.Task`. Everything of `vqvae` but its decoder is frozen."""

    def __init__(
        self, vqvae: VQVAE, dataset: TransitionDataset, meta: dict[str, Any], device: torch.device, seed: int
    ) -> None:
        super().__init__(dataset, meta, device, seed)
        self.module = vqvae.to(device)
        self._freeze(vqvae.encoder)
        self._priority = Priority(dataset, self._sampler)
        self.extra = {"priority": self._priority.values}
        self.meta = {**self.meta, "model": vqvae.settings, "refined": True}

    @staticmethod
    def _freeze(module: nn.Module) -> None:
        for parameter in module.parameters():
            parameter.requires_grad_(False)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of the drawn cells, given the codes of the real pair."""
        t = self._sampler.draw(step, batch, self._priority.values.numpy())
        before, after = self._pairs(t)
        which, cells = changed(before, after).nonzero(as_tuple=True)
        some = torch.randperm(len(cells), generator=generator)[: CELLS_A_TRANSITION * batch].to(self._device)
        which, cells = which[some], cells[some]
        old, new = windows(before, which, cells), windows(after, which, cells)
        with torch.no_grad():
            codes = self.module.quantizer(self.module.encoder(old, new))
        logits = self.module.decoder(old, self.module.quantizer.embed(codes), cells)
        drawn = F.cross_entropy(logits, middle(new).long(), reduction="none").flatten(1).sum(1)
        worst = torch.zeros(batch).scatter_reduce(0, which.cpu(), drawn.detach().float().cpu(), "amax")
        seen = np.unique(which.cpu().numpy())
        self._priority.set(t[seen], worst[seen])
        exact = (logits.argmax(1) == middle(new)).flatten(1).all(1).float().mean().item()
        return drawn.mean() / PIXELS_PER_CELL, {"exact_cells": exact}

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do: the codebook stands still."""


def train_decoder(
    frames: Path,
    weights: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
) -> dict[str, Any]:
    """Go on with the decoder of `weights`/vqvae.*, into `options.out`/vqvae.*. Returns the last validation's figures.

    FileError if the dataset is of another frame skip.
    """
    vqvae, about, dataset = load_both(weights, frames)
    task = DecoderTask(vqvae, dataset, dataset_meta(dataset, frames), device, settings.seed)
    task.meta["before"] = {name: about.get(name) for name in ("training", "step", "elapsed_seconds")}
    return train(task, VQVAE_NAME, settings, options, device, show)
