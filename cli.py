"""What every command shares: errors that end in one line, and progress that fits where it is shown."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import NoReturn

import typer

from model.files import one_line

INTERRUPTED = 130
Show = Callable[[float, str], None]
"""Told the share that is done, 0..1, and a line that says where things stand."""
KEPT = ("warning: ", "note: ")
"""A line that begins like this is shown at once and stays on the screen."""


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, status: int = 1) -> typer.Exit:
    print(one_line(f"error: {message}"), file=sys.stderr)
    return typer.Exit(status)


@contextmanager
def clean_errors() -> Iterator[None]:
    """Run a command's body: whatever a user or the machine can cause ends in one line on stderr and exit status 1.

    Ctrl-C and SIGTERM end in status 130. Anything else is a bug of the program and keeps its traceback.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenExecutor:
        raise _fail(
            "a worker process died (out of memory, or killed); what was finished is kept: run the command again"
        ) from None
    except MemoryError:
        raise _fail("out of memory") from None
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise _fail(f"{error.strerror or error}{where}") from None
    except ValueError as error:
        raise _fail(str(error)) from None
    except RuntimeError as error:
        from train.loop import TrainingError  # only now, because it imports torch

        if not isinstance(error, TrainingError) and "memory" not in str(error):
            raise
        raise _fail(str(error)) from None
    finally:
        signal.signal(signal.SIGTERM, before)


class _Lines:
    """Progress as plain lines, for logs: one when ten seconds have passed, and one at the end."""

    EVERY = 10.0

    def __init__(self, title: str) -> None:
        self._title, self._start = title, time.monotonic()
        self._shown, self._last = self._start, ""

    def __call__(self, share: float, text: str = "") -> None:
        now = time.monotonic()
        if text.startswith(KEPT):
            print(f"{self._title}: {text}", flush=True)
            return
        if share < 1 and now - self._shown < self.EVERY:
            return
        left = (now - self._start) * (1 - share) / max(share, 1e-9)
        tail = f", {left:.0f} s left" if 0 < share < 1 else ""
        line = f"{self._title}: {share:4.0%}{tail}  {text}".rstrip()
        if line != self._last:
            print(line, flush=True)
        self._shown, self._last = now, line


@contextmanager
def progress(title: str) -> Iterator[Show]:
    """A bar with the time left on a terminal, plain lines elsewhere. Gives a function to call with share and text."""
    if not sys.stdout.isatty():
        yield _Lines(title)
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=1.0)

        def show(share: float, text: str) -> None:
            if text.startswith(KEPT):
                bar.console.print(text, markup=False, highlight=False)
            else:
                bar.update(task, completed=min(1.0, share), description=text)

        yield show
