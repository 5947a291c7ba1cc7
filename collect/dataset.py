"""Transition datasets: whole episodes in a folder, with a manifest; in memory, frame by frame.

DIR/settings.json              what the dataset depends on, written first
DIR/episode-00000.safetensors  an episode, as `collect.episode` stores it
DIR/manifest.json              schema, frame skip, policy, seed, counts, and per episode its SHA-256; written last
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collect.episode import CELL_PIXELS, CUT, Episode, load_episode
from collect.ram import LIVES
from model.breakout import CELL_COLUMNS, CELL_ROWS, EMULATOR_HZ, Frame, from_cells
from model.files import FileError, check_directory, checksum, read_json

MANIFEST, SETTINGS = "manifest.json", "settings.json"
DATASET_SCHEMA = 2
"""The schema version of the files of a dataset. Version 1 held features of a model in place of RAM."""
_EPISODE_NAME = re.compile(r"episode-\d{5,9}\.safetensors")


class TransitionDataset:
    """A dataset of whole episodes in memory: each different cell once, and for every frame which cells it shows.

    An episode with cuts counts as several, one a scene; but a split never parts what one file holds.

    cells    (U, 960)   uint8 classes, over all episodes
    index    (N, 35)    int32, the cells of each of the N frames of all episodes, one after the other
    actions  (N,)       uint8, the action taken *at* each frame (0 at an episode's last frame, where none was)
    rewards  (N,)       uint8, what that action brought
    ram      (N, 128)   uint8, the emulator's RAM at each frame; `collect.ram.read` names it
    first    (E + 1,)   int64, where each episode's frames begin; the last entry is N
    """

    def __init__(self, episodes: Iterable[Episode], manifest: dict[str, Any]) -> None:
        numbers: dict[bytes, int] = {}  # episodes share a third of their cells
        scenes: list[list[int]] = []
        parts: list[tuple[npt.NDArray[Any], ...]] = []
        for episode in episodes:  # one after the other: unpacked, all of them would take twice the memory
            of_cell = np.array([numbers.setdefault(cell.tobytes(), len(numbers)) for cell in episode.cells], np.int32)
            actions = np.append(np.where(episode.actions == CUT, np.uint8(0), episode.actions), np.uint8(0))
            parts.append((of_cell[episode.index], actions, np.append(episode.rewards, np.uint8(0)), episode.ram))
            scenes.append(_scene_lengths(episode))
        lengths = [length for file in scenes for length in file]
        if sum(lengths) == len(lengths):
            raise FileError("the dataset has no transitions")
        self.manifest = manifest
        self.frameskip = int(manifest["frameskip"])
        self.first = np.concatenate(([0], np.cumsum(lengths)))
        self._file = np.repeat(np.arange(len(scenes)), [len(file) for file in scenes])
        self.cells = np.frombuffer(bytearray().join(numbers), np.uint8).reshape(-1, CELL_PIXELS)
        self.index, self.actions, self.rewards, self.ram = (np.concatenate(part) for part in zip(*parts, strict=True))

    @classmethod
    def load(cls, directory: Path) -> TransitionDataset:
        """Read a dataset that `collect frames` finished. FileError says what is missing or damaged."""
        manifest = read_manifest(directory)
        try:
            return cls(read_episodes(directory, manifest), manifest)
        except FileError as error:
            text = str(error)
            raise FileError(text if str(directory) in text else f"{directory}: {text}") from None

    @property
    def lives(self) -> npt.NDArray[np.uint8]:
        """Lives left at each frame: (N,) uint8."""
        return self.ram[:, LIVES]

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

    def frame(self, t: int | npt.NDArray[np.integer]) -> Frame:
        """Frames by number: (..., 210, 160) uint8 classes."""
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


def _scene_lengths(episode: Episode) -> list[int]:
    """How many frames each scene of an episode has."""
    cuts = np.flatnonzero(episode.actions == CUT)
    return np.diff(np.concatenate(([-1], cuts, [len(episode.actions)]))).tolist()


def check_schema(found: object, what: str, path: Path) -> None:
    """FileError unless `found` is the schema version of this program's datasets."""
    if type(found) is not int:
        raise FileError(f"{what} {path} has no schema version: not a file of this program")
    if found != DATASET_SCHEMA:
        remedy = "update this program" if found > DATASET_SCHEMA else "collect it anew, into another --out"
        raise FileError(f"{what} {path} has schema version {found}, this program reads {DATASET_SCHEMA}: {remedy}")


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a finished dataset, checked for form. FileError otherwise."""
    check_directory(directory, "dataset", "make one with: python main.py collect frames")
    path = directory / MANIFEST
    if not path.exists():
        if (directory / SETTINGS).exists():
            raise FileError(f"dataset {directory} has no {MANIFEST}: collecting was not finished; run it again")
        raise FileError(f"{directory} is not a dataset; make one with: python main.py collect frames")
    manifest = read_json(path, "manifest", limit=1 << 26)
    if not isinstance(manifest, dict):
        raise FileError(f"manifest {path} is not a JSON object")
    check_schema(manifest.get("schema"), "manifest", path)
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
