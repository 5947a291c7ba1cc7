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
        self._path, self._board, self._wandb = directory / f"{name}_log.jsonl", None, None
        extra = "tensorboard" if tensorboard else "wandb"
        try:
            if tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                self._board, extra = SummaryWriter(str(directory / "tensorboard")), "wandb"
            if wandb:
                from wandb import init

                self._wandb = init(project=WANDB_PROJECT, name=name, dir=str(directory))
        except ImportError:
            raise UserError(f'--{extra} needs its package: pip install -e ".[{extra}]"') from None
        except Exception as error:  # wandb's own kinds, of which there are many
            if extra == "tensorboard":
                raise
            text = f"--wandb is not set up ({error}); run `wandb login`, or set WANDB_MODE=offline"
            raise UserError(text) from None
        if self._path.exists():
            with open(self._path, "rb+") as file:  # cut off what a kill left of a line
                file.truncate(file.read().rfind(b"\n") + 1)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

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
