"""Hours of play: nothing that the game keeps grows with its steps, and what a soak measures is what it says."""

from __future__ import annotations

import gc
import json
import platform
import subprocess
import sys
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.clock import Unpaced
from app.keys import load_keys
from app.loop import Loop
from app.pace import Sample, everything, memory, no_display, peak_memory, soak, steadiness, step_times, warm
from app.players import Autopilot
from app.session import Session
from app.view import make_view
from collect.emulator import Emulator
from main import app


def test_the_collector_leaves_alone_what_was_there_before_play_and_only_then(make_twin: Any) -> None:
    session = Session(make_twin(), Emulator(2))
    assert gc.get_freeze_count() == 0
    with warm(session) as same:
        assert same is session
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_everything_that_play_keeps_is_bounded(make_twin: Any, tmp_path: Path) -> None:
    from app import style
    from app.window import NoWindow

    keys, session = load_keys(), Session(make_twin(mistakes=True), Emulator(2))
    loop = Loop(session, NoWindow(keys), Unpaced(30), keys, Autopilot("random", 0), frames=40)
    loop.start_recording(tmp_path / "o.gif")
    loop.run()
    loop.say("a line")
    kept = [session, session.tally, session.twin, loop.clock, loop.recorder, loop.screen.held]
    queues = [value for part in kept for value in vars(part).values() if isinstance(value, deque)]
    assert len(queues) >= 4
    ends = loop.clock._ends  # bounded by time: two seconds' worth
    assert all(queue.maxlen is not None for queue in queues if queue is not ends)
    assert loop.recorder is not None
    assert loop.recorder._queue.maxsize > 0
    assert len(session.actions) == session.taken, "a session holds one byte a step"
    assert style.text.cache_info().maxsize is not None
    loop.stop_recording()


def test_drawing_every_view_for_long_keeps_nothing(make_twin: Any) -> None:
    from app.window import Window

    with no_display():
        session, clock, keys = Session(make_twin(mistakes=True), Emulator(2)), Unpaced(30), load_keys()
        window, player = Window(keys), Autopilot("random", 0)

        def play(steps: int) -> int:
            for number in range(steps):
                session.step(player.act(session) or 0)
                if number % 8 == 0:
                    window.show(lambda: make_view(session, clock, everything()))
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        try:
            play(400)  # the rewind room is full, the words are known
            tracemalloc.start()
            play(370)  # all of the rewind room has been counted
            first = play(1)
            assert play(200) - first < 200_000
        finally:
            tracemalloc.stop()
            window.close()


def test_a_soak_plays_the_time_asked_for(make_twin: Any) -> None:
    report = soak(make_twin(), 130 / 3600)
    assert [round(sample["minutes"], 2) for sample in report["samples"]] == [1.0, 2.0, 2.17]
    assert all(sample["step"] > 0 for sample in report["samples"])
    assert report["memory_growth"] is None or abs(report["memory_growth"]) < 0.5
    assert report["pace_drift"] is None


def test_growth_and_drift_are_what_they_are_called() -> None:
    samples = [Sample(minutes, 100.0 + minutes, 10.0 + minutes) for minutes in range(1, 9)]
    found = steadiness(samples)
    assert found["memory_growth"] == pytest.approx(108 / 101 - 1)
    assert found["pace_drift"] == pytest.approx(17.5 / 11.5 - 1)
    assert steadiness(samples[:1]) == {"memory_growth": None, "pace_drift": None}
    assert steadiness([Sample(m, None, 10.0) for m in range(8)]) == {"memory_growth": None, "pace_drift": 0.0}


def test_the_soak_command_prints_one_line_and_refuses_nonsense(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    arguments = ["bench", "--weights", str(weights), "--json", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--soak", "0.0003"])
    assert result.exit_code == 0, result.output
    assert "0.0003 hours of play: " in result.output
    assert json.loads(out.read_text())["samples"][-1]["minutes"] == pytest.approx(0.0003 * 60, abs=0.1)
    result = CliRunner().invoke(app, [*arguments, "--soak", "-1"])
    assert result.exit_code == 1
    assert result.stderr == "error: hours must be above 0, got -1\n"


@pytest.mark.parametrize("record", [".gif", ".mp4"])
def test_steps_are_timed_with_everything_on(make_twin: Any, record: str) -> None:
    plain, full = (step_times(make_twin(), 0.3, 0, on, record) for on in (False, True))
    assert len(plain) > 3
    assert min(full) > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc")
def test_memory_that_the_process_keeps_is_not_asked_for_again() -> None:
    code = """if True:
        import numpy as np
        from app.pace import keep_memory, memory
        if {kept}:
            keep_memory()
        before = memory()
        np.ones(20_000_000, np.uint8)
        print(memory() - before)"""
    held = [
        float(subprocess.run([sys.executable, "-c", code.format(kept=kept)], capture_output=True, check=True).stdout)
        for kept in (False, True)
    ]
    assert held[0] < 10
    assert held[1] > 19


def test_memory_now_is_no_more_than_the_most_ever() -> None:
    now, most = memory(), peak_memory()
    assert now is None or most is None or 10 < now <= most * 1.02
