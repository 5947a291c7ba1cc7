"""What training is shown: a dataset's RAM as things and memory, on the device that trains.

The networks learn on what is there, not on pixels: the emulator's RAM says where ball and paddle are, which bricks
stand, and what no frame shows. At play the tracker says the first from pixels, and the memory carries the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from collect.knob import places
from collect.ram import read
from model.breakout import BALL_ROWS
from model.state import HISTORY, SIGNED_SPEEDS, SIZES, State, Things

UNTAUGHT = -1
"""In place of the class of a variable that RAM does not tell."""


@dataclass(frozen=True)
class Data:
    """N frames of a dataset as the networks see them, with batches drawn by number.

    objects (N, 4) int16: ball row and column, paddle column and width; wall (N, 6, 18) uint8; board (N, 4) uint8;
    memory (N, V) int16, the truth, `UNTAUGHT` where it is not known; action (N,) uint8, taken at each frame;
    first (N,) int64, where the frame's episode begins; steps (T,) int64, the frames that another one follows.
    """

    objects: Tensor
    wall: Tensor
    board: Tensor
    memory: Tensor
    action: Tensor
    first: Tensor
    steps: Tensor

    @classmethod
    def of(cls, dataset: TransitionDataset, episodes: np.ndarray | None = None) -> Data:
        """A dataset's frames; the `steps` are those of the given episodes alone."""
        game = read(dataset.ram)
        row = np.clip(game.ball_row, 0, BALL_ROWS - 1)
        column = np.where(row > 0, game.ball_column, 0)
        objects = np.stack((row, column, game.paddle_column, game.paddle_width), 1).astype(np.int16)
        first = np.repeat(dataset.first[:-1], np.diff(dataset.first))
        score, lives = shown(game.score, first), shown(game.lives, first)
        board = np.stack((score // 100, score // 10 % 10, score % 10, lives), 1).astype(np.uint8)
        # What the screen shows of score and lives in an episode's first frame, RAM does not say.
        steps = dataset.transitions(episodes)
        return cls(
            *(torch.from_numpy(part) for part in (objects, game.wall.astype(np.uint8), board, memory_of(dataset))),
            torch.from_numpy(dataset.actions.copy()),
            torch.from_numpy(first),
            torch.from_numpy(steps[steps > first[steps]]),
        )

    def to(self, device: torch.device) -> Data:
        """The same on a device."""
        return Data(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def state(self, t: Tensor, memory: Tensor | None = None) -> State:
        """The states at frames t (B,), with what RAM says for memory, or another one. The frame itself is left out."""
        back = torch.arange(1 - HISTORY, 1, device=t.device)
        objects = self.objects[torch.maximum(t[:, None] + back, self.first[t][:, None])].long()
        truth = self.memory[t].long().clamp(min=0) if memory is None else memory
        return State(t, objects, self.wall[t], self.board[t].long(), truth, truth)  # type: ignore[arg-type]

    def things(self, t: Tensor) -> Things:
        """What is there at frames t (B,)."""
        objects = self.objects[t].long()
        return Things(objects[:, :2], objects[:, 2:], self.wall[t], self.board[t].long())


def shown(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """What the screen shows of score or lives (N,): it is a frame behind RAM. `first` (N,): each frame's episode."""
    return values[np.maximum(np.arange(len(values)) - 1, first)]


def memory_of(dataset: TransitionDataset) -> np.ndarray:
    """The true class of each variable of the memory at each frame, from RAM: (N, V) int16."""
    game = read(dataset.ram)
    speeds = {speed: number + 1 for number, speed in enumerate(SIGNED_SPEEDS)}
    pairs = np.stack((game.row_speed, game.column_speed), 1) / 256
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    speed = np.array([speeds.get(tuple(pair), UNTAUGHT) for pair in distinct.tolist()])[which.reshape(-1)]
    first = np.repeat(dataset.first[:-1], np.diff(dataset.first))
    due = np.clip(game.score.astype(np.int64) - shown(game.score, first), 0, 7)
    knob = places(dataset.ram, dataset.actions, dataset.first, dataset.frameskip)
    parts = (
        speed,
        game.row_fraction // 32 + 1,
        game.column_fraction // 128 + 1,
        np.minimum(game.hits, 12) + 1,
        game.fast + 1,
        game.contact + 1,
        game.steep + 1,
        game.clock % 4 + 1,
        np.array([1, 2, UNTAUGHT, UNTAUGHT, 3, UNTAUGHT, UNTAUGHT, 4])[due],
        (game.lives != shown(game.lives, first)) + 1,
        np.where(knob >= 0, knob + 1, UNTAUGHT),
    )
    assert len(parts) == len(SIZES)
    return np.stack(parts, 1).astype(np.int16)


def interesting(data: Data) -> Tensor:
    """How often each of the `steps` is to be drawn, (T,) float32, 1 for free flight: more where something happens."""
    t = data.steps
    speed = data.memory[:, 0]
    turned = speed[t] != speed[t + 1]
    broke = (data.wall[t] != data.wall[t + 1]).flatten(1).any(1)
    counted = (data.board[t] != data.board[t + 1]).any(1)
    ball = (data.objects[t, 0] > 0) != (data.objects[t + 1, 0] > 0)
    return 1 + 9 * (turned | broke | counted | ball).float()
