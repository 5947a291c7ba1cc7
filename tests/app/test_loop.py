"""The loop without a window: what commands do to time, players, futures, recordings and sound."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.clock import Clock
from app.keys import load_keys
from app.players import Autopilot, Scripted
from app.session import Session
from collect.emulator import Emulator
from model.breakout import Action
from tests.app.conftest import Prompted, loop_of


def test_every_step_is_shown_with_its_own_frame(make_engine: Any) -> None:
    screen = Prompted(*[None] * 6)
    screen.held.press("right")
    loop = loop_of(make_engine, screen)
    loop.run()
    assert loop.session.taken == 6
    assert [view.action for view in screen.shown[1:]] == [Action.RIGHT] * 6
    assert np.array_equal(screen.shown[-1].real, loop.session.emulator.frame)
    assert len({id(view.real) for view in screen.shown}) == 7


def test_pausing_takes_no_steps_but_single_ones(make_engine: Any) -> None:
    screen = Prompted(None, "pause", None, None, "single", None, "pause", None)
    loop = loop_of(make_engine, screen)
    loop.run()
    assert loop.session.taken == 1 + 1 + 2
    assert "paused" in [view.message[0] for view in screen.shown if view.message]


def test_single_steps_do_not_make_the_machine_slow(make_engine: Any) -> None:
    screen = Prompted(None, "pause", *["single"] * 40)
    loop = loop_of(make_engine, screen)
    loop.clock = Clock(30, now=lambda: -0.25 * len(screen.prompts))  # four a second
    loop.run()
    assert loop.session.taken == 41
    assert screen.shown[-1].warning == ""


def test_help_stops_the_time_until_any_key(make_engine: Any) -> None:
    screen = Prompted(None, "help", None, None, "dream", None, "help", None, "help", None)
    loop = loop_of(make_engine, screen)
    loop.run()
    assert loop.session.dreaming, "the key that closes it does what it does"
    assert not loop.choices.help, "and its own key only closes it"
    assert loop.session.taken == 1 + 2 + 2
    assert sum(view.help is not None for view in screen.shown) >= 2


def test_the_frames_asked_for_are_played_and_no_more(make_engine: Any) -> None:
    loop = loop_of(make_engine, Prompted(*[None] * 50), frames=7)
    loop.run()
    assert loop.session.taken == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_for_the_end_of_the_step_so_that_what_is_saved_replays(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    loop = loop_of(make_engine, Prompted(*[None] * 9))
    session, advance = loop.session, loop.session.engine.advance

    def interrupted(*given: Any) -> Any:
        if session.taken == 5:
            signal.raise_signal(number)
        return advance(*given)

    monkeypatch.setattr(session.engine, "advance", interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    replay = Session(make_engine(), Emulator(2))
    for action in session.actions:
        replay.step(action)
    assert session.taken == session.tally.steps == 5
    assert replay.digests() == session.digests()


def test_a_key_of_ones_own_is_the_one_that_is_named(make_engine: Any, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[command]\npause = ["y"]\nfutures = ["z"]\ngrid = ["f5"]\nslower = ["8"]\n')
    screen = Prompted(None, "futures", "grid", *[None] * 8)
    loop = loop_of(make_engine, screen, Scripted(bytes(5)), stay=True)
    loop.keys, loop.clock.slow = load_keys(tmp_path / "keys.toml"), True
    loop.run()
    warnings = [view.warning.split(": ")[1] for view in screen.shown]
    assert (warnings[0], warnings[-1]) == ("make the window smaller, or 8 for a slower pace", "switch off Z and F5")
    assert loop.toast == "that was all; Y plays on from here"


@pytest.mark.slow
def test_a_game_that_is_over_waits_for_its_player_and_scripts_start_anew(make_engine: Any) -> None:
    lose = bytes([1, 3, 3, 3] * 500)
    screen = Prompted(*[None] * 2100)
    loop = loop_of(make_engine, screen, Scripted(lose))
    loop.run()
    assert loop.session.taken == 2000
    assert "restart" in [name for _, name in loop.session.log]

    screen = Prompted(*[None] * 5)
    loop = loop_of(make_engine, screen)
    while not loop.session.over:
        loop.session.step(int(Action.FIRE))
    taken = loop.session.taken
    loop.run()
    assert loop.session.taken == taken
    assert screen.shown[-1].message == ("game over", "Enter starts a new one")


@pytest.mark.parametrize("command", ["restart", "autopilot"])
def test_taps_at_the_end_of_a_game_are_not_played_in_the_next(make_engine: Any, command: str) -> None:
    screen = Prompted(None, command, None)
    loop = loop_of(make_engine, screen)
    while not loop.session.over:
        loop.session.step(int(Action.FIRE))
    taken = loop.session.taken
    screen.held.press("space")
    screen.held.release("space")
    loop.run()
    assert not loop.session.over
    assert isinstance(loop.player, Autopilot) or loop.session.actions[taken] == Action.NOOP


def test_touching_a_key_takes_over_from_the_autopilot(make_engine: Any) -> None:
    screen = Prompted("autopilot", None, None)
    loop = loop_of(make_engine, screen)
    loop.run()
    assert isinstance(loop.player, Autopilot)
    screen.prompts = [None, None]
    screen.held.press("left")
    loop.run()
    assert loop.player is None
    assert loop.session.actions[-1] == Action.LEFT


def test_a_replay_in_a_window_ends_in_a_pause_and_a_command_ends_it_early(make_engine: Any) -> None:
    loop = loop_of(make_engine, Prompted(*[None] * 8), Scripted(bytes([1, 2, 3]), [(1, "dream")]), stay=True)
    loop.run()
    assert (loop.session.taken, loop.choices.paused, loop.session.dreaming) == (3, True, True)
    assert loop.replayed == loop.session.digests()

    loop = loop_of(make_engine, Prompted(None, "restart", None), Scripted(bytes([2] * 9), []), stay=True)
    loop.run()
    assert loop.player is None
    assert loop.replayed is None
    assert loop.session.actions == bytes([2, 0, 0])


def test_time_stands_still_while_rewind_is_held(make_engine: Any) -> None:
    screen = Prompted(*[None] * 10, "rewind", None, None)
    screen.holding = {"rewind"}
    loop = loop_of(make_engine, screen)
    loop.run()
    assert loop.session.taken == 10
    assert screen.shown[-1].message[0] == "rewound"
    screen.holding, screen.prompts = set(), [None]
    loop.run()
    assert loop.session.taken == 11


def test_every_change_of_mode_says_what_has_happened(make_engine: Any) -> None:
    screen = Prompted(*[None] * 9, "dream", *[None] * 9, "resync", *[None] * 9, "dream", None)
    loop_of(make_engine, screen).run()
    said = list(dict.fromkeys(view.toast for view in screen.shown if view.toast))
    assert said == [
        "dreaming from here",
        "back on reality after 0.3 s, true to the end; dreaming on",
        "following reality again after 0.3 s, true to the end",
    ]


def test_a_parted_dream_says_so_and_goes_back_by_itself_if_asked(make_engine: Any) -> None:
    for seconds in (None, 1.0):
        screen = Prompted("dream", *[None] * 60)
        loop = loop_of(make_engine, screen, mistakes=True)
        loop.back_after = seconds
        loop.run()
        parted = [view for view in screen.shown if view.tone == "parted"]
        assert "parted from reality after 0.0 s" in parted[0].mode
        assert any("not the real game any more: Tab goes back" in strip for strip in parted[0].strips)
        backs = [step for step, name in loop.session.log if name == "resync"]
        assert backs == ([] if seconds is None else [30, 60])


def test_futures_are_half_a_second_for_each_key_and_cost_a_little_each_step(make_engine: Any) -> None:
    screen = Prompted("futures", *[None] * 40)
    loop = loop_of(make_engine, screen, Scripted(bytes([1] * 100)))
    calls = loop.session.engine.calls
    loop.run()
    steps = [i for i, call in enumerate(calls) if call[0] == "encode"]
    most = max(calls[a:b].count(("predict", 4)) for a, b in itertools.pairwise(steps))
    assert 1 <= most < 15, "the work is spread over the steps"
    ahead = screen.shown[-1].futures
    assert ahead.frames.shape == (4, 210, 160)
    assert ahead.balls.shape == (16, 4, 2)
    paddles = [np.flatnonzero(frame[190, 8:152] == 5).mean() for frame in ahead.frames]
    assert paddles[Action.LEFT] < paddles[Action.NOOP] - 20
    assert paddles[Action.RIGHT] > paddles[Action.NOOP] + 20
    assert len({tuple(ball) for ball in ahead.balls[:, 0].tolist()}) > 10, "the ball's way"


def test_futures_while_time_stands_still_start_from_this_moment(make_engine: Any) -> None:
    screen = Prompted(*[None] * 20, "pause", "futures", None)
    loop = loop_of(make_engine, screen, Scripted(bytes([1] * 100)))
    loop.run()
    assert screen.shown[-1].futures.balls[0, 0].tolist() == list(loop.session.twin_ball)


def test_futures_follow_the_games_back_while_rewind_is_held(make_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.loop.REWIND_SECONDS", 0)  # the next two seconds come at once
    screen = Prompted(*[None] * 200, "futures", *[None] * 40, "rewind", None)
    screen.holding = {"rewind"}
    loop = loop_of(make_engine, screen, Autopilot("follow", 0))
    loop.run()
    assert loop.session.log == [(241, "rewind")] * 3
    assert screen.shown[-1].futures.balls[0, 0].tolist() == list(loop.session.twin_ball)


def test_futures_stay_when_another_view_is_switched_on_and_go_with_their_game(make_engine: Any) -> None:
    screen = Prompted("futures", *[None] * 40, "memory", "difference", None)
    loop = loop_of(make_engine, screen, Scripted(bytes([1] * 60)))
    loop.run()
    assert screen.shown[-1].futures is not None
    loop.session.do("restart")  # as a machine does when its game is over
    screen.prompts = [None]
    loop.run()
    assert screen.shown[-1].futures is None


def test_a_recording_that_fails_is_told_and_the_game_goes_on(make_engine: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    screen = Prompted("record_gif", *[None] * 3)
    loop = loop_of(make_engine, screen, captures=tmp_path / "file")
    loop.run()
    assert screen.shown[-1].recording
    loop.stop_recording()
    assert loop.session.taken == 4
    assert loop.recording_error is not None


def test_captures_go_to_a_folder_of_their_own_and_their_name_is_said(
    make_engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    screen = Prompted(None, "record_gif", *[None] * 5, "record_gif", None)
    loop_of(make_engine, screen).run()
    files = list((tmp_path / "captures").iterdir())
    assert len(files) == 1
    assert f"saved captures/{files[0].name}" in [view.toast for view in screen.shown]


def test_speed_stays_within_its_range(make_engine: Any) -> None:
    loop = loop_of(make_engine, Prompted(*["faster"] * 9))
    loop.run()
    assert loop.clock.speed == 4
    loop.screen.prompts = ["slower"] * 12
    loop.run()
    assert loop.clock.speed == 0.25


def test_sound_without_a_device_says_so_and_the_game_goes_on(make_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "none")
    screen = Prompted("sound", *[None] * 5)
    loop = loop_of(make_engine, screen)
    loop.run()
    assert loop.session.taken == 6
    assert loop.toast.startswith("no sound")
    loop.close()


@pytest.mark.slow
def test_sound_is_heard_for_walls_bricks_and_paddle(make_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    loop = loop_of(make_engine, Prompted("sound", *[None] * 400), Autopilot("follow", 0))
    played: list[Any] = []
    loop.run()
    assert loop.sound.tones
    for what in list(loop.sound.tones):
        loop.sound.tones[what] = SimpleNamespace(play=lambda what=what: played.append(what))
    loop.screen.prompts = [None] * 600
    loop.run()
    assert {"wall", "paddle"} <= set(played)
    assert set(played) & {1, 4, 7}
    loop.sound.tones.clear()
    loop.close()
