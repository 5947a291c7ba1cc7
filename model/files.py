"""Writing and reading files. Written beside first, then renamed: nothing half-written is ever seen.

Read with a limit on the size, and only plain files: a pipe may never end, and a device has no size.
"""

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

SCHEMA = 1  # the schema version in every file that this program writes; a newer one is refused by name
_NO_FILES = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class FileError(ValueError):
    """A file that cannot be used. The text says which and why, in one printable line whatever stood in the file."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class UserError(RuntimeError):
    """Work that stopped for a reason the user can act on, such as a loss that is not a number. The text says which."""


def one_line(text: str) -> str:
    """`text` as one line that is safe to print: no line ends, no control characters, cut in the middle if very long."""
    if len(text) > 1000:
        text = f"{text[:500]} ... {text[-500:]}"
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _kind(about: os.stat_result) -> str:
    return _NO_FILES.get(stat.S_IFMT(about.st_mode), "a device")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
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
    there = next((part for part in (path, *path.parents) if part.exists()), Path())  # none of a drive that is not there
    if not there.is_dir():
        raise FileError(f"{what} {path} cannot be made: {there} is a file")
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)


def _runs(process: int) -> bool:
    """Whether a process runs. On Windows never: there 0 is a Ctrl-C, but what a process writes cannot be removed."""
    if os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _filled(path: Path, write: Callable[[BinaryIO], object]) -> Iterator[Path]:
    """A file beside `path` that `write` has filled, flushed to the disk; to be renamed, or else it is removed."""
    make_directory(path.parent)
    if path.exists() and not path.is_file():
        raise FileError(f"{path} cannot be written: it is {_kind(path.stat())}")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # by a kill
        with suppress(OSError, ValueError, OverflowError):  # it is another's, or its name has no process number
            if not _runs(int(left.name.split(".")[-2])):
                left.unlink()
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path):
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


def keep_as(path: Path, kept: Path) -> None:
    """Let `kept` be a copy of `path`, replaced as a whole."""
    with open(path, "rb") as source:
        write_atomic(kept, lambda file: shutil.copyfileobj(source, file))


def waiting_path(path: Path) -> Path:
    """Where the next file of a place waits until those that belong to it are in theirs."""
    return path.with_name(f".{path.name}.next")


def current_path(path: Path, digest: str) -> Path:
    """Where the file whose SHA-256 is `digest` stands, if it is there: in its place, or it still waits."""
    with suppress(FileError):
        if hashlib.sha256(read_bytes(waiting_path(path), "file", limit=1 << 28)).hexdigest() == digest:
            return waiting_path(path)
    return path


def write_described(
    path: Path, write: Callable[[BinaryIO], dict[str, Any]], description: Path, key: str
) -> dict[str, Any]:
    """Write a file and the JSON object that describes it as one: a kill leaves the old two or the new two. `write`
    returns the description, `key` of which gets the file's SHA-256. It waits beside until `path` is renamed;
    `read_description` knows both places. Returns the description."""
    about: dict[str, Any] = {}
    with _filled(path, lambda file: about.update(write(file))) as beside:
        if path.exists() and (found := _current(description, key, checksum(path))) != description:
            os.replace(found, description)  # a kill between the two renames left this undone
        about[key] = checksum(beside)
        write_json(waiting_path(description), about)
        os.replace(beside, path)
    os.replace(waiting_path(description), description)
    return about


def read_description(description: Path, what: str, key: str, digest: str, limit: int) -> Any:
    """The JSON that describes the file whose SHA-256 is `digest`; as `read_json` if none says that it does."""
    return read_json(_current(description, key, digest), what, limit)


def _current(description: Path, key: str, digest: str) -> Path:
    """Where the description of the file whose SHA-256 is `digest` stands: in its place, or it still waits."""
    waiting = waiting_path(description)
    with suppress(FileError):
        found = read_json(waiting, "description", limit=1 << 26)
        if isinstance(found, dict) and found.get(key) == digest:
            return waiting
    return description


def read_bytes(path: Path, what: str, limit: int) -> bytes:
    """All of a file; FileError names `what` and `path` if it is missing, no plain file or larger than `limit` bytes."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise FileError(f"{what} {path} cannot be read: it is {_kind(about)}, not a plain file")
        if about.st_size > limit:
            raise FileError(f"{what} {path} is larger than {limit} bytes")
        with open(path, "rb") as file:
            data = file.read(about.st_size + 1)
    except FileNotFoundError:
        raise FileError(f"{what} {path} does not exist") from None
    except NotADirectoryError:
        raise FileError(f"{what} {path} does not exist: a part of its path is a file") from None
    except OSError as error:
        raise FileError(f"{what} {path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # of a path with a NUL
        raise error if isinstance(error, FileError) else FileError(f"{what} {path} cannot be read: {error}") from None
    if len(data) > about.st_size:  # as files of the system do, which have no size and yet go on
        raise FileError(f"{what} {path} cannot be read: it holds more than its size says")
    return data


def read_text(path: Path, what: str, limit: int = 1 << 20) -> str:
    """A text that a person wrote, as UTF-8 with or without a byte order mark (Notepad's), or UTF-16 with one
    (PowerShell's); FileError as above."""
    data = read_bytes(path, what, limit)
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{what} {path} cannot be read: it is no text ({error.reason})") from None


def read_json(path: Path, what: str, limit: int = 1 << 30) -> Any:
    """Parse JSON; FileError as above, also of a key given twice, NaN, and numbers beyond a float's range."""
    data = read_bytes(path, what, limit)
    try:
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise FileError(f"{what} {path} cannot be read: it is nested too deeply") from None
    except ValueError as error:
        raise FileError(f"{what} {path} cannot be read: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} is there twice")
        found[name] = value
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is not a number, or is beyond every float")
    return value


def check_schema(found: Any, what: str, path: Path, remake: str, wanted: int = SCHEMA) -> None:
    """FileError unless `found` is `wanted`. `remake` is the command that makes such files."""
    if type(found) is not int:
        raise FileError(f"{what} {path} has no schema version: not a file of this program")
    if found > wanted:
        raise FileError(f"{what} {path} has schema version {found}, newer than {wanted}: update this program")
    if found < wanted:
        raise FileError(f"{what} {path} has schema version {found}, older than {wanted}: make it anew with: {remake}")


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
