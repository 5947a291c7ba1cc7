"""The commands that collect and train the seed's controller: end to end at tiny size, and on bad input.

Whatever a user can get wrong ends in one line on stderr and the right exit status, and nothing is lost.
"""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import collect.frames
from cli import clean_errors, progress
from main import app
from model.checkpoint import save_tensors
from model.vqvae import VQVAE

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VQ-VAE that was never trained."""
    out = tmp_path_factory.mktemp("weights")
    vqvae = VQVAE(16, 16)
    save_tensors(out / "vqvae", vqvae.state_dict(), {"kind": "vqvae", "frameskip": 2, "model": vqvae.settings})
    return out


def test_frames_to_pairs_to_a_controller(weights: Path, tmp_path: Path) -> None:
    frames, pairs, out = tmp_path / "frames", tmp_path / "a" / "pairs.json", tmp_path / "out"
    data = ("--transitions", 500, "--policy", "random", "--frameskip", 2)
    collecting = ("collect", "frames", *data, "--out", frames, "--workers", 1)
    assert "500 transitions" in run(*collecting)
    assert "500 transitions" in run(*collecting)  # it is all there already
    printed = run("collect", "pairs", "--frames", frames, "--weights", weights, "--out", pairs, "--transitions", 60)
    assert "60 pairs" in printed
    assert "NOOP" in printed
    run("collect", "pairs", "--frames", frames, "--weights", weights, "--out", pairs)
    assert len(json.loads(pairs.read_text())) == 500
    training = ("train", "action", "--pairs", pairs, "--out", out, "--batch", 256, "--device", "cpu")
    assert "changed cells" in run(*training, "--epochs", 1)
    before = tree(out)
    assert "--resume" in run(*training, "--epochs", 1, status=1)
    assert {k: v for k, v in tree(out).items() if "log" not in k} == {k: v for k, v in before.items() if "log" not in k}
    run(*training, "--epochs", 2, "--resume")
    assert "of another run" in run(*training, "--epochs", 2, "--resume", "--seed", 4, status=1)


def test_wrong_usage_is_status_2() -> None:
    for arguments in (
        ("collect", "frames", "--policy", "nobody"),
        ("collect", "frames", "--transitions", "0"),
        ("collect", "frames", "--frameskip", "x"),
        ("collect", "pairs", "--nothing"),
        ("collect", "nothing"),
    ):
        run(*arguments, status=2)


@pytest.mark.parametrize("command", [("collect", "frames"), ("collect", "pairs"), ("train", "action")])
def test_help_has_an_example(command: tuple[str, str]) -> None:
    assert f"Example: python main.py {' '.join(command)}" in run(*command, "--help")


def test_bad_directories_for_frames(frames_dir: Path, tmp_path: Path) -> None:
    before = tree(frames_dir)
    assert "other settings" in run("collect", "frames", "--out", frames_dir, status=1)
    assert tree(frames_dir) == before
    file = tmp_path / "file"
    file.write_text("mine")
    assert str(file) in run("collect", "frames", "--out", file, "--workers", 1, status=1)
    assert str(file) in run("collect", "frames", "--out", file / "below", "--workers", 1, status=1)
    assert tree(tmp_path) == {str(file): b"mine"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "ermission" in run("collect", "frames", "--out", tmp_path / "frames", "--workers", 1, status=1)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        if "episode" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)  # type: ignore[arg-type]

    real = os.replace
    monkeypatch.setattr(os, "replace", full)
    message = run("collect", "frames", "--transitions", 10, "--out", tmp_path / "frames", "--workers", 1, status=1)
    assert "No space left" in message
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["settings.json"]


def test_bad_input_for_pairs(weights: Path, frames_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.json"
    out.write_text("what was there")

    def pairs(*arguments: object) -> str:
        return run("collect", "pairs", "--out", out, "--transitions", 5, *arguments, status=1)

    assert "nothing" in pairs("--weights", tmp_path / "nothing")
    assert "does not exist" in pairs("--weights", weights, "--frames", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "was not finished" in pairs("--weights", weights, "--frames", tmp_path / "empty")
    other = tmp_path / "other"
    vqvae = VQVAE(16, 16)
    save_tensors(other / "vqvae", vqvae.state_dict(), {"kind": "vqvae", "frameskip": 4, "model": vqvae.settings})
    assert "frame skip" in pairs("--weights", other, "--frames", frames_dir)
    tensors = other / "vqvae.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    assert "damaged" in pairs("--weights", other)
    assert out.read_text() == "what was there"


def test_bad_input_for_the_controller(tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs.json", tmp_path / "out"
    training = ("train", "action", "--pairs", pairs, "--out", out)
    assert "does not exist" in run(*training, status=1)
    pairs.write_text(json.dumps([{"action": 7, "latent_code": [0] * 35}]))
    assert "entry 0 has no action" in run(*training, status=1)
    pairs.write_text(json.dumps([{"action": 1, "latent_code": [0] * 35}]))
    assert "cannot be split" in run(*training, status=1)
    pairs.write_text(json.dumps([{"action": 1, "latent_code": [0] * 35}] * 2001))
    assert "no run" in run(*training, "--resume", status=1)
    assert "above 0" in run(*training, "--epochs", 0, status=1)
    assert "nix" in run(*training, "--device", "nix", status=1)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (BrokenProcessPool("child\ndied"), "a worker process died"),
        (MemoryError(), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "can't allocate memory"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_what_a_machine_can_do_to_a_command(
    error: Exception, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(collect.frames, "collect_frames", fail)
    assert says in run("collect", "frames", "--out", tmp_path, status=1)


def test_an_interrupt_is_status_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(collect.frames, "collect_frames", interrupt)
    run("collect", "frames", "--out", tmp_path, status=130)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="bug"), clean_errors():
        raise RuntimeError("bug")


def test_plain_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("counting") as show:
        for n in range(5):
            show(n / 4, f"{n} of 4")
    assert capsys.readouterr().out == "counting: 100%  4 of 4\n"
