"""One episode, lossless, as a file: a dictionary of cells.

Little changes in a step, so most of a frame's 35 cells are cells that were seen before. An episode file holds
each different cell once, and for every frame the 35 numbers of its cells. That is 40 times smaller than the
frames in memory, says at once which cells changed, and loses nothing.

    episode-00000.npz   cells    (U, 480)    uint8, the U different cells, two classes of 0..8 in a byte
                        index    (T + 1, 35) uint16 or uint32, the cells of each frame, flat order
                        actions  (T,)        uint8, the action between frame t and frame t + 1, or 4 for a cut:
                                             frame t + 1 begins another scene
                        rewards  (T,)        uint8, points
                        lives    (T + 1,)    uint8
                        unseen   (S, 2)      uint8, what no frame shows when each of the S scenes begins: how often the
                                             ball had come off the paddle, and where the knob was (`model.memory`)
                        over     ()          bool, the game ended (else the episode was cut)
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.breakout import (
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CLASSES,
    GRID_ROWS,
    KNOB_END,
    NO_ACTION,
    NO_KNOB,
    UNKNOWN_HITS,
    Frame,
    changed_cells,
    classes_from_ale,
    from_cells,
)
from model.files import FileError, read_bytes, write_atomic

CELL_PIXELS = CELL_ROWS * CELL_COLUMNS
CUT = NO_ACTION
"""In place of an action: there is no transition here, another scene begins."""
_MEMBERS = ("cells", "index", "actions", "rewards", "lives", "unseen", "over")
_FILE_LIMIT = 1 << 25
_UNPACKED_LIMIT = 1 << 25


class EpisodeWriter:
    """Takes one episode screen by screen: the first one here, then `add` each step.

    Screens are (210, 160) uint8 palette indices, as `Emulator.screen` gives them: it is enough to look up the classes
    of the few cells that differ, at the end.
    """

    def __init__(self, screen: Frame, lives: int, hits: int = UNKNOWN_HITS, knob: int = NO_KNOB) -> None:
        self._numbers: dict[bytes, int] = {}
        self._row = np.zeros(CELLS, np.uint32)
        self._index: list[npt.NDArray[np.uint32]] = []
        self._actions: list[int] = []
        self._rewards: list[int] = []
        self._lives = [lives]
        self._unseen = [(hits, knob)]
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

    def cut(self, screen: Frame, lives: int, hits: int = UNKNOWN_HITS, knob: int = NO_KNOB) -> None:
        """Another scene begins with `screen`; `hits` and `knob` as the module's docstring says of `unseen`."""
        self.add(CUT, screen, 0, lives)
        self._unseen.append((hits, knob))

    def to_episode(self, over: bool) -> Episode:
        """The episode so far, without a file in between."""
        return Episode(
            classes_from_ale(np.frombuffer(b"".join(self._numbers), np.uint8)).reshape(-1, CELL_PIXELS),
            np.stack(self._index),
            np.array(self._actions, np.uint8),
            np.array(self._rewards, np.uint8),
            np.array(self._lives, np.uint8),
            np.array(self._unseen, np.uint8),
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
            unseen=episode.unseen,
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
    unseen: npt.NDArray[np.uint8]
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
    if len(shapes["actions"]) != 1 or len(shapes["cells"]) != 2 or len(shapes["unseen"]) != 2:
        return False
    steps, different = shapes["actions"][0], shapes["cells"][0]
    wanted = {
        "cells": (different, CELL_PIXELS // 2),
        "index": (steps + 1, CELLS),
        "actions": (steps,),
        "rewards": (steps,),
        "lives": (steps + 1,),
        "unseen": (shapes["unseen"][0], 2),
        "over": (),
    }
    types = {"index": ("uint16", "uint32"), "over": ("bool",)}
    return (
        shapes == wanted
        and 0 < shapes["unseen"][0] <= steps + 1
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
    hits, knob = a["unseen"].T
    if len(hits) != 1 + (a["actions"] == CUT).sum() or (hits > UNKNOWN_HITS).any():
        raise FileError(f"episode {path} does not say what its scenes begin with")
    if ((knob > KNOB_END) & (knob != NO_KNOB)).any():
        raise FileError(f"episode {path} holds a knob out of range")
    index = a["index"].astype(np.uint32)
    return Episode(cells, index, a["actions"], a["rewards"], a["lives"], a["unseen"], bool(a["over"]))
