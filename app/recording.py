"""Recording both panels as GIF or MP4: a thread hands frames over to `app.encoder`, and the game goes on.

That is a process of its own: a thread that encodes a picture holds up the game by two milliseconds at times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import BinaryIO

from model.breakout import Frame

SUFFIXES = (".gif", ".mp4")
_ROOT = Path(__file__).resolve().parent.parent
_WAITING = 256
"""Steps that may wait for the encoder (17 MB); after that the game waits too, rather than lose any."""


class Recorder:
    """Records until `close`. `path` ends in .gif or .mp4; ValueError otherwise.

    After a failure (a full disk) `add` does nothing, `error` says why, and `close` raises it. A game that is killed
    leaves a whole file behind.
    """

    def __init__(self, path: Path, steps_per_second: float, panels: int = 2) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"recordings are {' or '.join(SUFFIXES)}, got {path.name!r}")
        self.path = path
        self.error: OSError | None = None
        self._arguments = str(path.absolute()), repr(steps_per_second), str(panels)
        self._queue: Queue[tuple[Frame, ...] | None] = Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def add(self, *frames: Frame) -> None:
        """The panels of one step, left to right: screens of classes (210, 160) that are not changed afterwards."""
        if self.error is None:
            self._queue.put(frames)

    def close(self) -> None:
        """Finish the file. Raises OSError if it could not be written."""
        self._queue.put(None)
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        steps = iter(self._queue.get, None)
        try:
            with tempfile.TemporaryFile() as said:
                self._feed(steps, said)
        except OSError as error:
            self.error = error
            for _ in steps:  # so that nobody waits for room in the queue
                pass

    def _feed(self, steps: Iterator[tuple[Frame, ...]], said: BinaryIO) -> None:
        """Hand over all steps; OSError with what the encoder said if it gave up."""
        found = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        encoder = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.encoder", *self._arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "PYTHONPATH": found},
            start_new_session=True,  # Ctrl-C ends the game, which then ends the file
        )
        assert encoder.stdin is not None
        with suppress(OSError), encoder.stdin as pipe:  # it says why itself
            for frames in steps:
                # An unbuffered pipe may take less than all of it.
                rest = memoryview(b"".join(frame.tobytes() for frame in frames))
                while rest:
                    rest = rest[pipe.write(rest) :]
        if encoder.wait() != 0:
            said.seek(0)
            lines = [line.strip() for line in said.read().decode(errors="replace").split("\n")]
            raise OSError(next(filter(None, reversed(lines)), "the encoder stopped, is the disk full?"))
