"""Transition datasets: lossless frames, stored as a dictionary of cells.

Little changes in a step, so most of a frame's 35 cells are cells that were seen before. An episode file holds
each different cell once, and for every frame the 35 numbers of its cells. That is 40 times smaller than the
frames in memory, says at once which cells changed, and loses nothing.

    DIR/manifest.json           schema, frame skip, policy, seed, counts, and per episode its SHA-256
    DIR/episode-00000.npz       cells    (U, 480)    uint8, the U different cells, two classes of 0..8 in a byte
                                index    (T + 1, 35) uint16 or uint32, the cells of each frame, flat order
                                actions  (T,)        uint8, the action between frame t and frame t + 1, or 4 for a cut:
                                                     frame t + 1 begins another scene
                                rewards  (T,)        uint8, points
                                lives    (T + 1,)    uint8
                                over     ()          bool, the game ended (else the episode was cut)
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collect.stopwatch import MAKING_DATA
from model.breakout import (
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CLASSES,
    EMULATOR_HZ,
    GRID_ROWS,
    NO_ACTION,
    Frame,
    changed_cells,
    classes_from_ale,
    from_cells,
)
from model.files import FileError, check_schema, checksum, read_bytes, read_json, write_atomic

CELL_PIXELS = CELL_ROWS * CELL_COLUMNS
CUT = NO_ACTION
"""In place of an action: there is no transition here, another scene begins."""
MANIFEST = "manifest.json"
_EPISODE_NAME = re.compile(r"episode-\d{5,9}\.npz")
_MEMBERS = ("cells", "index", "actions", "rewards", "lives", "over")
_FILE_LIMIT = 1 << 25
_UNPACKED_LIMIT = 1 << 25


class EpisodeWriter:
    """Takes one episode screen by screen: the first one here, then `add` each step.

    Screens are (210, 160) uint8 palette indices, as `Emulator.screen` gives them: it is enough to look up the classes
    of the few cells that differ, at the end.
    """

    def __init__(self, screen: Frame, lives: int) -> None:
        self._numbers: dict[bytes, int] = {}
        self._row = np.zeros(CELLS, np.uint32)
        self._index: list[npt.NDArray[np.uint32]] = []
        self._actions: list[int] = []
        self._rewards: list[int] = []
        self._lives = [lives]
        self._screen = screen
        self._store(screen, range(CELLS))

    def __len__(self) -> int:
        return len(self._actions) - self._actions.count(CUT)

    def _store(self, screen: Frame, cells: Iterable[int]) -> None:
        for cell in cells:
            column, row = divmod(cell, GRID_ROWS)
            block = screen[row * CELL_ROWS : (row + 1) * CELL_ROWS, column * CELL_COLUMNS : (column + 1) * CELL_COLUMNS]
            self._row[cell] = self._numbers.setdefault(block.tobytes(), len(self._numbers))
        self._index.append(self._row.copy())
        self._screen = screen

    def add(self, action: int, screen: Frame, reward: int, lives: int) -> None:
        """One step: `action` led to `screen`."""
        self._store(screen, changed_cells(self._screen, screen).nonzero()[0].tolist())
        self._actions.append(action)
        self._rewards.append(reward)
        self._lives.append(lives)

    def cut(self, screen: Frame, lives: int) -> None:
        """Another scene begins with `screen`."""
        self.add(CUT, screen, 0, lives)

    def to_episode(self, over: bool) -> Episode:
        """The episode so far, without a file in between."""
        return Episode(
            classes_from_ale(np.frombuffer(b"".join(self._numbers), np.uint8)).reshape(-1, CELL_PIXELS),
            np.stack(self._index),
            np.array(self._actions, np.uint8),
            np.array(self._rewards, np.uint8),
            np.array(self._lives, np.uint8),
            over,
        )

    def to_bytes(self, over: bool) -> bytes:
        """The episode file. The same episode always gives the same bytes."""
        episode = self.to_episode(over)
        cells = episode.cells
        small = np.uint16 if len(cells) <= 1 << 16 else np.uint32
        file = io.BytesIO()
        np.savez_compressed(
            file,
            cells=cells[:, ::2] | (cells[:, 1::2] << 4),
            index=episode.index.astype(small),
            actions=episode.actions,
            rewards=episode.rewards,
            lives=episode.lives,
            over=np.array(over),
        )
        return file.getvalue()

    def save(self, path: Path, over: bool) -> None:
        """Write the episode file, atomically."""
        data = self.to_bytes(over)
        write_atomic(path, lambda file: file.write(data))


@dataclass(frozen=True)
class Episode:
    """One episode in memory, T steps. Shapes as in the module's docstring, cells unpacked to (U, 960) uint8."""

    cells: npt.NDArray[np.uint8]
    index: npt.NDArray[np.uint32]
    actions: npt.NDArray[np.uint8]
    rewards: npt.NDArray[np.uint8]
    lives: npt.NDArray[np.uint8]
    over: bool

    def __len__(self) -> int:
        """How many transitions there are."""
        return int((self.actions != CUT).sum())

    def frame(self, t: int | slice | npt.NDArray[np.integer]) -> Frame:
        """Frames by number 0..T: (..., 210, 160) uint8 classes."""
        cells = self.cells[self.index[t]]
        return from_cells(cells.reshape(*cells.shape[:-1], CELL_ROWS, CELL_COLUMNS))


