"""Damaged files of every format: each is read, or refused in one line. Never another error, a hang, or memory taken.

    python -m tools.robustness.fuzz --cases 100000 --seed 0              # all formats, one line each
    python -m tools.robustness.fuzz --format keys --seed 0 --case 4711   # one case again, with its traceback
    python -m tools.robustness.fuzz --guided 60                          # coverage-guided, 60 s for each format

Case k of a format depends on (seed, format, k) alone. `--guided` uses Atheris: pip install -e ".[fuzz]".
"""

from __future__ import annotations

import argparse
import gc
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from tools.robustness.formats import FORMATS, Target
from tools.robustness.mutate import damaged_bytes

SECONDS = 10.0
"""The longest that one case may take."""
MEMORY, TIMES = 48 << 20, 40
"""How much the process may grow while it reads one file: so many bytes, and so many times the file's size."""
LEAK = 64 << 20
"""How much it may have grown when all cases are done."""


class Hang(BaseException):
    """A case took too long."""


class Unclean(Exception):
    """A case that ended as none may."""


@dataclass
class Outcomes:
    """What became of the cases of one format."""

    counts: Counter[str] = field(default_factory=Counter)
    unclean: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0
    grown: int = 0


def targets_of(name: str, home: Path) -> list[Target]:
    """The targets of a format, with their files in a directory of their own below `home`."""
    directory = home / name
    directory.mkdir()
    return FORMATS[name](directory)


def choose(targets: list[Target], name: str, seed: int, number: int) -> tuple[Target, bytes]:
    """The file of case `number`: a sound one, damaged by its structure, by its bytes, or by both."""
    rng = Random(f"{seed}/{name}/{number}")
    target = rng.choices(targets, [target.share for target in targets])[0]
    data = rng.choice(target.sound)
    for damage in rng.choice(((target.damage,), (target.damage,), (damaged_bytes,), (target.damage, damaged_bytes))):
        data = damage(data, rng)
    return target, data


def end_of(read: Callable[[bytes], object], data: bytes) -> str:
    """Read one file: "read" or "refused". Raises what is neither, `Unclean` if it is not one printable line."""
    with warnings.catch_warnings(record=True) as said:
        try:
            read(data)
            ending = "read"
        except ValueError as error:  # a FileError is one
            ending, text = "refused", str(error)
            if not text or "\n" in text or len(text) > 1200 or not text.isprintable():
                raise Unclean(f"not one printable line: {text[:200]!r}") from error
    if said:
        raise Unclean(f"a warning: {said[0].message}")
    return ending


def peak() -> int:
    """The most memory that this process has had, in bytes, since `forget_peak`."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Let `peak` begin anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def fuzz(name: str, cases: int, seed: int, home: Path) -> Outcomes:
    """Run the cases 0..`cases` - 1 of a format."""
    targets, outcomes = targets_of(name, home), Outcomes()

    def too_long(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, too_long)
    for target in targets:  # the sound ones first: what is loaded and kept once is no growth
        for data in target.sound:
            end_of(target.read, data)
    gc.collect()
    forget_peak()
    start, highest = time.perf_counter(), peak()
    first = highest
    for number in range(cases):
        target, data = choose(targets, name, seed, number)
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            ending = end_of(target.read, data)
        except (Exception, Hang) as error:
            ending = "unclean"
            outcomes.unclean.append(f"case {number} ({target.name}): {type(error).__name__}: {error}"[:300])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        outcomes.slowest = max(outcomes.slowest, time.perf_counter() - began)
        if (now := peak()) > highest:
            if now - highest > MEMORY + TIMES * len(data):
                ending = "unclean"
                outcomes.unclean.append(
                    f"case {number} ({target.name}): {(now - highest) >> 20} MB for {len(data)} bytes of file"
                )
            highest = now
        outcomes.counts[ending] += 1
    signal.signal(signal.SIGALRM, before)
    outcomes.seconds, outcomes.grown = time.perf_counter() - start, highest - first
    return outcomes


def report(name: str, seed: int, outcomes: Outcomes) -> str:
    """One line for a format."""
    counts = outcomes.counts
    return (
        f"{name}: {counts.total()} cases, seed {seed}: {counts['read']} read, {counts['refused']} refused in one line, "
        f"{counts['unclean']} unclean; {outcomes.seconds:.0f} s, slowest case {outcomes.slowest * 1000:.0f} ms, "
        f"memory +{outcomes.grown >> 20} MB at most"
    )


def guided(name: str, seconds: int, seed: int) -> tuple[str, bool]:
    """Atheris on all targets of a format, in a process of its own. Gives a line, and whether all was clean."""
    command = [sys.executable, "-m", "tools.robustness.guided", name, str(seconds), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 300)
    done = re.search(r"Done (\d+) (?:runs )?in", result.stderr)
    edges = re.findall(r"cov: (\d+)", result.stderr)
    corpus = re.findall(r"corp: (\d+)", result.stderr)
    if result.returncode or done is None:
        return f"{name}, guided: unclean (status {result.returncode})\n{result.stderr[-3000:]}", False
    return (
        f"{name}, guided: {done[1]} cases in {seconds} s, seed {seed}: {edges[0]} edges of the code at first, "
        f"{edges[-1]} at last; {corpus[-1]} inputs kept; 0 unclean",
        True,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 1 if any case was unclean."""
    parser = argparse.ArgumentParser(prog="python -m tools.robustness.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000, help="cases of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, action="append", help="only this one; may be given again")
    parser.add_argument("--case", type=int, help="run one case, and let its error through")
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="coverage-guided, so long for each format")
    given: Any = parser.parse_args(arguments)
    clean = True
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as home:
        for name in given.format or FORMATS:
            if given.guided:
                line, fine = guided(name, given.guided, given.seed)
                print(line, flush=True)
                clean &= fine
            elif given.case is not None:
                target, data = choose(targets_of(name, Path(home)), name, given.seed, given.case)
                print(f"{target.name}, {len(data)} bytes: {data[:2000]!r}")
                print(end_of(target.read, data))
            else:
                outcomes = fuzz(name, given.cases, given.seed, Path(home))
                print("\n".join([report(name, given.seed, outcomes), *outcomes.unclean[:10]]), flush=True)
                clean &= not outcomes.unclean and outcomes.grown < LEAK + MEMORY
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
