"""A kill at every single file operation: what is on the disk is the old or the new, never a mixture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from collect.pairs import Encoder, PairSource, collect_pairs
from model.checkpoint import load_tensors, meta_path, save_tensors, tensor_path
from model.files import FileError, write_atomic, write_json
from train.latent_action_data import load_pairs
from train.loop import Loop, LoopSettings
from train.trackers import Tracker


class Killed(BaseException):
    """Stands for SIGKILL."""


class Kill:
    """Lets `left` file operations below `directory` pass, and none after: not even those of a `finally`."""

    directory, left, counted = "", 0, 0

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.directory or self.directory not in str(details[:1]):
            return
        if event in ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"):
            self.left -= 1
            if self.left < 0:
                raise Killed


KILL = Kill()
sys.addaudithook(KILL)


@contextmanager
def killed_after(operations: int, directory: Path) -> Iterator[None]:
    """A kill after so many operations; none if there are fewer."""
    KILL.directory, KILL.left = str(directory), operations
    try:
        yield
    finally:
        KILL.directory = ""


def at_every_operation(directory: Path, do: Callable[[], object], check: Callable[[bool], None]) -> int:
    """Do it again and again, killed one operation later each time; check after each. Returns how many kills there were.

    `check` is told whether it got to its end.
    """
    for operations in range(200):
        done = False
        try:
            with killed_after(operations, directory):
                do()
                done = True
        except Killed:
            pass
        check(done)
        if done:
            return operations
    raise AssertionError("it never ends")


def test_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    path, sizes = tmp_path / "file", [1000]
    path.write_bytes(bytes(1000))

    def write() -> None:
        sizes.append(sizes[-1] + 1000)
        write_atomic(path, lambda file: file.write(bytes(sizes[-1])))

    def check(done: bool) -> None:
        assert path.stat().st_size in sizes[-2 + done :]
        sizes[:] = [path.stat().st_size]

    assert at_every_operation(tmp_path, write, check) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "what kills left was not removed"


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


def test_pairs_and_their_statistics_are_of_one_run(tmp_path: Path) -> None:
    out, number = tmp_path / "pairs.json", 0

    def collect() -> None:
        nonlocal number
        number += 1
        encoder = Encoder(lambda before, after: np.full((len(before), 35), number % 256), 2, str(number))
        collect_pairs(encoder, PairSource(None, 2, 0), out, 5)

    collect()

    def check(done: bool) -> None:
        pairs = load_pairs(out)
        assert pairs.stats is not None
        assert pairs.stats["codes_sha256"] == str(pairs.codes[0, 0].item())
        assert not done or pairs.codes[0, 0] == number

    assert at_every_operation(tmp_path, collect, check) >= 6


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
