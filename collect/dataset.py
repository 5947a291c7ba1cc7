"""Transition datasets: whole episodes in a folder, with a manifest; in memory, frame by frame.

DIR/manifest.json           schema, frame skip, policy, seed, counts, and per episode its SHA-256
DIR/episode-00000.npz       an episode, as `collect.episode` stores it
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collect.episode import CUT, Episode, load_episode
from collect.stopwatch import MAKING_DATA
from model.breakout import CELL_COLUMNS, CELL_ROWS, EMULATOR_HZ, NO_ACTION, Frame, from_cells
from model.files import FileError, check_schema, checksum, read_json

MANIFEST = "manifest.json"
_EPISODE_NAME = re.compile(r"episode-\d{5,9}\.npz")


class TransitionDataset:
    """A dataset of whole episodes in memory: the cells once, and who is where.

    An episode with cuts counts as several, one a scene; but a split never parts what one file holds.

    cells    (U, 960)   uint8 classes, over all episodes
    index    (N, 35)    int32, the cells of each of the N frames of all episodes, one after the other
    actions  (N,)       uint8, the action taken *at* each frame (0 at an episode's last frame, where none was)
    rewards  (N,)       uint8, what that action brought
    lives    (N,)       uint8
    unseen   (E, 2)     uint8, what no frame shows when each episode begins: hits of the paddle and the knob's place
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
        rewards = np.concatenate([np.append(episode.rewards, np.uint8(0)) for episode in episodes])
        cuts = actions == CUT
        self.actions, self.rewards = np.where(cuts, np.uint8(0), actions), rewards
        self.unseen = np.concatenate([episode.unseen for episode in episodes])
        self.lives = np.concatenate([episode.lives for episode in episodes])

    @classmethod
    def load(cls, directory: Path) -> TransitionDataset:
        """Read a dataset that `collect frames` finished. FileError says what is missing or damaged."""
        manifest = read_manifest(directory)
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # unpacking leaves Python to others
            episodes = list(pool.map(lambda entry: _read_episode(directory, entry), manifest["episodes"]))
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
        yield _read_episode(directory, entry)


def _read_episode(directory: Path, entry: dict[str, str]) -> Episode:
    path = directory / entry["file"]
    if not path.exists():
        raise FileError(f"dataset {directory} lacks {entry['file']}")
    if checksum(path) != entry["sha256"]:
        raise FileError(f"dataset {directory}: {entry['file']} is damaged (its checksum differs)")
    return load_episode(path)
