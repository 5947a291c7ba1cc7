"""`train refine`: go on with a trained VQ-VAE until its codes say what happened, each in its own word.

Straight-through training leaves a dozen codes for the commonest motion and one code for several rare ones, which the
decoder can then only draw as a smear. Here the codes are assigned by what they draw, as in k-means with pictures for
distances:

- each changed cell takes, of a few codes, the one that draws it in the fewest nats, plus what it costs to name that
  code (entropy-constrained quantisation, Chou, Lookabaugh & Gray 1989): between synonyms the commoner wins;
- the decoder and the codebook learn to draw that cell from that code, and the encoder to choose it;
- a code that nobody takes moves to the cell that was drawn worst.

With `fixed` codes the encoder and the codebook stay as they are, so that controllers trained for them stay valid, and
the decoder alone goes on, on the codes that the encoder chooses. Half of its lessons then are dreams: it redraws frames
that it has drawn itself, and learns to mend what it got wrong, before a pixel's error grows into a lost paddle.

Codes are assigned without a look at the frame before last, so that they mean a change between two frames; the decoder
sees that frame in half of its lessons. Cells are drawn by priority, as in `train context`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from collect.dataset import TransitionDataset
from model.breakout import CELLS, CODES
from model.pixels import changed, middle, windows
from model.vqvae import VQVAE
from model.world_model import VQVAE_NAME
from train.dreams import Dreams
from train.loop import LoopSettings, RunOptions, train
from train.sampling import Priority
from train.vqvae import CELLS_A_TRANSITION, PIXELS_PER_CELL, VQVAETask, dataset_meta, load_both

NEAREST, OTHERS = 3, 1
"""Codes that compete for a cell: the nearest ones, and some drawn blindly, so that none is out of the game."""
RATE_WEIGHT = 0.25
"""What a nat of a code's name costs in nats of its picture."""
ENCODER_WEIGHT = 0.1
SHARPNESS = 0.1
"""What turns a squared distance to a code into a logit."""
DEAD_BELOW = 0.02
"""A code taken less often than this, in cells a batch, is moved."""
DREAMS = 0.5
"""The share of a batch that is dreams, with fixed codes."""
HARD = 2.0
"""Nats from which on a drawn cell is bad enough to be given a code of its own."""


