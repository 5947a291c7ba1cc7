"""The last seconds of both games, step by step, so that they can go back in time. No screen.

What is kept is packed. As it is, twelve seconds of it would be 30 MB of blocks that come and go among those of the
networks, and memory that is cut up like that makes the allocator ask for more, a little at a time, for hours.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from collect.emulator import Emulator, Snapshot
from model.breakout import COLUMNS, ROWS, Frame
from model.memory import Unseen


def pack(screen: Frame) -> bytes:
    """A screen (210, 160) uint8 in a fiftieth of its size. Looks for runs of one colour only: that is quick."""
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    return packer.compress(screen.tobytes()) + packer.flush()


def unpack(packed: Iterable[bytes]) -> Frame:
    """The screens (n, 210, 160) uint8 that `pack` packed."""
    return np.stack([np.frombuffer(zlib.decompress(one), np.uint8).reshape(ROWS, COLUMNS) for one in packed])


class Saved(NamedTuple):
    """Both games before a step: the steps of this game, the packed frames that each side has seen, oldest first, the
    keys that led to them, what no frame shows on each side, steps since reality, and the emulator's state if there
    is one."""

    game_steps: int
    real: tuple[bytes, ...]
    twin: tuple[bytes, ...]
    keys: tuple[int, ...]
    unseen: tuple[Unseen, Unseen]
    since_real: int
    emulator: tuple[Any, bytes, bool, int] | None


def pack_emulator(emulator: Emulator) -> tuple[Any, bytes, bool, int]:
    """The whole state of an emulator, for `restore`."""
    snapshot = emulator.snapshot()
    return snapshot.state, pack(snapshot.screen), snapshot.over, snapshot.knob


def restore(emulator: Emulator, packed: tuple[Any, bytes, bool, int]) -> None:
    """Take an emulator back to what `pack_emulator` kept of it."""
    state, screen, over, knob = packed
    emulator.restore(Snapshot(state, unpack([screen])[0], over, knob))
