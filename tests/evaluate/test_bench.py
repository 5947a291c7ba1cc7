"""`bench` end to end at tiny size: every part is there, and the numbers are those of a machine."""

import json
import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import main
from evaluate.bench import bench_collecting, peak_memory, times
from model import WorldModel


def test_the_command_measures_every_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(WorldModel, "load", lambda path, device: WorldModel.untrained())
    display, threads = os.environ.get("SDL_VIDEODRIVER"), torch.get_num_threads()
    result = CliRunner().invoke(main.app, ["bench", "--seconds", "0.05", "--json", str(tmp_path / "bench.json")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["schema"] == 1
    parts = report["play"]["milliseconds"]
    assert {"emulator", "controller", "decoder", "encoder", "drawing", "whole step"} <= set(parts)
    assert all(0 < part["median"] <= part["p99"] for part in parts.values())
    assert parts["whole step"]["median"] > parts["emulator"]["median"]
    assert report["play"]["true_pace_milliseconds"] == pytest.approx(1000 * 2 / 60)
    assert set(report["training"]) == {"vqvae", "context"}
    assert all(part["samples_per_second"] > 0 for part in report["training"].values())
    assert "99th percentile" in result.output
    assert "samples/s" in result.output
    assert os.environ.get("SDL_VIDEODRIVER") == display
    assert torch.get_num_threads() == threads


def test_collecting_is_compared_over_the_same_number_of_steps() -> None:
    found = bench_collecting(4, 0.01)
    assert found["steps"] > 0
    assert found["share_of_bare"] == pytest.approx(
        found["collected_steps_per_second"] / found["bare_emulator_steps_per_second"]
    )


def test_times_in_milliseconds() -> None:
    assert times([0.001, 0.002, 0.003]) == {"median": pytest.approx(2), "p99": pytest.approx(2.98), "of": 3}
    assert times([]) == {"median": None, "p99": None, "of": 0}


def test_peak_memory_is_known_or_said_to_be_unknown() -> None:
    peak = peak_memory()
    assert peak is None or 10 < peak < 1e6


def test_no_time_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorldModel, "load", lambda path, device: WorldModel.untrained())
    result = CliRunner().invoke(main.app, ["bench", "--seconds", "0"])
    assert result.exit_code == 1
    assert "above 0" in result.output
