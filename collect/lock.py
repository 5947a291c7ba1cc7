"""One run at a time may write to a folder: a file in it that the operating system locks, and frees when a run dies."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.files import FileError

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""Errors of a file system that knows no locks."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of an existing folder. FileError if another run holds it."""
    path = directory / LOCK
    with open(path, "ab") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise FileError(f"another run writes to {directory}: wait for it, or choose another --out") from None
        if os.fstat(file.fileno()).st_nlink == 0:  # a run that ended removed it between our opening and our locking it
            raise FileError(f"another run has just left {directory}: run the command again")
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; one that is left there locks nothing
                path.unlink()
