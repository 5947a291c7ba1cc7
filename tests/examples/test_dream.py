"""The example runs as it stands in the repository, on a twin that copies the last frame."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import WorldModel
from model.breakout import CELLS

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "dream.py"


class Copies:
    """A twin to which every step is the last frame again."""

    frameskip = 2

    def reset(self, frames: np.ndarray, fresh: bool) -> None:
        """Begin from a frame."""
        self.frame, self.codes = frames[-1], np.zeros(CELLS, np.int64)

    def observe(self, frame: np.ndarray, action: int) -> None:
        """Be shown a frame."""
        self.frame = frame

    def step(self, action: int) -> Copies:
        """What is there is what comes."""
        return self


def test_it_says_when_the_dream_parts_and_saves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WorldModel, "load", lambda weights: Copies())
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "dream.gif"), "--seconds", "1"])
    monkeypatch.setattr(sys, "path", sys.path[:])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "after 0.00 s the dream first parts from the real game"
    assert said[1].startswith("1 s dreamt: ")
    assert said[2] == f"wrote {tmp_path / 'dream.gif'}"
    with Image.open(tmp_path / "dream.gif") as gif:
        assert gif.size == (640, 420)
        gif.seek(1)  # there is a second one


def test_it_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 55


def test_help_does_no_work() -> None:
    """In a process that cannot load any of what the work needs."""
    code = (
        "import runpy, sys\n"
        "sys.modules |= dict.fromkeys(('numpy', 'PIL', 'collect', 'model', 'onnxruntime'))\n"
        f"sys.argv = ['dream.py', '--help']\nrunpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "--weights" in result.stdout