@dataclass(frozen=True)
class _Header:
    """What an array in an episode file says of itself; the array begins at `start` of its `name`.npy."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


def _read_header(archive: zipfile.ZipFile, name: str) -> _Header:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member, warnings.catch_warnings(action="error"):
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{info.filename} is of an unknown format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "bu" or fortran or size != info.file_size - member.tell() or min(shape, default=0) < 0:
            raise ValueError(f"{info.filename} is not of the size or type that it claims")
        return _Header(shape, dtype, member.tell())


def _shapes_fit(headers: dict[str, _Header]) -> bool:
    """Whether these are the shapes and types of one episode. No step adds more cells than a frame has."""
    shapes = {name: header.shape for name, header in headers.items()}
    if len(shapes["actions"]) != 1 or len(shapes["cells"]) != 2:
        return False
    steps, different = shapes["actions"][0], shapes["cells"][0]
    wanted = {
        "cells": (different, CELL_PIXELS // 2),
        "index": (steps + 1, CELLS),
        "actions": (steps,),
        "rewards": (steps,),
        "lives": (steps + 1,),
        "over": (),
    }
    types = {"index": ("uint16", "uint32"), "over": ("bool",)}
    return (
        shapes == wanted
        and 0 < different <= CELLS * (steps + 1)
        and all(header.dtype.name in types.get(name, ("uint8",)) for name, header in headers.items())
    )


def _read_members(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an npz, without pickle. All sizes are checked before any memory is taken."""
    with zipfile.ZipFile(io.BytesIO(read_bytes(path, "episode", _FILE_LIMIT))) as archive:
        if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in _MEMBERS):
            raise FileError(f"episode {path} does not hold the arrays of an episode")
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
            raise FileError(f"episode {path} is packed in a way that no file of this program is")
        claimed = sum(info.file_size for info in archive.infolist())
        if claimed > _UNPACKED_LIMIT:
            raise FileError(f"episode {path} claims {claimed} bytes, more than {_UNPACKED_LIMIT}")
        headers = {name: _read_header(archive, name) for name in _MEMBERS}
        if not _shapes_fit(headers):
            raise FileError(f"episode {path} has arrays of the wrong shape or type")
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, header in headers.items():
            data = archive.read(f"{name}.npy")
            arrays[name] = np.frombuffer(data, header.dtype, offset=header.start).reshape(header.shape)
    return arrays


