"""`doctor`: it finds what is there, and for everything that is broken says in one line what to do."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import ale_py.roms
import pytest
from typer.testing import CliRunner

from main import app


@pytest.fixture(autouse=True)
def _headless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER"):
        monkeypatch.delenv(name, raising=False)


def doctor(weights: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    """Exit status and the findings, name -> text."""
    result = CliRunner().invoke(app, ["doctor", "--weights", str(weights), "--seconds", "0", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stderr == ""
    return result.exit_code, {line[:14].strip(): line[14:] for line in result.stdout.splitlines()}


def broken(findings: dict[str, str]) -> list[str]:
    return [name for name, text in findings.items() if text.startswith("BROKEN: ") and " -> " in text]


def test_a_machine_that_can_play(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    status, found = doctor(weights, "--seconds", "0.05")
    assert status == 0
    assert broken(found) == []
    for package in ("torch", "numpy", "ale-py", "pygame-ce"):
        assert f"{package} {metadata.version(package)}" in found["packages"]
    assert "CPU cores" in found["device"]
    assert "breakout.bin" in found["emulator"]
    assert "headless" in found["display"]
    assert re.search(r"checksum [0-9a-f]{12}, frame skip 4, controllers context and action", found["weights"])
    for name in ("step", "everything on"):
        median, slowest, room = map(float, re.findall(r"([\d.]+) ms", found[name]))
        assert 0 < median <= slowest
        assert room == pytest.approx(66.7)
        if slowest != room:  # rounded alike, either may be meant
            assert ("true pace is possible" in found[name]) == (slowest < room)


@pytest.mark.parametrize("size", [None, 100])
def test_weights_that_do_not_load(weights: Path, tmp_path: Path, size: int | None) -> None:
    if size is not None:
        for file in weights.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes()[: None if file.suffix == ".json" else size])
    status, found = doctor(tmp_path if size else tmp_path / "nowhere", "--seconds", "1")
    assert status == 1
    assert broken(found) == ["weights"]
    assert ("damaged" if size else "does not exist") in found["weights"]
    assert "emulator" in found
    assert "step" not in found


def test_a_package_that_is_missing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = metadata.version

    def version(name: str) -> str:
        if name == "pygame-ce":
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(metadata, "version", version)
    status, found = doctor(weights, "--seconds", "1")
    assert status == 1
    assert "pygame-ce not installed -> pip install" in found["packages"]
    assert "weights" in found


def test_a_rom_that_is_missing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ale_py.roms, "get_rom_path", lambda name: None)
    status, found = doctor(weights, "--seconds", "0.01")
    assert status == 1
    assert broken(found) == ["emulator", "step", "everything on"]
    assert "without the Breakout ROM" in found["emulator"]


def test_a_device_that_is_not_there_and_weights_that_load_all_the_same(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, found = doctor(weights, "--device", "cuda")
    assert status == 1
    assert broken(found) == ["device"]


def test_a_display_that_does_not_open(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    status, found = doctor(weights)
    assert status == 1
    assert broken(found) == ["display"]


def test_a_display_that_opens(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    status, found = doctor(weights)
    assert status == 0
    assert re.match(r"dummy, \d+ x \d+", found["display"])
