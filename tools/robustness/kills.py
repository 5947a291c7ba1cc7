"""Kills real processes that collect and train, at random moments; goes on; compares with what was never killed.

    python -m tools.robustness.kills --kills 200 --seed 0

A run is killed with SIGINT, SIGTERM or SIGKILL, by the clock or at one of its file operations, and started again,
until it has been killed five times or is done. After every kill what was finished must be there and sound; at the end
the bytes of what was collected, and every loss, validation and weight of what was trained, must be those of a run that
was never killed. Most processes are forked from this one, which has loaded what they need; the jobs named `main.py`
are not.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.robustness.jobs import Job

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL)
KILLS_A_RUN = 5
AT_FILES = 0.4
"""The share of kills that come at a file operation instead of by the clock: between two renames is a short time."""
LONGEST = 120.0
SAID = b"interrupted; what was finished is kept\n"
ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A job under way. `began` is when it showed the first sign of work."""

    def __init__(self, job: Job, out: Path, kill_at: tuple[int, int] | None = None) -> None:
        """`kill_at`: the signal that it sends itself, and before which file operation in `out`."""
        self.errors = out.with_name(out.name + ".stderr")
        self.counted = out.with_name(out.name + ".operations")
        with open(self.errors, "wb") as errors:
            if job.command is not None:
                self._start_command(job.command(out), out, errors.fileno())
            else:
                self._fork(job, out, errors.fileno(), kill_at)
        self.began = time.monotonic()

    def _start_command(self, command: list[str], out: Path, errors: int) -> None:
        before = set(out.iterdir())
        self._popen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors, process_group=0)
        self.pid = self._popen.pid
        while set(out.iterdir()) == before and self._popen.poll() is None:
            time.sleep(0.005)

    def _fork(self, job: Job, out: Path, errors: int, kill_at: tuple[int, int] | None) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.dup2(errors, 2)
            os._exit(self._child(job, out, writing, kill_at))
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)

    def _child(self, job: Job, out: Path, ready: int, kill_at: tuple[int, int] | None) -> int:
        import typer

        from console import clean_errors

        operations = 0

        def count(event: str, details: tuple[Any, ...]) -> None:
            nonlocal operations
            if event in ("open", "os.rename", "os.remove", "os.link", "os.truncate") and str(out) in str(details[0]):
                operations += 1
                if kill_at is not None and operations == kill_at[1]:
                    os.kill(os.getpid(), kill_at[0])

        sys.addaudithook(count)
        status = 1
        try:
            with clean_errors():
                os.write(ready, b"!")
                job.run(out)
            status = 0
        except typer.Exit as end:
            status = end.exit_code
        except BaseException:
            import traceback

            traceback.print_exc()
        self.counted.write_text(str(operations))
        sys.stderr.flush()
        return status

    def wait(self, longest: float = LONGEST) -> int | None:
        """The exit status, negative for a signal; None if it is still running after `longest` seconds."""
        until = time.monotonic() + longest
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                return None
            time.sleep(0.002)

    def said(self) -> bytes:
        """What it wrote to stderr; but not what Python's own helper says after workers' parent was killed."""
        lines = self.errors.read_bytes().splitlines(keepends=True)
        return b"".join(line for line in lines if b"resource_tracker" not in line and b"warnings.warn" not in line)

    def kill(self, number: int) -> None:
        """SIGINT as a terminal sends it, to the whole group; the others to the process alone."""
        (os.killpg if number == signal.SIGINT else os.kill)(self.pid, number)

    def end(self) -> int:
        """Wait for the end; too long a wait is an error."""
        status = self.wait()
        if status is None:
            os.killpg(self.pid, signal.SIGKILL)
            raise TimeoutError(f"still running {LONGEST:.0f} s after the kill")
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:  # workers end when they notice
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return status
            time.sleep(0.005)
        raise TimeoutError(f"a worker is still running {LONGEST:.0f} s after its parent was killed")


