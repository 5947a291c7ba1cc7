"""One episode, lossless, as a safetensors file: a dictionary of cells, and the emulator's RAM.

Little changes in a step, so most of a frame's 35 cells are cells that were seen before. An episode file holds each
different cell once, and for every frame the 35 numbers of its cells. That is a fifteenth of the frames in memory, says
at once which cells changed, and loses nothing.

    episode-00000.safetensors   cells    (U, 480)     uint8, the U different cells, two classes of 0..8 in a byte
                                index    (T + 1, 35)  uint32, the cells of each frame, flat order
                                actions  (T,)         uint8, the action between frame t and frame t + 1, or 4 for a
                                                      cut: frame t + 1 begins another scene
                                rewards  (T,)         uint8, points
                                ram      (T + 1, 128) uint8, the emulator's RAM at each frame (`collect.ram`)
                                over     (1,)         bool, the game ended (else the episode was cut)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from collect.ram import BYTES, LIVES
from model.breakout import (
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CLASSES,
    GRID_ROWS,
    NO_ACTION,
    Frame,
    changed_cells,
    classes_from_ale,
    from_cells,
)
from model.files import FileError, read_bytes, write_atomic

CELL_PIXELS = CELL_ROWS * CELL_COLUMNS
CUT = NO_ACTION
"""In place of an action: there is no transition here, another scene begins."""
_FILE_LIMIT, _HEADER_LIMIT = 1 << 26, 1 << 12


class EpisodeWriter:
    """Takes one episode screen by screen: the first one here, then `add` each step.

    Screens are (210, 160) uint8 palette indices, as `Emulator.screen` gives them: it is enough to look up the classes
    of the few cells that differ, at the end. RAM is (128,) uint8, as `Emulator.ram()` gives it.
    """

    def __init__(self, screen: Frame, ram: npt.NDArray[np.uint8]) -> None:
        self._numbers: dict[bytes, int] = {}
        self._row = np.zeros(CELLS, np.uint32)
        self._index: list[npt.NDArray[np.uint32]] = []
        self._actions: list[int] = []
        self._rewards: list[int] = []
        self._ram = [ram]
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

    def add(self, action: int, screen: Frame, ram: npt.NDArray[np.uint8], reward: int) -> None:
        """One step: `action` led to `screen` and `ram`."""
        self._store(screen, changed_cells(self._screen, screen).nonzero()[0].tolist())
        self._actions.append(action)
        self._rewards.append(reward)
        self._ram.append(ram)

    def cut(self, screen: Frame, ram: npt.NDArray[np.uint8]) -> None:
        """Another scene begins with `screen` and `ram`; nothing led to it."""
        self.add(CUT, screen, ram, 0)

    def to_episode(self, over: bool) -> Episode:
        """The episode so far, without a file in between. `over`: whether the game ended."""
        return Episode(
            classes_from_ale(np.frombuffer(b"".join(self._numbers), np.uint8)).reshape(-1, CELL_PIXELS),
            np.stack(self._index),
            np.array(self._actions, np.uint8),
            np.array(self._rewards, np.uint8),
            np.stack(self._ram),
            over,
        )

    def to_bytes(self, over: bool) -> bytes:
        """The episode file. The same episode always gives the same bytes."""
        episode = self.to_episode(over)
        tensors = {
            "cells": episode.cells[:, ::2] | (episode.cells[:, 1::2] << 4),
            "index": episode.index,
            "actions": episode.actions,
            "rewards": episode.rewards,
            "ram": episode.ram,
            "over": np.array([over]),
        }
        return save(tensors)

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
    ram: npt.NDArray[np.uint8]
    over: bool

    def __len__(self) -> int:
        """How many transitions there are."""
        return int((self.actions != CUT).sum())

    @property
    def lives(self) -> npt.NDArray[np.uint8]:
        """Lives left at each frame: (T + 1,) uint8."""
        return self.ram[:, LIVES]

    def frame(self, t: int | slice | npt.NDArray[np.integer]) -> Frame:
        """Frames by number 0..T: (..., 210, 160) uint8 classes."""
        cells = self.cells[self.index[t]]
        return from_cells(cells.reshape(*cells.shape[:-1], CELL_ROWS, CELL_COLUMNS))


def _shapes_fit(arrays: dict[str, npt.NDArray[np.generic]]) -> bool:
    """Whether these are the arrays of one episode. No step adds more cells than a frame has."""
    steps = arrays["actions"].size if "actions" in arrays else 0
    different = len(arrays["cells"]) if "cells" in arrays and arrays["cells"].ndim else 0
    wanted = {
        "cells": ((different, CELL_PIXELS // 2), "uint8"),
        "index": ((steps + 1, CELLS), "uint32"),
        "actions": ((steps,), "uint8"),
        "rewards": ((steps,), "uint8"),
        "ram": ((steps + 1, BYTES), "uint8"),
        "over": ((1,), "bool"),
    }
    return 0 < different <= CELLS * (steps + 1) and wanted == {
        name: (array.shape, array.dtype.name) for name, array in arrays.items()
    }


def load_episode(path: Path) -> Episode:
    """Read one episode file. FileError if it is missing, damaged, or not consistent in itself.

    Nothing is unpacked that the file, itself of a limited size, does not hold.
    """
    data = read_bytes(path, "episode", _FILE_LIMIT)
    header = int.from_bytes(data[:8], "little")
    if header > _HEADER_LIMIT:  # each tensor that a header names takes memory, and an episode has six
        raise FileError(f"episode {path} is damaged: its header is too long")
    try:
        arrays = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileError(f"episode {path} is damaged: {error}") from None
    if not _shapes_fit(arrays):
        raise FileError(f"episode {path} does not hold the arrays of an episode, or of the wrong shape or type")
    packed, index, actions = arrays["cells"], arrays["index"], arrays["actions"]
    cells = np.empty((len(packed), CELL_PIXELS), np.uint8)
    cells[:, ::2], cells[:, 1::2] = packed & 15, packed >> 4
    if index.max() >= len(cells) or actions.max(initial=0) > CUT or cells.max() >= CLASSES:
        raise FileError(f"episode {path} holds an action, class or cell out of range")
    return Episode(cells, index, actions, arrays["rewards"], arrays["ram"], bool(arrays["over"][0]))
