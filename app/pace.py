"""How long a play step takes on this machine, and whether hours of play stay as they begin.

Measured on the true thing, as `play` runs it: session, window, recorder and torch threads, only without a display.
Wall-clock times: leave the machine alone meanwhile.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.clock import THREADS, TURN, Unpaced
from app.keys import load_keys
from app.loop import Loop
from app.players import Autopilot
from app.session import Session
from app.view import Choices, make_view
from collect.emulator import Emulator
from model.breakout import EMULATOR_HZ

if TYPE_CHECKING:
    from model.world_model import WorldModel

WARM_UP = 3
_LARGEST_BLOCK, _SPARE = 1 << 25, 1 << 26
"""Bytes: blocks up to this size are cut from memory that the process keeps; so much of it may lie free at its end."""
_RESERVE = 1 << 24
"""Bytes: what a window takes, and twice what memory that is cut up otherwise has been seen to take more."""
DREAM_STEPS = 60
"""With everything on, dreams of so many steps take turns with as many steps on reality."""


def everything() -> Choices:
    """Every view on."""
    return Choices(grid=2, difference=True, futures=True)


def true_pace(frameskip: int) -> float:
    """Milliseconds that a step may take."""
    return 1e3 * frameskip / EMULATOR_HZ


def times(seconds: list[float]) -> dict[str, Any]:
    """{median, p99, of}: milliseconds of the given times."""
    if not seconds:
        return {"median": None, "p99": None, "of": 0}
    median, p99 = np.quantile(np.array(seconds) * 1e3, (0.5, 0.99))
    return {"median": float(median), "p99": float(p99), "of": len(seconds)}


def peak_memory() -> float | None:
    """The most memory that this process ever held, in MB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes on macOS, KiB elsewhere


def memory() -> float | None:
    """The memory that this process holds now, in MB; where only the most it ever held is known (macOS), that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return peak_memory()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def keep_memory() -> None:
    """Let the process keep what the networks need for a moment at every step, so that the warm-up asks for all of it.

    Left to itself, glibc hands it back and asks for it anew, each time cut up otherwise: memory then creeps up for
    hours. Other allocators are left as they are.
    """
    if sys.platform.startswith("linux"):
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if set_option is not None:
            for option, size in ((-3, _LARGEST_BLOCK), (-1, _SPARE)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
                set_option(option, size)


@contextmanager
def warm(session: Session) -> Iterator[Session]:
    """The session warmed up, and Python's garbage collector told that all that is there stays: to look through it, as
    it would from time to time, takes as long as ten steps."""
    session.warm_up()
    np.ones(_RESERVE, np.uint8)  # once touched, it is kept: hours of play cut their memory up otherwise than its start
    gc.collect()
    gc.freeze()
    try:
        yield session
    finally:
        gc.unfreeze()


@contextmanager
def no_display() -> Iterator[None]:
    """SDL without a display, so that no window opens, and threads as `play` has them."""
    import torch

    before, threads, turn = os.environ.get("SDL_VIDEODRIVER"), torch.get_num_threads(), sys.getswitchinterval()
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    torch.set_num_threads(THREADS)
    sys.setswitchinterval(TURN)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        sys.setswitchinterval(turn)
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
        else:
            os.environ["SDL_VIDEODRIVER"] = before


def step_times(
    wm: WorldModel, seconds: float, seed: int = 0, everything_on: bool = False, record: str = ".gif"
) -> list[float]:
    """Seconds of each play step, picture included, over `seconds` of play and at least one step.

    With everything on: every view, a recording (.gif or .mp4), and every other second a dream.
    """
    from app.window import Window

    found: list[float] = []
    with (
        no_display(),
        tempfile.TemporaryDirectory() as folder,
        warm(Session(wm, Emulator(wm.frameskip))) as session,
    ):
        window, keys, player = Window(load_keys()), load_keys(), Autopilot("follow", seed)
        loop = Loop(session, window, Unpaced(session.steps_per_second), keys, player)
        try:
            if everything_on:
                loop.choices = everything()
                loop.start_recording(Path(folder) / f"all{record}")
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(found) <= WARM_UP:
                if everything_on and len(found) % DREAM_STEPS == DREAM_STEPS - 1:
                    session.do("dream")
                start = time.perf_counter()
                loop.step()
                found.append(time.perf_counter() - start)
        finally:
            loop.stop_recording()
            window.close()
    return found[WARM_UP:]


@dataclass(frozen=True)
class Sample:
    """A minute of game time in a soak: minutes played, memory held in MB, median milliseconds of its steps."""

    minutes: float
    memory: float | None
    step: float


def soak(
    wm: WorldModel, hours: float, seed: int = 0, show: Callable[[float, str], None] = lambda share, text: None
) -> dict[str, Any]:
    """Play `hours` of game time headless, as fast as the machine can; once a second of it, draw every view.

    Returns memory and pace of each minute, and what `steadiness` makes of them. ValueError if there is nothing to play.
    """
    from app.window import NoWindow, Window

    if not 0 < hours < math.inf:
        raise ValueError(f"hours must be above 0, got {hours:g}")
    samples: list[Sample] = []
    keep_memory()
    with no_display(), warm(Session(wm, Emulator(wm.frameskip))) as session:
        window, keys, player = Window(load_keys()), load_keys(), Autopilot("follow", seed)
        clock = Unpaced(session.steps_per_second)
        loop = Loop(session, NoWindow(keys), clock, keys, player)
        second, total = session.steps(1), session.steps(3600 * hours)
        costs: list[float] = []
        try:
            while session.taken < total:
                start, steps = time.perf_counter(), min(second, total - session.taken)
                for _ in range(steps):
                    loop.step()
                costs.append((time.perf_counter() - start) * 1e3 / steps)
                window.show(lambda: make_view(session, clock, everything()))
                if len(costs) == 60 or session.taken == total:
                    minutes = session.taken / session.steps_per_second / 60
                    samples.append(Sample(minutes, memory(), float(np.median(costs))))
                    costs.clear()
                    show(session.taken / total, f"{minutes:.0f} min, {samples[-1].memory or 0:.1f} MB")
        finally:
            window.close()
    return {"hours": hours, **steadiness(samples), "samples": [vars(sample) for sample in samples]}


def steadiness(samples: list[Sample]) -> dict[str, Any]:
    """{memory_growth, pace_drift}: shares. Memory at the end over that after the first minute, less 1; the median step
    of the last quarter over that of the first quarter, less 1. None where it takes more samples to tell."""
    growth = drift = None
    if len(samples) > 1 and samples[0].memory and samples[-1].memory:
        growth = samples[-1].memory / samples[0].memory - 1
    if len(samples) >= 4:
        quarter = len(samples) // 4
        first, last = (float(np.median([s.step for s in part])) for part in (samples[:quarter], samples[-quarter:]))
        drift = last / first - 1
    return {"memory_growth": growth, "pace_drift": drift}


def steadiness_line(report: dict[str, Any]) -> str:
    """What came of a soak, in one line."""
    samples, growth, drift = report["samples"], report["memory_growth"], report["pace_drift"]
    held = "memory unknown here" if samples[-1]["memory"] is None else f"{samples[-1]['memory']:.1f} MB at the end"
    grown = "too short to tell of growth" if growth is None else f"{growth:+.2%} since the first minute"
    pace = "too short to tell of drift" if drift is None else f"{drift:+.1%} from the first quarter to the last"
    return f"{report['hours']:g} hours of play: {held}, {grown}; a step {samples[-1]['step']:.1f} ms, {pace}"
