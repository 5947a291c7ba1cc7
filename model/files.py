"""Writing and reading files so that nothing half-written is ever seen: beside first, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA = 1
"""The schema version in every file that this program writes; a newer one is refused by name."""


class FileError(ValueError):
    """A file that cannot be used: missing, truncated, foreign or of another version. The text says which and why."""


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def read_json(path: Path, what: str, limit: int = 1 << 30) -> Any:
    """Parse JSON; FileError names `what` and `path` if it is missing, larger than `limit` bytes or damaged."""
    try:
        if path.stat().st_size > limit:
            raise FileError(f"{what} {path} is larger than {limit} bytes")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileError(f"{what} {path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{what} {path} cannot be read: {error}") from None


def check_schema(found: Any, what: str, path: Path) -> None:
    """FileError unless `found` is the schema version of this program."""
    if not isinstance(found, int) or isinstance(found, bool):
        raise FileError(f"{what} {path} has no schema version: not a file of this program")
    if found > SCHEMA:
        raise FileError(f"{what} {path} has schema version {found}, newer than {SCHEMA}: update this program")
    if found < SCHEMA:
        raise FileError(f"{what} {path} has schema version {found}, older than {SCHEMA}: make it anew")


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
