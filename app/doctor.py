"""`doctor`: what a maintainer would ask for, and whether this machine can play. Looks, and changes nothing.

Every finding is one line; one that is broken says what to do, and the others are looked at all the same.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from app.clock import THREADS
from model.files import FileError

if TYPE_CHECKING:
    from model.world_model import WorldModel

PACKAGES = ("torch", "numpy", "ale-py", "pygame-ce", "safetensors", "pillow", "imageio-ffmpeg")
_WIDE = 14


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


def examine(weights: Path | None, device: str, seconds: float) -> Iterator[Finding]:
    """Look at everything that playing needs; steps are measured for `seconds` twice, or not at all if that is 0."""
    yield Finding("system", f"{platform.platform()}, {platform.machine()}")
    yield Finding("python", platform.python_version())
    missing = yield from _packages()
    if "torch" in missing or "ale-py" in missing or "numpy" in missing:
        return
    yield _device(device)
    yield _emulator()
    if "pygame-ce" not in missing:
        yield _display()
    twin, finding = _weights(weights, device)
    yield finding
    if twin is not None and seconds > 0 and not missing:
        yield from _pace(twin, seconds)


def _packages() -> Generator[Finding, None, list[str]]:
    """Versions; returns the names of what is missing."""
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", ", ".join(versions) or "none")
    if missing:
        yield Finding("packages", f"{', '.join(missing)} not installed", "pip install -e . in this environment")
    return missing


def _device(name: str) -> Finding:
    import torch

    from model.device import choose_device

    cores = f"{os.cpu_count()} CPU cores, PyTorch would use {torch.get_num_threads()} threads and play uses {THREADS}"
    try:
        device = choose_device(name)
    except ValueError as error:
        return Finding("device", str(error), "use --device cpu")
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return Finding("device", f"{device}{f' ({kind})' if kind else ''}, {cores}")


def _emulator() -> Finding:
    try:
        import ale_py.roms

        from collect.emulator import Emulator

        Emulator(1).step(0)
    except Exception as error:  # whatever is wrong with an installation is a finding and not a traceback
        return Finding("emulator", f"{type(error).__name__}: {error}", "pip install --force-reinstall ale-py")
    return Finding("emulator", f"Breakout ROM found: {ale_py.roms.get_rom_path('breakout')}")


def _display() -> Finding:
    try:
        from app.window import display_driver

        driver = display_driver()
    except ValueError as error:
        return Finding("display", str(error), "check DISPLAY, WAYLAND_DISPLAY and SDL_VIDEODRIVER; or play --headless")
    except Exception as error:
        return Finding("display", f"{type(error).__name__}: {error}", "pip install --force-reinstall pygame-ce")
    if driver is None:
        return Finding("display", "none: headless; play takes --headless here, a window needs a screen")
    return Finding("display", driver)


def _weights(path: Path | None, device: str) -> tuple[WorldModel | None, Finding]:
    from model.weights import SHIPPED
    from model.world_model import WorldModel

    directory = path or SHIPPED
    try:
        try:
            twin = WorldModel.load(path, device)
        except FileError:
            raise
        except ValueError:  # the device, which has had its line
            twin = WorldModel.load(path, "cpu")
    except Exception as error:
        remedy = "give others with --weights DIR" if path else "restore the repository's: git checkout assets/weights"
        return None, Finding("weights", f"{directory}: {error}", remedy)
    controllers = " and ".join(twin.controllers)
    return twin, Finding(
        "weights", f"{directory}, checksum {twin.checksum[:12]}, frame skip {twin.frameskip}, controllers {controllers}"
    )


def _pace(twin: WorldModel, seconds: float) -> Iterator[Finding]:
    from app.pace import step_times, times, true_pace

    room = true_pace(twin.frameskip)
    for name, everything_on, hint in (
        ("step", False, "the game runs slower then; a smaller window helps"),
        ("everything on", True, "with all views and a recording; F costs most"),
    ):
        try:
            found = times(step_times(twin, seconds, everything_on=everything_on))
        except Exception as error:
            yield Finding(name, f"{type(error).__name__}: {error}", "report this line with those above it")
            continue
        often = "all" if found["p99"] <= room else "most" if found["median"] <= room else "few"
        verdict = "true pace is possible" if often == "all" else f"true pace in {often} steps ({hint})"
        measured = f"{found['median']:.1f} ms median, {found['p99']:.1f} ms 99th percentile"
        yield Finding(name, f"{measured}, of {room:.1f} ms: {verdict}")
