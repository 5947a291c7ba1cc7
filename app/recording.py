"""Recording both panels as GIF or MP4: a thread hands frames over to `app.encoder`, and the game goes on.

That is a process of its own: a thread that encodes a picture holds up the game by two milliseconds at times.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from queue import Queue

from app.pipe import feed
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
        found = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        command = sys.executable, "-P", "-m", "app.encoder", *self._arguments
        told = (b"".join(frame.tobytes() for frame in frames) for frames in steps)
        try:
            feed(command, told, -1, {**os.environ, "PYTHONPATH": found})
        except OSError as error:
            self.error = error
            for _ in steps:  # so that nobody waits for room in the queue
                pass
