"""A kill at every single file operation, in one process: `at_every_operation`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Killed(BaseException):
    """Stands for SIGKILL."""


class Kill:
    """Lets `left` file operations below `directory` pass, and none after: not even those of a `finally`."""

    directory, left, counted = "", 0, 0

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:
        if not self.directory or self.directory not in str(details[:1]):
            return
        if event in ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"):
            self.left -= 1
            if self.left < 0:
                raise Killed


KILL = Kill()
sys.addaudithook(KILL)


@contextmanager
def killed_after(operations: int, directory: Path) -> Iterator[None]:
    """A kill after so many operations; none if there are fewer."""
    KILL.directory, KILL.left = str(directory), operations
    try:
        yield
    finally:
        KILL.directory = ""


def at_every_operation(directory: Path, do: Callable[[], object], check: Callable[[bool], None]) -> int:
    """Do it again and again, killed one operation later each time; check after each. Returns how many kills there were.

    `check` is told whether it got to its end.
    """
    for operations in range(200):
        done = False
        try:
            with killed_after(operations, directory):
                do()
                done = True
        except Killed:
            pass
        check(done)
        if done:
            return operations
    raise AssertionError("it never ends")
