"""`collect frames`: play episodes with a policy and write them as a transition dataset.

An episode depends on the settings, the seed and its number alone, so it does not matter which process plays it,
in what order, or whether a run was interrupted in between: the same settings give the same bytes."""

import atexit
import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np

from collect.dataset import DATASET_SCHEMA, MANIFEST, SETTINGS, Episode, load_episode, read_manifest, read_object
from collect.drills import play, play_drills
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from console import Show, quiet
from model.files import FileError, checksum, make_directory, write_json

GAMES_EVERY = 16  # of the `drill` policy's episodes every 16th is a whole game, the others are drills
_EPISODE, _LOCK, _HALF_WRITTEN = "episode-{:05d}.safetensors", ".lock", ".*.tmp"


@dataclass(frozen=True)
class CollectSettings:
    """What a dataset depends on. `episode_seconds` of game time is the longest an episode may last."""

    transitions: int
    policy: str
    frameskip: int
    seed: int
    episode_seconds: float = 40.0


@lru_cache(maxsize=1)
def _emulator(frameskip: int) -> Emulator:
    """One per process: to load the ROM takes as long as a thousand steps."""
    atexit.register(_emulator.cache_clear)  # ale-py prints complaints about emulators that outlive their modules
    return Emulator(frameskip)


def play_episode(settings: CollectSettings, number: int, limit: int | None = None) -> Episode:
    """Play episode `number`: at most `limit` steps."""
    rng = np.random.default_rng([settings.seed, number])
    emulator = _emulator(settings.frameskip)
    rng.integers(2**31)  # unused; without it the seeds of published numbers would mean other games
    longest = max(1, round(settings.episode_seconds * emulator.steps_per_second))
    steps = min(longest, limit or longest)
    if settings.policy == "drill" and number % GAMES_EVERY:
        return play_drills(emulator, rng, steps).to_episode(False)
    start_episode(emulator, settings.policy, rng)
    policy = make_policy(settings.policy, rng, settings.frameskip)
    return play(emulator, policy, steps).to_episode(emulator.over)


def _collect_one(settings: CollectSettings, number: int, out: Path, limit: int | None = None) -> int:
    """Play and save one episode, unless a sound file of all of it is there already. Returns its length in steps."""
    path = out / _EPISODE.format(number)
    if path.exists() and limit is None:
        with suppress(FileError):
            return len(load_episode(path))
    episode = play_episode(settings, number, limit)
    episode.save(path)
    return len(episode)


def _start_worker() -> None:
    """Ctrl-C goes to every process of the terminal, and is the parent's to handle. Without a parent, end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _lengths(settings: CollectSettings, out: Path, workers: int) -> Generator[int, None, None]:
    """The lengths of episode 0, 1, 2, ... in order, played ahead by `workers` processes. When it is closed, or
    interrupted, episodes that are being played are finished and saved."""
    if workers == 1:
        for number in count():
            yield _collect_one(settings, number, out)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        tasks = (pool.submit(_collect_one, settings, number, out) for number in count())
        # Workers are started here and inherit this, so a Ctrl-C that comes now cannot print their tracebacks.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            waiting = deque(islice(tasks, 2 * workers - 1))
        finally:
            signal.signal(signal.SIGINT, before)
        for task in tasks:
            waiting.append(task)
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def check_settings(path: Path, wanted: dict[str, Any]) -> None:
    """FileError unless the settings of the dataset that is there are the `wanted` ones."""
    if read_object(path, "settings", 1 << 16) != wanted:
        raise FileError(f"{path.parent} holds a dataset of other settings; choose another --out, or remove it")


@contextmanager
def _owned(out: Path) -> Iterator[None]:
    """Make a dataset's folder and hold its lock, freed when this run dies. FileError if anything else is in it, another
    run holds the lock, or the machine refuses to write."""
    settings, lock = out / SETTINGS, out / _LOCK
    try:
        fresh = out.is_dir() and not settings.exists()
        if fresh and any(path != lock and not path.match(_HALF_WRITTEN) for path in out.iterdir()):
            raise FileError(f"{out} is not empty and not a dataset; choose another --out")
        make_directory(out, "dataset")
        with open(lock, "ab") as file:
            try:
                if sys.platform == "win32":
                    import msvcrt

                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):  # of a file system without locks
                    raise FileError(f"another run writes to {out}: wait for it, or choose another --out") from None
            if os.fstat(file.fileno()).st_nlink == 0:  # a run that ended removed it between our opening and locking it
                raise FileError(f"another run has just left {out}: run the command again")
            try:
                yield
            finally:
                with suppress(OSError):  # Windows removes no open file; one that is left there locks nothing
                    lock.unlink()
    except OSError as error:
        kept = "; finished episodes are kept: the same command goes on from them" if settings.exists() else ""
        raise FileError(f"cannot write the dataset {out}: {error.strerror or error}{kept}") from error


def collect_frames(
    settings: CollectSettings, out: Path, workers: int | None = None, show: Show = quiet
) -> dict[str, Any]:
    """Collect exactly `settings.transitions` transitions into `out`; finished episodes there are kept and used.
    Returns the manifest. FileError if `out` holds a dataset of other
    settings or anything else, another run writes there, or the machine refuses to write."""
    wanted = {"schema": DATASET_SCHEMA, **asdict(settings)}
    total, lengths = settings.transitions, list[int]()
    with _owned(out):
        if (out / SETTINGS).exists():
            check_settings(out / SETTINGS, wanted)
            with suppress(FileError):
                manifest = read_manifest(out)
                files = ((out / entry["file"], entry["sha256"]) for entry in manifest["episodes"])
                damaged = [path for path, digest in files if not path.exists() or checksum(path) != digest]
                if not damaged:
                    show(1.0, f"{total} of {total}")
                    return manifest
                for path in damaged:  # to be played again
                    path.unlink(missing_ok=True)
        else:
            write_json(out / SETTINGS, wanted)
        with closing(_lengths(settings, out, workers or min(os.cpu_count() or 1, 8))) as source:
            while sum(lengths) < total:
                lengths.append(next(source))
                done = min(sum(lengths), total)
                show(done / total, f"{done} of {total}")
        if surplus := sum(lengths) - total:  # cut the last episode to the transitions asked for
            lengths[-1] = _collect_one(settings, len(lengths) - 1, out, lengths[-1] - surplus)
        paths = [out / _EPISODE.format(number) for number in range(len(lengths))]
        for path in {*out.glob("episode-*.safetensors"), *out.glob(_HALF_WRITTEN)} - {*paths}:
            path.unlink(missing_ok=True)  # played ahead, or left by a kill
        parts = zip(paths, lengths, strict=True)
        entries = [{"file": path.name, "transitions": steps, "sha256": checksum(path)} for path, steps in parts]
        write_json(out / MANIFEST, {**wanted, "episodes": entries})
    return {**wanted, "episodes": entries}
