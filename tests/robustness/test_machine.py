"""What a machine can do to a program: a full disk, a directory that cannot be written, no memory, a dead worker.

Each ends in one line and status 1, and what was there is untouched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import collect.frames
from collect.frames import CollectSettings, collect_frames
from main import app

resource = pytest.importorskip("resource", reason="needs limits as POSIX has them")
ROOT = Path(__file__).resolve().parents[2]
COLLECT = ("collect", "frames", "--transitions", "3000", "--policy", "random", "--frameskip", "2", "--seed", "1")


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def command(*arguments: object) -> list[str]:
    """The program as a process of its own."""
    return [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]


def one_error(result: subprocess.CompletedProcess[str]) -> str:
    """What it said on stderr, which is one line, with status 1."""
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.slow
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A real write that fails half-way: files may have 4 kB here, and an episode has more."""
    out = tmp_path / "frames"
    result = subprocess.run(
        command(*COLLECT, "--out", out, "--workers", 1),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert "File too large" in one_error(result)
    assert [path.name for path in out.iterdir()] == ["settings.json"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(where)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting takes rights that this process does not have")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_a_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    out = small_disk / "frames"
    result = CliRunner().invoke(app, [*COLLECT, "--out", str(out), "--workers", "1"])
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    kept = {path.name: path.read_bytes() for path in out.iterdir()}
    assert any(name.startswith("episode") for name in kept)
    assert not any(name.endswith(".tmp") for name in kept)
    collect_frames(CollectSettings(3000, "random", 2, 1), tmp_path / "whole", workers=1)
    assert all((tmp_path / "whole" / name).read_bytes() == data for name, data in kept.items())


def test_a_directory_that_cannot_be_written(read_only: Path) -> None:
    for out in (read_only, read_only / "frames"):
        result = CliRunner().invoke(app, [*COLLECT, "--out", str(out), "--workers", "1"])
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1
        assert "ermission denied" in result.stderr or "not empty" in result.stderr
    assert {path.name for path in read_only.iterdir()} == {"mine.txt"}


@pytest.mark.slow
def test_no_memory_left(tmp_path: Path) -> None:
    """A real process that may have 60 MB more than it has when its work begins."""
    pairs = tmp_path / "pairs.json"
    pairs.write_text("[" + "[],\n" * 2_000_000 + "[]]")
    code = (
        "import resource, sys; import main, torch, train.action, train.loop\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + (60 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        f"main.app(['train', 'action', '--pairs', {str(pairs)!r}, '--out', {str(tmp_path / 'out')!r}])"
    )
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not say how much memory a process has")
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "memory" in one_error(result)
    assert not (tmp_path / "out").exists()


def children_of(pid: int) -> list[int]:
    """The processes that a process started with multiprocessing."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            spawned = b"spawn_main" in (path / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and spawned:
            found.append(int(path.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_a_worker_that_dies(tmp_path: Path) -> None:
    """A real worker, killed as the system kills one when memory runs out."""
    out = tmp_path / "frames"
    arguments = ("collect", "frames", "--transitions", 20000, "--seed", 1, "--workers", 2, "--out", out)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 30
    while not list(out.glob("episode-*.safetensors")) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    lines = [line for line in said.splitlines() if "resource_tracker" not in line and "warnings.warn" not in line]
    assert process.returncode == 1
    assert lines == [
        "error: a worker process died (out of memory, or killed); what was finished is kept: run the command again"
    ]
    assert list(out.glob("episode-*.safetensors"))
    assert all(len(collect.frames.load_episode(path)) for path in out.glob("episode-*.safetensors"))
