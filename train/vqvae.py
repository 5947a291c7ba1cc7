"""`train vqvae`: learn the codes of what changes between two frames.

The loss is the cross-entropy of the drawn cell's pixels over the nine classes, plus the commitment of the encoder's
vectors to their codes. For the first steps vectors pass unquantised; then k-means on real vectors starts the codebook.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from collect.dataset import MANIFEST, TransitionDataset
from model.breakout import CODES
from model.files import FileError, checksum
from model.pixels import changed, middle, windows
from model.vqvae import VQVAE
from model.world_model import VQVAE_NAME, load_vqvae
from train.loop import LoopSettings, RunOptions, train
from train.sampling import TransitionSampler, spread

COMMITMENT = 0.25
CELLS_A_TRANSITION = 2
"""Changed cells that a batch holds, per transition drawn; two to three change in a step."""
PIXELS_PER_CELL = 24.0
"""About how many pixels of a changed cell change: the cross-entropy, summed over a cell, is divided by it."""


def dataset_meta(dataset: TransitionDataset, directory: Path) -> dict[str, Any]:
    """What a checkpoint says of its data."""
    names = ("policy", "frameskip", "seed", "transitions")
    return {**{name: dataset.manifest.get(name) for name in names}, "manifest_sha256": checksum(directory / MANIFEST)}


def load_both(weights: Path, frames: Path) -> tuple[VQVAE, dict[str, Any], TransitionDataset]:
    """A trained VQ-VAE, its settings, and a dataset. FileError if they are of different frame skips."""
    vqvae, about = load_vqvae(weights)
    dataset = TransitionDataset.load(frames)
    if dataset.frameskip != about["frameskip"]:
        raise FileError(
            f"dataset {frames} has frame skip {dataset.frameskip}, the VQ-VAE in {weights} has {about['frameskip']}"
        )
    return vqvae, about, dataset


class VQVAETask:
    """See `train.loop.Task`. `start_at` is the step at which quantisation begins."""

    def __init__(
        self, dataset: TransitionDataset, meta: dict[str, Any], device: torch.device, seed: int, start_at: int = 600
    ) -> None:
        torch.manual_seed(seed)
        self.module = VQVAE().to(device)
        self._device, self._dataset, self._start_at = device, dataset, start_at
        training, validation = dataset.split(seed=seed)
        self._sampler = TransitionSampler(dataset, training, seed)
        self._held = spread(dataset.transitions(validation), 4096)
        self.samples = len(self._sampler)
        self.extra: dict[str, Tensor] = {}
        self.meta = {
            "kind": "vqvae",
            "frameskip": dataset.frameskip,
            "model": self.module.settings,
            "start_at": start_at,
            "dataset": meta,
        }

    def _triples(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Frames t - 1 (at an episode's start its first frame again), t and t + 1."""
        numbers = np.stack((*self._dataset.history(t, 2).T, t + 1))
        earlier, before, after = torch.from_numpy(self._dataset.frame(numbers)).to(self._device)
        return earlier, before, after

    def _pairs(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        before, after = torch.from_numpy(self._dataset.frame(np.stack((t, t + 1)))).to(self._device)
        return before, after

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Reconstruction plus commitment, per changed cell."""
        before, after = self._pairs(self._sampler.draw(step, batch))
        which, cells = changed(before, after).nonzero(as_tuple=True)
        # Always the same number of cells where there are enough: every new shape costs time and memory anew.
        some = torch.randperm(len(cells), generator=generator)[: CELLS_A_TRANSITION * batch].to(self._device)
        which, cells = which[some], cells[some]
        old, new = windows(before, which, cells), windows(after, which, cells)
        vectors = self.module.encoder(old, new).float()
        if step < self._start_at:
            passed, commitment, perplexity = vectors, vectors.new_zeros(()), 0.0
            self._seen: tuple[Tensor, ...] = (vectors.detach(),)
        else:
            quantizer = self.module.quantizer
            if step == self._start_at:
                quantizer.start(self._vectors(step, max(4 * batch, 512)), generator)
            codes = quantizer(vectors.detach())
            chosen = quantizer.embed(codes)
            commitment = F.mse_loss(vectors, chosen)
            passed = vectors + (chosen - vectors).detach()
            self._seen = (vectors.detach(), codes)
            perplexity = _perplexity(torch.bincount(codes, minlength=CODES))
        logits = self.module.decoder(old, passed, cells)
        drawn = F.cross_entropy(logits, middle(new).long(), reduction="sum")
        drawn = drawn / (max(len(cells), 1) * PIXELS_PER_CELL)
        log = {"drawn": drawn.item(), "commitment": commitment.item(), "perplexity": perplexity}
        return drawn + COMMITMENT * commitment, log

    def _vectors(self, step: int, count: int) -> Tensor:
        """Vectors of `count` transitions, to start the codebook from."""
        parts = []
        with torch.no_grad():
            for t in np.array_split(self._sampler.draw(-step % 2**31, count), 8):
                before, after = self._pairs(t)
                which, cells = changed(before, after).nonzero(as_tuple=True)
                parts.append(self.module.encoder(windows(before, which, cells), windows(after, which, cells)).float())
        return torch.cat(parts)

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Move the codebook toward the batch."""
        if len(self._seen) > 1:
            vectors, codes = self._seen
            self.module.quantizer.update(vectors, codes, generator)

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Share of changed pixels right on held-out episodes, with codes of the real pair."""
        exact = right = pixels = 0
        counts = torch.zeros(CODES, dtype=torch.int64, device=self._device)
        for t in np.array_split(self._held, max(1, len(self._held) // 256)):
            earlier, before, after = self._triples(t)
            codes = self.module.encode(before, after)
            drawn = self.module.decode(torch.stack((earlier, before), 1), codes)
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
    start_at: int = 600,
) -> dict[str, Any]:
    """Train on the dataset `frames` into `options.out`/vqvae.*. Returns the last validation's figures."""
    dataset = TransitionDataset.load(frames)
    task = VQVAETask(dataset, dataset_meta(dataset, frames), device, settings.seed, start_at)
    return train(task, VQVAE_NAME, settings, options, device, show)


def _perplexity(counts: Tensor) -> float:
    """exp of the entropy of the codes of changed cells: how many codes are in use, weighed by how often."""
    shares = counts[counts > 0].double() / counts.sum().clamp(min=1)
    return float(torch.exp(-(shares * shares.log()).sum()))
