"""Engines without networks, and a virtual screen with a window manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.clock import Clock
from app.keys import Held, load_keys
from app.loop import Loop
from app.session import Session
from app.view import View
from collect.emulator import Emulator, Snapshot
from collect.ram import read
from model.breakout import CELLS, changed_cells, to_cells
from model.state import VARIABLES, Prediction, State, Things

Script = Generator[None, None, None]


@cache
def emulator_of(frameskip: int, who: str = "") -> Emulator:
    """One emulator for many tests: a session resets it, and engines restore it before each step."""
    return Emulator(frameskip)


def one_at_a_time(method: Any) -> Any:
    """The stand-in has one emulator, and the futures ask it from another thread."""

    @wraps(method)
    def locked(self: FakeEngine, *given: Any, **options: Any) -> Any:
        with self.lock:
            return method(self, *given, **options)

    return locked


class FakeEngine:
    """What the app uses of `model.engine.Engine`. Its weights are an emulator, so it is right about everything.

    A game's whole emulator is kept under a number, in one more column of the state's objects. While `mistakes` is set
    it draws red where nothing is; `still`: it says that nothing ever moves. Codes are a hash of new pixels.
    """

    controllers = ("context", "action")
    checksum, name, meta = "stand-in" + "0" * 56, "stand-in", {}
    context = 4
    says = tuple(f"code {code}; of pixels" for code in range(256))

    def __init__(self, frameskip: int = 2, mistakes: bool = False, still: bool = False, least_lives: int = 0) -> None:
        self.frameskip, self.mistakes, self.still, self.least_lives = frameskip, mistakes, still, least_lives
        self.majority, self.lock = np.zeros(CELLS, np.int64), threading.RLock()
        self.calls: list[tuple[str, int]] = []
        self._hidden = emulator_of(frameskip, "hidden")
        self._kept: dict[int, Snapshot] = {}
        self._next = 0

    @classmethod
    def load(cls, path: Path | None = None) -> FakeEngine:
        return cls()

    def _keep(self, forever: bool = False) -> int:
        if forever:
            self._kept[-len(self._kept) - 1] = self._hidden.snapshot()
            return next(reversed(self._kept))
        self._next += 1
        self._kept[self._next] = self._hidden.snapshot()
        self._kept.pop(self._next - 2000, None)
        return self._next

    def _state(self, numbers: list[int], frames: Any, before: Any = None) -> State:
        """The state of these games, each as its emulator is, shown as `frames`."""
        objects, walls, boards, memories = [], [], [], []
        for number in numbers:
            self._hidden.restore(self._kept[number])
            now, shown = read(self._hidden.ram()), self._hidden.objects()
            ball = shown.ball or (0, 0)
            objects.append([*ball, int(now.paddle_column), int(now.paddle_width), number])
            walls.append(now.wall)
            boards.append(
                [shown.score // 100, shown.score // 10 % 10, shown.score % 10, max(self.least_lives, shown.lives)]
            )
            memory = {"knob": int(now.knob) + 1, "life_due": 1 + (boards[-1][-1] > shown.lives)}
            memories.append([memory.get(variable.name, 0) for variable in VARIABLES])
        newest = np.array(objects, np.int64)[:, None]
        past = np.repeat(newest, 3, 1) if before is None else before[:, 1:]
        sure = np.full((len(numbers), len(VARIABLES)), 0.5, np.float32)
        whole = np.concatenate((past, newest), 1), np.array(walls, np.uint8), np.array(boards, np.int64)
        return State(np.asarray(frames), *whole, np.array(memories, np.int64), sure)

    @one_at_a_time
    def begin(self, frames: Any, actions: Any = None, fresh: bool = False) -> State:
        self.calls.append(("begin", len(frames)))
        self._hidden.reset()
        return self._state([self._keep(True) for _ in frames], frames[:, -1])

    @one_at_a_time
    def predict(self, state: State, action: Any, controller: str = "context", temperature: float = 0.0) -> Prediction:
        self.calls.append(("predict", len(action)))
        numbers, frames, codes = [], [], []
        for row, key in enumerate(np.asarray(action).tolist()):
            self._hidden.restore(self._kept[int(state.objects[row, -1, -1])])
            frame = self._hidden.step(key).frame.copy()
            if self.still:
                frame = state.frame[row].copy()
            if self.mistakes:
                frame[100 : 100 + 10 * (key + 1), 40:60] = 5
            numbers.append(self._keep())
            frames.append(frame)
            codes.append(self._codes(state.frame[row], frame))
        things = Things(np.array(numbers), *[np.zeros(0, np.int64)] * 3)
        return Prediction(np.stack(codes), np.stack(frames), things, ())

    @one_at_a_time
    def advance(self, state: State, action: Any, frame: Any, guess: Prediction | None = None) -> State:
        self.calls.append(("advance", len(action)))
        guess = guess or self.predict(state, action)
        return self._state(guess.things.ball.tolist(), frame, state.objects)

    @staticmethod
    def _codes(before: Any, after: Any) -> Any:
        changed = changed_cells(np.ascontiguousarray(before), np.ascontiguousarray(after))
        codes = [1 + zlib.crc32(cell.tobytes()) % 255 for cell in to_cells(after)]
        return np.where(changed, codes, 0).astype(np.int64)

    def encode(self, before: Any, after: Any) -> Any:
        self.calls.append(("encode", len(before)))
        return np.stack([self._codes(a, b) for a, b in zip(before, after, strict=True)])


class Prompted:
    """A screen whose commands are a list: one entry for every poll, None for no event; then "quit"."""

    def __init__(self, *prompts: str | None) -> None:
        self.held = Held(load_keys())
        self.prompts, self.shown = list(prompts), []
        self.holding: set[str] = set()
        self.pressed, self.lost = 0, False

    def poll(self, seconds: float) -> list[str]:
        if not self.prompts:
            return ["quit"]
        prompt = self.prompts.pop(0)
        self.pressed += prompt is not None
        return [] if prompt is None else [prompt]

    def show(self, make: Callable[[], View]) -> None:
        self.shown.append(make())

    def is_held(self, command: str) -> bool:
        return command in self.holding

    def toggle_fullscreen(self) -> None:
        """There is no screen."""

    def screenshot(self, path: Path) -> None:
        raise OSError("no screen")


def loop_of(make_engine: Any, screen: Prompted, player: Any = None, mistakes: bool = False, **options: Any) -> Loop:
    session = Session(make_engine(mistakes=mistakes), Emulator(2))
    return Loop(session, screen, Clock(30, paced=False), load_keys(), player, **options)


def alone(engine: Any) -> Session:
    """A session without an emulator, from a new game."""
    return Session(engine, None)


@pytest.fixture
def make_engine() -> Callable[..., Any]:
    return FakeEngine


@pytest.fixture
def fake_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """`play` and `doctor` load the stand-in instead of networks."""
    monkeypatch.setattr("model.engine.Engine.load", FakeEngine.load)


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A virtual X display with a window manager, which hands out the focus."""
    missing = [tool for tool in ("Xvfb", "xdotool", "openbox") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: apt-get install xvfb xdotool openbox)")
    reading, writing = os.pipe()
    # -r: no key repeats itself, or one held when the focus goes is pressed anew in the window that has it then.
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1440x900x24", "-nolisten", "tcp", "-r"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        name = f":{pipe.readline().strip()}"
    environment = {**os.environ, "DISPLAY": name}
    quiet: Any = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    manager = subprocess.Popen(["openbox"], **quiet)
    for _ in range(600):  # a window that opens before it has started loses the focus again
        if subprocess.run(["xdotool", "get_num_desktops"], **quiet, check=False, timeout=60).returncode == 0:
            break
        time.sleep(0.05)
    else:
        raise RuntimeError("the window manager has not started")
    yield name
    for process in (manager, server):
        process.terminate()
        process.wait()


