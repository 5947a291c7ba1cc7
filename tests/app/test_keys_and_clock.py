"""Keys: what wins, what is never lost. Clock: true pace, never a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.clock import Clock, Unpaced
from app.keys import Held, load_keys
from app.players import parse_actions
from app.view import HELP, help_lines
from model.breakout import Action
from model.files import FileError


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
    held.release_all()
    assert held.take() == Action.NOOP
    assert not held.playing


def test_d_belongs_to_the_hand_that_steers(held: Held) -> None:
    assert held.press("d") == "dream"
    held.press("a")
    held.release("a")
    held.take()
    assert held.press("d") is None
    assert held.take() == Action.RIGHT
    assert held.press("d", shift=True) == "dream"
    held.release("d")
    held.press("left")
    assert held.press("d") == "dream"


def test_every_command_has_a_key_and_a_line_of_help() -> None:
    keys = load_keys()
    assert {name for name, _ in HELP} == {"left", "right", "fire", *keys.commands.values()}
    assert all(words for words, _ in help_lines(keys))


def test_a_users_key_map_replaces_lines(tmp_path: Path) -> None:
    mine = tmp_path / "keys.toml"
    mine.write_text('[play]\nleft = ["j"]\n[command]\nquit = ["f10"]\n')
    keys = load_keys(mine)
    assert keys.play["j"] == (Action.LEFT, 0)
    assert "a" not in keys.play
    assert keys.keys_of("quit") == ["f10"]
    assert keys.keys_of("dream") == ["d", "shift+d"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[command]\njump = ['j']", "no command 'jump'"),
        ("[command]\nquit = 'q'", "list of key names"),
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
    clock.speed = 2
    assert run(clock, time, 0.01, 300) == pytest.approx(5, abs=0.04)


def test_a_slow_machine_slows_the_game_says_so_and_never_catches_up() -> None:
    time = FakeTime()
    clock = Clock(30, now=time)
    run(clock, time, 0.05, 100)
    assert clock.slow
    assert clock.measured == pytest.approx(20)
    time.now += 5  # a long hiccup
    clock.begin()
    clock.end()
    assert clock.wait_time() == pytest.approx(1 / 30), "the steps missed in the hiccup were queued"
    run(clock, time, 0.001, 100)
    assert not clock.slow


def test_headless_does_not_wait() -> None:
    time = FakeTime()
    assert run(Unpaced(30, now=time), time, 0.001, 50) == pytest.approx(0.05)


@pytest.mark.parametrize("speed", [0, 0.2, 5, float("nan")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be"):
        Clock(30, speed)
