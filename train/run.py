"""What a training run is: how long and how to train, where to, and what there is to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from console import Show

FREE = ("rate", "minutes", "epochs", "validate_every", "log_every")
"""Settings that a resumed run may change: they are no part of what makes a checkpoint fit."""
LEAST_RATE = 0.01
COARSE_UNTIL = 0.7
"""The share of a run in which tasks may compute in bfloat16."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """How long and how to train. One of `minutes` and `epochs` is set; an epoch is as many samples as the data has.

    Raises ValueError for neither, both, or a length that is not above 0.
    """

    batch: int
    rate: float
    seed: int = 0
    minutes: float | None = None
    epochs: float | None = None
    warmup: int = 100
    clip: float = 5.0
    decay: float = 0.02
    validate_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise ValueError("give either minutes or epochs")
        if not (self.minutes or self.epochs or 0) > 0:
            raise ValueError("minutes and epochs must be above 0")


@dataclass(frozen=True)
class Run:
    """All of a run but what is trained: settings, where to, on what, and who hears of it."""

    out: Path
    settings: Settings
    device: torch.device = CPU
    resume: bool = False
    tensorboard: bool = False
    wandb: bool = False
    show: Show = lambda share, text: None


class Task:
    """What is trained; each network has one of its own.

    module    the network whose parameters are trained; its tensors have the names that they have in the `Twin`
    samples   how many samples an epoch is
    meta      goes into every checkpoint; one that differs in it is refused
    extra     tensors beside the weights that a resumed run needs back
    progress  the share of the run that is done, 0..1; the loop sets it before each step
    """

    module: nn.Module
    samples: int
    meta: dict[str, Any]

    def __init__(self) -> None:
        self.extra: dict[str, Tensor] = {}
        self.progress = 0.0

    def coarse(self) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16, which takes half the time, but for the last part of the run, which settles the
        weights in full precision."""
        device = next(self.module.parameters()).device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.progress < COARSE_UNTIL)

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of step `step`, to be minimised, and figures for the log. `generator` is of the training device."""
        raise NotImplementedError

    def after_step(self, step: int, generator: torch.Generator) -> None:
        """Called after the optimiser's step."""

    def validate(self) -> tuple[float, dict[str, Any]]:
        """The score that the best checkpoint is chosen by (higher is better), and figures for the log."""
        raise NotImplementedError


def choose_device(name: str) -> torch.device:
    """`auto` (a CUDA GPU if there is one), `cpu` or `cuda`. Raises ValueError for another, or one that is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no CUDA GPU here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def learning_rate(settings: Settings, step: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then linear in `progress` 0..1 down to a hundredth."""
    warm = min(1.0, (step + 1) / settings.warmup)
    return settings.rate * warm * (1 - (1 - LEAST_RATE) * min(1.0, progress))
