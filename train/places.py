"""Where ball and paddle are in every frame of a dataset, and how often they have met: looked up once, since every
sample needs several frames'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from collect.dataset import TransitionDataset
from model.checkpoint import load_tensors, save_tensors
from model.files import FileError
from model.gaze import BALL_FRAMES, MOST_HITS, UNKNOWN_HITS, hit_or_gone, places

NAME = "places"
_CHUNK = 64


def all_places(
    dataset: TransitionDataset,
    out: Path | None = None,
    meta: dict[str, Any] | None = None,
    show: Callable[[float, str], None] = lambda progress, text: None,
) -> npt.NDArray[np.int64]:
    """`model.gaze.places` of every frame, and in a fourth column the hits of the paddle: (2, N, 4) int64, forwards in
    time (given the frame before), and backwards (given the next one; 0 at an episode's last frame).

    With `out`, kept there as places.* and read back if it is of the dataset that `meta` describes.
    """
    count = len(dataset.index)
    if out is not None:
        with suppress(FileError):
            tensors, found = load_tensors(out / NAME)
            seen = tensors.get(NAME)
            if seen is not None and seen.shape == (2, count, 4) and found.get("dataset") == meta:
                return seen.numpy()
    before = dataset.history(np.arange(count), 2)[:, 0]
    seen = torch.zeros(2, count, 4, dtype=torch.int64)

    def find(start: int) -> None:
        t = np.arange(start, min(start + _CHUNK, count))
        old, new = torch.from_numpy(dataset.frame(np.stack((before[t], t))))
        seen[0, t, :3] = places(old, new)
        steps = before[t] < t
        seen[1, before[t][steps], :3] = places(new[steps], old[steps])

    for start in in_threads(find, range(0, count, _CHUNK)):
        if start // _CHUNK % 200 == 0:
            show(0.0, f"finding ball and paddle: {start / count:.0%}")
    seen[:, :, 3] = torch.from_numpy(_hits(dataset, seen[0]))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        save_tensors(out / NAME, {NAME: seen}, {"kind": NAME, "dataset": meta})
    return seen.numpy()


def _hits(dataset: TransitionDataset, seen: torch.Tensor) -> npt.NDArray[np.int64]:
    """How often the ball has come off the paddle, in every frame (N,), from the places (N, 4) in them."""
    parts = np.array_split(np.arange(len(seen)), max(1, len(seen) // 4096))
    flags = [torch.stack(hit_or_gone(seen[dataset.history(part, BALL_FRAMES)])) for part in parts]
    hit, gone = torch.cat(flags, 1).tolist()
    hits = np.zeros(len(seen), np.int64)
    count = UNKNOWN_HITS
    starts = dict(zip(dataset.first[:-1].tolist(), dataset.hits.tolist(), strict=True))
    for t in range(len(seen)):
        count = starts.get(t, count)
        if gone[t]:
            count = 0
        elif hit[t] and count < MOST_HITS:
            count += 1
        hits[t] = count
    return hits


def in_threads(function: Callable[[int], None], values: Iterable[int]) -> Iterator[int]:
    """Call `function` with each value, in as many threads as PyTorch has, and yield the values as they are done.

    Operations on small tensors do not gain by threads of their own; several at once do.
    """

    def call(value: int) -> int:
        function(value)
        return value

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(call, values)
    finally:
        torch.set_num_threads(threads)
