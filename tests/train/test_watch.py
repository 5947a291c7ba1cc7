"""The watches over a long run: they speak early, once, on the screen and in the log."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cli import progress
from collect.stopwatch import MAKING_DATA, Stopwatch
from train.loop import LoopSettings, RunOptions, train
from train.watch import LEAST_PERPLEXITY, Watch

SETTINGS = LoopSettings(batch=80, rate=1e-3, epochs=12, warmup=1, validate_every=4, log_every=2)


class Stub:
    """A task of twelve steps: the figures of step k are `figures(k)`, its batch takes `seconds(k)` to make."""

    samples, meta = 80, {"kind": "stub"}

    def __init__(self, perplexity: Any = lambda step: 90.0, seconds: Any = lambda step: 0.0) -> None:
        self.module, self.extra = nn.Linear(1, 1), {}
        self._perplexity, self._seconds = perplexity, seconds

    def loss(self, step: int, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        with MAKING_DATA:
            if seconds := self._seconds(step):
                time.sleep(seconds)
        return self.module(torch.ones(1, 1)).square().sum(), {"perplexity": self._perplexity(step)}

    def after_step(self, step: int, generator: torch.Generator) -> None:
        pass

    def validate(self) -> tuple[float, dict[str, Any]]:
        return 1.0, {}


def warnings_of(task: Stub, out: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """What a run of a task said on the screen, and in the log."""
    said: list[str] = []
    train(task, "stub", SETTINGS, RunOptions(out), torch.device("cpu"), lambda share, text: said.append(text))
    lines = [json.loads(line) for line in (out / "stub_log.jsonl").read_text().splitlines()]
    return [text for text in said if text.startswith("warning: ")], [line for line in lines if "warning" in line]


def test_a_healthy_run_says_nothing(tmp_path: Path) -> None:
    assert warnings_of(Stub(), tmp_path) == ([], [])


def test_a_collapsing_codebook_is_said_once_and_early(tmp_path: Path) -> None:
    said, logged = warnings_of(Stub(perplexity=lambda step: 0.0 if step < 4 else 90.0 if step < 6 else 4.0), tmp_path)
    assert len(said) == 1
    assert "the codebook collapses: 4.0 codes in use" in said[0]
    assert [(line["step"], line["warning"]) for line in logged] == [(8, "codebook")]


def test_a_starving_loader_is_said_once_and_early(tmp_path: Path) -> None:
    said, logged = warnings_of(Stub(seconds=lambda step: 0.05 * (step > 2)), tmp_path)
    assert len(said) == 1
    assert "training waits for data" in said[0]
    assert logged[0]["warning"] == "loader"
    assert logged[0]["step"] <= 6


def test_a_loss_that_is_no_number_is_in_the_log(tmp_path: Path) -> None:
    task = Stub()
    task.module.weight.data.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="not a number at step 0"):
        warnings_of(task, tmp_path)
    assert '"warning": "loss"' in (tmp_path / "stub_log.jsonl").read_text()


def test_a_validation_is_watched_where_steps_say_nothing() -> None:
    watch = Watch(80)
    watch.step({}, 0.0, 1.0)
    assert watch.validated({"perplexity": LEAST_PERPLEXITY}) == []
    assert [alarm.kind for alarm in watch.validated({"perplexity": 4.0})] == ["codebook"]
    assert watch.validated({"perplexity": 3.0}) == [], "said already"
    assert watch.validated({"perplexity": 90.0}) == []
    assert len(watch.validated({"perplexity": 3.0})) == 1
    watch.step({"perplexity": 0.0}, 0.0, 1.0)  # nothing is quantised yet: one code is as it should be
    assert Watch(80).validated({"exact_frames": 0.5}) == []


def test_nothing_is_expected_of_a_codebook_that_is_not_started() -> None:
    watch = Watch(80)
    watch.step({"perplexity": 0.0}, 0.0, 1.0)
    assert watch.window() == []
    assert watch.validated({"perplexity": 1.0}) == []


def test_a_small_batch_cannot_show_many_codes() -> None:
    watch = Watch(8)
    watch.step({"perplexity": 6.0}, 0.0, 1.0)
    assert watch.window() == []


def test_time_inside_time_counts_once() -> None:
    watch = Stopwatch()
    with watch:
        with watch:
            time.sleep(0.02)
    assert 0.02 <= watch.seconds < 0.04


def test_warnings_and_notes_stay_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("training") as show:
        show(0.1, "step 1")
        show(0.2, "warning: the codebook collapses")
        show(0.0, "note: resuming at step 5")
    assert capsys.readouterr().out == "training: warning: the codebook collapses\ntraining: note: resuming at step 5\n"
