"""Loads (action, latent code) pairs and hands them out in batches, split by whole episode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from collect.pairs import PAIRS_SHA256, stats_path
from model.breakout import ACTIONS, CELLS, CODES, EMULATOR_HZ
from model.files import FileError, check_schema, checksum, read_description, read_json, waiting_path

_LIMIT = 1 << 29
_BLOCK = 1000
"""Pairs without statistics do not say where episodes end; they are split into blocks of so many in a row."""


@dataclass(frozen=True)
class Pairs:
    """Pairs in memory, in the order they were played.

    actions  (N,)     int64 0..3
    codes    (N, 35)  int64 0..255
    lengths           pairs in each episode, or in each block where the statistics are missing
    stats             the statistics beside the file, or None
    """

    actions: Tensor
    codes: Tensor
    lengths: list[int]
    stats: dict[str, Any] | None


def load_pairs(path: Path) -> Pairs:
    """Read a pairs file and the statistics beside it.

    FileError if it is missing, damaged, empty or foreign, or if the statistics belong to another file.
    """
    if not path.exists():
        raise FileError(f"pairs {path} do not exist; make them with: python main.py collect pairs --out {path}")
    items = read_json(path, "pairs", limit=_LIMIT)
    if not isinstance(items, list):
        raise FileError(f"pairs {path} are not a JSON list")
    if not items:
        raise FileError(f"pairs {path} are empty")
    actions, codes = np.empty(len(items), np.int64), np.empty((len(items), CELLS), np.int64)
    for number, item in enumerate(items):
        action, code = (item.get("action"), item.get("latent_code")) if isinstance(item, dict) else (None, None)
        if type(action) is not int or not 0 <= action < ACTIONS:
            raise FileError(f"pairs {path}: entry {number} has no action of 0..{ACTIONS - 1}")
        if not isinstance(code, list) or len(code) != CELLS or not all(type(c) is int and 0 <= c < CODES for c in code):
            raise FileError(f"pairs {path}: entry {number} has no latent code of {CELLS} integers 0..{CODES - 1}")
        actions[number], codes[number] = action, code
    stats = _load_stats(path, len(items))
    blocks = [min(_BLOCK, len(items) - start) for start in range(0, len(items), _BLOCK)]
    lengths = blocks if stats is None else stats["episode_lengths"]
    return Pairs(torch.from_numpy(actions), torch.from_numpy(codes), lengths, stats)


def _load_stats(path: Path, pairs: int) -> dict[str, Any] | None:
    beside = stats_path(path)
    if not beside.exists() and not waiting_path(beside).exists():
        return None
    digest = checksum(path)
    stats = read_description(beside, "statistics", PAIRS_SHA256, digest, limit=1 << 26)
    if not isinstance(stats, dict):
        raise FileError(f"statistics {beside} are not a JSON object")
    check_schema(stats.get("schema"), "statistics", beside, "python main.py collect pairs")
    if stats.get(PAIRS_SHA256) != digest:
        raise FileError(f"statistics {beside} are of another pairs file than {path}: run collect pairs again")
    lengths, frameskip = stats.get("episode_lengths"), stats.get("frameskip")
    if not isinstance(lengths, list) or not all(type(n) is int and n > 0 for n in lengths) or sum(lengths) != pairs:
        raise FileError(f"statistics {beside}: the episodes' lengths do not add up to {pairs} pairs")
    if (
        type(frameskip) is not int
        or not 1 <= frameskip <= EMULATOR_HZ
        or not isinstance(stats.get("codes_sha256"), str)
    ):
        raise FileError(f"statistics {beside} lack the frame skip or the checksum of the VQ-VAE")
    return stats


def split_episodes(
    lengths: list[int], validation: float = 0.2, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the pairs for training and for validation, by whole episode. FileError if there is only one."""
    if len(lengths) < 2:
        raise FileError("pairs of one episode cannot be split by episode: collect more")
    order = np.random.default_rng(seed).permutation(len(lengths))
    held = np.zeros(len(lengths), bool)
    held[order[: min(max(1, round(validation * len(lengths))), len(lengths) - 1)]] = True
    of_pair = np.repeat(held, lengths)
    return np.flatnonzero(~of_pair), np.flatnonzero(of_pair)


class ActionLatentPairDataset(Dataset[tuple[Tensor, Tensor]]):
    """Item i, or a list of items at once: one-hot action (..., 4) float32 and codes (..., 35) int64."""

    def __init__(self, pairs: Pairs, chosen: npt.NDArray[np.int64]) -> None:
        self.actions, self.codes = pairs.actions[chosen], pairs.codes[chosen]

    def __len__(self) -> int:
        return len(self.actions)

    def __getitem__(self, number: int | list[int]) -> tuple[Tensor, Tensor]:
        return F.one_hot(self.actions[number], ACTIONS).float(), self.codes[number]


def get_action_latent_dataloaders(
    path: Path, batch: int = 1024, validation: float = 0.2, seed: int = 0
) -> tuple[DataLoader[tuple[Tensor, Tensor]], DataLoader[tuple[Tensor, Tensor]]]:
    """Loaders for training (shuffled) and validation (in order): one-hot actions (B, 4) float32, codes (B, 35) int64.

    FileError if the pairs cannot be used.
    """
    pairs = load_pairs(path)
    training, held = (ActionLatentPairDataset(pairs, part) for part in split_episodes(pairs.lengths, validation, seed))
    shuffled = RandomSampler(training, generator=torch.Generator().manual_seed(seed))
    # Whole batches are looked up at once: item by item a loader would be slower than the network.
    samplers = (BatchSampler(order, batch, False) for order in (shuffled, SequentialSampler(held)))
    first, second = (
        DataLoader(dataset, sampler=sampler, batch_size=None)
        for dataset, sampler in zip((training, held), samplers, strict=True)
    )
    return first, second
