"""What is kept between sessions, the first run, and gamepads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pygame
import pytest

from app.keys import load_keys
from app.loop import CARDS, Tour
from app.players import Autopilot, Records, records_path
from app.session import Session
from app.window import BUTTONS, Window
from collect.emulator import Emulator
from model.breakout import Action
from tests.app.conftest import Prompted, loop_of

pytestmark = pytest.mark.slow

# --- records and the first run ---


def test_records_outlive_a_session_and_only_hands_earn_a_score(make_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.json"
    for by_hand in (False, True):
        screen = Prompted(*[None] * 900)
        loop = loop_of(make_engine, screen, Autopilot("follow", 0))
        loop.records = Records.load(path)
        if by_hand:
            autopilot, loop.player = loop.player, None
            screen.held.take = lambda paddle=None, loop=loop, pilot=autopilot: pilot.act(loop.session)
        loop.run()
        loop.close()
        kept = Records.load(path)
        assert (kept.best_score > 0) == by_hand
        assert kept.longest_dream == 0.0
    loop = loop_of(make_engine, Prompted("dream", *[None] * 90), Autopilot("follow", 0))
    loop.records = Records.load(path)
    loop.run()
    loop.close()
    assert Records.load(path).longest_dream > 2
    assert Records.load(path).best_score == kept.best_score


def test_a_rewound_game_earns_no_score(make_engine: Any) -> None:
    screen = Prompted(*[None] * 300, "rewind", *[None] * 100)
    loop = loop_of(make_engine, screen)
    pilot = Autopilot("follow", 0)
    screen.held.take = lambda paddle=None: pilot.act(loop.session)
    loop.run()
    loop.close()
    assert loop.records.best_score == 0


def test_two_windows_at_once_keep_the_better_records_of_both(tmp_path: Path) -> None:
    one, two = (Records.load(tmp_path / "records.json") for _ in range(2))
    one.best_score, two.longest_dream = 300, 12.5
    assert one.save()
    assert two.save()
    kept = Records.load(tmp_path / "records.json")
    assert (kept.best_score, kept.longest_dream) == (300, 12.5)


HUGE = '{"best_score": 1, "introduced": true, "longest_dream_seconds": 1' + 400 * "0" + "}"


@pytest.mark.parametrize("content", [HUGE, "", "[]", '{"best_score": "x"}', '{"best_score": 5}', "\x00\x01"])
def test_damaged_records_count_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "records.json"
    path.write_text(content)
    assert Records.load(path).longest_dream == 0.0
    assert Records.load(path).save()


def test_a_user_without_a_home_has_no_records_and_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", nowhere)
    assert records_path() is None
    assert not Records.load(records_path()).save()


def test_records_that_cannot_be_kept_take_nothing_from_the_game(
    make_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    loop = loop_of(make_engine, Prompted(None))
    loop.records = Records.load(tmp_path / "file" / "records.json")
    assert not loop.records.save()
    loop.run()
    loop.close()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert records_path() == tmp_path / "neural-breakout" / "records.json"


def test_the_first_run_shows_one_step_a_dream_and_parting(make_engine: Any) -> None:
    screen = Prompted(*[None] * 2000)
    tour = Tour(Session(make_engine(), Emulator(2)), screen, load_keys(), paced=False)
    tour.run()
    heads = list(dict.fromkeys(view.caption[0] for view in screen.shown if view.caption))
    assert heads == [head for head, _ in CARDS.values()]
    assert tour.session.taken == 300, "ten seconds"
    assert {view.tone for view in screen.shown} == {"step", "dream"}
    assert not tour.quit


@pytest.mark.parametrize("key", ["", "autopilot", "help"])
def test_any_key_skips_the_first_run_and_does_nothing_else(make_engine: Any, key: str) -> None:
    screen = Prompted(*[None] * 20, key, *[None] * 100)
    tour = Tour(Session(make_engine(), Emulator(2)), screen, load_keys(), paced=False)
    tour.run()
    assert tour.session.taken == 20
    assert not tour.choices.help
    assert not tour.quit


# --- gamepads ---


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(load_keys())
    yield window
    window.close()


def event(kind: int, **what: Any) -> Any:
    return pygame.event.Event(kind, instance_id=3, **what)


def test_a_gamepad_steers_and_lets_go_when_it_is_pulled_out(window: Window) -> None:
    held = window.held
    window.take(event(pygame.JOYAXISMOTION, axis=0, value=-0.9))
    assert [held.take() for _ in range(2)] == [Action.LEFT] * 2
    window.take(event(pygame.JOYAXISMOTION, axis=1, value=0.9))  # up and down mean nothing
    window.take(event(pygame.JOYBUTTONDOWN, button=0))
    assert [held.take() for _ in range(2)] == [Action.FIRE, Action.LEFT]
    assert window.take(event(pygame.JOYBUTTONDOWN, button=7)) == "restart"
    window.take(event(pygame.JOYDEVICEREMOVED))
    assert held.take() == Action.NOOP
    window.take(event(pygame.JOYHATMOTION, value=(1, 0)))
    assert held.take() == Action.RIGHT
    window.take(event(pygame.JOYHATMOTION, value=(0, 0)))
    assert held.take() == Action.NOOP


def test_a_gamepads_button_rewinds_for_as_long_as_it_is_held(window: Window) -> None:
    for ends in (event(pygame.JOYBUTTONUP, button=1), event(pygame.JOYDEVICEREMOVED)):
        assert window.take(event(pygame.JOYBUTTONDOWN, button=1)) == "rewind"
        assert window.is_held("rewind")
        window.take(ends)
        assert not window.is_held("rewind")


def test_a_gamepad_plugged_in_is_opened_and_its_buttons_give_commands(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def open_pad(index: int) -> Any:
        opened.append(index)
        return SimpleNamespace(get_instance_id=lambda: 3)

    monkeypatch.setattr(pygame.joystick, "Joystick", open_pad)
    window.take(event(pygame.JOYDEVICEADDED, device_index=2))
    assert opened == [2], "one that is not opened sends no events"
    for button, name in BUTTONS.items():
        assert window.take(event(pygame.JOYBUTTONDOWN, button=button)) == (None if name == "fire" else name)
        assert load_keys().keys_of(name)
