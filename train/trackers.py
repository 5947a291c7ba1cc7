"""Where training figures go: JSON lines always, TensorBoard and Weights & Biases when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from model.files import UserError


def _flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            yield prefix + key, float(value)


class Tracker(ExitStack):
    """Appends to `directory`/`name`_log.jsonl, and to the extras asked for, which it closes when its context ends.

    UserError, in one line, if Weights & Biases is not installed or not set up.
    """

    def __init__(self, directory: Path, name: str, tensorboard: bool = False, wandb: bool = False) -> None:
        super().__init__()
        self._path, self._board, self._wandb = directory / f"{name}_log.jsonl", None, None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(directory / "tensorboard"))
            self.callback(self._board.close)
        if wandb:
            try:
                from wandb import init

                self._wandb = init(project="neural-breakout", name=name, dir=str(directory))
            except ImportError:
                raise UserError('--wandb needs its package: pip install -e ".[wandb]"') from None
            except Exception as error:  # wandb's own kinds, of which there are many
                text = f"--wandb is not set up ({error}); run `wandb login`, or set WANDB_MODE=offline"
                raise UserError(text) from None
            self.callback(self._wandb.finish)
        if self._path.exists():
            with open(self._path, "rb+") as file:  # cut off what a kill left of a line
                file.truncate(file.read().rfind(b"\n") + 1)

    def log(self, figures: dict[str, Any]) -> None:
        """One line; `figures` holds "step" and may nest."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        flat = dict(_flat(figures))
        step = int(flat.pop("step", 0))
        if self._board is not None:
            for key, value in flat.items():
                self._board.add_scalar(key, value, step)
        if self._wandb is not None:
            self._wandb.log(flat, step=step)
