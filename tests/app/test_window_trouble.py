"""What goes wrong around a window, on a virtual screen with real X events: nothing of it stops the game."""

from __future__ import annotations

import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest

from model.breakout import Action

pytestmark = pytest.mark.slow

Script = Generator[None, None, None]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.window._LOST_SECONDS", 0.1)


def shown(s: Any) -> str:
    """The head of the message over the panels."""
    message = s.loop.view().message
    return message[0] if message else ""


def test_another_window_takes_the_focus_and_a_click_gives_it_back(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        s.key("keydown", "Left")
        yield from s.until(lambda: s.session.actions[-1:] == bytes([Action.LEFT]))
        before = s.pixels()
        other = pygame.Window("another", (200, 120), position=(900, 700))
        other.focus()
        yield from s.until(lambda: not s.screen._window.focused)
        yield from s.until(lambda: s.session.actions[-2:] == bytes(2))  # the held key was let go
        yield from s.until(lambda: shown(s) == "click to play")
        yield from s.steps(2)
        assert (s.pixels() != before).any()
        s.key("keyup", "Left")
        s.key("mousemove", "--window", s.window_id, "100", "200", "click", "1")
        yield from s.until(lambda: s.screen._window.focused)
        yield from s.until(lambda: shown(s) == "")
        s.key("keydown", "Right")
        yield from s.until(lambda: s.session.actions[-1:] == bytes([Action.RIGHT]))
        s.key("keyup", "Right")
        other.destroy()
        s.key("key", "q")
        yield

    s.play(script())


def test_minimised_the_game_goes_on_and_restored_it_is_drawn(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        yield from s.steps(2)
        s.key("windowminimize", s.window_id)
        yield from s.until(lambda: not s.screen._window.focused)
        yield from s.steps(10)
        s.key("windowactivate", s.window_id)
        yield from s.until(lambda: s.screen._window.focused)
        s.key("key", "p")
        yield from s.until(lambda: s.loop.choices.paused)
        yield
        assert len(np.unique(s.pixels().reshape(-1, 3), axis=0)) > 20
        s.key("key", "q")
        yield

    s.play(script())


@pytest.mark.parametrize("key", ["g", "x", "f", "v", "l"])
def test_as_small_as_the_window_manager_lets_it_every_view_still_draws(stage: Any, key: str) -> None:
    from app.window import SMALLEST

    s = stage(mistakes=True)

    def script() -> Script:
        s.key("windowsize", s.window_id, "1", "1")
        yield from s.until(lambda: s.pixels().shape[0] < 600)
        width, height = s.pixels().shape[:2]
        assert width >= SMALLEST[0]
        assert height >= SMALLEST[1]
        s.key("key", key, key)
        yield from s.steps(3)
        s.key("windowsize", s.window_id, "1000", "700")
        yield from s.until(lambda: s.pixels().shape[0] == 1000)
        yield from s.steps(3)
        s.key("key", "q")
        yield

    s.play(script())


def test_left_and_right_together_and_a_key_held_through_a_pause(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        s.key("keydown", "Left", "keydown", "Right")
        yield from s.until(lambda: s.session.actions[-1:] == bytes([Action.RIGHT]))
        s.key("keyup", "Left")
        yield from s.steps(3)
        assert s.session.actions[-1] == Action.RIGHT
        s.key("keydown", "Left", "keyup", "Right")
        yield from s.until(lambda: s.session.actions[-1] == Action.LEFT)
        s.key("key", "p")
        yield from s.until(lambda: s.loop.choices.paused)
        taken = s.session.taken
        s.key("keydown", "Right")
        s.key("key", "space", "g")  # commands act, taps do not
        yield from s.until(lambda: s.loop.choices.grid == 1)
        assert s.session.taken == taken
        s.key("key", "p")
        yield from s.steps(4)
        assert s.session.actions[taken:] == bytes([Action.RIGHT] * (s.session.taken - taken))
        s.key("keyup", "Left", "keyup", "Right")
        yield from s.until(lambda: s.session.actions[-1] == Action.NOOP)
        s.key("key", "q")
        yield

    s.play(script())


def test_a_gamepad_pulled_out_lets_go_and_the_keyboard_plays_on(stage: Any) -> None:
    s = stage()

    def post(kind: int, **what: Any) -> None:
        pygame.event.post(pygame.event.Event(kind, **what))

    def script() -> Script:
        post(pygame.JOYDEVICEADDED, device_index=7)  # gone before it could be opened
        post(pygame.JOYAXISMOTION, instance_id=7, axis=0, value=-1.0)
        post(pygame.JOYBUTTONDOWN, instance_id=7, button=0)
        yield from s.until(lambda: Action.FIRE in s.session.actions and s.session.actions[-1] == Action.LEFT)
        post(pygame.JOYDEVICEREMOVED, instance_id=7)
        yield from s.until(lambda: s.session.actions[-1] == Action.NOOP)
        s.key("keydown", "Right")
        yield from s.until(lambda: s.session.actions[-1] == Action.RIGHT)
        s.key("keyup", "Right")
        s.key("key", "q")
        yield

    s.play(script())


def test_the_window_managers_own_way_to_close_ends_the_game(stage: Any) -> None:
    s = stage()

    def script() -> Script:
        yield from s.steps(2)
        s.key("key", "alt+F4")
        yield

    s.play(script())
    assert s.session.taken >= 2


@pytest.mark.parametrize("keys", [("F9",), ("shift+F9",)])
def test_a_disk_that_is_full_ends_the_recording_and_not_the_game(
    stage: Any, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    s = stage()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def script() -> Script:
        s.key("key", *keys)
        yield from s.until(lambda: s.loop.recorder is not None)
        s.loop.player = Churn()
        yield from s.until(lambda: s.loop.recorder is None)
        assert s.loop.toast.startswith("recording failed")
        yield from s.steps(3)
        s.key("key", "q")
        yield

    class Churn:
        """Plays, and gives the recorder a different picture of noise at every step, which no encoder makes small."""

        def act(self, session: Any) -> int:
            if s.loop.recorder is not None:
                noise = np.random.default_rng(session.taken).integers(0, 9, (210, 160), np.uint8)
                for _ in range(5):
                    s.loop.recorder.add(noise, noise[::-1])
            return Action.NOOP

    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        s.play(script())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert s.loop.recording_error is not None
    assert list(tmp_path.iterdir()) == [], "a recording that failed leaves nothing behind"
