"""`collect frames`: play episodes with a policy and write them as a transition dataset.

An episode depends on the settings, the seed and its number alone, so it does not matter which process plays it,
in what order, or whether a run was interrupted in between: the same settings give the same bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from collect.dataset import MANIFEST, EpisodeWriter, load_episode
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from model.files import SCHEMA, FileError, check_schema, checksum, read_json, write_json

SETTINGS = "settings.json"


@dataclass(frozen=True)
class CollectSettings:
    """What a dataset depends on. `episode_seconds` of game time is the longest an episode may last."""

    transitions: int
    policy: str
    frameskip: int
    seed: int
    episode_seconds: float = 40.0


def play_episode(settings: CollectSettings, number: int, limit: int | None = None) -> tuple[EpisodeWriter, bool]:
    """Play episode `number`: at most `limit` steps. Returns the episode and whether the game ended."""
    rng = np.random.default_rng([settings.seed, number])
    emulator = Emulator(settings.frameskip)
    start_episode(emulator, settings.policy, int(rng.integers(2**31)), rng)
    policy = make_policy(settings.policy, rng, settings.frameskip)
    writer = EpisodeWriter(emulator.frame, emulator.objects().lives)
    longest = max(1, round(settings.episode_seconds * emulator.steps_per_second))
    while not emulator.over and len(writer) < min(longest, limit or longest):
        action = policy.act(emulator.objects())
        step = emulator.step(action)
        writer.add(action, step.frame, step.reward, step.lives)
    return writer, emulator.over


def _episode_path(out: Path, number: int) -> Path:
    return out / f"episode-{number:05d}.npz"


def _collect_one(settings: CollectSettings, number: int, out: Path) -> int:
    """Play and save one episode unless a sound file of it is there already. Returns its length in steps."""
    path = _episode_path(out, number)
    if path.exists():
        with suppress(FileError):
            return len(load_episode(path))
    writer, over = play_episode(settings, number)
    writer.save(path, over)
    return len(writer)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _lengths(settings: CollectSettings, out: Path, workers: int) -> Iterator[int]:
    """The lengths of episode 0, 1, 2, ... in order, played ahead by `workers` processes."""
    if workers == 1:
        yield from (_collect_one(settings, number, out) for number in count())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _leave_interrupts_to_the_parent) as pool:
        waiting: list[Future[int]] = []
        numbers = count()
        try:
            while True:
                while len(waiting) < 2 * workers:
                    waiting.append(pool.submit(_collect_one, settings, next(numbers), out))
                yield waiting.pop(0).result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def collect_frames(
    settings: CollectSettings,
    out: Path,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Collect exactly `settings.transitions` transitions into `out`; finished episodes there are kept and used.

    `progress` is told how many transitions are done. Returns the manifest. FileError if `out` holds a dataset
    of other settings.
    """
    wanted = {"schema": SCHEMA, **asdict(settings)}
    if (out / SETTINGS).exists():
        found = read_json(out / SETTINGS, "settings of the dataset")
        check_schema(found.get("schema") if isinstance(found, dict) else None, "settings", out / SETTINGS)
        if found != wanted:
            raise FileError(f"{out} holds a dataset of other settings; choose another --out, or remove it")
        if (out / MANIFEST).exists():
            with suppress(FileError):
                return dict(read_json(out / MANIFEST, "manifest"))
    elif out.exists() and any(out.iterdir()):
        raise FileError(f"{out} is not empty and not a dataset; choose another --out")
    write_json(out / SETTINGS, wanted)

    lengths: list[int] = []
    source = _lengths(settings, out, workers or min(os.cpu_count() or 1, 8))
    while sum(lengths) < settings.transitions:
        lengths.append(next(source))
        progress(min(sum(lengths), settings.transitions))
    source.close()  # type: ignore[attr-defined]

    last, surplus = len(lengths) - 1, sum(lengths) - settings.transitions
    if surplus:  # cut the last episode to the transitions asked for
        lengths[last] -= surplus
        writer, over = play_episode(settings, last, lengths[last])
        writer.save(_episode_path(out, last), over)
    for path in out.glob("episode-*.npz"):  # played ahead, not needed
        if int(path.stem.removeprefix("episode-")) > last:
            path.unlink()
    manifest = {**wanted, "episodes": []}
    for number, length in enumerate(lengths):
        path = _episode_path(out, number)
        manifest["episodes"].append({"file": path.name, "transitions": length, "sha256": checksum(path)})
    write_json(out / MANIFEST, manifest)
    return manifest
