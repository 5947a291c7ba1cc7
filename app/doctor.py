"""`doctor`: what a maintainer would ask for, and whether this machine can play. Looks, and changes nothing.

Every finding is one line; one that is broken says what to do, and the others are looked at all the same.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from app.saved import records_path
from model.breakout import EMULATOR_HZ

if TYPE_CHECKING:
    from model.engine import Engine

PACKAGES = ("numpy", "onnxruntime", "gymnasium", "ale-py", "pygame-ce", "pillow")
EXTRAS = {"imageio-ffmpeg": "record", "torch": "train", "matplotlib": "report"}
"""Packages that only some commands need, and the extra that brings them."""
_WIDE, _WARM_UP, _DREAM_STEPS = 14, 3, 60


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and, if playing takes something else, what to do about it."""

    name: str
    found: str
    remedy: str = ""

    @property
    def broken(self) -> bool:
        """Whether playing is not possible like this."""
        return bool(self.remedy)

    def line(self) -> str:
        """One line for the terminal."""
        text = f"{self.name:<{_WIDE}}{'BROKEN: ' if self.broken else ''}{self.found}"
        return " ".join(text.splitlines()) + (f" -> {self.remedy}" if self.broken else "")


def examine(weights: Path | None, seconds: float) -> Iterator[Finding]:
    """Look at everything that playing needs; steps are measured for `seconds` twice, or not at all if that is 0."""
    yield Finding("system", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} CPU cores")
    yield Finding("python", platform.python_version())
    missing = yield from _packages()
    if missing & {"numpy", "onnxruntime", "gymnasium", "ale-py"}:
        return  # nothing else can be looked at
    emulator = _look("emulator", _emulator, "pip install --force-reinstall ale-py gymnasium")
    yield emulator
    yield _look("display", _display, "check DISPLAY, WAYLAND_DISPLAY and SDL_VIDEODRIVER; or play --headless")
    yield Finding("files", f"captures go to {Path('captures').absolute()}, records to {records_path()}")
    engines: list[Engine] = []

    def load() -> str:
        from model.engine import Engine

        engine = Engine.load(weights)
        engines.append(engine)
        about = f"frame skip {engine.frameskip}, controllers {' and '.join(engine.controllers)}"
        return f"{weights or 'the shipped ones'}, checksum {engine.checksum[:12]}, {about}"

    remedy = "give others with --weights DIR" if weights else "restore the repository's: git checkout assets/weights"
    yield _look("weights", load, remedy)
    if engines and seconds > 0 and "pygame-ce" not in missing and not emulator.broken:
        yield from _pace(engines[0], seconds)


def _packages() -> Generator[Finding, None, set[str]]:
    versions: list[str] = []
    missing, extra = set(), []
    for name in (*PACKAGES, *EXTRAS):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            if name in EXTRAS:
                extra.append(f'{name}: pip install -e ".[{EXTRAS[name]}]"')
            else:
                missing.add(name)
    yield Finding("packages", ", ".join(versions) or "none")
    if extra:
        yield Finding("extras", f"not installed, and not needed to play: {'; '.join(extra)}")
    if missing:
        yield Finding("packages", f"{', '.join(sorted(missing))} not installed", "pip install -e . in this environment")
    return missing


def _look(name: str, look: Callable[[], str], remedy: str) -> Finding:
    """What `look` finds; whatever is wrong with an installation is a finding and not a traceback."""
    try:
        return Finding(name, look())
    except ValueError as error:
        return Finding(name, str(error), remedy)
    except Exception as error:
        return Finding(name, f"{type(error).__name__}: {error}", remedy)


def _emulator() -> str:
    import ale_py.roms

    from collect.emulator import Emulator

    Emulator(1).step(0)
    return f"Breakout ROM found: {ale_py.roms.get_rom_path('breakout')}"


def _display() -> str:
    from app.window import display_driver

    return display_driver() or "none: headless; play takes --headless here, a window needs a screen"


def _pace(engine: Engine, seconds: float) -> Iterator[Finding]:
    room = 1e3 * engine.frameskip / EMULATOR_HZ
    for name, everything, hint in (
        ("step", False, "the game runs slower then; a smaller window helps"),
        ("everything on", True, "with all views and a recording; F costs most"),
    ):
        try:
            found = sorted(1e3 * taken for taken in step_times(engine, seconds, everything))
        except Exception as error:
            yield Finding(name, f"{type(error).__name__}: {error}", "report this line with those above it")
            continue
        median, slow = found[len(found) // 2], found[len(found) * 99 // 100]
        often = "all" if slow <= room else "most" if median <= room else "few"
        verdict = "true pace is possible" if often == "all" else f"true pace in {often} steps ({hint})"
        yield Finding(name, f"{median:.1f} ms median, {slow:.1f} ms 99th percentile, of {room:.1f} ms: {verdict}")


def step_times(engine: Engine, seconds: float, everything: bool = False) -> list[float]:
    """Seconds of each play step, picture included, over `seconds` of play and at least one step, without a display.

    With everything on: every view, a recording, and every other second a dream.
    """
    from app.clock import Unpaced
    from app.keys import load_keys
    from app.loop import Loop
    from app.players import Autopilot
    from app.session import Session
    from app.window import Window
    from collect.emulator import Emulator

    found: list[float] = []
    session, keys = Session(engine, Emulator(engine.frameskip)), load_keys()
    session.warm_up()
    with _no_display(), tempfile.TemporaryDirectory() as folder:
        window = Window(keys)
        loop = Loop(session, window, Unpaced(session.steps_per_second), keys, Autopilot("follow", 0))
        if everything:
            loop.choices.grid, loop.choices.difference, loop.choices.futures, loop.choices.memory = 2, True, True, True
            loop.start_recording(Path(folder) / "all.gif")
        try:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(found) <= _WARM_UP:
                if everything and len(found) % _DREAM_STEPS == _DREAM_STEPS - 1:
                    session.do("dream")
                start = time.perf_counter()
                loop.step()
                found.append(time.perf_counter() - start)
        finally:
            loop.stop_recording()
            window.close()
    return found[_WARM_UP:]


@contextmanager
def _no_display() -> Iterator[None]:
    """SDL without a display, so that no window opens."""
    before = os.environ.get("SDL_VIDEODRIVER")
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
        else:
            os.environ["SDL_VIDEODRIVER"] = before
