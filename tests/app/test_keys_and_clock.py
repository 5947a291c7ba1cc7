"""Keys: what wins, what is never lost. Clock: true pace, never a queue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import Clock
from app.keys import DEFAULT_KEYS, Held, load_keys
from app.players import parse_actions, read_actions
from app.view import NEEDS_REALITY, help_lines
from collect.emulator import Emulator
from model.breakout import Action
from model.engine import Engine
from model.env import reset_state
from model.files import FileError
from model.state import PADDLE, WIDTH, stack


@pytest.fixture
def held() -> Held:
    return Held(load_keys())


def test_the_last_direction_pressed_wins_and_gives_back(held: Held) -> None:
    held.press("left")
    held.press("right")
    assert [held.take() for _ in range(2)] == [Action.RIGHT] * 2
    held.release("right")
    assert held.take() == Action.LEFT
    held.release("left")
    assert held.take() == Action.NOOP


def test_taps_shorter_than_a_step_count_once_each(held: Held) -> None:
    for key in ("left", "space"):
        held.press(key)
        held.release(key)
    assert [held.take() for _ in range(3)] == [Action.FIRE, Action.LEFT, Action.NOOP]


def test_fire_held_with_a_direction_acts_once_then_steers(held: Held) -> None:
    held.press("space")
    held.press("left")
    assert [held.take() for _ in range(3)] == [Action.FIRE, Action.LEFT, Action.LEFT]
    held.release("left")
    assert held.take() == Action.FIRE


def test_two_keys_of_one_direction_hold_it_until_both_are_up(held: Held) -> None:
    held.press("left")
    held.press("a")
    held.release("left")
    assert [held.take() for _ in range(2)] == [Action.LEFT] * 2


def test_focus_loss_forgets_everything_and_a_pause_forgets_taps_only(held: Held) -> None:
    held.press("left")
    held.press("space")
    held.forget_taps()
    assert held.take() == Action.LEFT
    held.press("right")
    held.aim = 20
    held.release_all()
    assert held.take(80) == Action.NOOP
    assert not held.playing


def test_both_hands_steer_and_d_is_nothing_but_right(held: Held) -> None:
    for left, right, fire in (("left", "right", "up"), ("a", "d", "w")):
        for key, action in ((left, Action.LEFT), (right, Action.RIGHT), (fire, Action.FIRE)):
            assert held.press(key) is None
            assert held.take() == action
            held.release(key)
    assert held.press("tab") == "dream"


@given(st.lists(st.sampled_from(["left", "right", "space", "a", "d", "-left", "-right", "-space", "-a", "-d", "take"])))
def test_no_order_of_keys_loses_a_press_or_holds_on_to_one(events: list[str]) -> None:
    held, down = Held(load_keys()), set()
    for event in events:
        if event == "take":
            held.take()
        elif event.startswith("-"):
            held.release(event[1:])
            down.discard(event[1:])
        else:
            held.press(event)
            down.add(event)
            actions = {held.take() for _ in range(2)}
            assert {"space": Action.FIRE, "left": Action.LEFT, "a": Action.LEFT}.get(event, Action.RIGHT) in actions
    for key in down:
        held.release(key)
    held.take(), held.take()
    assert held.take() == Action.NOOP


@pytest.mark.slow
def test_the_paddle_goes_to_the_pointer_and_rests_there_in_both_games() -> None:
    """Targets over the whole width, from rest and after jumps of the pointer: the real game and dreams in one batch."""
    engine, emulator, rng = Engine.load(), Emulator(1), np.random.default_rng(0)
    jumps = np.concatenate((np.linspace(0, 160, 17)[None], rng.uniform(0, 160, (1, 17))))
    state = stack([reset_state(engine)] * jumps.shape[1])
    dreams = [Held(load_keys()) for _ in range(jumps.shape[1])]
    for targets in jumps:
        keys = []
        for _ in range(120):
            middles = state.objects[:, -1, PADDLE] + state.objects[:, -1, WIDTH] / 2
            keys.append(np.array([_pointed(*each) for each in zip(dreams, targets, middles, strict=True)]))
            guess = engine.predict(state, keys[-1])
            state = engine.advance(state, keys[-1], guess.frame, guess)
        assert not np.any(keys[60:])
        assert np.abs(middles - targets.clip(16, 152)).max() <= 6
    for target in np.concatenate((np.arange(0, 160, 4), rng.uniform(0, 160, 20))):
        keys = []
        for _ in range(120):
            middle = emulator.objects().paddle + 8
            keys.append(_pointed(dreams[0], target, middle))
            emulator.step(keys[-1])
        assert not any(keys[60:])
        assert abs(middle - min(max(target, 16), 152)) <= 6


def _pointed(held: Held, target: float, paddle: float) -> int:
    held.aim = target
    return int(held.take(paddle))


def test_a_key_ends_the_pointers_steering(held: Held) -> None:
    held.aim = 30
    assert held.take(100.0) == Action.LEFT
    held.press("left")
    held.release("left")
    held.take()
    assert held.take(100.0) == Action.NOOP


def test_every_command_has_a_key_and_a_line_of_help() -> None:
    keys = load_keys()
    assert set(keys.help) == {"left", "right", "fire", *keys.commands.values()}
    assert all(words for words, _ in help_lines(keys, False))


def test_help_shows_what_is_true_without_a_real_game() -> None:
    keys = load_keys()
    whole, alone = help_lines(keys, False), help_lines(keys, True)
    assert len(whole) - len(alone) == len(NEEDS_REALITY)
    assert not any("reality" in what for _, what in alone)


def test_letters_of_another_script_go_by_their_place() -> None:
    keys = load_keys()
    assert keys.meant("\N{CYRILLIC SMALL LETTER EF}", 4) == "a"
    assert keys.meant("\N{GREEK SMALL LETTER MU}", 16) == "m"
    assert keys.meant("\N{LATIN SMALL LETTER U WITH DIAERESIS}", 47) == "["
    assert keys.meant("", 19) == "p"
    assert keys.meant("q", 4) == "q", "a letter of ours counts as what it shows, wherever it lies"
    assert keys.meant("left", 80) == "left"
    reached = {keys.commands[name] for name in map(chr, range(97, 123)) if name in keys.commands}
    assert reached >= {"resync", "autopilot", "pause", "futures", "help"}


def test_a_users_key_map_replaces_lines(tmp_path: Path) -> None:
    mine = tmp_path / "keys.toml"
    mine.write_bytes(b'\xef\xbb\xbf[play]\nleft = ["j"]\n[command]\nquit = ["f10"]\n')  # as Notepad writes it
    keys = load_keys(mine)
    assert keys.play["j"] == Action.LEFT
    assert "a" not in keys.play
    assert keys.keys_of("quit") == ["f10"]
    assert keys.keys_of("dream") == ["tab"]


def test_a_copy_of_the_shipped_map_is_a_map(tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_bytes(DEFAULT_KEYS.read_bytes().replace(b'quit = "quit"', b'quit = "leave"'))
    assert load_keys(copy).commands == load_keys().commands
    assert load_keys(copy).help["quit"] == "leave"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[help]\nquit = 3", "words in quotes"),
        ("[command]\njump = ['j']", "no command 'jump'"),
        ("[command]\nquit = 'q'", "list of key names"),
        ("[command]\nquit = ['jump bar']", "quit has a key 'jump bar' that does not exist"),
        ("[play]\nfire = ['spacebar']", "keys.toml: fire has a key 'spacebar'"),
        ("[command]\ndream = ['d']", "'d' is given to right and to dream"),
        ("[play]\nleft = ['shift+j']", "without shift"),
        ("[sound]\nloud = ['l']", "sections are"),
        ("play = 3", "sections are"),
        ("[command", "cannot be read"),
    ],
)
def test_a_wrong_key_map_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(FileError, match=says):
        load_keys(path)


@pytest.mark.parametrize("text", ["0123", "0 1 2 3", "0,1,2,3\n", "0\n1\n2\n3\n", "01 2\t,3"])
def test_actions_are_read_in_every_spelling(text: str) -> None:
    if text.startswith("01 "):
        with pytest.raises(ValueError, match="action 1"):
            parse_actions(text, "f")
    else:
        assert parse_actions(text, "f") == bytes([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("text", "says"),
    [("0 1\n7", r"f: action 3 \(line 2\) is '7'"), ("", "holds no actions"), ("0127", "action 4"), ("x", "is 'x'")],
)
def test_wrong_actions_are_named_with_their_position(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_actions(text, "f")


def test_actions_files_of_strangers(tmp_path: Path) -> None:
    import os

    marked = tmp_path / "marked.txt"
    marked.write_bytes(b"\xef\xbb\xbf0 1 2")
    assert read_actions(marked) == bytes([0, 1, 2])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileError, match="a pipe"):
            read_actions(tmp_path / "pipe")
    if Path("/dev/zero").exists():
        with pytest.raises(FileError, match="a device"):
            read_actions(Path("/dev/zero"))


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(clock: Clock, time: FakeTime, cost: float, steps: int) -> float:
    start = time.now
    for _ in range(steps):
        time.now += clock.wait_time()
        clock.begin()
        time.now += cost
        clock.end()
    return time.now - start


def test_the_pace_is_true_whatever_a_step_costs_as_long_as_it_fits() -> None:
    time = FakeTime()
    clock = Clock(30, now=time)
    assert run(clock, time, 0.01, 300) == pytest.approx(10, abs=0.04)
    assert clock.measured == pytest.approx(30)
    assert clock.cost == pytest.approx(0.01)
    assert not clock.slow
    clock.set_speed(2)
    assert run(clock, time, 0.01, 300) == pytest.approx(5, abs=0.04)


def test_a_slow_machine_slows_the_game_says_so_and_never_catches_up() -> None:
    time = FakeTime()
    clock = Clock(30, now=time)
    run(clock, time, 0.05, 40)
    assert not clock.slow, "a hiccup of two seconds is no slow machine"
    run(clock, time, 0.05, 100)
    assert clock.slow
    assert clock.measured == pytest.approx(20)
    time.now += 5  # a long hiccup
    clock.begin()
    clock.end()
    assert clock.wait_time() == pytest.approx(1 / 30), "the steps missed in the hiccup were queued"
    run(clock, time, 0.001, 200)
    assert not clock.slow


def test_the_notice_of_a_slow_machine_does_not_come_and_go() -> None:
    time = FakeTime()
    clock = Clock(60, now=time)
    told = []
    for number in range(40):  # 52 of 60, and 49 of 60 for a second now and then
        run(clock, time, 1 / (49 if number % 5 == 0 else 52), 50)
        told.append(clock.slow)
    assert not any(told)


def test_headless_does_not_wait() -> None:
    time = FakeTime()
    assert run(Clock(30, now=time, paced=False), time, 0.001, 50) == pytest.approx(0.05)
