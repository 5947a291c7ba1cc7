"""Transition datasets: whole episodes in a folder, lossless, and in memory, frame by frame.

DIR/settings.json              what the dataset depends on, written first
DIR/episode-00000.safetensors  an episode: the arrays of `episode_arrays`
DIR/manifest.json              schema, frame skip, policy, seed, counts, and per episode its SHA-256; written last

Little changes in a step, so most of a frame's 35 cells are cells that were seen before. An episode holds each different
cell once, and for every frame the 35 numbers of its cells: a fifteenth of the frames in memory, and nothing is lost."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from collect.ram import BYTES
from model import breakout
from model.breakout import CELL_COLUMNS, CELL_ROWS, CELLS, GRID_ROWS, Frame
from model.files import FileError, checksum, read_bytes, read_json, write_atomic

MANIFEST, SETTINGS = "manifest.json", "settings.json"
DATASET_SCHEMA = 2  # the schema version of a dataset's files; version 1 held features of a model in place of RAM
CELL_PIXELS = CELL_ROWS * CELL_COLUMNS
CUT = breakout.NO_ACTION  # in place of an action: there is no transition here, another scene begins
_EPISODE_NAME = re.compile(r"episode-\d{5,9}\.safetensors")
_FILE_LIMIT, _HEADER_LIMIT = 1 << 26, 1 << 12


def episode_arrays(steps: int, cells: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The arrays of an episode file by name: dtype and shape, for T `steps` and U different `cells`."""
    return {
        "cells": ("uint8", (cells, CELL_PIXELS // 2)),  # the different cells, two classes of 0..8 in a byte
        "index": ("uint32", (steps + 1, CELLS)),  # the cells of each frame, flat order
        "actions": ("uint8", (steps,)),  # between frame t and frame t + 1; `CUT`: t + 1 begins another scene
        "rewards": ("uint8", (steps,)),  # points
        "ram": ("uint8", (steps + 1, BYTES)),  # the emulator's RAM at each frame; `collect.ram.read` names it
        "over": ("bool", (1,)),  # the game ended (else the episode was cut)
    }


@dataclass(eq=False)
class Recorded:
    """Frames with RAM and actions. Shapes as in `episode_arrays`, but for cells, which are unpacked: (U, 960) uint8."""

    cells: npt.NDArray[np.uint8]
    index: npt.NDArray[np.integer]
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.uint8]
    ram: npt.NDArray[np.uint8]

    def frame(self, t: int | slice | npt.NDArray[np.integer]) -> Frame:
        """Frames by number: (..., 210, 160) uint8 classes."""
        cells = self.cells[self.index[t]]
        return breakout.from_cells(cells.reshape(*cells.shape[:-1], CELL_ROWS, CELL_COLUMNS))


@dataclass(eq=False)
class Episode(Recorded):
    """One episode in memory, as long as it has transitions."""

    over: bool  # the game ended

    def __len__(self) -> int:
        return int((self.actions != CUT).sum())

    def to_bytes(self) -> bytes:
        """The episode file. The same episode always gives the same bytes."""
        packed = self.cells[:, ::2] | (self.cells[:, 1::2] << 4)
        return save({**vars(self), "cells": packed, "over": np.array([self.over])})

    def save(self, path: Path) -> None:
        """Write the episode file, atomically."""
        write_atomic(path, lambda file: file.write(self.to_bytes()))


class EpisodeWriter:
    """Takes one episode screen by screen: the first one here, then `add` each step. Screens are (210, 160) uint8
    palette indices, as `Emulator.screen` gives them: it is enough to look up the classes of the few cells that differ,
    at the end. RAM is (128,) uint8, as `Emulator.ram()` gives it. Its length is the number of transitions."""

    def __init__(self, screen: Frame, ram: npt.NDArray[np.uint8]) -> None:
        self._numbers: dict[bytes, int] = {}
        self._screen, self._cells = ~screen, np.zeros(CELLS, np.uint32)  # so that every cell is new
        self._steps: list[tuple[int, int, npt.NDArray[np.uint32], npt.NDArray[np.uint8]]] = []
        self._length = 0
        self.cut(screen, ram)

    def __len__(self) -> int:
        return self._length

    def add(self, action: int, screen: Frame, ram: npt.NDArray[np.uint8], reward: int) -> None:
        """One step: `action` led to `screen` and `ram`."""
        self._cells = self._cells.copy()
        blocks = screen.reshape(GRID_ROWS, CELL_ROWS, -1, CELL_COLUMNS)
        for cell in breakout.changed_cells(self._screen, screen).nonzero()[0].tolist():
            block = blocks[cell % GRID_ROWS, :, cell // GRID_ROWS]
            self._cells[cell] = self._numbers.setdefault(block.tobytes(), len(self._numbers))
        self._screen = screen
        self._steps.append((action, reward, self._cells, ram))
        self._length += action != CUT

    def cut(self, screen: Frame, ram: npt.NDArray[np.uint8]) -> None:
        """Another scene begins with `screen` and `ram`; nothing led to it."""
        self.add(CUT, screen, ram, 0)

    def to_episode(self, over: bool) -> Episode:
        """The episode so far. `over`: whether the game ended."""
        actions, rewards, index, ram = zip(*self._steps, strict=True)
        cells = breakout.classes_from_ale(np.frombuffer(b"".join(self._numbers), np.uint8)).reshape(-1, CELL_PIXELS)
        taken, points = (np.array(part[1:], np.uint8) for part in (actions, rewards))  # nothing led to the first
        return Episode(cells, np.stack(index), taken, points, np.stack(ram), over)


def load_episode(path: Path) -> Episode:
    """Read one episode file. FileError if it is missing, damaged, or not consistent in itself. Nothing is unpacked that
    the file, itself of a limited size, does not hold."""
    data = read_bytes(path, "episode", _FILE_LIMIT)
    if int.from_bytes(data[:8], "little") > _HEADER_LIMIT:  # each tensor that a header names takes memory
        raise FileError(f"episode {path} is damaged: its header is too long")
    try:
        arrays = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileError(f"episode {path} is damaged: {error}") from None
    steps, cells = (len(np.atleast_1d(arrays.get(name, ()))) for name in ("actions", "cells"))
    found = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    if found != episode_arrays(steps, cells) or not 0 < cells <= CELLS * (steps + 1):  # no step adds more than a frame
        raise FileError(f"episode {path} does not hold the arrays of an episode, or of the wrong shape or type")
    packed, over = arrays.pop("cells"), bool(arrays.pop("over")[0])
    unpacked = np.stack((packed & 15, packed >> 4), 2).reshape(-1, CELL_PIXELS)
    episode = Episode(cells=unpacked, over=over, **arrays)
    if episode.index.max() >= cells or episode.actions.max(initial=0) > CUT or unpacked.max() >= breakout.CLASSES:
        raise FileError(f"episode {path} holds an action, class or cell out of range")
    return episode


class TransitionDataset(Recorded):
    """A dataset of whole episodes in memory: each different cell once, and for every frame which cells it shows. Its
    length is the number of transitions.

    An episode with cuts counts as several, one a scene; but a split never parts what one file holds. Arrays are those
    of `Recorded`, of the N frames of all episodes, one after the other: index is int32, actions and rewards are (N,),
    0 at an episode's last frame, where none was taken. `first` (E + 1,) int64 is where each episode's frames begin; its
    last entry is N."""

    def __init__(self, episodes: Iterable[Episode], manifest: dict[str, Any]) -> None:
        numbers: dict[bytes, int] = {}  # episodes share a third of their cells
        lengths: list[int] = []  # how many frames each scene has
        self._scenes: list[int] = []  # how many scenes each file has
        parts: list[tuple[npt.NDArray[Any], ...]] = []
        for episode in episodes:  # one after the other: unpacked, all of them would take twice the memory
            of_cell = np.array([numbers.setdefault(cell.tobytes(), len(numbers)) for cell in episode.cells], np.int32)
            actions = np.append(np.where(episode.actions == CUT, np.uint8(0), episode.actions), np.uint8(0))
            parts.append((of_cell[episode.index], actions, np.append(episode.rewards, np.uint8(0)), episode.ram))
            ends = [-1, *np.flatnonzero(episode.actions == CUT), len(episode.actions)]
            lengths += np.diff(ends).tolist()
            self._scenes.append(len(ends) - 1)
        if sum(lengths) == len(lengths):
            raise FileError("the dataset has no transitions")
        self.manifest, self.frameskip = manifest, int(manifest["frameskip"])
        self.first = np.concatenate(([0], np.cumsum(lengths)))
        cells = np.frombuffer(bytearray().join(numbers), np.uint8).reshape(-1, CELL_PIXELS)
        super().__init__(cells, *(np.concatenate(part) for part in zip(*parts, strict=True)))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a dataset that `collect frames` finished. FileError says what is missing or damaged."""
        manifest = read_manifest(directory)
        return cls(read_episodes(directory, manifest), manifest)

    @property
    def episodes(self) -> int:
        """How many episodes there are."""
        return len(self.first) - 1

    def __len__(self) -> int:
        return len(self.index) - self.episodes

    def transitions(self, episodes: npt.NDArray[np.integer] | None = None, skip: int = 0) -> npt.NDArray[np.int64]:
        """Frame numbers t such that t and t + 1 are of the same episode, for all or the given episodes. The first
        `skip` of an episode are left out, if it has more."""
        chosen = np.arange(self.episodes) if episodes is None else np.asarray(episodes)
        begin, end = self.first[chosen], self.first[chosen + 1] - 1
        begin = np.where(end - begin > skip, begin + skip, begin)
        return np.concatenate([np.arange(b, e) for b, e in zip(begin, end, strict=True)]).astype(np.int64)

    def split(self, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Numbers of the episodes for training and for validation, see `split_episodes`."""
        return split_episodes(self._scenes, seed)


def split_episodes(lengths: Sequence[int], seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of what episodes of these lengths hold, for training (80%) and for validation: an episode is never
    parted. FileError if there is only one."""
    episodes = len(lengths)
    if episodes < 2:
        raise FileError("data of one episode cannot be split by episode: collect more")
    order = np.random.default_rng(seed).permutation(episodes)
    held = np.isin(np.arange(episodes), order[: min(max(1, round(0.2 * episodes)), episodes - 1)])
    of_item = np.repeat(held, lengths)
    return np.flatnonzero(~of_item), np.flatnonzero(of_item)


def read_object(path: Path, what: str, limit: int) -> dict[str, Any]:
    """A JSON object of a dataset. FileError unless it has the schema version of this program's datasets."""
    found = read_json(path, what, limit)
    schema = found.get("schema") if isinstance(found, dict) else None
    if type(schema) is not int:
        raise FileError(f"{what} {path} has no schema version: not a file of this program")
    if schema != DATASET_SCHEMA:
        remedy = "update this program" if schema > DATASET_SCHEMA else "collect it anew, into another --out"
        raise FileError(f"{what} {path} has schema version {schema}, this program reads {DATASET_SCHEMA}: {remedy}")
    return found


def read_manifest(directory: Path, frameskip: int | None = None) -> dict[str, Any]:
    """The manifest of a finished dataset, checked for form. FileError otherwise, or if it is of another `frameskip`
    than that of the weights that it is for."""
    path, remedy = directory / MANIFEST, "make one with: python main.py collect frames"
    if not directory.exists():
        of = "" if frameskip is None else f" --frameskip {frameskip}"
        raise FileError(f"dataset {directory} does not exist; {remedy}{of} --out {directory}")
    if not directory.is_dir():
        raise FileError(f"dataset {directory} is a file; a folder is wanted")
    if not path.exists():
        if (directory / SETTINGS).exists():
            raise FileError(f"dataset {directory} has no {MANIFEST}: collecting was not finished; run it again")
        raise FileError(f"{directory} is not a dataset; {remedy}")
    manifest = read_object(path, "manifest", 1 << 26)
    skip, entries = manifest.get("frameskip"), manifest.get("episodes")
    if type(skip) is not int or not 1 <= skip <= breakout.EMULATOR_HZ or not isinstance(entries, list):
        raise FileError(f"manifest {path} lacks its frame skip or its episodes")
    if not entries:
        raise FileError(f"dataset {directory} is empty")
    for entry in entries:
        name, digest = (entry.get("file"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not _EPISODE_NAME.fullmatch(name) or not isinstance(digest, str):
            raise FileError(f"manifest {path} has an episode entry that is not one")
    if len({entry["file"] for entry in entries}) != len(entries):
        raise FileError(f"manifest {path} lists an episode twice")
    if frameskip not in (None, skip):
        raise FileError(f"dataset {directory} is of frame skip {skip}, the weights are of {frameskip}")
    return manifest


def read_episodes(directory: Path, manifest: dict[str, Any]) -> Iterator[Episode]:
    """The episodes that a manifest lists, one after the other. FileError for one that is missing or damaged."""
    for entry in manifest["episodes"]:
        path = directory / entry["file"]
        if not path.exists():
            raise FileError(f"dataset {directory} lacks {entry['file']}")
        if checksum(path) != entry["sha256"]:
            raise FileError(f"dataset {directory}: {entry['file']} is damaged (its checksum differs)")
        yield load_episode(path)
