"""The frames that a dream without an emulator starts from. `python -m app.start_frames` makes the file anew."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from collect.emulator import Emulator
from model.breakout import COLUMNS, PALETTE, ROWS, Action, Frame
from model.files import FileError, write_atomic

START_FRAMES = Path(__file__).resolve().parent.parent / "assets" / "start_frames.png"
COUNT = 32
"""Consecutive emulator frames, so that any frame skip finds a history of its own."""


def make_start_frames() -> Frame:
    """Serve, and take the first 32 frames (32, 210, 160) uint8 classes with the ball in play."""
    emulator = Emulator(frameskip=1)
    for _ in range(40):
        emulator.step(Action.NOOP)
    while emulator.objects().ball is None:
        emulator.step(Action.FIRE)
    return np.stack([emulator.step(Action.NOOP).frame for _ in range(COUNT)])


def write_start_frames(path: Path = START_FRAMES) -> None:
    """Write the frames below each other as one picture in the game's palette."""
    image = Image.fromarray(make_start_frames().reshape(-1, COLUMNS)).convert("P")
    image.putpalette(PALETTE.tobytes())
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    write_atomic(path, lambda file: file.write(data.getvalue()))


def load_start_frames(frameskip: int, path: Path = START_FRAMES) -> Frame:
    """The history (n, 210, 160) uint8 classes for a frame skip, oldest first. FileError if the file is unusable."""
    try:
        with Image.open(path) as image:
            if image.size != (COLUMNS, COUNT * ROWS) or image.mode != "P":
                raise FileError(f"start frames {path} are not the picture that this program ships")
            frames = np.asarray(image).reshape(COUNT, ROWS, COLUMNS)
    except OSError as error:
        raise FileError(f"start frames {path} cannot be read: {error}") from None
    if frames.max() >= len(PALETTE):
        raise FileError(f"start frames {path} show colours that Breakout never draws")
    return np.ascontiguousarray(frames[::-1][::frameskip][::-1])


if __name__ == "__main__":
    write_start_frames()
