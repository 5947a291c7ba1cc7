"""A dataset as tensors on the device that trains with it, so that no step waits for data from somewhere else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from collect.stopwatch import MAKING_DATA
from model.breakout import CELL_COLUMNS, CELL_ROWS, COLUMNS, GRID_COLUMNS, GRID_ROWS, NO_ACTION, ROWS


class Material:
    """Frames, actions and places of a dataset by frame number. On a CPU the frames are the dataset's own memory.

    actions  (N,)  int64, the action taken at each frame
    lives    (N,)  uint8
    start    (N,)  int64, the first frame of each frame's episode
    """

    def __init__(
        self, dataset: TransitionDataset, device: torch.device, seen: npt.NDArray[np.int16] | None = None
    ) -> None:
        """`seen` (2, N, 5) as `train.places.all_places` gives it; without it there are frames only."""
        self.dataset, self.device = dataset, device
        self._cells, self._index = (
            torch.from_numpy(dataset.cells).to(device),
            torch.from_numpy(dataset.index).to(device),
        )
        self.actions = torch.from_numpy(dataset.actions.astype(np.int64)).to(device)
        self.lives = torch.from_numpy(dataset.lives).to(device)
        self.start = torch.from_numpy(np.repeat(dataset.first[:-1], np.diff(dataset.first))).to(device)
        self._places = None if seen is None else torch.from_numpy(seen).to(device)

    def frame(self, t: Tensor) -> Tensor:
        """Frames by number (...,): (..., 210, 160) uint8 classes."""
        with MAKING_DATA:
            cells = self._cells[self._index[t].long()]
            grid = cells.view(-1, GRID_COLUMNS, GRID_ROWS, CELL_ROWS, CELL_COLUMNS).permute(0, 2, 3, 1, 4)
            return grid.reshape(*t.shape, ROWS, COLUMNS)

    def history(self, t: Tensor, length: int) -> Tensor:
        """As `TransitionDataset.history`: numbers (..., length) up to and with t, an episode's first one repeated."""
        return torch.maximum(t[..., None] + torch.arange(1 - length, 1, device=self.device), self.start[t][..., None])

    def led_by(self, t: Tensor) -> Tensor:
        """The actions that led to frames t (...,), `NO_ACTION` to an episode's first one."""
        return torch.where(self.start[t] == t, NO_ACTION, self.actions[(t - 1).clamp(min=0)])

    def places(self, t: Tensor, length: int) -> Tensor:
        """Places with memory (B, length, 6) int64 of the frames up to and with t (B,); see `model.memory`."""
        with MAKING_DATA:
            numbers = self.history(t, length)
            seen = self._look(0, numbers)
            return torch.cat((seen[..., :3], self.led_by(numbers)[..., None], seen[..., 3:]), -1)

    def place(self, t: Tensor) -> Tensor:
        """The places (B, 3) int64 in frames t (B,), given the frames before."""
        return self._look(0, t)[..., :3]

    def pair(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """What `Encoder.forward` calls `seen`, of the steps from frames t (B,): (B, 3) int64 twice."""
        return self._look(1, t)[:, :3], self._look(0, t + 1)[:, :3]

    def _look(self, direction: int, t: Tensor) -> Tensor:
        if self._places is None:
            raise ValueError("this material holds frames only")
        return self._places[direction, t].long()