def load_episode(path: Path) -> Episode:
    """Read one episode file. FileError if it is missing, damaged, or not consistent in itself."""
    try:
        a = _read_members(path)
    except (FileError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own ways to refuse
        raise FileError(f"episode {path} is damaged: {error}") from None
    packed = a["cells"]
    cells = np.empty((len(packed), CELL_PIXELS), np.uint8)
    cells[:, ::2], cells[:, 1::2] = packed & 15, packed >> 4
    if a["index"].max() >= len(cells) or a["actions"].max(initial=0) > CUT or cells.max() >= CLASSES:
        raise FileError(f"episode {path} holds an action, class or cell out of range")
    return Episode(cells, a["index"].astype(np.uint32), a["actions"], a["rewards"], a["lives"], bool(a["over"]))


class TransitionDataset:
    """A dataset of whole episodes in memory: the cells once, and who is where.

    An episode with cuts counts as several, one a scene; but a split never parts what one file holds.

    cells    (U, 960)   uint8 classes, over all episodes
    index    (N, 35)    int32, the cells of each of the N frames of all episodes, one after the other
    actions  (N,)       uint8, the action taken *at* each frame (0 at an episode's last frame, where none was)
    rewards  (N,)       uint8, what that action brought
    lives    (N,)       uint8
    first    (E + 1,)   int64, where each episode's frames begin; the last entry is N
    """

    def __init__(self, episodes: list[Episode], manifest: dict[str, Any]) -> None:
        if not any(len(episode) for episode in episodes):
            raise FileError("the dataset has no transitions")
        self.manifest = manifest
        self.frameskip = int(manifest["frameskip"])
        lengths = [scene for episode in episodes for scene in _scenes(episode)]
        self.first = np.concatenate(([0], np.cumsum(lengths)))
        self._file = np.repeat(np.arange(len(episodes)), [len(_scenes(episode)) for episode in episodes])
        offsets = np.concatenate(([0], np.cumsum([len(episode.cells) for episode in episodes])))
        self.cells = np.concatenate([episode.cells for episode in episodes])
        self.index = np.concatenate(
            [episode.index.astype(np.int32) + np.int32(o) for episode, o in zip(episodes, offsets[:-1], strict=True)]
        )
        actions = np.concatenate([np.append(episode.actions, np.uint8(0)) for episode in episodes])
        self.actions = np.where(actions == CUT, np.uint8(0), actions)
        self.rewards = np.concatenate([np.append(episode.rewards, np.uint8(0)) for episode in episodes])
        self.lives = np.concatenate([episode.lives for episode in episodes])

    @classmethod
    def load(cls, directory: Path) -> TransitionDataset:
        """Read a dataset that `collect frames` finished. FileError says what is missing or damaged."""
        manifest = read_manifest(directory)
        episodes = list(read_episodes(directory, manifest))
        try:
            return cls(episodes, manifest)
        except FileError as error:
            raise FileError(f"{directory}: {error}") from None

    @property
    def episodes(self) -> int:
        """How many episodes there are."""
        return len(self.first) - 1

    def __len__(self) -> int:
        """How many transitions there are."""
        return len(self.index) - self.episodes

    def transitions(self, episodes: npt.NDArray[np.integer] | None = None, skip: int = 0) -> npt.NDArray[np.int64]:
        """Frame numbers t such that t and t + 1 are of the same episode, for all or the given episodes.

        The first `skip` of an episode are left out, if it has more.
        """
        chosen = np.arange(self.episodes) if episodes is None else np.asarray(episodes)
        begin, end = self.first[chosen], self.first[chosen + 1] - 1
        begin = np.where(end - begin > skip, begin + skip, begin)
        return np.concatenate([np.arange(b, e) for b, e in zip(begin, end, strict=True)]).astype(np.int64)

    def history(self, t: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """Frame numbers (..., length) up to and with t, oldest first; before an episode's start its first repeats."""
        with MAKING_DATA:
            start = self.first[np.searchsorted(self.first, t, side="right") - 1]
            return np.maximum(t[..., None] + np.arange(1 - length, 1), start[..., None])

    def led_by(self, t: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The actions that led to frames t (...,), `NO_ACTION` to an episode's first one."""
        starts = self.first[np.searchsorted(self.first, t, side="right") - 1] == t
        return np.where(starts, NO_ACTION, self.actions[np.maximum(t - 1, 0)]).astype(np.int64)

    def frame(self, t: int | npt.NDArray[np.integer]) -> Frame:
        """Frames by number: (..., 210, 160) uint8 classes."""
        with MAKING_DATA:
            cells = self.cells[self.index[t]]
            return from_cells(cells.reshape(*cells.shape[:-1], CELL_ROWS, CELL_COLUMNS))

    def split(self, validation: float = 0.2, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Episode numbers for training and validation, by whole episode. FileError if there are fewer than two."""
        files = int(self._file[-1]) + 1
        if files < 2:
            raise FileError("a dataset of one episode cannot be split by episode: collect more transitions")
        order = np.random.default_rng(seed).permutation(files)
        held = np.isin(self._file, order[: min(max(1, round(validation * files)), files - 1)])
        return np.flatnonzero(~held), np.flatnonzero(held)


def _scenes(episode: Episode) -> list[int]:
    """How many frames each scene of an episode has."""
    cuts = np.flatnonzero(episode.actions == CUT)
    return np.diff(np.concatenate(([-1], cuts, [len(episode.actions)]))).tolist()


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a finished dataset, checked for form. FileError otherwise."""
    if not directory.is_dir():
        raise FileError(f"dataset {directory} does not exist; make one with: python main.py collect frames")
    path = directory / MANIFEST
    if not path.exists():
        raise FileError(f"dataset {directory} has no {MANIFEST}: collecting was not finished; run it again to go on")
    manifest = read_json(path, "manifest", limit=1 << 26)
    if not isinstance(manifest, dict):
        raise FileError(f"manifest {path} is not a JSON object")
    check_schema(manifest.get("schema"), "manifest", path, "python main.py collect frames")
    frameskip, entries = manifest.get("frameskip"), manifest.get("episodes")
    if type(frameskip) is not int or not 1 <= frameskip <= EMULATOR_HZ or not isinstance(entries, list):
        raise FileError(f"manifest {path} lacks its frame skip or its episodes")
    if not entries:
        raise FileError(f"dataset {directory} is empty")
    for entry in entries:
        name, digest = (entry.get("file"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not _EPISODE_NAME.fullmatch(name) or not isinstance(digest, str):
            raise FileError(f"manifest {path} has an episode entry that is not one")
    if len({entry["file"] for entry in entries}) != len(entries):
        raise FileError(f"manifest {path} lists an episode twice")
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
