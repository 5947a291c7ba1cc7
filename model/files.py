"""Writing and reading files. Written beside first, then renamed: nothing half-written is ever seen.

Read with a limit on the size, and only plain files: a pipe may never end, and a device has no size.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA = 1
"""The schema version in every file that this program writes; a newer one is refused by name."""
TEXT_LIMIT = 1 << 20
"""The largest text that a person writes for this program, in bytes: key maps, lists of actions."""
_LONGEST_LINE = 1000


class FileError(ValueError):
    """A file that cannot be used: missing, truncated, foreign or of another version. The text says which and why, in
    one printable line whatever stood in the file."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class UserError(RuntimeError):
    """Work that stopped for a reason the user can act on, such as a loss that is not a number. The text says which."""


def one_line(text: str) -> str:
    """`text` as one line that is safe to print: no line ends, no control characters, cut in the middle if very long."""
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]} ... {text[-half:]}"
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line


def _beside(path: Path) -> Path:
    """A name beside `path` to fill a file under. What a kill left under such a name is removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):
            left.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an OSError of the block say that `path` was being written, and what is kept. Its type and errno stay."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # it speaks for itself
            raise
        kept = "; the file that was there is kept" if path.is_file() else ""
        raise OSError(error.errno, f"{error.strerror}, while writing {path}{kept}") from error


def make_directory(path: Path, what: str = "folder") -> None:
    """Make a folder and those above it. FileError if a file stands in its place, or in the place of one above it."""
    for part in (path, *path.parents):
        if part.is_dir():
            break
        if part.exists():
            raise FileError(f"{what} {path} cannot be made: {part} is a file")
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def check_directory(path: Path, what: str, remedy: str = "") -> None:
    """FileError unless `path` is a folder. `what` names it and `remedy` says what to do if there is nothing."""
    if path.is_dir():
        return
    if path.exists():
        raise FileError(f"{what} {path} is a file; a folder is wanted")
    raise FileError(f"{what} {path} does not exist" + (f"; {remedy}" if remedy else ""))


@contextmanager
def _filled(path: Path, write: Callable[[BinaryIO], object]) -> Iterator[Path]:
    """A file beside `path` that `write` has filled, flushed to the disk; to be renamed, or else it is removed."""
    make_directory(path.parent)
    if path.is_dir():
        raise FileError(f"{path} cannot be written: it is a folder")
    beside = _beside(path)
    with writing(path):
        try:
            with open(beside, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            yield beside
        finally:
            beside.unlink(missing_ok=True)


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to the disk, then rename it to `path`."""
    with _filled(path, write) as beside:
        os.replace(beside, path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def waiting_path(description: Path) -> Path:
    """Where the next description waits until the file it describes is in its place."""
    return description.with_name(f".{description.name}.next")


def write_described(
    path: Path, write: Callable[[BinaryIO], object], description: Path, describe: Callable[[], dict[str, Any]], key: str
) -> dict[str, Any]:
    """Write a file and the JSON object that describes it as one: a kill leaves the old two or the new two.

    `describe` is asked when `write` is done; `key` gets the SHA-256 of the file. The description waits beside, the
    renaming of `path` decides, and `read_description` knows both. Returns the description.
    """
    settle(path, description, key)
    with _filled(path, write) as beside:
        value = {**describe(), key: checksum(beside)}
        write_json(waiting_path(description), value)
        os.replace(beside, path)
    os.replace(waiting_path(description), description)
    return value


def settle(path: Path, description: Path, key: str) -> None:
    """Finish what a kill between the two renames of `write_described` left undone."""
    waiting = waiting_path(description)
    if waiting.exists() and path.exists() and _describes(waiting, key, checksum(path)):
        os.replace(waiting, description)


def read_description(description: Path, what: str, key: str, digest: str, limit: int) -> Any:
    """The JSON that describes the file whose SHA-256 is `digest`; as `read_json` if none says that it does."""
    waiting = waiting_path(description)
    chosen = waiting if waiting.exists() and _describes(waiting, key, digest) else description
    return read_json(chosen, what, limit)


def _describes(path: Path, key: str, digest: str) -> bool:
    with suppress(FileError):
        found = read_json(path, "description", limit=1 << 26)
        return isinstance(found, dict) and found.get(key) == digest
    return False


def keep_as(path: Path, kept: Path) -> None:
    """Let `kept` be what `path` is now, which stays in its place; `path` must only ever be replaced as a whole."""
    beside = _beside(kept)
    with writing(kept):
        try:
            try:
                os.link(path, beside)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, beside)
            os.replace(beside, kept)
        finally:
            beside.unlink(missing_ok=True)  # to rename between two names of one file does nothing at all


def read_bytes(path: Path, what: str, limit: int) -> bytes:
    """All of a file; FileError names `what` and `path` if it is missing, no plain file or larger than `limit` bytes."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise FileError(f"{what} {path} cannot be read: it is {_kind(about.st_mode)}, not a plain file")
        if about.st_size > limit:
            raise FileError(f"{what} {path} is larger than {limit} bytes")
        with open(path, "rb") as file:
            data = file.read(about.st_size + 1)
        if len(data) > about.st_size:  # as files of the system do, which have no size and yet go on
            raise FileError(f"{what} {path} cannot be read: it holds more than its size says")
        return data
    except FileNotFoundError:
        raise FileError(f"{what} {path} does not exist") from None
    except NotADirectoryError:
        raise FileError(f"{what} {path} does not exist: a part of its path is a file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        why = error.strerror if isinstance(error, OSError) else error  # a path with a NUL is a ValueError
        raise FileError(f"{what} {path} cannot be read: {why}") from None


def _kind(mode: int) -> str:
    """What a file is that is not a plain one, with its article."""
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((name for test, name in kinds.items() if test(mode)), "a device")


def read_text(path: Path, what: str, limit: int = TEXT_LIMIT) -> str:
    """A text that a person wrote, as UTF-8 with or without a byte order mark, or UTF-16 with one; FileError as above.

    Windows' Notepad writes the mark, and its PowerShell UTF-16.
    """
    data = read_bytes(path, what, limit)
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{what} {path} cannot be read: it is no text ({error.reason})") from None


def read_json(path: Path, what: str, limit: int = 1 << 30) -> Any:
    """Parse JSON; FileError names `what` and `path` if it is missing, larger than `limit` bytes or damaged.

    Stricter than `json.loads`: a key given twice, NaN, and numbers beyond a float's range are refused.
    """
    data = read_bytes(path, what, limit)
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise FileError(f"{what} {path} cannot be read: it is nested too deeply") from None
    except ValueError as error:
        raise FileError(f"{what} {path} cannot be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond every float")
    return value


def check_schema(found: Any, what: str, path: Path, remake: str, schema: int = SCHEMA) -> None:
    """FileError unless `found` is the schema version that this program reads. `remake` is the command that makes such
    files."""
    if not isinstance(found, int) or isinstance(found, bool):
        raise FileError(f"{what} {path} has no schema version: not a file of this program")
    if found > schema:
        raise FileError(f"{what} {path} has schema version {found}, newer than {schema}: update this program")
    if found < schema:
        raise FileError(f"{what} {path} has schema version {found}, older than {schema}: make it anew with: {remake}")


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
