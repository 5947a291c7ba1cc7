"""Bytes handed to another process, which makes a file of them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress


def feed(
    command: Sequence[str], parts: Iterable[bytes], cause: int = 0, environment: Mapping[str, str] | None = None
) -> None:
    """Run `command` with `parts` as its input, and wait for it. OSError if it fails, with the line of what it said that
    has the number `cause`; a negative one counts from the end. Without an `environment` it has this process's.

    It is in a session of its own: Ctrl-C ends the game, which then ends the file.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environment,
            start_new_session=True,
        )
        assert process.stdin is not None
        with process, suppress(BrokenPipeError):  # it says why itself
            for part in parts:
                # An unbuffered pipe may take less than all of it.
                rest = memoryview(part)
                while rest:
                    rest = rest[process.stdin.write(rest) :]
        if process.returncode != 0:
            said.seek(0)
            lines = [line.strip() for line in said.read().decode(errors="replace").split("\n") if line.strip()]
            raise OSError(lines[cause] if lines else "the encoder stopped, is the disk full?")
