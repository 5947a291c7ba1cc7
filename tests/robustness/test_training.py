"""A run of training that is killed, damaged, or has no room: the last good checkpoint is there, and is found."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from model.checkpoint import load_tensors, save_tensors
from model.files import FileError
from tools.robustness.operations import at_every_operation
from train.loop import Loop, Run, Settings, Tracker, TrainingError
from train.weights import load_vqvae

SETTINGS = Settings(batch=1, rate=1e-3, epochs=1)


class Count(SimpleNamespace):
    """A task whose only weight is the number of its steps."""

    def __init__(self) -> None:
        module = nn.Linear(1, 1, bias=False)
        super().__init__(module=module, samples=10, meta={"kind": "x"}, extra={"steps": torch.zeros(1)}, progress=0.0)

    def set(self, step: int) -> None:
        """As if `step` steps were done."""
        with torch.no_grad():
            self.module.weight.fill_(float(step))
        self.extra["steps"].fill_(float(step))


def loop_in(out: Path, said: list[str] | None = None) -> tuple[Loop, Count]:
    """A loop that has not begun, with the state that its optimiser has after a step. `said` hears what it says."""
    task = Count()

    def show(share: float, text: str) -> None:
        if said is not None:
            said.append(text)

    loop = Loop(task, "x", Run(out, SETTINGS, show=show), lambda line: None)  # type: ignore[arg-type]
    task.module(torch.ones(1, 1)).sum().backward()
    loop.optimiser.step()
    return loop, task


def saved(out: Path, *steps: int) -> tuple[Loop, Count]:
    """A loop that has saved a checkpoint at each of these steps."""
    loop, task = loop_in(out)
    for step in steps:
        loop.step = step
        task.set(step)
        loop.save_last()
    return loop, task


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_checkpoint_is_there_at_any_moment(tmp_path: Path) -> None:
    loop, task = saved(tmp_path, 1, 2)

    def save() -> None:
        loop.step += 1
        task.set(loop.step)
        loop.save_last()

    seen = 2

    def check(done: bool) -> None:
        nonlocal seen
        said: list[str] = []
        resumed, found = loop_in(tmp_path, said)
        resumed.resume()
        assert resumed.step == found.module.weight.item() == found.extra["steps"].item()
        assert seen <= resumed.step <= loop.step
        assert not any("damaged" in line for line in said), "the newest must always be sound"
        assert not done or resumed.step == loop.step
        seen = resumed.step

    assert at_every_operation(tmp_path, save, check) >= 5
    assert {path.name for path in tmp_path.iterdir()} == {"x_last.safetensors", "x_before.safetensors"}


def test_a_checkpoint_changed_on_the_disk_falls_back_to_the_one_before(tmp_path: Path) -> None:
    loop, _ = saved(tmp_path, 1, 2)
    loop.last_path.write_bytes(loop.last_path.read_bytes()[:-3])
    said: list[str] = []
    resumed, found = loop_in(tmp_path, said)
    resumed.resume()
    assert resumed.step == found.module.weight.item() == 1
    assert said[0].startswith("warning: the newest checkpoint is damaged")
    loop.before_path.write_bytes(b"")
    with pytest.raises(FileError, match="damaged"):
        loop_in(tmp_path)[0].resume()


def test_a_full_disk_after_such_a_fall_leaves_the_sound_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 1, 2)[0].last_path.write_bytes(b"damaged")
    resumed, _ = loop_in(tmp_path)
    resumed.resume()
    with monkeypatch.context() as full:
        full.setattr("train.loop.save_tensors", lambda *given: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for _ in range(2):
            with pytest.raises(OSError, match="full"):
                resumed.save_last()
    again, task = loop_in(tmp_path)
    again.resume()
    assert again.step == task.module.weight.item() == 1
    for step in (2, 3):
        again.step = step
        again.save_last()
    assert [load_tensors(path)[1]["step"] for path in (again.before_path, again.last_path)] == [2, 3]


@pytest.mark.parametrize(
    "change", [{"step": None}, {"step": "1"}, {"step": -1}, {"step": -(10**400)}, {"elapsed_seconds": []}]
)
def test_a_checkpoint_whose_numbers_are_none_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    loop, _ = saved(tmp_path, 1)
    tensors, meta = load_tensors(loop.last_path)
    save_tensors(loop.last_path, tensors, {**meta, **change})
    with pytest.raises(FileError, match="no number of a run"):
        loop_in(tmp_path)[0].resume()


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("optimiser.0.exp_avg_sq", np.zeros(3, np.float32)),
        ("optimiser.1.step", np.zeros(1, np.float32)),
        ("optimiser.x.step", np.zeros(1, np.float32)),
        ("optimiser.0", np.zeros(1, np.float32)),
        ("optimiser.0.step", np.zeros(2, np.float32)),
    ],
)
def test_another_optimiser_is_refused(tmp_path: Path, name: str, tensor: np.ndarray) -> None:
    loop, _ = saved(tmp_path, 1)
    tensors, meta = load_tensors(loop.last_path)
    save_tensors(loop.last_path, {**tensors, name: tensor}, meta)
    with pytest.raises(FileError, match="optimiser"):
        loop_in(tmp_path)[0].resume()


def test_a_run_of_other_settings_is_refused_but_its_rate_may_change(tmp_path: Path) -> None:
    """After a loss that is no number the advice is to go on with a lower rate."""
    saved(tmp_path, 1)
    loop, _ = loop_in(tmp_path)
    loop.settings = replace(SETTINGS, rate=1e-4, epochs=3)
    loop.resume()
    assert loop.step == 1
    loop.settings = replace(SETTINGS, batch=2)
    with pytest.raises(FileError, match="of another run"):
        loop.resume()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_full_while_a_checkpoint_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    loop, task = saved(tmp_path, 1, 2)
    before = contents(tmp_path)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    loop.step = 3
    task.set(3)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(
            OSError, match=r"No space left on device, while writing .*; the file that was there is kept"
        ):
            loop.save_last()
    after = contents(tmp_path)
    assert after[str(loop.last_path)] == before[str(loop.last_path)]
    assert not any(name.endswith(".tmp") for name in after)
    resumed, _ = loop_in(tmp_path)
    resumed.resume()
    assert resumed.step == 2


def test_weights_cannot_be_written(read_only: Path) -> None:
    loop, _ = loop_in(read_only)
    with pytest.raises(PermissionError, match="while writing"):
        loop.save_last()
    assert {path.name for path in read_only.iterdir()} == {"mine.txt"}


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    loop, task = saved(tmp_path, 1)
    before = contents(tmp_path)
    task.module.weight.data[0] = float("inf")
    with pytest.raises(TrainingError, match=r"a weight is not a number.*--resume --rate"):
        loop.validate()
    assert contents(tmp_path) == before


def test_a_log_line_cut_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x_log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo')
    Tracker(tmp_path, "x").log({"step": 2})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize(
    "sizes", [{"width": 12_000}, {"width": 10**12}, {"width": 0}, {"width": -1}, {"width": "x"}, {"depth": 3}]
)
def test_networks_that_the_tensors_do_not_fill_are_never_built(tmp_path: Path, sizes: dict[str, object]) -> None:
    """A few bytes that ask for a network of hundreds of megabytes."""
    resource = pytest.importorskip("resource", reason="says how much memory this process has had")
    about = {"kind": "vqvae", "frameskip": 1, "model": {"vqvae": sizes}}
    save_tensors(tmp_path / "vqvae.safetensors", {"x": np.zeros(1, np.float32)}, about)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError):
        load_vqvae(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # in kB
