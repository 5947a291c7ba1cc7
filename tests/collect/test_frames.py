"""Collecting: the same seed gives the same bytes, by any number of workers, interrupted or not."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames
from model.files import FileError

pytestmark = pytest.mark.slow

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
import signal, sys
from pathlib import Path
from collect.frames import CollectSettings, collect_frames
def stop(*arguments):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
try:
    collect_frames({SETTINGS!r}, Path({str(out)!r}), {workers})
except KeyboardInterrupt:
    sys.exit(130)
"""
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.PIPE, text=True)


def test_two_workers_give_the_same_bytes(tmp_path: Path, expected: dict[str, bytes]) -> None:
    done: list[float] = []
    collect_frames(SETTINGS, tmp_path / "two", workers=2, show=lambda share, text: done.append(share))
    assert files(tmp_path / "two") == expected
    assert done == sorted(done)
    assert done[-1] == 1


def test_another_seed_gives_another_game(tmp_path: Path, expected: dict[str, bytes]) -> None:
    collect_frames(replace(SETTINGS, seed=12, transitions=90), tmp_path, workers=1)
    assert (tmp_path / "episode-00000.safetensors").read_bytes() != expected["episode-00000.safetensors"]


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
def test_an_interrupt_keeps_what_is_finished_and_prints_nothing(
    tmp_path: Path, expected: dict[str, bytes], number: signal.Signals
) -> None:
    process = start(tmp_path, workers=2)
    deadline = time.monotonic() + 30
    while not (tmp_path / "episode-00000.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) in ((130, ""), (0, ""))
    assert files(tmp_path)["episode-00000.safetensors"] == expected["episode-00000.safetensors"]
    collect_frames(SETTINGS, tmp_path, workers=1)
    assert files(tmp_path) == expected


def test_a_damaged_episode_is_played_again(tmp_path: Path, expected: dict[str, bytes]) -> None:
    collect_frames(SETTINGS, tmp_path, workers=1)
    (tmp_path / "episode-00001.safetensors").write_bytes(
        expected["episode-00002.safetensors"]
    )  # sound, but of another number
    (tmp_path / "episode-00002.safetensors").write_bytes(b"nothing")
    (tmp_path / "episode-00003.safetensors").unlink()
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


def test_a_second_run_is_told_of_the_first(tmp_path: Path, expected: dict[str, bytes]) -> None:
    process = start(tmp_path, workers=1)
    deadline = time.monotonic() + 30
    while not (tmp_path / "settings.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(FileError, match="another run writes to"):
        collect_frames(SETTINGS, tmp_path, workers=1)
    process.kill()  # a dead run holds no lock
    process.communicate(timeout=20)
    collect_frames(SETTINGS, tmp_path, workers=1)
    assert files(tmp_path) == expected


def test_what_a_machine_refuses_says_what_was_written_and_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        with pytest.raises(FileError, match=r"dataset .* cannot be made: .*file is a file"):
            collect_frames(SETTINGS, out, workers=1)
    assert file.read_text() == "mine"

    def full(source: object, target: object) -> None:
        if "episode" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)  # type: ignore[arg-type]

    real = os.replace
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match=r"cannot write the dataset .*No space left.*episode-00000.*are kept"):
        collect_frames(SETTINGS, tmp_path / "frames", workers=1)
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["settings.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="ermission"):
        collect_frames(SETTINGS, tmp_path / "frames", workers=1)


def test_collecting_imports_no_networks_and_no_window() -> None:
    code = """
import sys, collect.frames, collect.pairs
print([name for name in ("torch", "onnxruntime", "pygame", "app", "train", "evaluate") if name in sys.modules])
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