class Reference:
    """A job that was never killed: its result, its duration in seconds and its number of file operations."""

    def __init__(self, job: Job, home: Path) -> None:
        out = home / "reference"
        out.mkdir()
        job.start(out)
        process = Process(job, out)
        status = process.end()
        self.seconds = time.monotonic() - process.began
        if status:
            raise SystemExit(f"{job.name}: failed without a kill: {process.errors.read_text()}")
        self.operations = int(process.counted.read_text()) if process.counted.exists() else 0
        self.result = job.result(out)
        print(f"{job.name}: {self.seconds:.1f} s, {self.operations} file operations", file=sys.stderr, flush=True)


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first entry that differs, or nothing."""
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            return f"{key}: {str(found.get(key))[:120]} instead of {str(wanted.get(key))[:120]}"
    return ""


def left_in(out: Path) -> set[str]:
    """Half-written files beside those of a job: SIGKILL may leave them until they are written again, nothing else."""
    return {path.name for path in out.rglob("*.tmp")}


def run_killed(job: Job, reference: Reference, out: Path, rng: Random, kills: int, counts: Counter[str]) -> list[str]:
    """Run a job into `out`, killed up to `kills` times, to the end. Counts the kills; returns what went wrong."""
    from tools.robustness.jobs import Broken

    out.mkdir(parents=True)
    job.start(out)
    seen: dict[str, Any] = {}
    left: set[str] = set()
    for kill in range(kills + 1):
        number = rng.choice(SIGNALS) if kill < kills else None
        at_file = number is not None and job.command is None and rng.random() < AT_FILES
        operation = rng.randint(1, max(1, reference.operations))
        process = Process(job, out, (int(number), operation) if at_file and number else None)
        status = None
        if number is not None and not at_file:
            status = process.wait(rng.uniform(0, reference.seconds) * rng.choice((0.3, 0.7)))
            if status is None:
                process.kill(number)
        status = process.end() if status is None else status
        said = process.said()
        where = f"{job.name}, kill {kill + 1} by {number.name if number else 'nobody'}, status {status}"
        if status == 0 and not said:
            wrong = difference(job.result(out), reference.result) or ", ".join(left_in(out))
            return [f"{where}: {wrong}"] if wrong else []
        counts[f"{job.name}"] += 1
        counts[number.name if number else "?"] += 1
        counts["at a file operation" if at_file else "by the clock"] += 1
        expected = (-signal.SIGKILL, b"") if number == signal.SIGKILL else (130, SAID)
        ended = (
            job.command is not None and number is not None and (status, said) == (-number, b"")
        )  # after all its work, while Python ends
        if (status, said) != expected and not ended:
            return [f"{where}, not {expected}: {said.decode()[-2000:]}"]
        if number != signal.SIGKILL and (new := left_in(out) - left):
            return [f"{where}: left {new}"]
        left = left_in(out)
        try:
            seen = job.seen(out, seen)
        except (Broken, ValueError) as error:
            return [f"{where}: {error}"]
    return [f"{job.name}: did not end"]


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 1 if anything was lost, half-written or different."""
    parser = argparse.ArgumentParser(prog="python -m tools.robustness.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", action="append", help="only this job; may be given again")
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT))
    from tools.robustness.jobs import Job, jobs, prepare

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may have begun without one
    began, counts, wrong, runs = time.monotonic(), Counter[str](), [], 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "prepared").mkdir()
        Process(Job("prepare", prepare, lambda *_: {}, lambda _: {}), home / "prepared").end()
        chosen = [job for job in jobs(home / "prepared") if not given.job or job.name in given.job]
        if any(job.name.startswith("train") for job in chosen):  # what is forked has it then
            import torch

            torch.set_num_threads(1)
        references: dict[str, Reference] = {}
        while sum(counts[job.name] for job in chosen) < given.kills:
            # The jobs in turn, but those that start a Python for every kill only every fourth round.
            job = chosen[runs % len(chosen)]
            runs += 1
            if job.command is not None and runs // len(chosen) % 4 and len(chosen) > 2:
                continue
            if job.name not in references:
                (home / job.name).mkdir()
                references[job.name] = Reference(job, home / job.name)
            left = given.kills - sum(counts[job.name] for job in chosen)
            rng = Random(f"{given.seed}/{runs}")
            out = home / job.name / str(runs)
            found = run_killed(job, references[job.name], out, rng, min(KILLS_A_RUN, left), counts)
            wrong += found
            so_far = f"{sum(counts[job.name] for job in chosen)} kills, {len(wrong)} wrong"
            print("\n".join([so_far, *found]), file=sys.stderr, flush=True)
    names = [job.name for job in chosen]
    print(f"{sum(counts[name] for name in names)} kills, seed {given.seed}, {time.monotonic() - began:.0f} s:")
    print("  " + ", ".join(f"{counts[name]} of {name}" for name in names))
    print("  " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if name not in names))
    print(f"{len(wrong)} lost, half-written or different from a run that was never killed")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
