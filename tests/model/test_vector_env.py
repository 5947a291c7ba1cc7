"""Many dreamt games at once: each is the game it would be alone, and games that end begin anew as Gymnasium says."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from model.env import NeuralBreakoutVector
from model.state import LIVES

ID = "model:NeuralBreakout-v0"


def make_vec(**arguments: Any) -> NeuralBreakoutVector:
    """The vector environment."""
    envs = gymnasium.make_vec(ID, **arguments)
    assert isinstance(envs, NeuralBreakoutVector)
    return envs


def lose(envs: NeuralBreakoutVector, game: int) -> None:
    """Let the digits of a game show no lives."""
    board = envs.state.board.copy()
    board[game, LIVES] = 0
    envs.state = envs.state._replace(board=board)


def test_a_vectors_games_are_single_games() -> None:
    arguments: dict[str, Any] = {"temperature": 1.0, "repeat_action_probability": 0.25}
    envs = make_vec(num_envs=3, **arguments)
    actions = [[1, 1, 1], *np.random.default_rng(0).integers(4, size=(15, 3)).tolist()]
    together = [envs.reset(seed=40), *(envs.step(np.array(each)) for each in actions)]
    for game in range(3):
        env = gymnasium.make(ID, **arguments)
        alone = [env.reset(seed=40 + game), *(env.step(each[game]) for each in actions)]
        for one, many in zip(alone, together, strict=True):
            assert np.array_equal(one[0], many[0][game])
            assert [*one[1:-1]] == [part[game] for part in many[1:-1]]
            for key, value in one[-1].items():
                if key == "seeds":
                    continue  # as ALE's, of a single game
                assert np.allclose(value, many[-1][key][game], atol=1e-5), key
                assert many[-1][f"_{key}"].all()
            if len(one) == 5 and one[2]:
                break  # from here on the vector resets it


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_later_episodes_are_those_of_single_games_too(mode: AutoresetMode) -> None:
    """The step that only resets a game is no frame of it, and takes nothing from its chance."""
    arguments: dict[str, Any] = {"temperature": 5.0, "repeat_action_probability": 0.5, "horizon": 4, "num_envs": 2}
    many, single = (
        make_vec(autoreset_mode=mode, **arguments),
        gymnasium.make_vec(ID, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **arguments),
    )
    actions = [[1, 1], *np.random.default_rng(0).integers(4, size=(13, 2)).tolist()]
    for envs in (many, single):
        envs.reset(seed=7)
    for each in actions:
        one, other = many.step(np.array(each)), single.step(np.array(each))
        assert all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
        for key in ("frame_number", "episode_frame_number", "codes", "remembers"):
            assert np.array_equal(one[-1][key], other[-1][key]), key


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_autoreset_is_gymnasiums(mode: AutoresetMode) -> None:
    envs = make_vec(num_envs=3, autoreset_mode=mode)
    assert envs.metadata["autoreset_mode"] is mode
    first, _ = envs.reset(seed=0)
    envs.step(np.full(3, 2))
    lose(envs, 1)
    shown, rewards, terminated, truncated, infos = envs.step(np.full(3, 2))
    assert (terminated.tolist(), truncated.any()) == ([False, True, False], False)
    if mode is AutoresetMode.SAME_STEP:
        assert infos["_final_info"].tolist() == infos["_final_obs"].tolist() == [False, True, False]
        assert infos["final_info"]["episode_frame_number"][1] == envs.engine.frameskip  # it stood still
        assert (infos["final_obs"][0], infos["final_obs"][1].shape) == (None, (210, 160, 3))
    else:
        assert "final_obs" not in infos
        if mode is AutoresetMode.DISABLED:
            with pytest.raises(ValueError, match=r"games \[1\] have ended"):
                envs.step(np.full(3, 2))
            shown, infos = envs.reset(options={"reset_mask": np.array([False, True, False])})
            assert infos["_lives"].tolist() == [False, True, False]
        else:
            shown, rewards, terminated, _, infos = envs.step(np.full(3, 2))
            assert (rewards[1], terminated.any()) == (0.0, False)
    assert np.array_equal(shown[1], first[1])
    assert not np.array_equal(shown[0], first[0])
    assert infos["lives"][1] == 5
    assert infos["episode_frame_number"][1] == 0


def test_a_vector_steps_all_games_in_one_call() -> None:
    envs, calls = make_vec(num_envs=16, render_mode="rgb_array"), []
    envs.reset(seed=0)
    run = envs.engine._run

    def counted(name: str, **inputs: Any) -> Any:
        calls.append((name, len(inputs["frame"])))
        return run(name, **inputs)

    envs.engine._run = counted  # type: ignore[method-assign]
    try:
        envs.step(np.arange(16) % 4)
    finally:
        envs.engine._run = run  # type: ignore[method-assign]
    assert calls == [("predict", 16), ("advance", 16)]
    pictures = envs.render()
    assert pictures is not None
    assert len(pictures) == 16
    for wrong in ({"seed": [1]}, {"options": {"reset_mask": np.zeros(16, np.bool_)}}):
        with pytest.raises(ValueError):
            envs.reset(**wrong)  # type: ignore[arg-type]
