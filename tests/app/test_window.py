"""The real window with real keys, in a virtual X server: what is pressed acts, and what is drawn is what was played."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.keys import NAMED
from app.players import AUTOPILOTS
from model.breakout import PALETTE, Action

Script = Generator[None, None, None]
ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs an X server"),
    pytest.mark.slow,
]


def test_arrows_letters_and_space_play(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        for key, action in (("Left", 3), ("Right", 2), ("a", 3), ("d", 2)):
            s.key("keydown", key)
            yield from s.until(lambda action=action: s.session.actions[-1:] == bytes([action]))
            s.key("keyup", key)
            yield from s.until(lambda: s.session.actions[-1:] == bytes([0]))
        for key in ("space", "w", "Up"):
            taken = s.session.taken
            s.key("key", key)
            yield from s.until(lambda taken=taken: 1 in s.session.actions[taken:])
        assert not s.session.dreaming, "d steers, and does nothing else"
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
            panel = s.screen._painter.places.real
            shown = s.pixels()[panel.left : panel.right, panel.top : panel.bottom]
            frame = s.session.emulator.frame
            whole = shown[1::4, 1::2], PALETTE[frame].swapaxes(0, 1)  # 640 x 420 is a whole multiple
            assert np.array_equal(*(picture[:, :193] for picture in whole)), "above the strip that Space serves"
        s.key("keyup", "Right")
        s.key("key", "q")
        yield

    s.play(script())


def test_losing_the_focus_lets_go_of_held_keys(stage: Any) -> None:
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


def test_every_key_of_the_key_map_does_what_it_says(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "none")
    s = stage(mistakes=True)
    session, loop = s.session, s.loop
    logged = lambda command: lambda: session.log and session.log[-1] == (session.taken, command)  # noqa: E731
    effects = [
        ("p", "p", lambda: loop.choices.paused),
        ("e", "e", lambda: session.taken == taken[-1] + 1),
        (".", "period", lambda: not loop.choices.paused),
        (".", "period", lambda: loop.choices.paused),  # time stands still, so what follows is exact
        ("tab", "Tab", lambda: session.dreaming),
        ("r", "r", logged("resync")),
        ("tab", "Tab", lambda: not session.dreaming),
        ("c", "c", logged("controller")),
        ("g", "g", lambda: loop.choices.grid == 1),
        ("x", "x", lambda: loop.choices.difference),
        ("f", "f", lambda: loop.choices.futures),
        ("v", "v", lambda: loop.choices.memory),
        ("l", "l", lambda: loop.choices.large),
        ("n", "n", lambda: loop.toast.startswith("no sound")),
        ("h", "h", lambda: loop.choices.help),
        ("f1", "F1", lambda: not loop.choices.help),
        ("[", "bracketleft", lambda: loop.clock.speed == 0.75),
        ("-", "minus", lambda: loop.clock.speed == 0.5),
        ("]", "bracketright", lambda: loop.clock.speed == 0.75),
        ("=", "equal", lambda: loop.clock.speed == 1.0),
        *(("m", "m", lambda name=name: getattr(loop.player, "name", None) == name) for name in [*AUTOPILOTS, None]),
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


def test_the_names_of_keys_are_pygames(stage: Any) -> None:
    import pygame

    stage()
    for name in NAMED:
        assert pygame.key.key_code(name)


def test_letters_work_on_a_russian_keyboard_and_alt_is_the_window_managers(stage: Any) -> None:
    if shutil.which("setxkbmap") is None:
        pytest.skip("needs setxkbmap (Debian: apt-get install x11-xkb-utils)")
    s = stage()
    session, loop = s.session, s.loop

    def by_place(code: str, done: Any) -> Script:
        s.key("key", code)  # keycodes of X: the place on the keyboard plus 8
        yield from s.until(done)

    def script() -> Script:
        yield from s.steps(2)
        s.run("setxkbmap", "ru")
        yield from s.steps(10)
        yield from by_place("58", lambda: loop.player is not None)  # m
        s.key("keydown", "38")  # a
        yield from s.until(lambda: session.actions[-1:] == bytes([Action.LEFT]))
        s.key("keyup", "38")
        assert loop.player is None
        yield from by_place("33", lambda: loop.choices.paused)  # p
        yield from by_place("23", lambda: session.dreaming)  # Tab
        s.key("key", "alt+23")
        s.key("key", "33")
        yield from s.until(lambda: not loop.choices.paused)
        assert session.dreaming
        s.run("setxkbmap", "us")
        yield from s.steps(5)
        s.key("key", "q")
        yield

    try:
        s.play(script())
    finally:
        s.run("setxkbmap", "us")


def test_the_mouse_serves_and_steers_until_a_key_does(stage: Any) -> None:
    s = stage(frameskip=1)

    def script() -> Script:
        yield from s.steps(5)
        panel = s.screen._painter.places.twin
        for share in (0.3, 0.7):
            x = panel.left + int(panel.width * share)
            s.key("mousemove", "--window", s.window_id, str(x), "300")
            yield from s.steps(5)
            if share == 0.3:
                assert s.session.actions == bytes(s.session.taken), "it does not steer before it is asked to"
                s.key("click", "1")
                yield from s.until(lambda: Action.FIRE in s.session.actions)
            yield from s.until(lambda share=share: abs(s.session.real_paddle - share * 160) < 7, 600)
        s.key("key", "Left")
        yield from s.until(lambda: s.screen.held.aim is None)
        s.key("mousemove", "--window", s.window_id, str(panel.left + 100), "300")
        yield from s.steps(8)
        assert s.session.actions[-5:] == bytes(5)
        s.key("key", "q")
        yield

    s.play(script())


def test_it_can_begin_in_full_screen_and_leave_it(stage: Any) -> None:
    s = stage(fullscreen=True)

    def script() -> Script:
        yield from s.until(lambda: s.pixels().shape == (1440, 900, 3))
        yield from s.steps(2)
        assert s.screen._painter.places.twin.width > 660, "the panels grow with the screen"
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
        s.key("key", "q")
        yield

    s.play(script())
    with Image.open(next(tmp_path.glob("*.png"))) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), shown[0].transpose(1, 0, 2))
    with Image.open(next(tmp_path.glob("*.gif"))) as image:
        assert image.n_frames > 1


def test_the_help_stays_until_a_key_and_that_key_plays(stage: Any) -> None:
    s = stage()
    s.loop.choices.help = True

    def script() -> Script:
        for _ in range(4):
            yield
        assert s.loop.choices.help
        assert s.session.taken == 0
        s.key("key", "space")
        yield from s.until(lambda: Action.FIRE in s.session.actions)
        assert not s.loop.choices.help
        s.key("key", "q")
        yield

    s.play(script())


STRANGER = """
from model.engine import Engine
def load(path):
    from tests.app.conftest import FakeEngine
    return FakeEngine()
Engine.load = load
from app.commands import app
app()
"""


def test_play_opens_a_window_introduces_itself_once_and_q_ends_it(display: str, tmp_path: Path) -> None:
    # A sound driver that does not exist: the game makes no sound and must not ask for one.
    found = {"DISPLAY": display, "SDL_VIDEODRIVER": "x11", "SDL_AUDIODRIVER": "none", "XDG_DATA_HOME": str(tmp_path)}
    environment = {**os.environ, **found}
    report = tmp_path / "report.json"
    command = [sys.executable, "-c", STRANGER, "play", "--report", str(report)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            for _ in range(600):
                asked = ["xdotool", "getactivewindow", "getwindowname"]
                active = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60)
                if "neural twin" in active.stdout:  # only then would the key reach it
                    subprocess.run(["xdotool", "key", "q"], env=environment, check=True, timeout=60)
                try:
                    _, errors = process.communicate(timeout=0.3)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, b"")
    assert not report.exists() or json.loads(report.read_text())["frameskip"] == 2
    records = tmp_path / "neural-breakout" / "records.json"
    assert not records.exists() or json.loads(records.read_text())["introduced"]
