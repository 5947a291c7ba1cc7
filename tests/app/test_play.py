"""`play` from the command line without a screen: the same loop, its files, and what goes wrong in one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from app.encoder import COLOURS, blank, compose, encode
from app.recording import Recorder
from app.start_frames import load_start_frames, make_start_frames
from collect.emulator import Emulator
from main import app

MAIN = Path(__file__).resolve().parents[2] / "main.py"


def play(weights: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["play", "--weights", str(weights), *arguments])


def test_headless_writes_report_recording_and_a_session_that_replays(weights: Path, tmp_path: Path) -> None:
    report, gif, saved = tmp_path / "r.json", tmp_path / "o.gif", tmp_path / "s.json"
    outputs = ["--report", str(report), "--record", str(gif), "--save-session", str(saved)]
    result = play(weights, "--headless", "--frames", "25", "--seed", "4", *outputs)
    assert result.exit_code == 0, result.output
    figures = json.loads(report.read_text())
    assert figures["steps"] == figures["scored_steps"] == 25
    assert sum(figures["action_steps"]) == 25
    assert 0 <= figures["code_accuracy"] <= 1
    assert figures["frameskip"] == 4
    with Image.open(gif) as image:
        assert image.n_frames > 3
    again = tmp_path / "again.json"
    command = [sys.executable, str(MAIN), "play", "--weights", str(weights), "--headless"]
    fresh = subprocess.run(
        [*command, "--replay", str(saved), "--report", str(again)], capture_output=True, text=True, timeout=300
    )
    assert (fresh.returncode, fresh.stderr) == (0, "")
    assert "the same pixels on both sides" in fresh.stdout
    replayed = json.loads(again.read_text())
    assert (replayed["real_digest"], replayed["twin_digest"]) == (figures["real_digest"], figures["twin_digest"])


def test_a_replay_that_differs_is_found_out(weights: Path, tmp_path: Path) -> None:
    saved = tmp_path / "s.json"
    play(weights, "--headless", "--frames", "5", "--save-session", str(saved))
    content = json.loads(saved.read_text())
    saved.write_text(json.dumps({**content, "actions": "2" * 5}))
    result = play(weights, "--headless", "--replay", str(saved))
    assert result.exit_code == 1
    assert "pixels differ" in result.output
    saved.write_text(json.dumps({**content, "weights": "0" * 64}))
    result = play(weights, "--headless", "--replay", str(saved))
    assert result.exit_code == 1
    assert "other weights" in result.output


def test_scripted_actions_dreaming_alone_as_mp4(weights: Path, tmp_path: Path) -> None:
    script = tmp_path / "actions.txt"
    script.write_text("1 1 2 2 3 0")
    out = tmp_path / "o.mp4"
    arguments = ["--headless", "--dream-only", "--actions", str(script), "--record", str(out)]
    result = play(weights, *arguments, "--controller", "action")
    assert result.exit_code == 0, result.output
    assert out.read_bytes()[4:8] == b"ftyp"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--actions", "bad.txt"], "action 3 (line 1) is '7'"),
        (["--actions", "empty.txt"], "holds no actions"),
        (["--actions", "missing.txt"], "does not exist"),
        ([], "--headless needs an end"),
        (["--frames", "5", "--record", "o.avi"], ".gif or .mp4"),
        (["--frames", "5", "--report", "bad.txt/r.json"], "bad.txt"),
        (["--frames", "5", "--report", "."], "cannot be written"),
        (["--frames", "5", "--speed", "9"], "--speed must be"),
        (["--frames", "5", "--device", "cuda"], "no CUDA GPU"),
        (["--frames", "5", "--keys", "bad.txt"], "key map"),
        (["--frames", "5", "--weights", "nowhere"], "does not exist"),
        (["--replay", "bad.txt"], "session bad.txt"),
    ],
)
def test_bad_input_ends_in_one_line(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.txt").write_text("0 1 7")
    Path("empty.txt").write_text("")
    if "cuda" in arguments:
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = play(weights, "--headless", *arguments)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr


def test_without_a_display_one_line_says_what_to_do(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    result = play(weights)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: no display: play opens a window; without a screen use: python main.py play --headless --frames 300\n"
    )


def frames_of_play(count: int) -> list[np.ndarray]:
    emulator = Emulator(2)
    return [emulator.step(1 + step % 3).frame for step in range(count)]


@pytest.mark.parametrize("rate", [60.0, 30.0, 15.0])
def test_a_gif_is_exact_in_colours_and_in_time(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "o.gif"
    frames = frames_of_play(40)
    recorder = Recorder(path, rate)
    for frame in frames:
        recorder.add(frame, frame)
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
    assert np.array_equal(first, COLOURS[compose(blank(2), [frames[0]] * 2)])
    if rate <= 50:  # faster ones leave out frames
        assert np.array_equal(last, COLOURS[compose(blank(2), [frames[-1]] * 2)])


@pytest.mark.parametrize("name", ["o.gif", "o.mp4"])
def test_what_was_recorded_when_a_game_is_killed_is_a_whole_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frames = frames_of_play(9)
    told = b"".join(frame.tobytes() * 2 for frame in frames)
    encode(path, io.BytesIO(told[:-1000]), 30.0, 2)  # the last step is cut short
    if name.endswith("gif"):
        with Image.open(path) as image:
            assert image.n_frames == 8
            image.seek(7)
            last = np.asarray(image.convert("RGB"))
        assert np.array_equal(last, COLOURS[compose(blank(2), [frames[7]] * 2)])
    else:
        assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 8
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


def test_the_shipped_start_frames_are_the_emulators() -> None:
    made = make_start_frames()
    for frameskip in (1, 2, 4):
        shipped = load_start_frames(frameskip)
        assert np.array_equal(shipped, made[::-1][::frameskip][::-1])
        assert len(shipped) >= 8
