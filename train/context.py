"""`train context`: learn to predict the codes of the next step from the key and the recent frames.

The loss is the cross-entropy of the 35 codes: the negative log-likelihood of the whole grid, a third of it, since two
or three cells of 35 change in a step.

Most steps are free flight and soon well known, so a transition is drawn the more often the less likely its codes were
when it was last seen (`train.sampling.Priority`).
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

from collect.dataset import TransitionDataset
from model.breakout import CELLS, CODES
from model.context_controller import ContextController
from model.pixels import changed
from model.quantizer import UNCHANGED
from model.vqvae import VQVAE
from model.world_model import CONTEXT_NAME
from train.loop import LoopSettings, RunOptions, train
from train.sampling import Priority, TransitionSampler, spread
from train.vqvae import dataset_meta, load_both

CELLS_A_STEP = 3.0


@torch.no_grad()
def encode_dataset(
    vqvae: VQVAE, dataset: TransitionDataset, device: torch.device, show: Callable[[float], None] = lambda share: None
) -> npt.NDArray[np.uint8]:
    """The codes of every transition: (N, 35) uint8, zeros at the last frame of each episode."""
    codes = np.zeros((len(dataset.index), CELLS), np.uint8)
    transitions = dataset.transitions()
    for start in range(0, len(transitions), 256):
        t = transitions[start : start + 256]
        frames = torch.from_numpy(dataset.frame(np.stack((t, t + 1)))).to(device)
        codes[t] = vqvae.encode(frames[0], frames[1]).cpu().numpy()
        show(start / len(transitions))
    return codes


def majority_codes(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The most frequent code at each of the 35 positions: (N, 35) -> (35,). The lower code wins a tie."""
    return np.array([np.bincount(column, minlength=CODES).argmax() for column in codes.T], np.int64)


class ContextTask:
    """See `train.loop.Task`. `vqvae` is frozen; it gives the codes to predict and draws the frames to judge."""

    def __init__(
        self,
        vqvae: VQVAE,
        dataset: TransitionDataset,
        codes: npt.NDArray[np.uint8],
        meta: dict[str, Any],
        device: torch.device,
        seed: int,
        model: dict[str, int] | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.module = ContextController(**(model or {})).to(device)
        self._vqvae, self._dataset, self._codes, self._device = vqvae, dataset, codes, device
        training, validation = dataset.split(seed=seed)
        self._sampler = TransitionSampler(dataset, training, seed)
        self._held = spread(dataset.transitions(validation), 2048)
        self.samples = len(self._sampler)
        self._priority = Priority(dataset, self._sampler)
        self.extra = {"priority": self._priority.values}
        self.meta = {
            "kind": "context",
            "frameskip": dataset.frameskip,
            "model": self.module.settings,
            "majority": majority_codes(codes[self._sampler.transitions]).tolist(),
            **meta,
        }

    def _inputs(self, t: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """History, codes of the last steps, action, and the codes to predict."""
        numbers = self._dataset.history(t, self.module.context)
        steps = numbers[:, -self.module.past - 1 :]
        # Before an episode's start its first frame repeats: nothing changes in those steps.
        past = self._codes[steps[:, :-1]] * (steps[:, :-1] != steps[:, 1:])[..., None]
        return (
            torch.from_numpy(self._dataset.frame(numbers)).to(self._device),
            torch.from_numpy(past.astype(np.int64)).to(self._device),
            torch.from_numpy(self._dataset.actions[t].astype(np.int64)).to(self._device),
            torch.from_numpy(self._codes[t].astype(np.int64)).to(self._device),
        )

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of the grid's codes."""
        priority = self._priority.values
        t = self._sampler.draw(step, batch, priority.numpy())
        history, past, action, codes = self._inputs(t)
        logits = self.module(history, past, action)
        nll = F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="none").reshape(codes.shape).sum(1)
        self._priority.set(t, nll)
        loss = nll.mean() / CELLS_A_STEP
        moved = codes != UNCHANGED
        right = (logits.argmax(-1) == codes)[moved].float().mean().item() if moved.any() else 1.0
        return loss, {"dynamic_accuracy": right, "priority": priority.mean().item()}

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Nothing to do."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """Exact frames and changed pixels right on held-out episodes, one step from real history."""
        exact = right = pixels = code_right = cell_right = cells = 0
        nll = 0.0
        for t in np.array_split(self._held, max(1, len(self._held) // 128)):
            history, past, action, codes = self._inputs(t)
            logits = self.module(history, past, action)
            nll += F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="sum").item()
            chosen = logits.argmax(-1)
            after = torch.from_numpy(self._dataset.frame(t + 1)).to(self._device)
            drawn = self._vqvae.decode(history, chosen)
            moved = after != history[:, -1]
            pixels += int(moved.sum())
            right += int(((drawn == after) & moved).sum())
            exact += int((drawn == after).flatten(1).all(1).sum())
            dynamic = changed(history[:, -1], after)
            code_right += int((chosen == codes).sum())
            cell_right += int((chosen == codes)[dynamic].sum())
            cells += int(dynamic.sum())
        figures = {
            "changed_pixels": right / max(pixels, 1),
            "exact_frames": exact / len(self._held),
            "code_accuracy": code_right / (len(self._held) * CELLS),
            "dynamic_accuracy": cell_right / max(cells, 1),
            "nll": nll / len(self._held),
        }
        return figures["changed_pixels"] + figures["exact_frames"], figures


def train_context(
    frames: Path,
    weights: Path,
    settings: LoopSettings,
    options: RunOptions,
    device: torch.device,
    show: Callable[[float, str], None] = lambda progress, text: None,
    model: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Train on the dataset `frames` for the codes of the VQ-VAE in `weights`, into `options.out`/context.*.

    FileError if the dataset is of another frame skip. Returns the last validation's figures.
    """
    vqvae, _, dataset = load_both(weights, frames)
    vqvae = vqvae.to(device)
    codes = encode_dataset(vqvae, dataset, device, lambda share: show(0.0, f"encoding the dataset: {share:.0%}"))
    meta = {
        "dataset": dataset_meta(dataset, frames),
        "codes_sha256": vqvae.codes_sha256(),
    }
    task = ContextTask(vqvae, dataset, codes, meta, device, settings.seed, model)
    return train(task, CONTEXT_NAME, settings, options, device, show)
