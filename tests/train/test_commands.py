"""The commands `train` and `ship` as one types them, and the scripts that run all of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from collect.dataset import TransitionDataset
from main import app
from model.engine import Engine
from tests.train.conftest import Trained

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
RUNNER = CliRunner()


def run(*arguments: object, status: int = 0) -> str:
    """Run a command. Gives what it printed; for a failure, its one line on stderr."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    if status != 1:
        return result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_defaults_in_a_fresh_clone_name_the_next_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("vqvae", "memory", "context"):
        assert "python main.py collect frames" in run("train", name, status=1)
    assert "python main.py collect pairs" in run("train", "action", status=1)
    assert "python main.py train vqvae" in run("ship", status=1)
    assert list(tmp_path.rglob("*.safetensors")) == []


def test_a_line_names_the_command_that_makes_what_is_missing_where_it_is_missing(
    trained: Trained, frames: Path, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    assert run("ship", "--world", world, status=1).endswith(f"python main.py train vqvae --out {world}\n")
    wanted = f"python main.py train vqvae --out {world}\n"
    assert run("train", "context", "--frames", frames, "--weights", world, "--out", world, status=1).endswith(wanted)
    shutil.copytree(trained.world, world)
    (world / "context.safetensors").unlink()
    wanted = f"python main.py train context --weights {world} --out {world}\n"
    assert run("ship", "--world", world, status=1).endswith(wanted)
    wanted = f"python main.py collect frames --out {tmp_path / 'none'}\n"
    assert run("train", "memory", "--frames", tmp_path / "none", status=1).endswith(wanted)
    wanted = f"python main.py collect frames --frameskip 1 --out {tmp_path / 'none'}\n"
    assert run("ship", "--world", trained.world, "--frames", tmp_path / "none", status=1).endswith(wanted)


def test_without_pytorch_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("train.") and name != "train.commands"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    for command in (("train", "memory"), ("train", "action"), ("ship",)):
        assert 'pip install -e ".[train]"' in run(*command, "--out", tmp_path, status=1)


def test_memory_is_trained_resumed_at_another_rate_and_names_what_comes_next(frames: Path, tmp_path: Path) -> None:
    command = ("train", "memory", "--frames", frames, "--out", tmp_path, "--device", "cpu", "--batch", 64)
    printed = run(*command, "--epochs", 0.1)
    following = f"next: python main.py train context --frames {frames} --weights {tmp_path} --out {tmp_path}\n"
    assert printed.endswith(following)
    assert "events_right" in printed
    assert "--resume" in run(*command, "--epochs", 0.2, status=1)
    run(*command, "--epochs", 0.2, "--rate", 0.0001, "--resume")
    assert "give either" in run(*command, "--epochs", 1, "--minutes", 1, status=2)
    if not torch.cuda.is_available():
        assert "finds no CUDA GPU" in run(*command[:-4], "--device", "cuda", status=1)


def test_the_controller_takes_the_codes_of_its_own_folder(frames: Path, trained: Trained, tmp_path: Path) -> None:
    command = ("train", "context", "--frames", frames, "--device", "cpu", "--batch", 64, "--epochs", 0.05, "--out")
    apart, world = tmp_path / "apart", tmp_path / "world"
    assert f"copy VQ-VAE and memory to {apart}\nnext: " in run(*command, apart, "--weights", trained.world)
    world.mkdir()
    for name in ("vqvae", "memory"):
        shutil.copy(trained.world / f"{name}.safetensors", world)
    printed = run(*command, world)  # without --weights
    assert printed.endswith(f"next: python main.py ship --world {world} --frames {frames}\n")
    assert "note" not in printed
    run("ship", "--world", world, "--frames", frames, "--out", tmp_path / "shipped")


def test_ship_names_what_comes_next(frames: Path, trained: Trained, tmp_path: Path) -> None:
    command = ("ship", "--world", trained.world, "--frames", frames)
    printed = run(*command, "--action", tmp_path / "none", "--out", tmp_path / "a")
    assert printed.endswith(f"next: python main.py collect pairs --weights {tmp_path / 'a'}\n")
    engine = Engine.load(tmp_path / "a")  # without an action-only controller, which gives the majority codes then
    state = engine.begin(TransitionDataset.load(frames).frame(np.arange(2))[:, None])
    assert "majority" in printed
    assert (engine.predict(state, np.array([0, 3]), "action").codes == engine.majority).all()
    printed = run(*command, "--action", trained.action, "--out", tmp_path / "b")
    assert printed.endswith(f"next: python main.py play --weights {tmp_path / 'b'}\n")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert manifest["made"]["action"]["kind"] == "action"


@pytest.mark.parametrize("script", ["shipped.sh", "gpu.sh"])
def test_the_scripts_are_sound(script: str) -> None:
    assert subprocess.run(["bash", "-n", ROOT / "runs" / script], check=False).returncode == 0


@pytest.mark.slow
def test_from_nothing_to_shipped_by_one_script(tmp_path: Path) -> None:
    """Tiny, all of it; stopped by nothing, and nothing put in by hand."""
    sizes = {"DRILL": "3000", "MIXED": "2500", "PAIRS": "1500", "VQVAE": "--epochs 3 --batch 64", "EVALUATE": "no"}
    sizes |= {"MEMORY": "--epochs 0.5", "CONTEXT": "--epochs 0.5", "ACTION": "--epochs 1", "WORKERS": "1"}
    here = {
        "SMALL": "1",
        "ROOT": str(tmp_path / "all"),
        "OUT": str(tmp_path / "kept"),
        "PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        "DEVICE": "cpu",
    }
    command, log = ["bash", str(ROOT / "runs" / "gpu.sh")], tmp_path / "log"
    with open(log, "w") as file:
        environment = {**os.environ, **here, **sizes}
        script = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
        try:
            status = script.wait(timeout=900)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)  # with all that it started
            script.wait()
    assert status == 0, log.read_text()[-3000:]
    kept = tmp_path / "kept"
    assert "action" in json.loads((kept / "weights" / "manifest.json").read_text())["made"]
    names = {"vqvae", "memory", "context", "action_to_latent_best"}
    wanted = {f"{name}{end}" for name in names for end in (".safetensors", "_log.jsonl")}
    assert {path.name for path in (kept / "checkpoints").iterdir()} == wanted
