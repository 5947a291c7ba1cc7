"""What is seen in every frame of a dataset, and what no frame shows: looked up once, since every sample needs several
frames'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model.breakout import MOST_HITS, turned
from model.checkpoint import load_tensors, save_tensors
from model.files import FileError
from model.gaze import BALL_FRAMES, places
from model.memory import hit_or_gone
from train.material import Material

NAME = "places"


def all_places(
    dataset: TransitionDataset,
    out: Path | None = None,
    meta: dict[str, Any] | None = None,
    show: Callable[[float, str], None] = lambda progress, text: None,
    device: torch.device | None = None,
) -> npt.NDArray[np.int16]:
    """`model.gaze.places` of every frame, and in two more columns the hits of the paddle and the knob: (2, N, 5) int16,
    forwards in time (given the frame before), and backwards (given the next one; 0 at an episode's last frame).

    With `out`, kept there as places.* and read back if it is of the dataset that `meta` describes.
    """
    count = len(dataset.index)
    if out is not None:
        with suppress(FileError):
            tensors, about = load_tensors(out / NAME)
            seen = tensors.get(NAME)
            if seen is not None and seen.shape == (2, count, 5) and about.get("dataset") == meta:
                return seen.numpy()
    device = device or torch.device("cpu")
    material = Material(dataset, device)
    found = torch.zeros(2, count, 5, dtype=torch.int16, device=device)
    chunk = chunk_of(device)

    def find(start: int) -> None:
        t = torch.arange(start, min(start + chunk, count), device=device)
        before = torch.maximum(t - 1, material.start[t])
        old, new = material.frame(torch.stack((before, t)))
        found[0, t, :3] = places(old, new).to(found.dtype)
        steps = before < t
        found[1, before[steps], :3] = places(new[steps], old[steps]).to(found.dtype)

    for start in in_threads(find, range(0, count, chunk), device):
        if start // chunk % 200 == 0:
            show(0.0, f"finding ball and paddle: {start / count:.0%}")
    found = found.cpu()
    found[:, :, 3:] = torch.from_numpy(_unseen(dataset, found[0]))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        save_tensors(out / NAME, {NAME: found}, {"kind": NAME, "dataset": meta})
    return found.numpy()


def _unseen(dataset: TransitionDataset, seen: Tensor) -> npt.NDArray[np.int16]:
    """Hits and knob in every frame (N, 2), from what is known of each episode's first one and the places (N, 5)."""
    parts = np.array_split(np.arange(len(seen)), max(1, len(seen) // 4096))
    flags = [torch.stack(hit_or_gone(seen[dataset.history(part, BALL_FRAMES)].long())) for part in parts]
    hit, gone = torch.cat(flags, 1).tolist()
    actions = dataset.actions.tolist()
    found = np.zeros((len(seen), 2), np.int16)
    for first, end, (hits, knob) in zip(dataset.first[:-1], dataset.first[1:], dataset.unseen.tolist(), strict=True):
        for t in range(first, end):
            if gone[t]:
                hits = 0
            elif hit[t] and hits < MOST_HITS:
                hits += 1
            if t > first:
                knob = turned(knob, actions[t - 1], dataset.frameskip)
            found[t] = hits, knob
    return found


def chunk_of(device: torch.device) -> int:
    """How many frames are looked at in one go: on a CPU few enough for its cache."""
    return 64 if device.type == "cpu" else 4096


def in_threads(function: Callable[[int], None], values: Iterable[int], device: torch.device) -> Iterator[int]:
    """Call `function` with each value, on a CPU in as many threads as PyTorch has, and yield the values as they are
    done.

    Operations on small tensors do not gain by threads of their own; several at once do.
    """

    def call(value: int) -> int:
        function(value)
        return value

    if device.type != "cpu":
        yield from map(call, values)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(call, values)
    finally:
        torch.set_num_threads(threads)
