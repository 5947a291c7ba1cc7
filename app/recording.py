"""Recording both panels as GIF or MP4, with the twin's mode and accuracy above them.

A thread hands the steps to a process of its own, which encodes them: beside the game, that would hold it up by two
milliseconds at times. A file is written beside its place and renamed when it is whole, also when the game was killed;
then it lacks the last steps that were not yet handed over, a quarter of a second."""

import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from typing import Any, BinaryIO

import numpy as np

from app import FONT, PART, ROOT
from model.breakout import COLUMNS, PALETTE, ROWS, Frame
from model.files import write_atomic

NO_MP4 = 'MP4 recordings need ffmpeg: pip install -e ".[record]"; GIF needs nothing'
TOGETHER, _WAITING = 16, 16
"""So many steps are handed over at once, since each time holds the game up; and so often may wait for the encoder
(17 MB); after that the game waits too, rather than lose any."""
_GROUND, _RAMP, _STRIP, _GAP = len(PALETTE), 16, 40, 8
NAMES = ("real game", "neural twin")
Step = tuple[tuple[str, ...], tuple[Frame, ...]]  # a line of text above each panel, and the panels, left to right


class Recorder:
    """Records .gif or .mp4 until `close`. ValueError if ffmpeg is missing for the latter. After a failure (a full disk)
    `add` does nothing, `error` says why, and `close` raises it."""

    def __init__(self, path: Path, steps_per_second: float) -> None:
        check_ffmpeg(path)
        self.path, self._rate = path, steps_per_second
        self.error: OSError | None = None
        self._steps: list[Step] = []
        self._queue: Queue[list[Step] | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def add(self, *frames: Frame, notes: tuple[str, ...] = ("", "")) -> None:
        """One step; frames must not be changed afterwards."""
        self._steps.append((notes[-len(frames) :], frames))
        if len(self._steps) == TOGETHER:
            if self.error is None:
                self._queue.put(self._steps)
            self._steps = []

    def close(self) -> None:
        """Finish the file. Raises OSError if it could not be written."""
        self._queue.put(self._steps)
        self._queue.put(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        several = iter(self._queue.get, None)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-P", "-m", "app.recording", str(self.path.absolute()), repr(self._rate)]
        try:
            _feed(command, map(_packed, several), -1, {**os.environ, "PYTHONPATH": path})
        except OSError as error:
            self.error = error
            for _ in several:  # so that nobody waits for room in the queue
                pass


def _packed(steps: list[Step]) -> bytes:
    """What `_steps` reads, as one piece: so it is written at once."""
    return b"".join(json.dumps(notes).encode() + b"\n" + np.stack(frames).tobytes() for notes, frames in steps)


def _feed(command: list[str], parts: Iterable[bytes], cause: int, environment: dict[str, str] | None = None) -> None:
    """Run `command` with `parts` as its input, and wait for it. OSError if it fails, with the line of what it said that
    has the number `cause`. It is in a session of its own: Ctrl-C ends the game, which then ends the file."""
    with tempfile.TemporaryFile() as said:
        options: Any = {"stdout": subprocess.DEVNULL, "stderr": said, "env": environment, "start_new_session": True}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
        with suppress(BrokenPipeError), process:  # it says why itself
            for part in parts:
                process.stdin.write(part)  # type: ignore[union-attr]
        if process.returncode != 0:
            said.seek(0)
            lines = [line.strip() for line in said.read().decode(errors="replace").split("\n") if line.strip()]
            raise OSError(lines[cause] if lines else "the encoder stopped, is the disk full?")


def check_ffmpeg(path: Path) -> None:
    """ValueError if a recording to `path` needs ffmpeg and there is none."""
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise ValueError(NO_MP4)


def _pictures(source: BinaryIO) -> Iterator[Frame]:
    """Of what the game sends. A step that is cut short, since it was killed, is left out."""
    while (line := source.readline()).endswith(b"\n"):
        notes = tuple(json.loads(line))
        data = source.read(len(notes) * ROWS * COLUMNS)
        if len(data) == len(notes) * ROWS * COLUMNS:
            yield compose(notes, np.frombuffer(data, np.uint8).reshape(-1, ROWS, COLUMNS))


def encode(path: Path, pictures: Iterator[Frame], rate: float) -> None:
    """Write `pictures`, at `rate` a second, as GIF or H.264. OSError if it cannot be written."""
    first = next(pictures, None)
    if first is None:
        raise OSError("nothing was recorded")
    if path.suffix.lower() == ".gif":
        write_atomic(path, lambda file: write_gif(file, first, pictures, rate))
        return
    import imageio_ffmpeg

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.tmp.mp4")
    # Twice the size, so that halved chroma costs no sharpness; the index first, so that it plays while it loads.
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{first.shape[1]}x{first.shape[0]}", "-r", f"{rate:g}"),
        *("-i", "-", "-vf", "scale=iw*2:ih*2:flags=neighbor", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        *("-crf", "16", "-preset", "veryfast", "-threads", "1", "-movflags", "+faststart", str(beside)),
    ]
    try:
        _feed(command, (COLOURS[picture].tobytes() for picture in itertools.chain([first], pictures)), 0)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


COLOURS = np.zeros((256, 3), np.uint8)  # the game's nine, the ground, and from `_RAMP` on sixteen greys for the writing
COLOURS[: len(PALETTE)] = PALETTE
COLOURS[_GROUND] = 15, 16, 20
COLOURS[_RAMP : _RAMP + 16] = np.linspace((15, 16, 20), (190, 194, 204), 16)


@lru_cache(maxsize=8)
def _heading(name: str, note: str) -> Frame:
    """What stands above a panel: indices into `COLOURS`, (40, 320) uint8, in writing as large as fits. Of a note that
    does not fit in one line the first part stands beside the name."""
    from PIL import Image, ImageDraw, ImageFont

    writing = Image.new("L", (2 * COLUMNS, _STRIP))
    draw = ImageDraw.Draw(writing)
    fonts = [ImageFont.truetype(str(FONT), size) for size in (13, 12, 11, 10, 9)]
    if PART in note and fonts[-1].getlength(note) > 2 * COLUMNS:
        first, _, note = note.partition(PART)
        name += PART + first
    for words, y, grey, sizes in ((name, 3, 255, fonts), (note, 21, 220, fonts[1:])):
        font = next((font for font in sizes if font.getlength(words) <= 2 * COLUMNS), fonts[-1])
        draw.text((0, y), words, grey, font)
    greys = np.asarray(writing)
    return np.where(greys < 16, np.uint8(_GROUND), _RAMP + (greys >> 4))


def compose(notes: tuple[str, ...], frames: Sequence[Frame] | Frame) -> Frame:
    """A picture of the panels: indices into `COLOURS`, (rows, columns) uint8, even in both. Each screen of classes
    (210, 160) is twice as wide, with its name and note above."""
    count, wide = len(frames), 2 * COLUMNS + _GAP
    picture = np.full((_STRIP + ROWS + _GAP, count * wide + _GAP), _GROUND, np.uint8)
    for number, (name, note, frame) in enumerate(zip(NAMES[-count:], notes, frames, strict=True)):
        left = _GAP + number * wide
        panel = np.concatenate((_heading(name, note), np.repeat(frame, 2, 1)))
        picture[: len(panel), left : left + 2 * COLUMNS] = panel
    return picture


def write_gif(file: BinaryIO, first: Frame, others: Iterable[Frame], rate: float) -> None:
    """Stream pictures (rows, columns) uint8 of indices into `COLOURS` as a GIF that loops, `rate` pictures a second.

    Only what changed is stored. GIF counts time in hundredths of a second, and players show nothing for less than
    two: pictures that come faster than that are left out, and the total time is kept."""
    from PIL import GifImagePlugin, Image

    file.write(b"GIF89a" + struct.pack("<HHBBB", *first.shape[::-1], 0xF7, 0, 0) + COLOURS.tobytes())
    file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
    shown = part = first
    corner, since = (0, 0), 0
    for number, picture in enumerate(itertools.chain(others, [None]), 1):
        now = round(number * 100 / rate)
        if picture is not None and (now - since < 2 or np.array_equal(shown, picture)):
            continue
        image: Any = Image.fromarray(np.ascontiguousarray(part))
        image.putpalette(COLOURS.tobytes())
        for block in GifImagePlugin.getdata(image, corner, duration=10 * min(max(2, now - since), 65535)):
            file.write(block)
        if picture is not None:
            ys, xs = (np.flatnonzero((shown != picture).any(axis)) for axis in (1, 0))
            part, corner = picture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1], (int(xs[0]), int(ys[0]))
            shown, since = picture, now
    file.write(b";")


if __name__ == "__main__":
    try:
        encode(Path(sys.argv[1]), _pictures(sys.stdin.buffer), float(sys.argv[2]))
    except (OSError, ValueError) as error:
        sys.exit(getattr(error, "strerror", None) or str(error))
