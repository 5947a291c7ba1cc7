"""`train vqvae`: learn the codes of what changes between two frames, each change in its own word.

A straight-through VQ-VAE leaves a dozen codes for the commonest motion and one code for several rare ones, which the
decoder can then only draw as a smear. Here codes are assigned by what they draw, as in k-means with pictures for
distances:

- k-means on the vectors of the untrained encoder starts the codebook;
- each changed cell takes, of a few codes, the one that draws it in the fewest nats, plus what it costs to name that
  code (entropy-constrained quantisation, Chou, Lookabaugh & Gray 1989): between synonyms the commoner wins;
- the decoder and the codebook learn to draw that cell from that code, and the encoder to choose it;
- a code that nobody takes moves to a cell that was drawn badly.

Transitions are drawn by priority: the worse a step's cells were drawn when it was last seen, the more often.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from collect.dataset import MANIFEST, TransitionDataset
from model.breakout import BACKGROUND, CODES
from model.checkpoint import rounded
from model.files import FileError, checksum
from model.gaze import BALL_FRAMES
from model.pixels import changed, take_cells
from model.vqvae import VQVAE, Looked
from model.weights import VQVAE_NAME, load_vqvae
from train.loop import LoopSettings, RunOptions, train
from train.material import Material
from train.places import all_places
from train.sampling import Priority, TransitionSampler, spread

CELLS_A_TRANSITION = 2
"""Changed cells that a batch holds, per transition drawn; two to three change in a step."""
PIXELS_PER_CELL = 24.0
"""About how many pixels of a changed cell change: what a cell costs to draw is divided by it."""
START_FROM = 8192
"""Vectors that the codebook is started from."""
NEAREST, OTHERS = 3, 1
"""Codes that compete for a cell: the nearest ones, and some drawn blindly, so that none is out of the game."""
RATE_WEIGHT = 0.25
"""What a nat of a code's name costs in nats of its picture."""
ENCODER_WEIGHT = 0.1
SHARPNESS = 0.1
"""What turns a squared distance to a code into a logit."""
DEAD_BELOW = 0.02
"""A code taken less often than this, in cells a batch, is moved."""
WORST = 12.0
"""Nats from which on a cell counts no more for being drawn badly: a paddle of another length costs more than that."""
HARD = 2.0
"""Nats from which on a drawn cell is bad enough to be given a code of its own."""


def dataset_meta(dataset: TransitionDataset, directory: Path) -> dict[str, Any]:
    """What a checkpoint says of its data."""
    names = ("policy", "frameskip", "seed", "transitions")
    return {**{name: dataset.manifest.get(name) for name in names}, "manifest_sha256": checksum(directory / MANIFEST)}


def load_both(weights: Path, frames: Path) -> tuple[VQVAE, dict[str, Any], TransitionDataset]:
    """A trained VQ-VAE, rounded as it will be shipped, its settings, and a dataset. FileError if they are of different
    frame skips."""
    vqvae, about = load_vqvae(weights)
    rounded(vqvae)
    dataset = TransitionDataset.load(frames)
    if dataset.frameskip != about["frameskip"]:
        raise FileError(
            f"dataset {frames} has frame skip {dataset.frameskip}, the VQ-VAE in {weights} has {about['frameskip']}"
        )
    return vqvae, about, dataset


