"""Errors in one line, progress where it fits, numbers that are numbers, and a program whose output may go away."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import console
from console import clean_errors, finite, progress
from main import app
from model.files import FileError, UserError

ROOT = Path(__file__).resolve().parents[1]
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line of shell; `$MAIN` is the program."""
    main = f'MAIN="{sys.executable} {ROOT / "main.py"}"; '
    return subprocess.run(["bash", "-c", main + line], capture_output=True, text=True, timeout=60, cwd=ROOT)


class UsageError(Exception):
    """Stands for that of a library which a flag asks for, and which its user has to set up."""


UsageError.__module__ = "wandb.errors.errors"


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (FileError("weights x are damaged"), "weights x are damaged"),
            (ValueError("two\nlines"), "two lines"),
            (MemoryError(), "out of memory"),
            (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory\nmore"), "can't allocate memory"),
            (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "No space left on device: /x/y"),
            (UserError("the loss is not a number"), "the loss is not a number"),
            (BrokenProcessPool(), "a worker process died"),
            (
                ModuleNotFoundError("x", name="torch.nn"),
                'torch is not installed; this command needs: pip install -e ".[train]"',
            ),
            (ModuleNotFoundError("x", name="imageio_ffmpeg"), '".[record]"'),
            (ModuleNotFoundError("x", name="matplotlib"), '".[report]"'),
            (ModuleNotFoundError("x", name="stable_baselines3"), '".[player]"'),
            (ModuleNotFoundError("x", name="pygame"), "pip install -e ."),
            (UsageError("No API key configured"), "wandb: No API key configured"),
        ],
    )
    def test_what_a_user_can_cause_is_one_line(
        self, error: Exception, says: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(typer.Exit) as ended, clean_errors():
            raise error
        said = capsys.readouterr().err
        assert ended.value.exit_code == 1
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert says in said

    @pytest.mark.parametrize(
        "error", [KeyError("x"), RuntimeError("a bug"), ModuleNotFoundError("x", name="app.nothing")]
    )
    def test_a_bug_keeps_its_traceback(self, error: Exception) -> None:
        with pytest.raises(type(error)), clean_errors():
            raise error

    def test_an_interrupt_is_130(self, capsys: pytest.CaptureFixture[str]) -> None:
        before = signal.getsignal(signal.SIGTERM)
        # What runs in the background is started with SIGINT ignored, and so may these tests be.
        ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                with pytest.raises(typer.Exit) as ended, clean_errors():
                    signal.raise_signal(number)
                assert ended.value.exit_code == 130
        finally:
            signal.signal(signal.SIGINT, ignored)
        assert capsys.readouterr().err == 2 * "interrupted; what was finished is kept\n"
        assert signal.getsignal(signal.SIGTERM) is before

    def test_another_thread_may_run_a_command(self) -> None:
        ran = []

        def body() -> None:
            with clean_errors():
                ran.append(1)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        assert ran == [1]


class TestNumbers:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 0.2, 4.1])
    def test_what_is_no_number_in_range_is_wrong_usage(self, value: float) -> None:
        with pytest.raises(typer.BadParameter):
            finite(0.25, 4.0)(value)

    def test_what_is_in_range_passes(self) -> None:
        assert finite(0.25, 4.0)(0.25) == 0.25
        assert finite(above=0.0)(None) is None
        with pytest.raises(typer.BadParameter):
            finite(above=0.0)(0.0)

    def test_wrong_values_end_with_2(self) -> None:
        for wrong in (["collect", "frames", "--seed", str(2**31)], ["collect", "frames", "--seed", "-1"], ["nothing"]):
            assert CliRunner().invoke(app, wrong).exit_code == 2, wrong


class TestProgress:
    def test_lines(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [0.0]
        monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
        with progress("train") as show:
            for now, share, text in (
                (0.0, 0.0, "preparing: pairs"), (11.0, 0.5, "preparing: pairs"), (20.0, 0.5, "resumed"),
                (30.0, 0.75, "x"), (31.0, 0.76, "warning: y"), (45.0, 186.22, "z"), (60.0, float("nan"), "n"),
            ):  # fmt: skip
                clock[0] = now
                show(share, text)
        assert capsys.readouterr().out.splitlines() == [
            "train: preparing  50%, 11 s left  pairs",
            "train:  75%, 10 s left  x",  # counted from where it was resumed
            "train: warning: y",
            "train: 100%  z",
            "train:   0%  n",
        ]

    def test_bars_fit_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        with progress("train") as show:
            for share, text in (
                (0.5, "preparing: a"),
                (1.0, "preparing: a"),
                (0.1, "b"),
                (0.2, "note: c"),
                (9, "[/d]"),
            ):
                show(share, text)
        said = capsys.readouterr().out
        assert "[/d]" in said
        assert "note: c" in said
        assert "900%" not in said


@posix
class TestStreams:
    def test_nobody_listens(self) -> None:
        result = shell("$MAIN --help | head -1; echo ${PIPESTATUS[0]}")
        assert result.stdout.splitlines()[-1] == "0"
        assert result.stderr == ""

    @pytest.mark.slow
    def test_work_goes_on_when_nobody_listens(self, tmp_path: Path) -> None:
        collect = f"$MAIN collect frames --transitions 300 --workers 1 --out {tmp_path}"
        for name, end in (
            ("a", "| true; echo ${PIPESTATUS[0]}"),
            ("b", ">&-; echo $? >&2"),
            ("c", "<&- >&- 2>&-; true"),
        ):
            result = shell(f"{collect}/{name} {end}")
            assert (result.stdout + result.stderr) in ("0\n", "")
            assert (tmp_path / name / "manifest.json").exists()

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
    def test_output_that_cannot_be_written(self) -> None:
        result = shell("$MAIN --help > /dev/full")
        assert (result.returncode, result.stderr) == (
            1,
            "error: No space left on device, while writing to standard output\n",
        )


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"neural-breakout {console.version()}\n"
    assert f"## {console.version()}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
