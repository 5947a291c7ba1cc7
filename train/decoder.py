"""`train decoder`: go on with the decoder of a trained VQ-VAE, its codes fixed, so that controllers stay valid.

Half of its lessons are dreams: with the codes of reality it redraws frames that it has drawn itself, and learns to mend
what it got wrong, before a pixel's error grows into a lost paddle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.breakout import BACKGROUND
from model.gaze import BALL_FRAMES, places
from model.pixels import take_cells
from model.quantizer import UNCHANGED
from model.vqvae import VQVAE
from model.weights import VQVAE_NAME
from train.dreams import WRONG_PIXELS, Dreams
from train.loop import LoopSettings, RunOptions, train
from train.material import Material
from train.places import all_places
from train.vqvae import CELLS_A_TRANSITION, PIXELS_PER_CELL, VQVAETask, dataset_meta, drawing_nats, load_both

DREAMS = 0.5
"""The share of a batch that is dreams."""
SHARPER = 1.5
"""The power of the priorities: what is drawn badly is rare, and the dreams see to the rest."""


class DecoderTask(VQVAETask):
    """See `train.loop.Task`. Of `vqvae` the decoder alone learns."""

    def __init__(
        self,
        vqvae: VQVAE,
        material: Material,
        meta: dict[str, Any],
        seed: int,
        batch: int,
    ) -> None:
        super().__init__(material, meta, seed)
        self.module = vqvae.to(material.device)
        vqvae.encoder.requires_grad_(False)
        vqvae.quantizer.requires_grad_(False)
        self._seed = seed
        self._dreams = Dreams(round(batch * DREAMS), BALL_FRAMES, material, self._sampler, WRONG_PIXELS)
        self.extra |= self._dreams.state
        self.meta = {**self.meta, "model": vqvae.settings, "fixed_codes": True}

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """What the cells cost to draw with the codes that the encoder gives them in reality."""
        dreams = self._dreams
        dreams.restart(np.random.default_rng([self._seed, step, 1]))
        t = self._sampler.draw(step, batch - len(dreams.t), self._priority.values**SHARPER)
        before, after, seen, pair = self._steps(torch.cat((t, dreams.t)))
        codes = self.module.encode(before, after, pair)
        before[len(t) :] = dreams.state["dream_frame"]
        seen[len(t) :] = dreams.state["dream_places"]
        which, cells = (codes != UNCHANGED).nonzero(as_tuple=True)
        some = torch.randperm(len(cells), generator=generator, device=cells.device)[: CELLS_A_TRANSITION * batch]
        which, cells = which[some], cells[some]
        decoder = self.module.decoder
        there = (take_cells(after, which, cells) != BACKGROUND).float()
        vectors = self.module.quantizer.embed(codes[which, cells])
        drawn = decoder.paint(decoder.look(before, decoder.see(before, seen), which, cells), vectors)
        nats = drawing_nats(drawn, there)
        self._set_priority(t, which, nats.detach(), batch)
        next_frames = self.module.decode(before[len(t) :, None], codes[len(t) :], seen[len(t) :])
        age, exact = dreams.go_on(next_frames, places(before[len(t) :], next_frames))
        log = {
            "drawn": nats.detach().mean(),
            "exact_cells": ((drawn > 0) == (there > 0)).flatten(1).all(1).float().mean(),
            "dream_age": age,
            "dream_exact": exact,
        }
        return nats.mean() / PIXELS_PER_CELL, log

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do."""


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
    meta = dataset_meta(dataset, frames)
    material = Material(dataset, device, all_places(dataset, options.out, meta, show, device))
    task = DecoderTask(vqvae, material, meta, settings.seed, settings.batch)
    task.meta["before"] = {name: about.get(name) for name in ("training", "step", "elapsed_seconds")}
    return train(task, VQVAE_NAME, settings, options, device, show)
