"""A few damaged files of every format; `python -m tools.robustness.fuzz` reads a hundred thousand of each."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tools.robustness.formats import FORMATS, Target
from tools.robustness.mutate import damaged_bytes

pytestmark = pytest.mark.slow

fuzz = pytest.importorskip("tools.robustness.fuzz", reason="needs alarms as POSIX has them")


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    outcomes = fuzz.fuzz(name, 400, 3, tmp_path)
    assert outcomes.unclean == []
    assert outcomes.counts["refused"] > 100
    assert outcomes.counts["read"] > 5
    assert f"{name}: 400 cases, seed 3:" in fuzz.report(name, 3, outcomes)


def test_a_case_is_the_same_again(tmp_path: Path) -> None:
    targets = fuzz.targets_of("pairs", tmp_path)
    first = [fuzz.choose(targets, "pairs", 0, number)[1] for number in range(200)]
    assert first == [fuzz.choose(targets, "pairs", 0, number)[1] for number in range(200)]
    assert len(set(first)) > 150


def forgotten(data: bytes) -> None:
    raise KeyError("nobody thought of this")


def endless(data: bytes) -> None:
    time.sleep(5)


def greedy(data: bytes) -> None:
    bytearray(1 << 30)  # more than earlier tests may have left to be used again


def chatty(data: bytes) -> None:
    raise ValueError("two\nlines")


@pytest.mark.parametrize(
    ("read", "says"), [(forgotten, "KeyError"), (endless, "Hang"), (greedy, "MB for"), (chatty, "one printable line")]
)
@pytest.mark.slow
def test_what_is_unclean_is_found(read: object, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def once(data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:  # one sound file, then one case
            read(data)  # type: ignore[operator]

    monkeypatch.setitem(FORMATS, "keys", lambda home: [Target("x", [b"x"], damaged_bytes, once)])
    if read is endless:
        monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    outcomes = fuzz.fuzz("keys", 4, 0, tmp_path)
    assert len(outcomes.unclean) == 1
    assert says in outcomes.unclean[0]
    assert outcomes.counts["unclean"] == 1
