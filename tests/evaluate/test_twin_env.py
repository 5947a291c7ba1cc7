"""Dream and reality as one environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from collect.emulator import Emulator
from collect.policies import make_policy
from evaluate.twin_env import BreakoutTwin

ID = "evaluate.twin_env:BreakoutTwin-v0"


def test_gymnasiums_checker_finds_nothing() -> None:
    check_env(gymnasium.make(ID, render_mode="rgb_array").unwrapped)


def test_the_real_side_is_the_emulators_and_info_says_how_the_twin_did() -> None:
    env: Any = gymnasium.make(ID, render_mode="rgb_array", horizon=20)
    game = Emulator(env.unwrapped.engine.frameskip)
    first, info = env.reset(seed=0)
    assert np.array_equal(first["real"], first["twin"])
    assert (info["exact"], info["codes_right"], info["dreaming"]) == (True, 35, True)
    for number, action in enumerate([1, *[2] * 19]):
        seen, reward, over, cut, info = env.step(action)
        step = game.step(action)
        assert np.array_equal(seen["real"], game.rgb)
        assert (reward, over, info["lives"], cut) == (step.reward, step.over, step.lives, number == 19)
        assert info["wrong_pixels"] == (seen["real"] != seen["twin"]).any(-1).sum()
        assert info["exact"] == (info["wrong_pixels"] == 0)
        assert info["horizon"] <= number + 1
    assert np.array_equal(env.render(), np.concatenate((seen["real"], seen["twin"]), 1))


def test_a_twin_that_follows_sees_every_real_frame() -> None:
    env = BreakoutTwin(follow=3)
    env.reset()
    for number in range(5):
        seen, *_, info = env.step(2)
        assert info["dreaming"] == (number >= 3)
        newest = seen["real" if number < 3 else "twin"]
        assert np.array_equal(env.state.frame[0] > 0, newest.any(-1))
    assert info["horizon"] <= 2
    always = BreakoutTwin(follow=None)
    always.reset()
    assert not always.step(0)[-1]["dreaming"]
    for wrong in ("render_mode", "controller"):
        with pytest.raises(ValueError, match=wrong):
            BreakoutTwin(**{wrong: "human"})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"controller": "action"}, {"temperature": 5.0}])
def test_a_twin_that_sees_the_real_frames_is_not_misled_by_what_it_drew(arguments: dict[str, Any]) -> None:
    """What chance drew is no guess where a ball is that the real frame hides: `WorldModel.observe` has the rule too."""
    twins = [BreakoutTwin(follow=None, **each) for each in ({}, arguments)]
    for twin in twins:
        twin.reset(seed=0)
    player = make_policy("mixed", np.random.default_rng(0), 1)
    for _ in range(450):
        action = player.act(twins[0].emulator.objects())
        for twin in twins:
            twin.step(action)
    sure, drawn = (twin.state for twin in twins)
    assert all(np.array_equal(one, other) for one, other in zip(sure, drawn, strict=True))
