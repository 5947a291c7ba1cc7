"""`play` from the command line without a screen: the same loop, its files, and what goes wrong in one line."""

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.commands import app
from app.players import records_path
from app.recording import COLOURS, NO_MP4, TOGETHER, Recorder, compose
from collect.emulator import Emulator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_networks(fake_weights: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("gc.freeze", lambda: None)


def play(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["play", *arguments])


def test_headless_writes_report_recording_and_a_session_that_replays(tmp_path: Path) -> None:
    report, gif, saved = tmp_path / "r.json", tmp_path / "o.gif", tmp_path / "s.json"
    outputs = ["--report", str(report), "--record", str(gif), "--save-session", str(saved)]
    result = play("--headless", "--frames", "40", "--seed", "4", *outputs)
    assert result.exit_code == 0, result.output
    figures = json.loads(report.read_text())
    assert figures["steps"] == figures["scored_steps"] == 40
    assert sum(figures["action_steps"]) == 40
    assert figures["code_accuracy"] == figures["one_step"]["code_accuracy"] == 1
    assert figures["dream"]["code_accuracy"] is None
    with Image.open(gif) as image:
        assert image.n_frames > 3
    again = tmp_path / "again.json"
    result = play("--headless", "--replay", str(saved), "--report", str(again))
    assert result.exit_code == 0, result.output
    assert "the same pixels on both sides" in result.output
    replayed = json.loads(again.read_text())
    assert (replayed["real_digest"], replayed["twin_digest"]) == (figures["real_digest"], figures["twin_digest"])
    assert not records_path().exists(), "headless keeps no records"


def test_ctrl_c_twice_loses_neither_report_nor_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.players.Autopilot.act", interrupted)  # the first one comes while it plays
    monkeypatch.setattr("app.recording.Recorder.close", interrupted)  # and the second while the recording is finished
    report, saved = tmp_path / "r.json", tmp_path / "s.json"
    outputs = ["--report", str(report), "--record", str(tmp_path / "o.gif"), "--save-session", str(saved)]
    assert play("--headless", "--frames", "40", *outputs).exit_code == 130
    assert report.exists()
    assert saved.exists()


def test_a_report_that_cannot_be_written_does_not_cost_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.commands.write_json", full)
    saved = tmp_path / "s.json"
    result = play("--headless", "--frames", "5", "--report", str(tmp_path / "r.json"), "--save-session", str(saved))
    assert (result.exit_code, result.stderr) == (1, "error: No space left on device\n")
    assert saved.exists()


def test_a_replay_that_differs_is_found_out(tmp_path: Path) -> None:
    saved = tmp_path / "s.json"
    play("--headless", "--frames", "5", "--save-session", str(saved))
    content = json.loads(saved.read_text())
    saved.write_text(json.dumps({**content, "actions": "2" * 5}))
    for frames in ([], ["--frames", "5"], ["--frames", "6"]):
        result = play("--headless", "--replay", str(saved), *frames)
        assert result.exit_code == 1
        assert "pixels differ" in result.output
    assert play("--headless", "--replay", str(saved), "--frames", "4").exit_code == 0, "of a part nothing is known"
    saved.write_text(json.dumps({**content, "weights": "0" * 64}))
    result = play("--headless", "--replay", str(saved))
    assert result.exit_code == 1
    assert "other weights" in result.output


def test_scripted_actions_dreaming_alone_as_mp4(tmp_path: Path) -> None:
    script = tmp_path / "actions.txt"
    script.write_bytes(b"\xef\xbb\xbf1 1 2 2 3 0")  # as Notepad writes it
    out = tmp_path / "o.mp4"
    arguments = ["--headless", "--dream-only", "--actions", str(script), "--record", str(out)]
    result = play(*arguments, "--controller", "action")
    assert result.exit_code == 0, result.output
    data = out.read_bytes()
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat"), "it plays while it loads"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--actions", "bad.txt"], "action 3 (line 1) is '7'"),
        (["--actions", "empty.txt"], "holds no actions"),
        (["--actions", "missing.txt"], "does not exist"),
        (["--actions", ""], "actions file . "),  # as of a shell's variable that is not set
        (["--frames", "5", "--report", "bad.txt/r.json"], "bad.txt"),
        (["--frames", "5", "--report", "."], "cannot be written"),
        (["--frames", "5", "--keys", "bad.txt"], "key map"),
        (["--frames", "5", "--keys", "keys.toml"], "key map keys.toml: quit has a key 'nokey' that does not exist"),
        (["--replay", "bad.txt"], "session bad.txt"),
    ],
)
def test_bad_input_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.txt").write_text("0 1 7")
    Path("empty.txt").write_text("")
    Path("keys.toml").write_text('[command]\nquit = ["nokey"]')
    result = play("--headless", *arguments)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--headless needs an end"),
        (["--frames", "5", "--record", "o.avi"], ".gif or .mp4"),
        (["--frames", "5", "--speed", "9"], "speed"),
        (["--frames", "5", "--speed", "0.2"], "speed"),
        (["--frames", "5", "--speed", "nan"], "speed"),
        (["--frames", "5", "--back-after", "inf"], "back-after"),
        (["--replay", "s.json", "--actions", "random"], "its own actions"),
        (["--frames", "0"], "frames"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_a_wrong_value_is_wrong_usage(arguments: list[str], says: str) -> None:
    result = play("--headless", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "")


def test_key_maps_are_judged_alike_with_a_window_and_without(tmp_path: Path) -> None:
    mine = tmp_path / "keys.toml"
    mine.write_text('[play]\nfire = ["spacebar"]')
    with_window, without = play("--keys", str(mine)), play("--headless", "--frames", "5", "--keys", str(mine))
    assert with_window.exit_code == without.exit_code == 1
    assert with_window.stderr == without.stderr
    assert "fire has a key 'spacebar' that does not exist" in without.stderr


def test_without_a_display_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    result = play()
    assert result.exit_code == 1
    assert result.stderr == (
        "error: no display: play opens a window; without a screen use: python main.py play --headless --frames 300\n"
    )


def test_the_commands_are_read_at_once_and_without_torch() -> None:
    code = "import sys, app.commands; print(sorted({'torch', 'pygame', 'onnxruntime'} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout == "[]\n"


# --- recordings ---


def frames_of_play(count: int) -> list[np.ndarray]:
    emulator = Emulator(2)
    return [emulator.step(1 + step % 3).frame for step in range(count)]


NOTES = ("score 3", "follows reality")


@pytest.mark.parametrize("rate", [60.0, 30.0, 15.0])
def test_a_gif_is_exact_in_colours_and_in_time(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "o.gif"
    frames = frames_of_play(40)
    recorder = Recorder(path, rate)
    for frame in frames:
        recorder.add(frame, frame, notes=NOTES)
    recorder.close()
    with Image.open(path) as image:
        total = 0
        for number in range(image.n_frames):
            image.seek(number)
            total += image.info["duration"]
            assert image.info["duration"] >= 20
            if number == 0:
                first = np.asarray(image.convert("RGB"))
        last = np.asarray(image.convert("RGB"))
    assert abs(total / 1000 - len(frames) / rate) <= 0.02
    assert np.array_equal(first, COLOURS[compose(NOTES, [frames[0]] * 2)])
    if rate <= 50:  # faster ones leave out frames
        assert np.array_equal(last, COLOURS[compose(NOTES, [frames[-1]] * 2)])


def test_a_recording_carries_names_mode_and_accuracy() -> None:
    frame = Emulator(2).frame
    plain, noted = compose(("", ""), [frame] * 2), compose(("", "dreams, 12 px wrong"), [frame] * 2)
    assert plain.shape[0] % 2 == plain.shape[1] % 2 == 0
    rows, columns = np.nonzero(plain != noted)
    assert rows.max() < 40
    assert columns.min() >= plain.shape[1] // 2, "each panel has its own line"
    assert (plain[:20] != plain[0, 0]).any(), "the panels have names"
    assert compose(("x" * 200, ""), [frame] * 2).shape == plain.shape


@pytest.mark.parametrize(
    "note",
    [
        "follows reality, one step ahead · 100.0% exact · codes 100.0%",
        "follows reality, one step ahead · from the key alone · 11.9% exact · codes 95.1%",
        "dreams, parted from reality after 123.4 s · from the key alone · 12345 px wrong",
    ],
)
def test_what_stands_above_a_recording_is_not_cut(note: str) -> None:
    frame = Emulator(2).frame
    shown = [compose(("", text), [frame] * 2)[:40] for text in (note, note[:-1], note[:-12])]
    assert all((one != other).any() for one, other in itertools.combinations(shown, 2)), "its last letters show"
    assert len({picture[:, -12:].tobytes() for picture in shown}) == 1, "and it ends before the panel does"


def record_and_die(path: Path, frames: list[np.ndarray]) -> None:
    """In a process of its own: record, and be killed once all has gone to the encoder."""
    recorder = Recorder(path, 30.0)
    for frame in frames:
        recorder.add(frame, frame, notes=NOTES)
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", ["o.gif", "o.mp4"])
def test_what_was_recorded_when_a_game_is_killed_is_a_whole_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frames = frames_of_play(2 * TOGETHER + 3)
    recorder = multiprocessing.get_context("spawn").Process(target=record_and_die, args=(path, frames))
    recorder.start()
    recorder.join()
    for _ in range(600):
        if path.exists():
            break
        time.sleep(0.05)
    if name.endswith("gif"):
        with Image.open(path) as image:
            assert image.n_frames == 2 * TOGETHER
            image.seek(2 * TOGETHER - 1)
            last = np.asarray(image.convert("RGB"))
        assert np.array_equal(last, COLOURS[compose(NOTES, [frames[2 * TOGETHER - 1]] * 2)])
    else:
        assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 2 * TOGETHER
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["o.gif", "o.mp4"])
def test_a_failing_disk_ends_the_recording_and_not_the_game(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / name, 30)
    frame = Emulator(2).frame
    for _ in range(600):  # more than may wait
        recorder.add(frame, frame)
    with pytest.raises(OSError):
        recorder.close()


def test_without_ffmpeg_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.recording.find_spec", lambda name: None)
    result = play("--headless", "--frames", "5", "--record", str(tmp_path / "o.mp4"))
    assert result.exit_code == 1
    assert result.stderr == f"error: {NO_MP4}\n"
    assert play("--headless", "--frames", "5", "--record", str(tmp_path / "o.gif")).exit_code == 0