class RefineTask(VQVAETask):
    """See `train.loop.Task`. All of `vqvae` learns, its codebook by gradients; with `fixed` codes its decoder alone."""

    def __init__(
        self,
        vqvae: VQVAE,
        dataset: TransitionDataset,
        meta: dict[str, Any],
        device: torch.device,
        seed: int,
        batch: int,
        fixed: bool = False,
    ) -> None:
        super().__init__(dataset, meta, device, seed)
        self.module = vqvae.to(device)
        self._fixed, self._seed = fixed, seed
        vqvae.quantizer.codebook.requires_grad_(not fixed)
        vqvae.encoder.requires_grad_(not fixed)
        self._priority = Priority(dataset, self._sampler)
        self.extra = {"priority": self._priority.values}
        if fixed:
            self._dreams = Dreams(round(batch * DREAMS), 2, 1, dataset, self._sampler)
            self.extra |= self._dreams.state
        self.meta = {**self.meta, "model": vqvae.settings, "refined": True, "fixed_codes": fixed}

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """What the cells cost to draw with the codes that draw them best, and the encoder's surprise at those codes."""
        dreams = len(self._dreams.t) if self._fixed else 0
        t = self._sampler.draw(step, batch - dreams, self._priority.values.numpy())
        earlier, before, after = self._triples(t)
        if self._fixed:
            more = self._dream_on(step)
            earlier, before, after = (torch.cat(both) for both in zip((earlier, before, after), more, strict=True))
        which, cells = changed(before, after).nonzero(as_tuple=True)
        some = torch.randperm(len(cells), generator=generator)[: CELLS_A_TRANSITION * batch].to(self._device)
        which, cells = which[some], cells[some]
        old, new, was = (windows(frames, which, cells) for frames in (before, after, earlier))
        quantizer, decoder = self.module.quantizer, self.module.decoder
        vectors = self.module.encoder(old, new).float()
        book = quantizer.codebook[1:]
        logits = SHARPNESS * (2 * vectors @ book.T - book.square().sum(1))  # less squared distances, but for |v|^2
        target = middle(new).long()
        with torch.no_grad():
            nearest = logits.argmax(1) + 1
            codes = nearest if self._fixed else self._assign(old, cells, target, logits, generator)
        blind = torch.rand(len(cells), generator=generator).to(self._device) < 0.5
        was = torch.where(blind[:, None, None], old, was)
        drawn = decoder(old, quantizer.embed(codes), cells, was)
        nats = F.cross_entropy(drawn, target, reduction="none").flatten(1).sum(1)
        surprise = F.cross_entropy(logits, codes - 1)
        self._seen = (vectors.detach(), codes, nats.detach())
        worst = torch.zeros(batch).scatter_reduce(0, which.cpu(), nats.detach().float().cpu(), "amax")
        seen = np.unique(which.cpu().numpy())
        seen = seen[seen < len(t)]
        self._priority.set(t[seen], worst[seen])
        log = {
            "drawn": nats.mean().item(),
            "encoder": surprise.item(),
            "agrees": (nearest == codes).float().mean().item(),
            "exact_cells": (drawn.argmax(1) == target).flatten(1).all(1).float().mean().item(),
        }
        drawing = nats.mean() / PIXELS_PER_CELL
        return drawing if self._fixed else drawing + ENCODER_WEIGHT * surprise, log

    @torch.no_grad()
    def _dream_on(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Frames t - 1 and t as dreamt so far, and the real t + 1; the dreams then go on with a frame drawn from them,
        with the codes that lead back to reality."""
        dreams = self._dreams
        over, t = dreams.to_start(np.random.default_rng([self._seed, step, 1]))
        if len(over):
            earlier, before, _ = self._triples(t)
            history = torch.stack((earlier, before), 1).cpu()
            dreams.start(over, t, history, torch.zeros(len(over), 1, CELLS, dtype=torch.int64))
        history = dreams.state["dream_history"].to(self._device, copy=True)
        after = torch.from_numpy(self._dataset.frame(dreams.t + 1)).to(self._device)
        codes = self.module.encode(history[:, 1], after)
        dreams.go_on(self.module.decode(history, codes).cpu(), codes.cpu())
        return history[:, 0], history[:, 1], after

    def _assign(self, old: Tensor, cells: Tensor, target: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        """The cheapest code (M,) of those that compete: the picture's nats and the name's."""
        near = logits.topk(NEAREST, 1).indices + 1
        others = torch.randint(1, CODES, (len(cells), OTHERS), generator=generator).to(self._device)
        candidates = torch.cat((near, others), 1)
        quantizer, decoder = self.module.quantizer, self.module.decoder
        seen = decoder.look(old, cells)
        costs = []
        for codes in candidates.T:
            drawn = decoder.paint(old, quantizer.embed(codes), cells, seen)
            costs.append(F.cross_entropy(drawn, target, reduction="none").flatten(1).sum(1))
        shares = (quantizer.counts + DEAD_BELOW) / (quantizer.counts + DEAD_BELOW).sum()
        cost = torch.stack(costs, 1) - RATE_WEIGHT * shares.log()[candidates]
        return candidates.gather(1, cost.argmin(1, keepdim=True)).flatten()

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Count how often codes are taken, and move those that nobody takes to what was drawn worst."""
        if self._fixed:
            return
        vectors, codes, nats = self._seen
        quantizer = self.module.quantizer
        quantizer.count(codes)
        dead = quantizer.unused(DEAD_BELOW)
        hard = nats.argsort(descending=True)[: len(dead)]
        hard = hard[nats[hard] > HARD]
        quantizer.replace(dead[: len(hard)], vectors[hard])


def refine(
    frames: Path,
    weights: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
    fixed: bool = False,
) -> dict[str, Any]:
    """Go on with `weights`/vqvae.*, into `options.out`/vqvae.*; with `fixed` codes, with its decoder alone.

    Returns the last validation's figures. FileError if the dataset is of another frame skip.
    """
    vqvae, about, dataset = load_both(weights, frames)
    task = RefineTask(vqvae, dataset, dataset_meta(dataset, frames), device, settings.seed, settings.batch, fixed)
    task.meta["before"] = {name: about.get(name) for name in ("training", "step", "elapsed_seconds")}
    return train(task, VQVAE_NAME, settings, options, device, show)
