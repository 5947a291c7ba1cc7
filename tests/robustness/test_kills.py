"""A few kills of real processes; `python -m tools.robustness.kills` does many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_runs_end_as_if_they_never_were(tmp_path: Path) -> None:
    jobs = [option for name in ("collect frames", "collect pairs") for option in ("--job", name)]
    command = [sys.executable, "-m", "tools.robustness.kills", "--kills", "6", "--seed", "1", *jobs]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("6 kills, seed 1")
    assert "\n0 lost, half-written or different" in result.stdout