class Stage:
    """A loop in a real window, and a script that acts between its polls. Time is never looked at, only effects."""

    def __init__(self, loop: Loop, display: str) -> None:
        self.loop, self.session, self.screen = loop, loop.session, loop.screen
        self._display = display
        self.window_id = str(self.screen._window.handle)
        self._poll = loop.screen.poll

    def key(self, what: str, *keys: str) -> None:
        self.run("xdotool", what, *keys)

    def run(self, *command: str) -> None:
        subprocess.run(command, env={**os.environ, "DISPLAY": self._display}, check=True, timeout=60)

    def until(self, condition: Callable[[], Any], polls: int = 1200) -> Script:
        for _ in range(polls):
            if condition():
                return
            yield
        raise AssertionError("the window never came to the state that the keys ask for")

    def steps(self, count: int) -> Script:
        end = self.session.taken + count
        yield from self.until(lambda: self.session.taken >= end)

    def pixels(self) -> np.ndarray:
        """(width, height, 3) uint8 of what the window shows."""
        import pygame

        return pygame.surfarray.array3d(self.screen._window.get_surface())

    def play(self, script: Script, start: Callable[[], None] | None = None) -> None:
        def poll(seconds: float) -> list[str]:
            next(script, None)
            return self._poll(seconds)

        self.screen.poll = poll
        (start or self.loop.run)()
        assert next(script, "over") == "over", "the window closed before the script was over"


@pytest.fixture
def stage(display: str, make_engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    from app.window import Window

    windows = []

    def make(fullscreen: bool = False, **options: Any) -> Stage:
        keys = load_keys()
        session = Session(make_engine(**options), emulator_of(options.get("frameskip", 2)))
        window = Window(keys, fullscreen)
        windows.append(window)
        stage = Stage(Loop(session, window, Clock(session.steps_per_second), keys, captures=tmp_path), display)
        for _ in range(200):  # the window manager gives the focus when it has mapped the window
            if window._window.focused:
                return stage
            window.poll(0.05)
        raise AssertionError("the window started without the focus")

    yield make
    for window in windows:
        window.close()
