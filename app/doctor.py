"""`doctor`: what a maintainer would ask for, and whether this machine can play. Looks, and changes nothing."""

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.players import records_path
from console import EXTRAS
from model.breakout import EMULATOR_HZ

if TYPE_CHECKING:
    from model.engine import Engine

CORE = ("numpy", "onnxruntime", "gymnasium", "ale-py")  # without these nothing else can be looked at
PACKAGES = (*CORE, "pygame-ce", "pillow")
OPTIONAL = {name: EXTRAS[name.replace("-", "_")] for name in ("imageio-ffmpeg", "torch", "matplotlib")}  # -> extra
_WARM_UP, _DREAM_STEPS = 3, 60
Finding = tuple[str, str, str]  # what was looked at, what was found and, where nobody can play like this, what to do


def examine(weights: Path | None, seconds: float) -> Iterator[Finding]:
    """Look at everything that playing needs; steps are measured for `seconds` twice, or not at all if that is 0."""
    yield "system", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} CPU cores", ""
    yield "python", platform.python_version(), ""
    there: dict[str, str] = {}
    for name in (*PACKAGES, *OPTIONAL):
        with suppress(metadata.PackageNotFoundError):
            there[name] = metadata.version(name)
    yield "packages", ", ".join(f"{name} {version}" for name, version in there.items()) or "none", ""
    if extra := [f'{name}: pip install -e ".[{brings}]"' for name, brings in OPTIONAL.items() if name not in there]:
        yield "extras", f"not installed, and not needed to play: {'; '.join(extra)}", ""
    if missing := sorted({*PACKAGES} - {*there}):
        yield "packages", f"{', '.join(missing)} not installed", "pip install -e . in this environment"
    if {*CORE} & {*missing}:
        return
    yield (emulator := _look("emulator", "pip install --force-reinstall ale-py gymnasium", _emulator))
    yield _look("display", "check DISPLAY, WAYLAND_DISPLAY and SDL_VIDEODRIVER; or play --headless", _display)
    records = records_path() or "no place, without a home"
    yield "files", f"captures go to {Path('captures').absolute()}, records to {records}", ""
    engines: list[Engine] = []

    def load() -> str:
        from model.engine import Engine

        engines.append(engine := Engine.load(weights))
        about = f"frame skip {engine.frameskip}, controllers {' and '.join(engine.controllers)}"
        return f"{weights or 'the shipped ones'}, checksum {engine.checksum[:12]}, {about}"

    remedy = "give others with --weights DIR" if weights else "restore the repository's: git checkout assets/weights"
    yield _look("weights", remedy, load)
    if not engines or not seconds or "pygame-ce" in missing or emulator[2]:
        return
    for name, everything in (("step", False), ("everything on", True)):
        yield _look(name, "report this line with those above it", _pace, engines[0], seconds, everything)


def _look(name: str, remedy: str, look: Callable[..., str], *given: object) -> Finding:
    """What `look` finds; whatever is wrong with an installation is a finding and not a traceback."""
    try:
        return name, look(*given), ""
    except Exception as error:
        return name, str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}", remedy


def _emulator() -> str:
    import ale_py.roms

    from collect.emulator import Emulator

    Emulator(1).step(0)
    return f"Breakout ROM found: {ale_py.roms.get_rom_path('breakout')}"


def _display() -> str:
    import pygame

    from app.window import has_display

    if not has_display():
        return "none: headless; play takes --headless here, a window needs a screen"
    try:
        pygame.display.init()
        width, height = pygame.display.get_desktop_sizes()[0]
        return f"{pygame.display.get_driver()}, {width} x {height}"
    except pygame.error as error:
        raise ValueError(f"a display is set up and does not open: {error}") from None
    finally:
        pygame.display.quit()


def _pace(engine: "Engine", seconds: float, everything: bool) -> str:
    """What steps of play cost, picture included, over `seconds` of play, without a display. With everything on: every
    view, a recording, and every other second a dream."""
    import pygame

    from app import clock, draw, keys, loop, players, session, style, view, window
    from collect.emulator import Emulator

    class Picture(window.NoWindow):
        painter, surface = draw.Painter(), pygame.Surface(style.USUAL, 0, 32)

        def show(self, make: Callable[[], Any]) -> None:
            self.painter.paint(self.surface, make())

    taken: list[float] = []
    games, table = session.Session(engine, Emulator(engine.frameskip)), keys.load_keys()
    games.warm_up()
    pygame.font.init()
    with tempfile.TemporaryDirectory() as folder:
        player = players.Autopilot("follow", 0)
        run = loop.Loop(games, Picture(table), clock.Clock(1, paced=False), table, player)
        if everything:
            run.choices = view.Choices(grid=2, difference=True, futures=True, memory=True)
            run.start_recording(Path(folder) / "all.gif")
        try:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end or len(taken) <= _WARM_UP:
                if everything and len(taken) % _DREAM_STEPS == _DREAM_STEPS - 1:
                    games.do("dream")
                start = time.perf_counter()
                run.step()
                taken.append(time.perf_counter() - start)
        finally:
            run.stop_recording()
            style.forget_fonts()
            pygame.quit()
    room, found = 1e3 * engine.frameskip / EMULATOR_HZ, sorted(1e3 * each for each in taken[_WARM_UP:])
    median, slow = found[len(found) // 2], found[len(found) * 99 // 100]
    hints = "the game runs slower then; a smaller window helps", "with all views and a recording; F costs most"
    often = f"true pace in {'most' if median <= room else 'few'} steps ({hints[everything]})"
    verdict = often if slow > room else "true pace is possible"
    return f"{median:.1f} ms median, {slow:.1f} ms 99th percentile, of {room:.1f} ms: {verdict}"