class VQVAETask:
    """See `train.loop.Task`."""

    def __init__(self, material: Material, meta: dict[str, Any], seed: int) -> None:
        torch.manual_seed(seed)
        dataset, device = material.dataset, material.device
        self.module = VQVAE().to(device)
        self.module.quantizer.codebook.requires_grad_(True)
        self._material = material
        training, validation = dataset.split(seed=seed)
        self._sampler = TransitionSampler(material, training, seed)
        self._held = torch.from_numpy(spread(dataset.transitions(validation), 4096)).to(device)
        self._priority = Priority(material, self._sampler, WORST)
        self.samples = len(self._sampler)
        self.extra = {"priority": self._priority.values}
        self.meta = {
            "kind": "vqvae",
            "frameskip": dataset.frameskip,
            "model": self.module.settings,
            "dataset": meta,
        }

    def _steps(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Frames t and t + 1, the places with memory up to t, and those that the encoder looks for."""
        material = self._material
        return material.frame(t), material.frame(t + 1), material.places(t, BALL_FRAMES), material.pair(t)

    def _start(self, step: int, generator: torch.Generator) -> None:
        """Start the codebook by k-means."""
        parts = []
        with torch.no_grad():
            for t in self._sampler.draw(-step - 1 & 0x7FFFFFFF, START_FROM // 2).tensor_split(16):
                before, after, _, pair = self._steps(t)
                which, cells = changed(before, after).nonzero(as_tuple=True)
                parts.append(self.module.encoder(before, after, which, cells, pair).float())
        self.module.quantizer.start(torch.cat(parts), generator)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """What the cells cost to draw with the codes that draw them best, and the encoder's surprise at those codes."""
        if step == 0:
            self._start(step, generator)
        t = self._sampler.draw(step, batch, self._priority.values)
        before, after, seen, pair = self._steps(t)
        self.module.learn_colours(before, after)
        which, cells = changed(before, after).nonzero(as_tuple=True)
        # Always the same number of cells where there are enough: every new shape costs time and memory anew.
        some = torch.randperm(len(cells), generator=generator, device=cells.device)[: CELLS_A_TRANSITION * batch]
        which, cells = which[some], cells[some]
        quantizer, decoder = self.module.quantizer, self.module.decoder
        vectors = self.module.encoder(before, after, which, cells, pair).float()
        book = quantizer.codebook[1:]
        logits = SHARPNESS * (2 * vectors @ book.T - book.square().sum(1))  # less squared distances, but for |v|^2
        there = (take_cells(after, which, cells) != BACKGROUND).float()
        looked = decoder.look(before, decoder.see(before, seen), which, cells)
        codes = self._assign(looked, there, logits.detach(), generator)
        drawn = decoder.paint(looked, quantizer.embed(codes))
        nats = drawing_nats(drawn, there)
        surprise = F.cross_entropy(logits, codes - 1)
        self._seen = (vectors.detach(), codes, nats.detach())
        self._set_priority(t, which, nats.detach(), batch)
        log = {
            "drawn": nats.detach().mean(),
            "encoder": surprise.detach(),
            "agrees": (logits.argmax(1) + 1 == codes).float().mean(),
            "exact_cells": ((drawn > 0) == (there > 0)).flatten(1).all(1).float().mean(),
        }
        return nats.mean() / PIXELS_PER_CELL + ENCODER_WEIGHT * surprise, log

    def _set_priority(self, t: Tensor, which: Tensor, nats: Tensor, batch: int) -> None:
        """A transition counts by its cell that was drawn worst; cells beyond those of `t` are not theirs."""
        worst = torch.full((batch,), -1.0, device=t.device).scatter_reduce(0, which, nats.float(), "amax")[: len(t)]
        drawn = worst >= 0
        self._priority.set(t[drawn], worst[drawn])

    @torch.no_grad()
    def _assign(self, looked: Looked, there: Tensor, logits: Tensor, generator: torch.Generator) -> Tensor:
        """The cheapest code (M,) of those that compete: the picture's nats and the name's."""
        near = logits.topk(NEAREST, 1).indices + 1
        others = torch.randint(1, CODES, (len(logits), OTHERS), generator=generator, device=logits.device)
        candidates = torch.cat((near, others), 1)
        quantizer, decoder = self.module.quantizer, self.module.decoder
        costs = [drawing_nats(decoder.paint(looked, quantizer.embed(codes)), there) for codes in candidates.T]
        shares = (quantizer.counts + DEAD_BELOW) / (quantizer.counts + DEAD_BELOW).sum()
        cost = torch.stack(costs, 1) - RATE_WEIGHT * shares.log()[candidates]
        return candidates.gather(1, cost.argmin(1, keepdim=True)).flatten()

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Count how often codes are taken, and move those that nobody takes to what was drawn worst."""
        vectors, codes, nats = self._seen
        quantizer = self.module.quantizer
        quantizer.count(codes)
        dead = quantizer.unused(DEAD_BELOW)
        hard = nats.argsort(descending=True)[: len(dead)]
        hard = hard[nats[hard] > HARD]
        quantizer.replace(dead[: len(hard)], vectors[hard])

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Share of changed pixels right on held-out episodes, with codes of the real pair."""
        exact = right = pixels = 0
        counts = torch.zeros(CODES, dtype=torch.int64, device=self._held.device)
        for t in self._held.tensor_split(max(1, len(self._held) // 256)):
            before, after, seen, pair = self._steps(t)
            codes = self.module.encode(before, after, pair)
            drawn = self.module.decode(before[:, None], codes, seen)
            moved = before != after
            pixels += int(moved.sum())
            right += int(((drawn == after) & moved).sum())
            exact += int((drawn == after).flatten(1).all(1).sum())
            counts += torch.bincount(codes[changed(before, after)], minlength=CODES)
        figures = {
            "changed_pixels": right / max(pixels, 1),
            "exact_frames": exact / len(self._held),
            "codes_used": int((counts > 0).sum()) + 1,
            "perplexity": _perplexity(counts),
        }
        return figures["changed_pixels"] + figures["exact_frames"], figures


def train_vqvae(
    frames: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
) -> dict[str, Any]:
    """Train on the dataset `frames` into `options.out`/vqvae.*. Returns the last validation's figures."""
    dataset = TransitionDataset.load(frames)
    meta = dataset_meta(dataset, frames)
    material = Material(dataset, device, all_places(dataset, options.out, meta, show, device))
    return train(VQVAETask(material, meta, settings.seed), VQVAE_NAME, settings, options, device, show)


def drawing_nats(logits: Tensor, there: Tensor) -> Tensor:
    """What cells cost to draw: (M, 30, 32) logits and what is there -> (M,)."""
    return F.binary_cross_entropy_with_logits(logits, there, reduction="none").flatten(1).sum(1)


def _perplexity(counts: Tensor) -> float:
    """exp of the entropy of the codes of changed cells: how many codes are in use, weighed by how often."""
    shares = counts[counts > 0].double() / counts.sum().clamp(min=1)
    return float(torch.exp(-(shares * shares.log()).sum()))
