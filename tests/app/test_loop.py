"""The loop without a window: what commands do to time, players, recordings; gamepads; the sizes of the panels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pygame
import pytest

from app.clock import Unpaced
from app.gamepad import BUTTONS, Gamepads
from app.keys import Held, load_keys
from app.loop import Loop
from app.panel import difference, panel_size
from app.players import Autopilot, Replay, Scripted
from app.session import Session
from app.view import View
from collect.emulator import Emulator
from model.breakout import Action


class Prompted:
    """A screen whose commands are a list: one entry for every poll, None for no event; then "quit"."""

    def __init__(self, *prompts: str | None) -> None:
        self.held = Held(load_keys())
        self.prompts, self.shown = list(prompts), []
        self.holding: set[str] = set()

    def poll(self, seconds: float) -> list[str]:
        if not self.prompts:
            return ["quit"]
        prompt = self.prompts.pop(0)
        return [] if prompt is None else [prompt]

    def show(self, make: Callable[[], View]) -> None:
        self.shown.append(make())

    def is_held(self, command: str) -> bool:
        return command in self.holding


def loop_of(make_twin: Any, screen: Prompted, player: Any = None, **options: Any) -> Loop:
    session = Session(make_twin(mistakes=True), Emulator(2))
    return Loop(session, screen, Unpaced(30), load_keys(), player, **options)


def test_every_step_is_shown_with_its_own_frame(make_twin: Any) -> None:
    screen = Prompted(*[None] * 6)
    screen.held.press("right")
    loop = loop_of(make_twin, screen)
    loop.run()
    assert loop.session.taken == 6
    assert [view.action for view in screen.shown[1:]] == [Action.RIGHT] * 6
    assert np.array_equal(screen.shown[-1].real, loop.session.emulator.frame)
    assert len({id(view.real) for view in screen.shown}) == 7


def test_pausing_takes_no_steps_but_single_ones(make_twin: Any) -> None:
    screen = Prompted(None, "pause", None, None, "single", None, "pause", None)
    loop = loop_of(make_twin, screen)
    loop.run()
    assert loop.session.taken == 1 + 1 + 2
    assert "paused" in [view.message[0] for view in screen.shown if view.message]


def test_the_frames_asked_for_are_played_and_no_more(make_twin: Any) -> None:
    loop = loop_of(make_twin, Prompted(*[None] * 50), frames=7)
    loop.run()
    assert loop.session.taken == 7


def test_a_game_that_is_over_waits_for_its_player_and_scripts_start_anew(make_twin: Any) -> None:
    lose = bytes([1, 3, 3, 3] * 500)
    screen = Prompted(*[None] * 2100)
    loop = loop_of(make_twin, screen, Scripted(lose))
    loop.run()
    assert loop.session.taken == 2000
    assert "restart" in [name for _, name in loop.session.log]

    screen = Prompted(*[None] * 5)
    loop = loop_of(make_twin, screen)
    while not loop.session.over:
        loop.session.step(int(Action.FIRE))
    taken = loop.session.taken
    loop.run()
    assert loop.session.taken == taken
    assert screen.shown[-1].message == ("game over", "Enter starts a new one")


def test_touching_a_key_takes_over_from_the_autopilot(make_twin: Any) -> None:
    screen = Prompted("autopilot", None, None)
    loop = loop_of(make_twin, screen)
    loop.run()
    assert isinstance(loop.player, Autopilot)
    screen.prompts = [None, None]
    screen.held.press("left")
    loop.run()
    assert loop.player is None
    assert loop.session.actions[-1] == Action.LEFT


def test_a_replay_in_a_window_ends_in_a_pause_and_a_command_ends_it_early(make_twin: Any) -> None:
    loop = loop_of(make_twin, Prompted(*[None] * 8), Replay(bytes([1, 2, 3]), [(1, "dream")]), stay=True)
    loop.run()
    assert (loop.session.taken, loop.choices.paused, loop.session.dreaming) == (3, True, True)
    assert loop.replayed == loop.session.digests()

    loop = loop_of(make_twin, Prompted(None, "restart", None), Replay(bytes([2] * 9), []), stay=True)
    loop.run()
    assert loop.player is None
    assert loop.replayed is None
    assert loop.session.actions == bytes([2, 0, 0])


def test_time_stands_still_while_rewind_is_held(make_twin: Any) -> None:
    screen = Prompted(*[None] * 10, "rewind", None, None)
    screen.holding = {"rewind"}
    loop = loop_of(make_twin, screen)
    loop.run()
    assert loop.session.taken == 10
    assert screen.shown[-1].message[0] == "rewound"
    screen.holding, screen.prompts = set(), [None]
    loop.run()
    assert loop.session.taken == 11


def test_a_recording_that_fails_is_told_and_the_game_goes_on(make_twin: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    screen = Prompted("record_gif", *[None] * 3)
    loop = loop_of(make_twin, screen, captures=tmp_path / "file")
    loop.run()
    loop.stop_recording()
    assert loop.session.taken == 4
    assert loop.recording_error is not None


def test_speed_stays_within_its_range(make_twin: Any) -> None:
    loop = loop_of(make_twin, Prompted(*["faster"] * 9))
    loop.run()
    assert loop.clock.speed == 4
    loop.screen.prompts = ["slower"] * 12
    loop.run()
    assert loop.clock.speed == 0.25


def test_a_gamepad_steers_and_lets_go_when_it_is_pulled_out() -> None:
    held = Held(load_keys())
    pads = Gamepads(held)

    def event(kind: int, **what: Any) -> Any:
        return SimpleNamespace(type=kind, instance_id=3, **what)

    pads.handle(event(pygame.JOYAXISMOTION, axis=0, value=-0.9))
    assert [held.take() for _ in range(2)] == [Action.LEFT] * 2
    pads.handle(event(pygame.JOYAXISMOTION, axis=1, value=0.9))  # up and down mean nothing
    pads.handle(event(pygame.JOYBUTTONDOWN, button=0))
    assert [held.take() for _ in range(2)] == [Action.FIRE, Action.LEFT]
    assert pads.handle(event(pygame.JOYBUTTONDOWN, button=7)) == "restart"
    pads.handle(event(pygame.JOYDEVICEREMOVED))
    assert held.take() == Action.NOOP
    pads.handle(event(pygame.JOYHATMOTION, value=(1, 0)))
    assert held.take() == Action.RIGHT
    pads.handle(event(pygame.JOYHATMOTION, value=(0, 0)))
    assert held.take() == Action.NOOP


def test_a_gamepad_plugged_in_is_opened_and_its_buttons_give_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_pad(index: int) -> Any:
        opened.append(index)
        return SimpleNamespace(get_instance_id=lambda: 3)

    monkeypatch.setattr(pygame.joystick, "Joystick", open_pad)
    keys = load_keys()
    pads = Gamepads(Held(keys))
    pads.handle(SimpleNamespace(type=pygame.JOYDEVICEADDED, device_index=2))
    assert opened == [2], "one that is not opened sends no events"
    for button, name in BUTTONS.items():
        given = pads.handle(SimpleNamespace(type=pygame.JOYBUTTONDOWN, instance_id=3, button=button))
        assert given == (None if name == "fire" else name)
        assert keys.keys_of(name)


def test_the_start_screen_goes_by_itself_and_plays_nothing(make_twin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.loop._INTRO_SECONDS", 0.01)
    screen = Prompted(*[None] * 100_000)
    loop = loop_of(make_twin, screen)
    loop.introduce()
    assert screen.shown[0].help
    assert not loop.choices.help
    assert loop.session.taken == 0


@pytest.mark.parametrize(
    ("box", "size"), [((648, 480), (640, 420)), ((900, 640), (800, 630)), ((1300, 900), (1120, 840))]
)
def test_panels_are_whole_multiples_near_a_television(box: tuple[int, int], size: tuple[int, int]) -> None:
    assert panel_size(*box) == size


@pytest.mark.parametrize("box", [(1, 1), (0, 0), (-20, 5), (100, 60), (160, 210), (5000, 40)])
def test_a_tiny_box_still_gets_a_picture_that_fits(box: tuple[int, int]) -> None:
    width, height = panel_size(*box)
    assert 1 <= width <= max(1, box[0])
    assert 1 <= height <= max(1, box[1])


def test_the_difference_names_every_wrong_pixel_by_its_kind() -> None:
    real, twin = np.zeros((210, 160), np.uint8), np.zeros((210, 160), np.uint8)
    real[0, 0], twin[0, 1], real[0, 2], twin[0, 2], real[0, 3], twin[0, 3] = 5, 5, 1, 5, 3, 3
    assert difference(real, twin)[0, :5].tolist() == [18, 19, 20, 12, 9]
