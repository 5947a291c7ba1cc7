"""How much of a program's time goes into making data, so that training can say when it waits for it."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up the time inside its `with` blocks, in seconds; a block within a block counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth, self._start = 0, 0.0

    def __enter__(self) -> None:
        if self._depth == 0:
            self._start = time.perf_counter()
        self._depth += 1

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._start


MAKING_DATA = Stopwatch()
"""Time this process has spent choosing samples and making them from what is in memory."""
