"""What training is shown: a dataset's RAM as things and memory, on the device that trains.

The networks learn on what is there, not on pixels: the emulator's RAM says where ball and paddle are, which bricks
stand, and what no frame shows. At play the tracker says the first from pixels, and the memory carries the rest."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from collect.dataset import MANIFEST, Episode, TransitionDataset, read_episodes, read_manifest
from collect.emulator import Emulator
from collect.ram import KNOB_CENTRE, hidden, knob_places, read
from console import Show
from model.breakout import BALL_ROWS, PALETTE
from model.files import FileError, checksum
from model.state import FRACTIONS, HISTORY, INDEX, NOT_KNOWN, State, Things

UNTAUGHT = -1  # in place of the class of a variable that RAM does not tell
PARTLY = 0.5  # where more of the memory is hidden than this, the row's fraction may be wholly so


@dataclass(frozen=True)
class Data:
    """N frames of a dataset as the networks see them, with batches drawn by number. objects (N, 4) int16: ball row and
    column, paddle column and width; wall (N, 6, 18) uint8; board (N, 4) uint8; memory (N, V) int16, the truth,
    `UNTAUGHT` where it is not known; action (N,) uint8, taken at each frame; first (N,) int64, where the frame's
    episode begins; steps (T,) int64, the frames that another one follows."""

    objects: Tensor
    wall: Tensor
    board: Tensor
    memory: Tensor
    action: Tensor
    first: Tensor
    steps: Tensor

    @classmethod
    def split(cls, dataset: TransitionDataset, device: torch.device | str = "cpu") -> tuple[Self, Self]:
        """For training and held out: the same frames, and the steps of other episodes. FileError as the dataset's, and
        if either has none, as of scenes of one step each."""
        whole = cls(*(part.to(device) for part in vars(cls.of(dataset)).values()))
        steps = (torch.from_numpy(dataset.transitions(part)).to(device) for part in dataset.split())
        training, held = (replace(whole, steps=part[part > whole.first[part]]) for part in steps)
        if not len(training.steps) or not len(held.steps):
            raise FileError("the dataset has too few steps to train on and to hold out: collect more, longer episodes")
        return training, held

    @classmethod
    def of(cls, dataset: TransitionDataset) -> Self:
        """All frames of a dataset."""
        game, first = read(dataset.ram), np.repeat(dataset.first[:-1], np.diff(dataset.first))  # first: (N,) int64
        row = np.clip(game.ball_row, 0, BALL_ROWS - 1)  # (N,) 0..223: a lost ball falls on, out of sight
        column = np.where(row > 0, game.ball_column, 0)  # so that no ball is always the same place, (0, 0)
        objects = np.stack((row, column, game.paddle_column, game.paddle_width), 1).astype(np.int16)
        behind = np.maximum(np.arange(len(first)) - 1, first)  # the screen shows score and lives a frame later
        board = game.board()[behind]  # (N, 4) uint8
        knob = knob_places(dataset.ram, dataset.actions, dataset.first, dataset.frameskip)  # (N,), -1: unknown
        memory = hidden(game, board, knob).astype(np.int16)  # (N, V)
        # What the screen shows of score and lives in an episode's first frame, RAM does not say.
        steps = dataset.transitions()
        steps = steps[steps > first[steps]]
        wall = game.wall.astype(np.uint8)
        return cls(*map(torch.from_numpy, (objects, wall, board, memory, dataset.actions, first, steps)))

    def state(self, t: Tensor, memory: Tensor | None = None) -> State:
        """The states at frames t (B,), with what RAM says for memory, or another one. The frame itself is left out."""
        back = torch.arange(1 - HISTORY, 1, device=t.device)  # -3..0; before an episode's first frame, that one again
        objects = self.objects[torch.maximum(t[:, None] + back, self.first[t][:, None])].long()  # (B, 4, 4)
        truth = self.memory[t].long().clamp(min=0) if memory is None else memory  # (B, V); untaught is not known
        return State(t, objects, self.wall[t], self.board[t].long(), truth, truth)  # t where the frame would be

    def things(self, t: Tensor) -> Things:
        """What is there at frames t (B,)."""
        objects = self.objects[t].long()
        return Things(objects[:, :2], objects[:, 2:], self.wall[t], self.board[t].long())


def interesting(data: Data) -> Tensor:
    """How often each of the `steps` is to be drawn, (T,) float32, 1 for free flight: more where something happens."""
    t, speed = data.steps, data.memory[:, 0]  # speed: (N,) int16, its class
    turned = speed[t] != speed[t + 1]  # (T,) bool
    broke = (data.wall[t] != data.wall[t + 1]).flatten(1).any(1)
    counted = (data.board[t] != data.board[t + 1]).any(1)
    ball = (data.objects[t, 0] > 0) != (data.objects[t + 1, 0] > 0)
    return 1 + 9 * (turned | broke | counted | ball).float()


class Sampler:
    """Draws from the data's `steps`, each as often as it is `interesting`."""

    def __init__(self, data: Data) -> None:
        # The weights added up, (T,) float64: a step is where a random number falls among them.
        self._upto = interesting(data).double().cumsum(0)  # float32 would lose single steps from 2**24 on

    def __call__(self, batch: int, generator: torch.Generator) -> Tensor:
        """Numbers (B,) int64 among the `steps`, drawn with replacement."""
        drawn = torch.rand(batch, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.searchsorted(self._upto, drawn * self._upto[-1]).clamp(max=len(self._upto) - 1)


def held_out(data: Data, most: int = 10_000) -> dict[str, Tensor]:
    """The steps that a validation looks at, by number among `steps`: of those where something happens, and of all."""
    generator = torch.Generator().manual_seed(0)  # the CPU's: the same steps for every device
    steps, happens = torch.arange(len(data.steps)), torch.nonzero(interesting(data) > 1)[:, 0].cpu()
    kinds = {"events": happens if len(happens) else steps, "steps": steps}
    chosen = {name: part[torch.randperm(len(part), generator=generator)[:most]] for name, part in kinds.items()}
    return {name: part.sort().values.to(data.steps.device) for name, part in chosen.items()}


def taught_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, n) against classes (B,), where they are 0 or more; 0 if none is."""
    total = F.cross_entropy(logits, wanted.clamp(min=-1), ignore_index=-1, reduction="sum")
    return total / (wanted >= 0).sum().clamp(min=1)  # cross_entropy's own mean would be nan where none is


def hide(memory: Tensor, generator: torch.Generator, whole: float = 0.5, wrong: float = 0.0) -> Tensor:
    """What a network is told of the true memory (B, V): in a `whole` share of the rows all that RAM tells, elsewhere a
    random part is not known, and a share of the known is `wrong`."""
    games, device = len(memory), generator.device
    rate = torch.rand(games, 1, generator=generator, device=device)  # (B, 1): how much of each row is hidden
    rate = rate * (torch.rand(games, 1, generator=generator, device=device) >= whole)
    hidden = torch.rand(memory.shape, generator=generator, device=device) < rate  # (B, V) bool
    if wrong:
        other = memory[torch.randint(games, (games,), generator=generator, device=device)]  # (B, V), of other rows
        mistaken = torch.rand(memory.shape, generator=generator, device=device) < wrong
        memory = torch.where(mistaken, other, memory)
    told = torch.where(hidden | (memory < 0), NOT_KNOWN, memory)
    # Of the row's fraction a part is known where it is hidden: other eighths are possible too.
    number = INDEX["half_row"]  # its class is a set, bit n for n/8; all eight together are as good as not known
    chance = torch.rand(games, 1, generator=generator, device=device)
    others = torch.rand(games, FRACTIONS, generator=generator, device=device) < chance  # (B, 8) bool
    others = (others * 2 ** torch.arange(FRACTIONS, device=device)).sum(1)  # (B,) 0..255: their bits
    possible = torch.where(rate[:, 0] > 0, memory[:, number] | others, memory[:, number]) % ((1 << FRACTIONS) - 1)
    told[:, number] = torch.where(hidden[:, number] & (rate[:, 0] > PARTLY), NOT_KNOWN, possible)
    return told


def load_frames(directories: Sequence[Path], show: Show, pictures: bool = True) -> TransitionDataset:
    """Several datasets as one. Without `pictures` cells and index are left blank: RAM and actions are all that the
    memory and the controller learn from, and pictures take most of the memory. FileError if one is missing, damaged or
    of another frame skip than the first."""
    manifests = {directory: read_manifest(directory) for directory in directories}
    skip = manifests[directories[0]]["frameskip"]
    for directory, manifest in manifests.items():
        if (found := manifest["frameskip"]) != skip:
            raise FileError(f"{directory} is of frame skip {found}, {directories[0]} of {skip}")
    total = sum(len(manifest["episodes"]) for manifest in manifests.values())

    def episodes() -> Iterator[Episode]:
        done = 0
        for directory, manifest in manifests.items():
            for episode in read_episodes(directory, manifest):
                yield episode if pictures else replace(episode, cells=episode.cells[:1], index=episode.index * 0)
                done += 1
                show(done / total, f"preparing: reading {directory}")

    digests = "".join(checksum(directory / MANIFEST) for directory in directories)
    about = {
        "sha256": hashlib.sha256(digests.encode()).hexdigest(),
        "transitions": sum(entry["transitions"] for m in manifests.values() for entry in m["episodes"]),
        "policies": [manifest.get("policy") for manifest in manifests.values()],
    }
    return TransitionDataset(episodes(), {"frameskip": skip, "dataset": about})


def about(dataset: TransitionDataset) -> dict[str, Any]:
    """What a checkpoint says of the data that it was trained on."""
    of = dataset.manifest.get("dataset")
    return {"frameskip": dataset.frameskip, "dataset": of, "palette": PALETTE.tolist()}


def fresh_memory(frameskip: int) -> list[int]:
    """The classes of the memory in the first frame of a game: the same for every game."""
    game = read(Emulator(frameskip).ram()[None])  # RAM (1, 128)
    return hidden(game, game.board(), np.array([KNOB_CENTRE]))[0].tolist()
