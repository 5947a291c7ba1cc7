"""The example runs as it stands in the repository, on a twin with random weights."""

import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

from model import WorldModel

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "dream.py"


def test_the_example_saves_its_dream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(SCRIPT.read_text().splitlines()) < 40
    monkeypatch.setattr(WorldModel, "load", lambda: WorldModel.untrained())
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "dream.gif")])
    monkeypatch.setattr(sys, "path", sys.path[:])
    found = runpy.run_path(str(SCRIPT), run_name="__main__")
    with Image.open(tmp_path / "dream.gif") as gif:
        assert gif.size == (640, 420)
        assert gif.n_frames > 1
    frames = found["dream"](WorldModel.untrained(), 0.5, 0.2)
    assert len(frames) == 6
    assert frames[0].shape == (210, 320, 3)
