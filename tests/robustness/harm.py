"""What several tests of harmful files share."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable

import pytest

from model.files import FileError


def memory_of(read: Callable[[], object]) -> int:
    """The most bytes that Python and NumPy had while `read` ended in a FileError."""
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def header(text: str, length: int | None = None, body: int = 0) -> bytes:
    """Safetensors with this header."""
    return struct.pack("<Q", len(text) if length is None else length) + text.encode() + bytes(body)


CLAIMS = [
    b"",
    b"\x80\x04K\x01.",  # a pickle
    header("{}", 2**63),
    header("{}", (1 << 20) + 1),
    header('{"x": {"dtype": "F32", "shape": [1099511627776], "data_offsets": [0, 4398046511104]}}'),
    header('{"x": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}'),
    header('{"x": {"dtype": "F32", "shape": [0, 18446744073709551615], "data_offsets": [0, 0]}}'),
    header('{"x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}', body=1),
    header('{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', body=3),
    header(json.dumps({f"x{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_000)})),
]
