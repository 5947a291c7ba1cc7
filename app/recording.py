"""Recording both panels as GIF or MP4, on a thread of its own: the game hands over a frame and goes on.

A GIF holds the game's nine colours exactly. A file is written beside its place and renamed when it is whole.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import GifImagePlugin, Image, ImageDraw, ImageFont

from model.breakout import COLUMNS, PALETTE, ROWS, Frame
from model.files import write_atomic

SUFFIXES = (".gif", ".mp4")
_FONT = Path(__file__).resolve().parent.parent / "assets" / "font" / "JetBrainsMono-Medium.ttf"
_GROUND, _RAMP = len(PALETTE), 16
_STRIP, _GAP, _EDGE = 22, 8, 8
_WAITING = 256
"""Frames that may wait for the encoder (17 MB); after that the game waits too, rather than lose any."""


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


class Recorder:
    """Records until `close`. `path` ends in .gif or .mp4; ValueError otherwise.

    After a failure (a full disk) `add` does nothing, `error` says why, and `close` raises it.
    """

    def __init__(self, path: Path, steps_per_second: float, panels: int = 2) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"recordings are {' or '.join(SUFFIXES)}, got {path.name!r}")
        self.path, self._rate, self._ground = path, steps_per_second, blank(panels)
        self.error: OSError | None = None
        self._queue: Queue[list[Frame] | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def add(self, *frames: Frame) -> None:
        """The panels of one step, left to right: screens of classes (210, 160) that are not changed afterwards."""
        if self.error is None:
            self._queue.put(list(frames))

    def close(self) -> None:
        """Finish the file. Raises OSError if it could not be written."""
        self._queue.put(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        pictures = self._pictures()
        try:
            if self.path.suffix.lower() == ".gif":
                write_atomic(self.path, lambda file: write_gif(file, pictures, self._rate))
            else:
                self._write_mp4(pictures)
        except OSError as error:
            self.error = error
            for _ in pictures:  # so that nobody waits for room in the queue
                pass

    def _pictures(self) -> Iterator[Frame]:
        while (frames := self._queue.get()) is not None:
            yield compose(self._ground, frames)

    def _write_mp4(self, pictures: Iterator[Frame]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.stem}.{os.getpid()}.tmp.mp4")
        try:
            _encode(beside, pictures, self._ground.shape, self._rate)
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)


def _encode(path: Path, pictures: Iterator[Frame], shape: tuple[int, ...], rate: float) -> None:
    """Write pictures (rows, columns) uint8 of indices into `COLOURS` as H.264. OSError if the encoder gives up."""
    import imageio_ffmpeg

    # Twice the size, so that halved chroma costs no sharpness; ffmpeg does it in its own process.
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape[1]}x{shape[0]}", "-r", f"{rate:g}", "-i", "-"),
        *("-vf", "scale=iw*2:ih*2:flags=neighbor", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        *("-crf", "16", "-preset", "veryfast", "-threads", "1", str(path)),
    ]
    with tempfile.TemporaryFile() as said:  # a session of its own: Ctrl-C ends the game, which then ends the file
        encoder = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        assert encoder.stdin is not None
        with suppress(BrokenPipeError):  # it says why itself
            for picture in pictures:
                # An unbuffered pipe may take less than all of it.
                rest = memoryview(COLOURS[picture].tobytes())
                while rest:
                    rest = rest[encoder.stdin.write(rest) :]
        encoder.stdin.close()
        if encoder.wait() != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            raise OSError(
                next((line.strip() for line in lines if line.strip()), "the encoder stopped, is the disk full?")
            )


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
