"""Pictures of a session, and their way into a GIF or an MP4. Run by `app.recording` as a process of its own:

    python -m app.encoder OUT.gif|OUT.mp4 RATE PANELS

It reads the panels of each step from its input, screens of classes (210, 160) uint8 one after the other, and ends the
file when they end. A GIF holds the game's nine colours exactly. A file is written beside its place and renamed when it
is whole.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin, Image, ImageDraw, ImageFont

from app.pipe import feed
from model.breakout import COLUMNS, PALETTE, ROWS, Frame
from model.files import write_atomic

_FONT = Path(__file__).resolve().parent.parent / "assets" / "font" / "JetBrainsMono-Medium.ttf"
_GROUND, _RAMP = len(PALETTE), 16
_STRIP, _GAP, _EDGE = 22, 8, 8


def _colours() -> npt.NDArray[np.uint8]:
    """(256, 3): the game's nine, the ground, and from `_RAMP` on sixteen greys for the writing."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(PALETTE)] = PALETTE
    colours[_GROUND] = 15, 16, 20
    colours[_RAMP : _RAMP + 16] = np.linspace((15, 16, 20), (190, 194, 204), 16)
    return colours


COLOURS = _colours()


def blank(panels: int) -> Frame:
    """The picture around the panels: indices into `COLOURS`, (rows, columns) uint8, even in both."""
    width = panels * 2 * COLUMNS + (panels - 1) * _GAP + 2 * _EDGE
    writing = Image.new("L", (width, _STRIP + ROWS + _EDGE))
    draw = ImageDraw.Draw(writing)
    font = ImageFont.truetype(str(_FONT), 13)
    for number, name in enumerate(("real game", "neural twin")[-panels:]):
        draw.text((_EDGE + number * (2 * COLUMNS + _GAP), 3), name, 255, font)
    grey = np.asarray(writing)
    return np.where(grey < 16, np.uint8(_GROUND), _RAMP + (grey >> 4))


def compose(ground: Frame, frames: list[Frame]) -> Frame:
    """Put screens of classes (210, 160) onto a copy of `ground`, each 320 wide and 210 high."""
    picture = ground.copy()
    for number, frame in enumerate(frames):
        left = _EDGE + number * (2 * COLUMNS + _GAP)
        picture[_STRIP : _STRIP + ROWS, left : left + 2 * COLUMNS] = np.repeat(frame, 2, 1)
    return picture


def encode(path: Path, source: BinaryIO, rate: float, panels: int) -> None:
    """Write what `source` gives, until it ends, at `rate` steps a second. OSError if it cannot be written."""
    ground = blank(panels)
    pictures = (compose(ground, frames) for frames in _steps(source, panels))
    if path.suffix.lower() == ".gif":
        write_atomic(path, lambda file: write_gif(file, pictures, rate))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp.mp4")
    try:
        _write_mp4(beside, pictures, ground.shape, rate)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _steps(source: BinaryIO, panels: int) -> Iterator[list[Frame]]:
    """The panels of each step. One that is cut short, since the game was killed, is left out."""
    size = panels * ROWS * COLUMNS
    while len(step := source.read(size)) == size:
        yield list(np.frombuffer(step, np.uint8).reshape(panels, ROWS, COLUMNS))


def _write_mp4(path: Path, pictures: Iterator[Frame], shape: tuple[int, ...], rate: float) -> None:
    """Write pictures (rows, columns) uint8 of indices into `COLOURS` as H.264. OSError if the encoder gives up."""
    import imageio_ffmpeg

    # Twice the size, so that halved chroma costs no sharpness; ffmpeg does it in its own process.
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", f"{rate:g}", "-i", "-"),
        *("-vf", "scale=iw*2:ih*2:flags=neighbor", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        *("-crf", "16", "-preset", "veryfast", "-threads", "1", str(path)),
    ]
    feed(command, (COLOURS[picture].tobytes() for picture in pictures))


def write_gif(file: BinaryIO, pictures: Iterator[Frame], rate: float) -> None:
    """Stream pictures (rows, columns) uint8 of indices into `COLOURS` as a GIF that loops, `rate` pictures a second.

    Only what changed is stored. GIF counts time in hundredths of a second, and players show nothing for less than
    two: pictures that come faster than that are left out, and the total time is kept.
    """
    shown: Frame | None = None
    pending: tuple[Frame, tuple[int, int]] | None = None
    since = now = 0
    for number, picture in enumerate(pictures):
        now = round((number + 1) * 100 / rate)
        start = round(number * 100 / rate)
        if shown is None:
            rows, columns = picture.shape
            file.write(b"GIF89a" + struct.pack("<HHBBB", columns, rows, 0xF7, 0, 0) + COLOURS.tobytes())
            file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            shown, pending = picture, (picture, (0, 0))
            continue
        differs = shown != picture
        if start - since < 2 or not differs.any():
            continue
        if pending is not None:
            _write_frame(file, *pending, start - since)
        ys, xs = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        pending = picture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1], (int(xs[0]), int(ys[0]))
        shown, since = picture, start
    if pending is None:
        raise OSError("nothing was recorded")
    _write_frame(file, *pending, max(2, now - since))
    file.write(b";")


def _write_frame(file: BinaryIO, part: Frame, corner: tuple[int, int], hundredths: int) -> None:
    image = Image.fromarray(np.ascontiguousarray(part))
    image.putpalette(COLOURS.tobytes())
    for block in GifImagePlugin.getdata(image, corner, duration=10 * min(hundredths, 65535)):
        file.write(block)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the game, which then ends the file
    try:
        encode(Path(sys.argv[1]), sys.stdin.buffer, float(sys.argv[2]), int(sys.argv[3]))
    except OSError as error:
        sys.exit(error.strerror or str(error))
