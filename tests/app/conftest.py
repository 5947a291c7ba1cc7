"""A twin without networks, tiny weights, and a virtual screen with a window manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.clock import Clock
from app.keys import load_keys
from app.loop import Loop
from app.session import Session
from collect.emulator import Emulator
from model.breakout import CELLS, changed_cells, to_cells
from model.memory import Unseen

Script = Generator[None, None, None]


class StandInTwin:
    """What the session uses of `WorldModel`. It predicts that nothing changes, or in dreams smears a dot along.

    A changed cell's code is a hash of its new pixels, so equal changes have equal codes.
    """

    def __init__(self, frameskip: int = 2, context: int = 4, mistakes: bool = False) -> None:
        self.frameskip, self.context, self.mistakes = frameskip, context, mistakes
        self.controller, self.controllers = "context", {"context": None, "action": None}
        self.majority = np.zeros(CELLS, np.int64)
        self.checksum = "stand-in"
        self._frames: deque[np.ndarray] = deque(maxlen=context)
        self.unseen = Unseen()

    @property
    def history(self) -> np.ndarray:
        return np.stack(self._frames)

    def warm_up(self) -> None:
        """There are no networks."""

    def reset_classes(self, frames: np.ndarray, keys: list[int] | None = None, unseen: Unseen | None = None) -> None:
        self.unseen = unseen or Unseen()
        newest = list(frames[-self.context :])
        self._frames.extend([newest[0]] * (self.context - len(newest)) + newest)

    def predict_classes(self, action: int, temperature: float = 0.0) -> Any:
        frame = self._frames[-1].copy()
        if self.mistakes:
            frame[100 : 100 + 10 * (action + 1), 40:60] = 5
        return SimpleNamespace(classes=frame, codes=self.encode_classes(self._frames[-1], frame))

    def step_classes(self, action: int, temperature: float = 0.0) -> Any:
        prediction = self.predict_classes(action)
        self._frames.append(prediction.classes)
        return prediction

    def observe_classes(self, frame: np.ndarray, action: int | None = None) -> None:
        self._frames.append(frame)

    def encode_classes(self, previous: np.ndarray, following: np.ndarray, pair: Any = None) -> np.ndarray:
        changed = changed_cells(np.ascontiguousarray(previous), np.ascontiguousarray(following))
        codes = [1 + zlib.crc32(cell.tobytes()) % 255 for cell in to_cells(following)]
        return np.where(changed, codes, 0).astype(np.int64)

    def predict_each(self, held: int = 0) -> list[Any]:
        return [self.predict_classes(action) for action in range(4)]


@pytest.fixture
def make_twin() -> Callable[..., Any]:
    return StandInTwin


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of random weights, as the training commands would leave it."""
    import torch

    from model.checkpoint import save_tensors
    from model.weights import ACTION_NAME, CONTEXT_NAME, VQVAE_NAME
    from model.world_model import WorldModel

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("weights")
    twin = WorldModel.untrained(frameskip=4)
    about = {"frameskip": 4, "majority": [0] * CELLS}
    vqvae = {"kind": "vqvae", "model": twin.vqvae.settings, **about}
    save_tensors(out / VQVAE_NAME, twin.vqvae.state_dict(), vqvae)
    about["codes_sha256"] = twin.vqvae.codes_sha256()
    for kind, name in (("context", CONTEXT_NAME), ("action", ACTION_NAME)):
        module: Any = twin.controllers[kind]
        save_tensors(out / name, module.state_dict(), {"kind": kind, "model": module.settings, **about})
    return out


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A virtual X display with a window manager, which hands out the focus."""
    missing = [tool for tool in ("Xvfb", "xdotool", "openbox") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: apt-get install xvfb xdotool openbox)")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1440x900x24", "-nolisten", "tcp"],
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
        subprocess.run(["xdotool", what, *keys], env={**os.environ, "DISPLAY": self._display}, check=True, timeout=60)

    def until(self, condition: Callable[[], Any], polls: int = 6000) -> Script:
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
def stage(display: str, make_twin: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    from app.window import Window

    windows = []

    def make(fullscreen: bool = False, **options: Any) -> Stage:
        keys = load_keys()
        session = Session(make_twin(**options), Emulator(2))
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
