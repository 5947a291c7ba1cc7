"""The real window on a virtual screen, driven by real X key events; what is drawn and what it did are looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from model.breakout import PALETTE, Action

Script = Generator[None, None, None]
MAIN = Path(__file__).resolve().parents[2] / "main.py"


def test_a_held_key_acts_until_it_is_let_go_and_a_tap_acts_once(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        yield from s.steps(2)
        s.key("keydown", "Left")
        yield from s.until(lambda: s.session.actions[-5:] == bytes([Action.LEFT] * 5))
        s.key("keydown", "d")  # with the arrows in use, d is a command
        s.key("keyup", "d")
        yield from s.until(lambda: s.session.dreaming)
        s.key("keydown", "Right")  # over a held LEFT: the last one pressed wins
        yield from s.until(lambda: s.session.actions[-1] == Action.RIGHT)
        s.key("keyup", "Right")
        yield from s.until(lambda: s.session.actions[-1] == Action.LEFT)
        s.key("keyup", "Left")
        yield from s.until(lambda: s.session.actions[-1] == Action.NOOP)
        before = s.session.taken
        s.key("key", "--delay", "0", "Right")  # down and up again before the next step
        s.key("key", "--delay", "0", "space")
        yield from s.steps(6)
        assert sorted(s.session.actions[before:])[-2:] == [Action.FIRE, Action.RIGHT]
        s.key("key", "q")
        yield

    s.play(script())


def test_letters_steer_and_then_d_goes_right(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        s.key("keydown", "a")
        yield from s.until(lambda: Action.LEFT in s.session.actions)
        s.key("keyup", "a")
        s.key("keydown", "d")
        yield from s.until(lambda: Action.RIGHT in s.session.actions)
        s.key("keyup", "d")
        assert not s.session.dreaming
        s.key("key", "shift+d")
        yield from s.until(lambda: s.session.dreaming)
        s.key("key", "Escape")
        yield

    s.play(script())


def test_pause_stands_still_and_steps_singly(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        yield from s.steps(3)
        s.key("key", "p")
        yield from s.until(lambda: s.loop.choices.paused)
        taken = s.session.taken
        s.key("key", "Right")
        s.key("key", "e")
        yield from s.until(lambda: s.session.taken == taken + 1)
        assert s.session.actions[-1] == Action.RIGHT
        s.key("key", "Left")
        yield
        s.key("key", "period")
        yield from s.until(lambda: not s.loop.choices.paused)
        yield from s.steps(3)
        assert Action.LEFT not in s.session.actions, "a key tapped during the pause was played after it"
        s.key("key", "q")
        yield

    s.play(script())


def test_dream_resync_controller_fork_restart_and_rewind(stage: Any) -> None:
    s = stage(mistakes=True)

    def script() -> Script:
        yield from s.steps(70)
        for key, done in (
            ("d", lambda: s.session.dreaming and s.session.drift.parted_at is not None),
            ("r", lambda: s.session.marks[-1].what in ("resync", "parted") and s.session.since_real < 30),
            ("d", lambda: not s.session.dreaming),
            ("c", lambda: s.session.twin.controller == "action"),
            ("Tab", lambda: s.session.dreaming and s.session.forked),
            ("Tab", lambda: not s.session.dreaming),
        ):
            s.key("key", key)
            yield from s.until(done)
        game = s.session._game_steps
        s.key("keydown", "BackSpace")
        yield from s.until(lambda: s.session._game_steps <= game - 50)
        taken = s.session.taken
        yield from s.until(lambda: s.session._game_steps <= game - 100 or s.session._game_steps == 0)
        assert s.session.taken == taken, "time went on while Backspace was held"
        s.key("keyup", "BackSpace")
        yield from s.steps(2)
        s.key("key", "Return")
        yield from s.until(lambda: s.session.log[-1][1] == "restart")
        s.key("key", "q")
        yield

    s.play(script())
    commands = [name for _, name in s.session.log]
    assert commands[:6] == ["dream", "resync", "dream", "controller", "fork", "fork"]


def test_views_change_what_is_drawn(stage: Any) -> None:
    s = stage(mistakes=True)

    def script() -> Script:
        yield from s.steps(2)
        s.key("key", "p")
        yield from s.until(lambda: s.loop.choices.paused)
        for key in ("g", "x", "f", "h"):
            before = s.pixels()
            s.key("key", key)
            yield from s.until(lambda before=before: (s.pixels() != before).any())
            s.key("key", *(["g", "g"] if key == "g" else [key]))
            yield from s.until(lambda before=before: (s.pixels() == before).all())
        s.key("key", "bracketright")
        yield from s.until(lambda: s.loop.clock.speed == 1.5)
        s.key("key", "bracketleft")
        yield from s.until(lambda: s.loop.clock.speed == 1.0)
        s.key("key", "q")
        yield

    s.play(script())


def test_the_picture_is_the_frame_after_the_newest_action(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        yield from s.steps(20)
        s.key("keydown", "Right")
        for _ in range(5):
            yield from s.steps(1)
            shown = s.pixels()
            panel = shown[: shown.shape[0] // 2]
            # Red pixels of the row where the paddle is: as many, and as far right, as in the frame of this step.
            frame = s.session.emulator.frame
            columns = np.flatnonzero((panel == PALETTE[5]).all(-1).sum(1) > 0)
            assert (frame[190] == 5).sum() > 0
            inside = np.flatnonzero((frame == 5).any(0))
            assert (columns.max() - columns.min() + 1) // 4 == inside.max() - inside.min() + 1
        s.key("keyup", "Right")
        s.key("key", "q")
        yield

    s.play(script())


def test_losing_the_focus_lets_go_of_held_keys(stage: Any, display: str) -> None:
    s = stage()

    def script() -> Script:
        s.key("keydown", "Left")
        yield from s.until(lambda: s.session.actions[-1:] == bytes([Action.LEFT]))
        s.key("windowminimize", s.window_id)
        yield from s.until(lambda: s.session.actions[-3:] == bytes(3))
        s.key("keyup", "Left")
        s.key("windowactivate", s.window_id)
        yield from s.until(lambda: s.screen._window.focused)
        yield from s.steps(2)
        assert s.session.actions[-1] == Action.NOOP
        s.key("key", "q")
        yield

    s.play(script())


def test_every_key_of_the_key_map_does_what_it_says(stage: Any, tmp_path: Path) -> None:
    s = stage(mistakes=True)
    session, loop = s.session, s.loop
    logged = lambda command: lambda: session.log and session.log[-1] == (session.taken, command)  # noqa: E731
    effects = [
        ("p", "p", lambda: loop.choices.paused),
        ("e", "e", lambda: session.taken == taken[-1] + 1),
        (".", "period", lambda: not loop.choices.paused),
        (".", "period", lambda: loop.choices.paused),  # time stands still, so what follows is exact
        ("d", "d", logged("dream")),
        ("shift+d", "shift+d", lambda: not session.dreaming),
        ("r", "r", logged("resync")),
        ("c", "c", logged("controller")),
        ("tab", "Tab", lambda: session.forked),
        ("g", "g", lambda: loop.choices.grid == 1),
        ("x", "x", lambda: loop.choices.difference),
        ("f", "f", lambda: loop.choices.futures),
        ("h", "h", lambda: loop.choices.help),
        ("[", "bracketleft", lambda: loop.clock.speed == 0.75),
        ("-", "minus", lambda: loop.clock.speed == 0.5),
        ("]", "bracketright", lambda: loop.clock.speed == 0.75),
        ("=", "equal", lambda: loop.clock.speed == 1.0),
        ("m", "m", lambda: getattr(loop.player, "name", "") == "follow"),
        ("m", "m", lambda: getattr(loop.player, "name", "") == "random"),
        ("m", "m", lambda: loop.player is None),
        ("f12", "F12", lambda: list(tmp_path.glob("*.png"))),
        ("f11", "F11", lambda: s.pixels().shape[:2] == (1440, 900)),
        ("f11", "F11", lambda: s.pixels().shape[0] < 1440),
        ("f9", "F9", lambda: loop.recorder is not None and loop.recorder.path.suffix == ".gif"),
        ("f9", "F9", lambda: loop.recorder is None),
        ("shift+f9", "shift+F9", lambda: loop.recorder is not None and loop.recorder.path.suffix == ".mp4"),
        ("p", "p", lambda: session.taken > taken[-1] + 5),  # something to record
        ("shift+f9", "shift+F9", lambda: list(tmp_path.glob("*.mp4"))),
        ("backspace", "BackSpace", lambda: "rewind" in [name for _, name in session.log]),
        ("return", "Return", lambda: session.log[-1][1] == "restart"),
        ("enter", "KP_Enter", lambda: [name for _, name in session.log].count("restart") == 2),
    ]
    taken: list[int] = []

    def script() -> Script:
        yield from s.steps(2)
        for _, key, done in effects:
            taken.append(session.taken)
            s.key("key", key)
            yield from s.until(done)
        s.key("key", "Escape")
        yield

    s.play(script())
    assert {name for name, _, _ in effects} | {"escape", "q"} == set(loop.keys.commands)


def test_it_can_begin_in_full_screen_and_leave_it(stage: Any) -> None:
    s = stage(fullscreen=True)

    def script() -> Script:
        yield from s.until(lambda: s.pixels().shape == (1440, 900, 3))
        yield from s.steps(2)
        s.key("key", "F11")
        yield from s.until(lambda: s.pixels().shape[0] < 1440)
        s.key("key", "q")
        yield

    s.play(script())


def test_resizing_full_screen_screenshot_and_recording(stage: Any, tmp_path: Path) -> None:
    from PIL import Image

    s = stage()
    shown: list[np.ndarray] = []

    def script() -> Script:
        s.key("windowsize", s.window_id, "260", "200")
        yield from s.until(lambda: s.pixels().shape[0] < 300)
        yield from s.steps(2)
        s.key("key", "F11")
        yield from s.until(lambda: s.pixels().shape == (1440, 900, 3))
        s.key("key", "p")  # what stands still can be compared with its picture
        yield from s.until(lambda: s.loop.choices.paused)
        yield
        shown.append(s.pixels())
        s.key("key", "F12")
        yield from s.until(lambda: list(tmp_path.glob("*.png")))
        s.key("key", "p")
        s.key("key", "F11")
        yield from s.until(lambda: s.pixels().shape[0] < 1440)
        s.key("key", "F9")
        yield from s.until(lambda: s.loop.recorder is not None)
        s.key("key", "Left")
        yield from s.steps(8)
        s.key("key", "F9")
        yield from s.until(lambda: s.loop.recorder is None)
        s.key("key", "m")
        yield from s.until(lambda: s.loop.player is not None)
        s.key("key", "Left")
        yield from s.until(lambda: s.loop.player is None)
        s.key("key", "q")
        yield

    s.play(script())
    with Image.open(next(tmp_path.glob("*.png"))) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), shown[0].transpose(1, 0, 2))
    with Image.open(next(tmp_path.glob("*.gif"))) as image:
        assert image.n_frames > 1


def test_the_first_picture_shows_the_keys_until_one_is_pressed(stage: Any) -> None:
    s = stage()
    shown = []

    def script() -> Script:
        yield from s.until(lambda: s.loop.choices.help)
        shown.append(s.pixels())
        s.key("key", "space")
        yield

    s.play(script(), s.loop.introduce)
    assert not s.loop.choices.help
    assert s.screen.held.take() == Action.FIRE
    s.loop._show()
    assert (s.pixels() != shown[0]).any()


def test_play_opens_a_window_and_q_ends_it(display: str, weights: Path, tmp_path: Path) -> None:
    # A sound driver that does not exist: the game makes no sound and must not ask for one.
    environment = {**os.environ, "DISPLAY": display, "SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "none"}
    report = tmp_path / "report.json"
    command = [sys.executable, str(MAIN), "play", "--weights", str(weights), "--report", str(report)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(600):
                asked = ["xdotool", "getactivewindow", "getwindowname"]
                active = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60)
                if "neural twin" in active.stdout:  # only then would the key reach it
                    subprocess.run(["xdotool", "key", "q"], env=environment, check=True, timeout=60)
                try:
                    _, errors = process.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(report.read_text())["frameskip"] == 4
