"""Where training figures go: JSON lines always, TensorBoard and Weights & Biases when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from model.files import UserError

WANDB_PROJECT = "neural-breakout"


def _flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}/"))
        elif isinstance(value, (int, float)):
            flat[prefix + key] = float(value)
    return flat


class Tracker:
    """Appends to `directory`/`name`_log.jsonl, and to the extras asked for. A context manager.

    UserError, in one line, if an extra is not installed or not set up.
    """

    def __init__(self, directory: Path, name: str, tensorboard: bool = False, wandb: bool = False) -> None:
        self._path = directory / f"{name}_log.jsonl"
        self._board = _open_tensorboard(directory / "tensorboard") if tensorboard else None
        self._wandb = _open_wandb(directory, name) if wandb else None
        self._drop_half_line()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

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


def _open_tensorboard(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError('--tensorboard needs its package: pip install -e ".[tensorboard]"') from None
    return SummaryWriter(str(directory))


def _open_wandb(directory: Path, name: str) -> Any:
    try:
        import wandb
    except ImportError:
        raise UserError('--wandb needs its package: pip install -e ".[wandb]"') from None
    try:
        return wandb.init(project=WANDB_PROJECT, name=name, dir=str(directory))
    except Exception as error:  # its own kinds, of which there are many
        raise UserError(f"--wandb is not set up ({error}); run `wandb login`, or set WANDB_MODE=offline") from None
