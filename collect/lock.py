"""One run at a time may write to a folder: a file in it that the operating system locks, and frees when a run dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.files import FileError

LOCK = ".lock"


def _try_lock(file: int) -> None:
    """Lock an open file. Raises OSError if another process has it; where a file system knows no locks, does nothing."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import errno
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of an existing folder. FileError if another run holds it."""
    path = directory / LOCK
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _try_lock(file)
            # A run that has just ended may have removed the file between our opening and our locking it.
            mine = os.path.samestat(os.fstat(file), path.stat())
        except FileNotFoundError:
            mine = False
        except OSError:
            raise FileError(f"another run writes to {directory}: wait for it, or choose another --out") from None
        if not mine:
            raise FileError(f"another run has just left {directory}: run the command again")
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; one that is left there locks nothing
                path.unlink()
    finally:
        os.close(file)
