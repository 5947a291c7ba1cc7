"""Collecting: the same seed gives the same bytes, by any number of workers, interrupted or not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

import collect.frames
from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames
from model.files import FileError

SETTINGS = CollectSettings(transitions=900, policy="mixed", frameskip=2, seed=11, episode_seconds=3.0)


def files(directory: Path) -> dict[str, bytes]:
    """Everything in a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The dataset of SETTINGS, collected at one go by this process."""
    out = tmp_path_factory.mktemp("expected")
    manifest = collect_frames(SETTINGS, out, workers=1)
    assert sum(entry["transitions"] for entry in manifest["episodes"]) == SETTINGS.transitions
    assert len(TransitionDataset.load(out)) == SETTINGS.transitions
    return files(out)


def start(out: Path, workers: int) -> subprocess.Popen[str]:
    """Collect SETTINGS in a process group of its own."""
    root = Path(__file__).parents[2]
    code = f"""
import sys
sys.path.insert(0, {str(root)!r})
from pathlib import Path
import typer
from cli import clean_errors
from collect.frames import CollectSettings, collect_frames
def main() -> None:
    with clean_errors():
        collect_frames({SETTINGS!r}, Path({str(out)!r}), {workers})
typer.run(main)
"""
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.PIPE, text=True)


def test_two_workers_give_the_same_bytes(tmp_path: Path, expected: dict[str, bytes]) -> None:
    done: list[int] = []
    collect_frames(SETTINGS, tmp_path / "two", workers=2, progress=done.append)
    assert files(tmp_path / "two") == expected
    assert done == sorted(done)
    assert done[-1] == SETTINGS.transitions


def test_another_seed_gives_another_game(tmp_path: Path, expected: dict[str, bytes]) -> None:
    collect_frames(replace(SETTINGS, seed=12, transitions=90), tmp_path, workers=1)
    assert (tmp_path / "episode-00000.npz").read_bytes() != expected["episode-00000.npz"]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_and_run_again(tmp_path: Path, expected: dict[str, bytes], workers: int) -> None:
    chance = random.Random(workers)
    for _ in range(2):
        process = start(tmp_path, workers)
        time.sleep(chance.uniform(0.4, 1.5))
        process.send_signal(signal.SIGKILL)  # of the parent alone: its workers must notice and end
        process.communicate(timeout=20)  # stderr is shared with the workers, so this waits for them too
    kept = {name: data for name, data in files(tmp_path).items() if name.startswith("episode")}
    collect_frames(SETTINGS, tmp_path, workers=1)
    assert files(tmp_path) == expected
    last = max(expected)
    assert all(expected[name] == data for name, data in kept.items() if name in expected and name < last)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_is_finished_and_says_one_line(
    tmp_path: Path, expected: dict[str, bytes], number: signal.Signals
) -> None:
    process = start(tmp_path, workers=2)
    deadline = time.monotonic() + 30
    while not (tmp_path / "episode-00000.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) in ((130, "interrupted; what was finished is kept\n"), (0, ""))
    assert files(tmp_path)["episode-00000.npz"] == expected["episode-00000.npz"]
    collect_frames(SETTINGS, tmp_path, workers=1)
    assert files(tmp_path) == expected


def _die(*arguments: object) -> int:
    os._exit(9)


def test_a_dead_worker_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect.frames, "_collect_one", _die)
    with pytest.raises(BrokenProcessPool):
        collect_frames(SETTINGS, tmp_path, workers=2)


def test_a_damaged_episode_is_played_again(tmp_path: Path, expected: dict[str, bytes]) -> None:
    collect_frames(SETTINGS, tmp_path, workers=1)
    (tmp_path / "episode-00001.npz").write_bytes(expected["episode-00002.npz"])  # sound, but of another number
    (tmp_path / "episode-00002.npz").write_bytes(b"nothing")
    (tmp_path / "episode-00003.npz").unlink()
    collect_frames(SETTINGS, tmp_path, workers=1)
    assert files(tmp_path) == expected


def test_what_is_there_is_left_alone(tmp_path: Path, expected: dict[str, bytes]) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="not a dataset"):
        collect_frames(SETTINGS, mine, workers=1)
    assert files(mine) == {"notes.txt": b"mine"}
    out = tmp_path / "out"
    collect_frames(SETTINGS, out, workers=1)
    with pytest.raises(FileError, match="other settings"):
        collect_frames(replace(SETTINGS, frameskip=4), out, workers=1)
    assert files(out) == expected
    (out / "settings.json").write_text("{")
    with pytest.raises(FileError, match="cannot be read"):
        collect_frames(SETTINGS, out, workers=1)
