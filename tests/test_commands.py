"""The commands of the command line: help with an example each, wrong usage, and `collect` end to end at tiny size."""

from __future__ import annotations

import errno
import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest
import typer.main
from typer.testing import CliRunner

import collect.frames
from main import app
from tools.robustness.jobs import StandIn

ROOT = Path(__file__).resolve().parents[1]
RUNNER = CliRunner()


def leaves(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, and the words that lead to it."""
    for name, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from leaves(below, *path, name)
        else:
            yield (*path, name), below


COMMANDS = dict(leaves(typer.main.get_command(app)))


def run(*arguments: object, status: int = 0) -> str:
    """Run a command. Gives what it printed; for a failure, its one line on stderr."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    if status != 1:
        return result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """An engine without weights, in place of the shipped one."""
    engine = StandIn(frameskip=2)
    engine.checksum, engine.meta = "0" * 64, {}  # type: ignore[attr-defined]
    module = SimpleNamespace(Engine=SimpleNamespace(load=lambda path=None: engine))
    monkeypatch.setitem(sys.modules, "model.engine", module)
    return engine


def test_all_commands_are_there() -> None:
    one = {"play", "evaluate", "analyze", "bench", "doctor", "web"}
    two = {("collect", "frames"), ("collect", "pairs"), ("train", "vqvae"), ("train", "context"), ("train", "action")}
    assert {(name,) for name in one} | two <= COMMANDS.keys()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_says_what_each_option_is(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert f"Example: python main.py {' '.join(path)}" in command.help
    assert "--help" in run(*path, "--help")
    for option in command.params:
        assert option.help, f"{' '.join(path)} {option.opts[0]} has no help"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_numbers_that_are_none_are_wrong_usage(path: tuple[str, ...]) -> None:
    kinds = get_type_hints(inspect.unwrap(COMMANDS[path].callback))
    for name, kind in kinds.items():
        option = f"--{name.replace('_', '-')}"
        if kind in (float, float | None):
            for value in ("nan", "inf", "-1e9"):
                run(*path, option, value, status=2)
        if name == "seed":
            for value in ("-1", "99999999999999999999", "x"):
                run(*path, option, value, status=2)


def test_wrong_usage_is_status_2() -> None:
    for arguments in (
        ("collect", "frames", "--policy", "nobody"),
        ("collect", "frames", "--transitions", "0"),
        ("collect", "frames", "--frameskip", "x"),
        ("collect", "pairs", "--nothing"),
        ("collect", "nothing"),
        ("nothing",),
    ):
        run(*arguments, status=2)


def test_frames_to_pairs(stand_in: StandIn, tmp_path: Path) -> None:
    frames, pairs = tmp_path / "frames", tmp_path / "a" / "pairs.json"
    data = ("--transitions", 500, "--policy", "random", "--frameskip", 2)
    collecting = ("collect", "frames", *data, "--out", frames, "--workers", 1)
    printed = run(*collecting)
    assert "500 transitions" in printed
    assert printed.endswith(f"next: python main.py train vqvae --frames {frames}\n")
    assert "500 transitions" in run(*collecting)  # it is all there already
    printed = run("collect", "pairs", "--frames", frames, "--out", pairs, "--transitions", 60)
    assert "60 pairs" in printed
    assert printed.endswith(f"next: python main.py train action --pairs {pairs}\n")
    run("collect", "pairs", "--frames", frames, "--out", pairs)
    assert len(json.loads(pairs.read_text())) == 500


def test_bad_input_for_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert str(file) in run("collect", "frames", "--out", file, "--workers", 1, status=1)
    assert str(file) in run("collect", "frames", "--out", file / "below", "--workers", 1, status=1)
    assert tree(tmp_path) == {str(file): b"mine"}
    real = os.replace

    def full(source: object, target: object) -> None:
        if "episode" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", full)
    said = run("collect", "frames", "--transitions", 10, "--out", tmp_path / "frames", "--workers", 1, status=1)
    assert "No space left on device, while writing" in said
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["settings.json"]


def test_bad_input_for_pairs(stand_in: StandIn, tmp_path: Path) -> None:
    out = tmp_path / "pairs.json"
    out.write_text("what was there")

    def pairs(*arguments: object) -> str:
        return run("collect", "pairs", "--out", out, "--transitions", 5, *arguments, status=1)

    assert "does not exist" in pairs("--frames", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "is not a dataset" in pairs("--frames", tmp_path / "empty")
    run("collect", "frames", "--transitions", 9, "--out", tmp_path / "frames", "--workers", 1)
    assert "frame skip" in pairs("--frames", tmp_path / "frames")
    assert out.read_text() == "what was there"


def test_an_interrupt_is_status_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(collect.frames, "collect_frames", interrupt)
    run("collect", "frames", "--out", tmp_path, status=130)


def test_help_is_instant() -> None:
    """Nothing that takes long is loaded to show a page of help."""
    code = "import main, sys; print(sorted({'torch', 'pygame', 'ale_py', 'onnxruntime', 'rich'} & sys.modules.keys()))"
    began = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout == "[]\n", result.stderr
    assert time.perf_counter() - began < 5  # 0.3 s on a busy core


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "gone", "extra"),
    [
        (["train", "vqvae"], "torch", "train"),
        (["ship"], "torch", "train"),
        (["analyze", "--out", "OUT"], "matplotlib", "report"),
    ],
)
def test_a_command_whose_extra_is_missing_says_which(
    arguments: list[str], gone: str, extra: str, tmp_path: Path
) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    code = f"import sys; sys.modules[{gone!r}] = None; import main; main.app({given!r})"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    said = f'error: {gone} is not installed; this command needs: pip install -e ".[{extra}]"\n'
    assert (result.returncode, result.stderr) == (1, said)
