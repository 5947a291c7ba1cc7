"""A run of training that is killed, damaged, or has no room: the last good checkpoint is there, and is found."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from model.checkpoint import load_tensors, meta_path, save_tensors, tensor_path
from model.files import FileError, write_json
from tools.robustness.operations import at_every_operation
from train.loop import Loop, LoopSettings, TrainingError
from train.trackers import Tracker


def test_weights_and_their_settings_are_of_one_save(tmp_path: Path) -> None:
    path, number = tmp_path / "w", 0
    save_tensors(path, {"x": torch.tensor([0.0])}, {"number": 0})

    def save() -> None:
        nonlocal number
        number += 1
        save_tensors(path, {"x": torch.tensor([float(number)])}, {"number": number})

    seen = 0

    def check(done: bool) -> None:
        nonlocal seen
        tensors, meta = load_tensors(path)
        assert tensors["x"].item() == meta["number"]
        assert seen <= meta["number"] <= number
        assert meta["number"] == number or not done
        seen = meta["number"]

    assert at_every_operation(tmp_path, save, check) >= 6
    assert sorted(file.name for file in tmp_path.iterdir()) == ["w.json", "w.safetensors"]


class Count(SimpleNamespace):
    """A task whose only weight is the number of its steps."""

    def __init__(self) -> None:
        module = nn.Linear(1, 1, bias=False)
        super().__init__(module=module, samples=10, meta={"kind": "x"}, extra={"steps": torch.zeros(1)})

    def set(self, step: int) -> None:
        """As if `step` steps were done."""
        with torch.no_grad():
            self.module.weight.fill_(float(step))
        self.extra["steps"].fill_(float(step))


def loop_in(out: Path) -> tuple[Loop, Count]:
    """A loop that never ran."""
    task, tracker = Count(), SimpleNamespace(log=lambda line: None)
    settings = LoopSettings(batch=1, rate=1e-3, epochs=1)
    loop = Loop(task, settings, out, "x", torch.device("cpu"), tracker)  # type: ignore[arg-type]
    task.module(torch.ones(1, 1)).sum().backward()
    loop.optimiser.step()
    return loop, task


def test_a_checkpoint_is_there_at_any_moment(tmp_path: Path) -> None:
    loop, task = loop_in(tmp_path)

    def save() -> None:
        loop.step += 1
        task.set(loop.step)
        loop._save_last()

    save()
    save()
    seen = 2

    def check(done: bool) -> None:
        nonlocal seen
        resumed, found = loop_in(tmp_path)
        said: list[str] = []
        assert resumed.resume(said.append)
        assert resumed.step == found.module.weight.item() == found.extra["steps"].item()
        assert seen <= resumed.step <= loop.step
        assert not any("damaged" in line for line in said), "the newest must always be sound"
        assert not done or resumed.step == loop.step
        seen = resumed.step

    assert at_every_operation(tmp_path, save, check) >= 10
    assert len(list(tmp_path.iterdir())) == 4


def test_a_checkpoint_changed_on_the_disk_falls_back_to_the_one_before(tmp_path: Path) -> None:
    loop, task = loop_in(tmp_path)
    for step in (1, 2):
        loop.step = step
        task.set(step)
        loop._save_last()
    file = tensor_path(tmp_path / "x_last")
    data = bytearray(file.read_bytes())
    data[-3] ^= 64  # still sound safetensors, of other numbers
    file.write_bytes(data)
    said: list[str] = []
    resumed, found = loop_in(tmp_path)
    resumed.resume(said.append)
    assert resumed.step == found.module.weight.item() == 1
    assert said[0].startswith("warning: the newest checkpoint is damaged")


@pytest.mark.parametrize("change", [{"step": None}, {"step": "1"}, {"step": -(10**400)}, {"elapsed_seconds": []}])
def test_a_checkpoint_whose_numbers_are_none_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    loop, _ = loop_in(tmp_path)
    loop._save_last()
    path = meta_path(tmp_path / "x_last")
    write_json(path, {**json.loads(path.read_text()), **change})
    with pytest.raises(FileError, match="no number of a run"):
        loop_in(tmp_path)[0].resume(lambda text: None)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("optimiser.0.exp_avg_sq", torch.zeros(3)),
        ("optimiser.1.step", torch.zeros(())),
        ("optimiser.x.step", torch.zeros(())),
        ("optimiser.0", torch.zeros(())),
        ("optimiser.0.step", torch.zeros(2)),
    ],
)
def test_another_optimiser_is_refused(tmp_path: Path, name: str, tensor: Tensor) -> None:
    loop, _ = loop_in(tmp_path)
    loop._save_last()
    tensors, meta = load_tensors(tmp_path / "x_last")
    save_tensors(tmp_path / "x_last", {**tensors, name: tensor}, meta)
    with pytest.raises(FileError, match="optimiser"):
        loop_in(tmp_path)[0].resume(lambda text: None)


def test_a_log_line_cut_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x_log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    Tracker(tmp_path, "x").log({"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_a_disk_full_while_a_checkpoint_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    loop, task = loop_in(tmp_path)
    for step in (1, 2):
        loop.step = step
        task.set(step)
        loop._save_last()
    before = contents(tmp_path)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    loop.step = 3
    task.set(3)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(OSError, match="No space left"):
            loop._save_last()
    assert {path: data for path, data in contents(tmp_path).items() if "_last" in path} == {
        path: data for path, data in before.items() if "_last" in path
    }
    resumed, _ = loop_in(tmp_path)
    assert resumed.resume(lambda text: None)
    assert resumed.step == 2


def test_weights_cannot_be_written(read_only: Path) -> None:
    loop, _ = loop_in(read_only)
    with pytest.raises(PermissionError):
        loop._save_last()
    assert {path.name for path in read_only.iterdir()} == {"mine.txt"}


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    loop, task = loop_in(tmp_path)
    loop._save_last()
    task.set(1)
    task.module.weight.data[0] = float("inf")
    with pytest.raises(TrainingError, match="a weight is not a number"):
        loop._validate(lambda share, text: None)
    assert torch.isfinite(load_tensors(tmp_path / "x_last")[0]["model.weight"]).all()
    assert len(list(tmp_path.iterdir())) == 2
