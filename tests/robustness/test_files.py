"""A kill at every single file operation: what is on the disk is the old or the new, never a mixture."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from collect.pairs import collect_pairs, load_pairs
from model.files import FileError, checksum, keep_as, read_description, write_atomic, write_described, write_json
from tools.robustness.jobs import StandIn
from tools.robustness.operations import at_every_operation


def test_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    path, sizes = tmp_path / "file", [1000]
    path.write_bytes(bytes(1000))

    def write() -> None:
        sizes.append(sizes[-1] + 1000)
        write_atomic(path, lambda file: file.write(bytes(sizes[-1])))

    def check(done: bool) -> None:
        assert path.stat().st_size in sizes[-2 + done :]
        sizes[:] = [path.stat().st_size]

    assert at_every_operation(tmp_path, write, check) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "what kills left was not removed"


def test_what_another_process_is_still_writing_is_left_alone(tmp_path: Path) -> None:
    """Two runs into one file: each writes its own to the end, and what dead ones left goes."""
    path, dead = tmp_path / "file", subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive, left, odd = (tmp_path / f".file.{of}.tmp" for of in (os.getppid(), dead.pid, "9" * 30))
    for beside in (alive, left, odd):
        beside.touch()
    write_atomic(path, lambda file: file.write(b"mine"))
    assert alive.exists()
    assert not left.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_what_is_no_plain_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /dev/null, which root would then have as a file with what was written."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FileError, match=f"cannot be written: it is a {name}"):
            write_json(tmp_path / name, {})
    assert (tmp_path / "pipe").is_fifo()
    monkeypatch.setattr(os, "replace", None)  # were it tried, it would be lost
    with pytest.raises(FileError, match="it is a device"):
        write_json(Path(os.devnull), {})


def test_a_file_and_its_description_are_of_one_run(tmp_path: Path) -> None:
    path, about, number = tmp_path / "x.bin", tmp_path / "x.json", 0

    def write(file: BinaryIO) -> dict[str, int]:
        file.write(bytes([number]))
        return {"number": number}

    def save() -> None:
        nonlocal number
        number += 1
        write_described(path, write, about, "sha256")

    save()
    seen = 0

    def check(done: bool) -> None:
        nonlocal seen
        found = read_description(about, "description", "sha256", checksum(path), limit=1000)["number"]
        assert path.read_bytes()[0] == found
        assert seen <= found <= number
        assert found == number or not done
        seen = found

    assert at_every_operation(tmp_path, save, check) >= 6
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.bin", "x.json"]


def test_pairs_and_their_statistics_are_of_one_run(tmp_path: Path) -> None:
    out, number = tmp_path / "pairs.json", 0

    def collect() -> None:
        nonlocal number
        number += 1
        collect_pairs(StandIn(shift=number).encode, 2, out, 5, codes_sha256=str(number))

    collect()

    def check(done: bool) -> None:
        pairs = load_pairs(out)
        assert pairs.stats is not None
        assert pairs.stats["codes_sha256"] == str(pairs.codes[0, -1].item()), "the last cell of a first step is still"
        assert not done or pairs.codes[0, -1] == number

    assert at_every_operation(tmp_path, collect, check) >= 6


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_says_what_was_being_written_and_what_is_kept(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "x.json"
    for kept in ("", "; the file that was there is kept"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(OSError, match="No space left on device, while writing") as error:
                write_json(path, {"a": 2})
        assert error.value.strerror == f"No space left on device, while writing {path}{kept}"
        assert error.value.errno == errno.ENOSPC
        assert not [file for file in tmp_path.iterdir() if file != path]
        write_json(path, {"a": 1})
    assert path.read_text() == '{\n "a": 1\n}\n'


def test_a_drive_that_is_not_there_is_an_error_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Z:\\` on Windows, of which no part exists."""

    def gone(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(Path, "exists", lambda path: False)
    monkeypatch.setattr(Path, "mkdir", gone)
    with pytest.raises(OSError, match="No such file or directory, while writing"):
        write_json(tmp_path / "none" / "x.json", {})


def test_a_copy_is_the_old_or_the_new(tmp_path: Path) -> None:
    kept, number = tmp_path / "b", 0
    kept.write_text("0")

    def keep() -> None:
        nonlocal number
        number += 1
        (tmp_path / "a").write_text(str(number))
        keep_as(tmp_path / "a", kept)

    def check(done: bool) -> None:
        assert kept.read_text() in ([str(number)] if done else [str(before) for before in range(number + 1)])

    assert at_every_operation(tmp_path, keep, check) >= 2
