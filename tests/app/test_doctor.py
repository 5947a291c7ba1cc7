"""`doctor`: it finds what is there, and for everything that is broken says in one line what to do."""

from __future__ import annotations

import re
from importlib import metadata

import ale_py.roms
import pytest
from typer.testing import CliRunner

from app.commands import app

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _headless(fake_weights: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER"):
        monkeypatch.delenv(name, raising=False)


def doctor(*arguments: str) -> tuple[int, dict[str, str]]:
    """Exit status and the findings, name -> text."""
    result = CliRunner().invoke(app, ["doctor", "--seconds", "0", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stderr == ""
    return result.exit_code, {line[:14].strip(): line[14:] for line in result.stdout.splitlines()}


def broken(findings: dict[str, str]) -> list[str]:
    return [name for name, text in findings.items() if text.startswith("BROKEN: ") and " -> " in text]


def test_a_machine_that_can_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    status, found = doctor("--seconds", "0.05")
    assert status == 0
    assert broken(found) == []
    for package in ("onnxruntime", "numpy", "gymnasium", "ale-py", "pygame-ce"):
        assert f"{package} {metadata.version(package)}" in found["packages"]
    assert "CPU cores" in found["system"]
    assert "breakout.bin" in found["emulator"]
    assert "headless" in found["display"]
    assert "captures" in found["files"]
    assert re.search(r"checksum stand-in[0-9a-f]{4}, frame skip 2, controllers context and action", found["weights"])
    for name in ("step", "everything on"):
        median, slowest, room = map(float, re.findall(r"([\d.]+) ms", found[name]))
        assert 0 < median <= slowest
        assert room == pytest.approx(33.3)
        if slowest != room:  # rounded alike, either may be meant
            assert ("true pace is possible" in found[name]) == (slowest < room)


def test_weights_that_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: object = None) -> None:
        raise ValueError("weights nowhere are damaged")

    monkeypatch.setattr("model.engine.Engine.load", load)
    status, found = doctor("--weights", "nowhere", "--seconds", "1")
    assert status == 1
    assert broken(found) == ["weights"]
    assert "weights nowhere are damaged -> give others" in found["weights"]
    assert "emulator" in found
    assert "step" not in found


@pytest.mark.parametrize(("missing", "works"), [("pygame-ce", False), ("imageio-ffmpeg", True), ("torch", True)])
def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str, works: bool) -> None:
    there = metadata.version

    def version(name: str) -> str:
        if name == missing:
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(metadata, "version", version)
    status, found = doctor("--seconds", "0.01")
    assert (status == 0) == works
    said = found["extras"] if works else found["packages"]
    assert missing in said
    assert "pip install" in said
    assert "weights" in found


def test_a_rom_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ale_py.roms, "get_rom_path", lambda name: None)
    status, found = doctor("--seconds", "0.01")
    assert status == 1
    assert broken(found) == ["emulator"]


@pytest.mark.parametrize(("driver", "opens"), [("no such driver", False), ("dummy", True)])
def test_a_display_that_is_set_up(monkeypatch: pytest.MonkeyPatch, driver: str, opens: bool) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    status, found = doctor()
    assert (status == 0) == opens
    assert broken(found) == ([] if opens else ["display"])
    if opens:
        assert re.match(r"dummy, \d+ x \d+", found["display"])
