"""Where training figures go: JSON lines always, TensorBoard and wandb as extras that are off by default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WANDB_PROJECT = "atari-action-to-latent"


def _flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}/"))
        elif isinstance(value, (int, float)):
            flat[prefix + key] = float(value)
    return flat


class Tracker:
    """Appends to `directory`/`name`_log.jsonl, and to the extras asked for.

    ValueError if an extra's package is not installed.
    """

    def __init__(self, directory: Path, name: str, tensorboard: bool = False, wandb: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{name}_log.jsonl"
        self._drop_half_line()
        self._board: Any = None
        self._wandb: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise ValueError('--tensorboard needs its package: pip install -e ".[tensorboard]"') from None
            self._board = SummaryWriter(str(directory / "tensorboard"))
        if wandb:
            try:
                import wandb as package
            except ImportError:
                raise ValueError('--wandb needs its package: pip install -e ".[wandb]"') from None
            self._wandb = package.init(project=WANDB_PROJECT, name=name, dir=str(directory))

    def _drop_half_line(self) -> None:
        """Cut off what a kill left of a line, so that the next one begins where a line begins."""
        if self._path.exists():
            with open(self._path, "rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def log(self, figures: dict[str, Any]) -> None:
        """One line; `figures` holds "step" and may nest."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        flat = _flat(figures)
        step = int(flat.pop("step", 0))
        if self._board is not None:
            for key, value in flat.items():
                self._board.add_scalar(key, value, step)
        if self._wandb is not None:
            self._wandb.log(flat, step=step)

    def close(self) -> None:
        """Flush the extras."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()
