"""The digits read from the screen agree with the emulator's RAM."""

from __future__ import annotations

import numpy as np
import pytest

from collect.emulator import LIVES, Emulator
from collect.policies import make_policy, start_episode
from model.breakout import Action
from model.scoreboard import DIGITS, WRONG_PIXELS, Scoreboard, read_scoreboard


def test_every_score_is_read_as_ram_has_it() -> None:
    emulator = Emulator(1)
    for score in range(1000):
        emulator.edit(score=score)
        emulator.step(Action.NOOP)  # a frame later it is drawn
        assert emulator.objects().score == score
        assert read_scoreboard(emulator.step(Action.NOOP).frame) == Scoreboard(score, 5, 1)


@pytest.mark.parametrize("lives", range(1, 6))
def test_every_number_of_lives_is_read_as_ram_has_it(lives: int) -> None:
    emulator = Emulator(1)
    emulator._ale.setRAM(LIVES, lives)
    emulator.step(Action.NOOP)
    assert read_scoreboard(emulator.step(Action.NOOP).frame) == Scoreboard(0, lives, 1)


def test_no_lives_which_a_real_game_never_shows_are_read_all_the_same() -> None:
    emulator = Emulator(1)
    frame = emulator.frame.copy()
    frame[5:15, 100:112] = frame[5:15, 36:48]  # the 0 of the score
    assert read_scoreboard(frame) == Scoreboard(0, 0, 1)
    emulator._ale.setRAM(LIVES, 0)
    for _ in range(10):
        step = emulator.step(Action.NOOP)
    assert step.over
    assert read_scoreboard(step.frame).lives == 5


@pytest.mark.parametrize("policy", ["mixed", "people"])
def test_over_real_games_the_screen_says_what_ram_does(policy: str) -> None:
    rng = np.random.default_rng(5)
    emulator = Emulator(2)
    start_episode(emulator, policy, rng)
    player = make_policy(policy, rng, 2)
    emulator.step(Action.NOOP)
    before, scores, lives = emulator.objects(), set(), set()
    for _ in range(2500):
        if emulator.over:
            start_episode(emulator, policy, rng)
            emulator.step(Action.NOOP)
            before = emulator.objects()
        frame, now = emulator.step(player.act(emulator.objects())).frame, emulator.objects()
        seen = read_scoreboard(frame)
        assert seen.player == 1
        assert seen.score in (before.score, now.score)  # the screen is one emulator frame behind
        assert seen.lives in (before.lives, now.lives)
        scores.add(seen.score)
        lives.add(seen.lives)
        before = now
    assert len(scores) > 10
    assert len(lives) >= 3


def test_a_smeared_digit_is_read_or_refused_and_never_mistaken() -> None:
    apart = (DIGITS[:, None] != DIGITS[None]).sum((2, 3)) + 1000 * np.eye(10, dtype=int)
    assert apart.min() > 2 * WRONG_PIXELS
    emulator = Emulator(1)
    emulator.edit(score=808)
    emulator.step(Action.NOOP)
    frame = emulator.step(Action.NOOP).frame.copy()
    frame[9, 36:39] = 5
    assert read_scoreboard(frame) == Scoreboard(808, 5, 1)
    frame[11:13, 36:40] = 0
    assert read_scoreboard(frame) == Scoreboard(None, 5, 1)
    assert read_scoreboard(np.zeros((210, 160), np.uint8)) == Scoreboard(None, None, None)
