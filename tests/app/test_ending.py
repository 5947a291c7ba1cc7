"""The end of a dream, read from its frames: never before the real game's end, and always after it."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.ending import Ending
from app.players import Autopilot
from app.session import Session
from collect.emulator import Emulator
from collect.policies import make_policy
from model.breakout import Action
from model.memory import Unseen


@pytest.mark.parametrize(("policy", "frameskip"), [("random", 2), ("mixed", 1), ("people", 4)])
def test_real_games_are_seen_to_end_when_they_do(policy: str, frameskip: int) -> None:
    rng = np.random.default_rng(9)
    emulator = Emulator(frameskip)
    player = make_policy(policy, rng, frameskip)
    ended = 0
    for _ in range(2):
        emulator.reset()
        ending = Ending(60 / frameskip)
        for _ in range(20000 // frameskip):
            step = emulator.step(player.act(emulator.objects()))
            ending.add(step.frame)
            if step.over:
                break
            assert not ending.over, "the dream would have ended before the game did"
        if emulator.over:
            for _ in range(round(0.7 * 60 / frameskip)):  # what a twin shows then: the same screen, without a ball
                ending.add(emulator.frame)
            assert ending.over
            ended += 1
    assert ended == 2


class LosingTwin:
    """Stands for a twin that is always right: it dreams a game of the emulator's, which nobody plays well."""

    def __new__(cls, make: Any) -> Any:
        twin, emulator = make(), Emulator(2)

        def step_classes(action: int, temperature: float = 0.0) -> Any:
            frame = emulator.frame if emulator.over else emulator.step(action).frame
            twin._frames.append(frame)
            return SimpleNamespace(classes=frame, codes=np.zeros(35, np.int64))

        def reset_classes(frames: np.ndarray, keys: list[int] | None = None, unseen: Unseen | None = None) -> None:
            emulator.reset()
            twin._frames = deque(frames, maxlen=twin.context)

        twin.step_classes, twin.reset_classes = step_classes, reset_classes
        return twin


def test_a_dream_without_an_emulator_is_played_to_its_end_and_starts_anew(make_twin: Any) -> None:
    session = Session(LosingTwin(make_twin), None, start=np.stack([Emulator(2).frame] * 4))
    lives = []
    for _ in range(4000):
        session.step(Action.FIRE if session.taken % 9 == 0 else Action.NOOP)
        lives.append(session.twin_board().lives)
        if session.over:
            break
    assert session.over
    assert sorted(set(lives)) == [1, 2, 3, 4, 5]
    assert lives == sorted(lives, reverse=True)
    assert session.report()["twin_lives"] == 1
    Autopilot("random", 0).act(session)
    assert session.log[-1][1] == "restart"
    assert not session.over
    assert session.twin_board().lives == 5


def test_no_lives_for_a_moment_is_a_smear_and_for_three_steps_the_end() -> None:
    frame = Emulator(2).frame.copy()
    none_left = frame.copy()
    none_left[5:15, 100:112] = frame[5:15, 36:48]  # the 0 of the score
    ending = Ending(30)
    for shown in (none_left, none_left, frame, none_left, none_left):
        ending.add(shown)
        assert not ending.over
    ending.add(none_left)
    assert ending.over
    ending.restart()
    assert not ending.over
