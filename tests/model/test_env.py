"""The dream as an environment: Gymnasium's own checks, wrappers and vector modes, and what an episode promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.utils.env_match import check_environments_match

from collect.emulator import Emulator
from collect.ram import read
from model.breakout import PALETTE, Action, classes_from_rgb
from model.engine import MANIFEST
from model.env import NeuralBreakout, reset_state, shared_engine
from model.state import INDEX, LIVES, VARIABLES

ID = "model:NeuralBreakout-v0"
ROOT = Path(__file__).resolve().parents[2]


def make(**arguments: Any) -> NeuralBreakout:
    """The environment without Gymnasium's wrappers."""
    env = gymnasium.make(ID, disable_env_checker=True, **arguments).unwrapped
    assert isinstance(env, NeuralBreakout)
    return env


def play(env: Any, actions: list[int], **reset: Any) -> list[Any]:
    """What reset and steps give."""
    return [env.reset(**reset), *(env.step(action) for action in actions)]


def keys(count: int, seed: int = 0) -> list[int]:
    """A serve, then random actions."""
    return [1, *np.random.default_rng(seed).integers(4, size=count - 1).tolist()]


def with_lives(env: NeuralBreakout, lives: int) -> None:
    """Let the twin's digits show so many lives."""
    board = env.state.board.copy()
    board[:, LIVES] = lives
    env.state = env.state._replace(board=board)


def test_gymnasiums_checker_finds_nothing() -> None:
    env = gymnasium.make(ID, render_mode="rgb_array")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.metadata["render_fps"] == 60 // env.unwrapped.engine.frameskip  # type: ignore[attr-defined]
    for name in ("obs", "temperature"):
        check_env(
            make(**{"obs": {"obs_type": "classes"}, "temperature": {"temperature": 1.0}}[name]), skip_render_check=True
        )


def test_every_render_mode_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    check_env(gymnasium.make(ID, render_mode="rgb_array").unwrapped)


def test_spaces_and_info_are_ales() -> None:
    import ale_py

    gymnasium.register_envs(ale_py)
    env = make(render_mode="rgb_array")
    skip = env.engine.frameskip
    real: Any = gymnasium.make("ALE/Breakout-v5", frameskip=skip, render_mode="rgb_array", repeat_action_probability=0)
    assert (env.action_space, env.observation_space) == (real.action_space, real.observation_space)
    assert env.get_action_meanings() == real.unwrapped.get_action_meanings()
    assert real.unwrapped.get_keys_to_action().items() <= env.get_keys_to_action().items()
    observation, info = env.reset(seed=3)
    truth, facts = real.reset(seed=3)
    assert np.array_equal(observation, truth)
    assert np.array_equal(env.render(), real.render())
    assert np.array_equal(env.ale.getScreenGrayscale(), real.unwrapped.ale.getScreenGrayscale())
    for _ in range(2):
        assert {key: info[key] for key in facts} == facts
        info, facts = env.step(0)[-1], real.step(0)[-1]
    check_environments_match(real, env, num_steps=5, info_comparison="superset")
    assert set(info) == {*facts, "score", "codes", "remembers", "certainty"}
    assert (info["codes"].shape, info["remembers"].shape, info["certainty"].dtype) == (
        (35,),
        (len(VARIABLES),),
        np.float32,
    )


def test_the_shipped_start_is_the_emulators_reset() -> None:
    game = Emulator(1, seed=7)
    state = reset_state(shared_engine(None))
    assert np.array_equal(state.frame[0], game.frame)
    told = {v.name: v.classes[c] for v, c in zip(VARIABLES, state.memory[0].tolist(), strict=True)}
    ram = read(game.ram())
    assert (ram.ball_row, ram.row_speed, ram.column_speed) == (0, 0, 0)
    assert told["speed"] == "no ball"
    names = {"hits": ram.hits, "clock": ram.clock, "half_row": ram.row_fraction, "half_column": ram.column_fraction}
    assert {name: int(told[name].partition("/")[0]) for name in names} == {name: int(v) for name, v in names.items()}
    assert [told[name] for name in ("fast", "steep", "contact", "life_due", "points_due", "knob")] == [
        *("no", "no", "top wall", "no", "0", "116")
    ]
    assert not any((ram.fast, ram.steep, ram.contact))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_same_seed_is_the_same_episode(temperature: float) -> None:
    arguments: dict[str, Any] = {"temperature": temperature, "repeat_action_probability": 0.25}
    first, second = (play(make(**arguments), keys(25), seed=5) for _ in range(2))
    assert data_equivalence(first, second)
    other = play(make(**arguments), keys(25), seed=6)
    assert not data_equivalence(first, other)


def test_an_episode_may_begin_with_real_frames_and_another_temperature() -> None:
    env, game = make(), Emulator(shared_engine(None).frameskip)
    frames, actions = [game.rgb], keys(12)
    for action in actions:
        game.step(action)
        frames.append(game.rgb)
    observation, info = env.reset(options={"frames": np.stack(frames), "actions": actions, "temperature": 0.0})
    assert np.array_equal(observation, game.rgb)
    assert info["episode_frame_number"] == 0
    for options in ({"frames": np.stack(frames), "actions": [0]}, {"frames": frames[0]}, {"temperature": -1.0}):
        with pytest.raises(ValueError):
            env.reset(options=options)  # type: ignore[arg-type]


def test_horizon_truncates_and_lost_lives_terminate() -> None:
    env = make(horizon=3)
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]
    env.reset()
    with_lives(env, 0)
    assert env.step(1)[1:4] == (0.0, True, False)
    env.reset()
    memory = env.state.memory.copy()
    memory[:, INDEX["life_due"]] = 2
    env.state = env.state._replace(memory=memory)
    assert env.ale.lives() == 4  # the digit shows 5 for another frame


def test_the_score_may_wrap_and_fall() -> None:
    env = make()
    env.reset()

    def show(number: int) -> None:
        board = env.state.board.copy()
        board[0, :LIVES] = [int(digit) for digit in f"{number:03}"]
        env.state = env.state._replace(board=board)

    for before, change in ((998, 7), (0, 4), (7, -2)):
        show((before + change) % 1000)
        after = env.state
        show(before)
        env._games.engine = _Gives(env.engine, after)  # type: ignore[assignment]
        assert env.step(0)[1] == change
        env._games.engine = env.engine


class _Gives:
    """An engine whose next state is given."""

    def __init__(self, engine: Any, state: Any) -> None:
        self._engine, self._state, self.frameskip = engine, state, engine.frameskip

    def predict(self, *arguments: Any) -> Any:
        return self._engine.predict(*arguments[:2])

    def advance(self, *arguments: Any) -> Any:
        return self._state


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"frameskip": 59}, "frame skip"),
        ({"full_action_space": True}, "minimal set"),
        ({"obs_type": "ram"}, "obs_type"),
        ({"controller": "actions"}, "controller"),
        ({"temperature": float("nan")}, "temperature"),
        ({"horizon": 0}, "horizon"),
        ({"repeat_action_probability": 2.0}, "repeat_action_probability"),
        ({"render_mode": "ansi"}, "render_mode"),
        ({"weights": "/nowhere"}, "nowhere"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        NeuralBreakout(**arguments)
    with pytest.raises(ValueError, match="action must be"):
        make().step(4)


def test_other_weights_in_the_same_place_are_other_weights(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        shutil.copytree(weights, tmp_path / folder / "w")
    manifest = tmp_path / "there" / "w" / MANIFEST
    text = manifest.read_text()
    manifest.write_text(text.replace('"frameskip": 1', '"frameskip": 4'))
    found = []
    for folder in ("here", "there"):
        monkeypatch.chdir(tmp_path / folder)
        found.append(make(weights="w").engine)
    assert [engine.frameskip for engine in found] == [1, 4]
    assert make(weights=manifest.parent).engine is found[1], "the same ones are loaded once"
    manifest.write_text(text)  # shipped anew
    assert make(weights=manifest.parent).engine.frameskip == 1


def test_classes_are_the_same_picture() -> None:
    rgb, classes, grey = (make(obs_type=kind) for kind in ("rgb", "classes", "grayscale"))
    for one, other, third in zip(*(play(env, keys(5), seed=0) for env in (rgb, classes, grey)), strict=True):
        assert np.array_equal(classes_from_rgb(one[0]), other[0])
        assert np.array_equal(PALETTE[other[0]], one[0])
        assert other[0] in classes.observation_space
        assert third[0] in grey.observation_space


# --- Gymnasium's tools ---


def test_gymnasiums_play_plays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame
    from gymnasium.utils.play import play as play_with_keys

    env, taken = gymnasium.make(ID, render_mode="rgb_array"), []

    def after(before: Any, now: Any, action: int, *rest: Any) -> None:
        taken.append(action)
        kind, key = {2: (pygame.KEYDOWN, pygame.K_d), 4: (pygame.KEYUP, pygame.K_d)}.get(len(taken), (None, 0))
        if kind is not None:
            pygame.event.post(pygame.event.Event(kind, key=key))
        if len(taken) == 6:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    play_with_keys(env, fps=1000, zoom=2, callback=after)
    assert taken == [0, 0, 2, 2, 0, 0]


def test_a_window_shows_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    env = make(render_mode="human")
    env.metadata["render_fps"] = 1000
    play(env, [1, 2], seed=0)
    surface = pygame.display.get_surface()
    assert surface is not None
    shown = pygame.surfarray.array3d(surface).swapaxes(0, 1)[::4, ::4]
    assert np.array_equal(shown, env.ale.getScreenRGB())
    assert env.render() is None
    env.close()
    env.close()


def test_record_video_records_it(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    from gymnasium.wrappers import RecordVideo

    env = RecordVideo(
        gymnasium.make(ID, render_mode="rgb_array", horizon=8), str(tmp_path / "videos"), disable_logger=True
    )
    play(env, [1] * 8, seed=0)
    env.close()
    assert [path.suffix for path in (tmp_path / "videos").iterdir()] == [".mp4"]


@pytest.mark.parametrize("grey", [True, False])
def test_atari_preprocessing_wraps_it_as_it_wraps_ales(grey: bool) -> None:
    pytest.importorskip("cv2")
    from gymnasium.wrappers import AtariPreprocessing

    env = AtariPreprocessing(gymnasium.make(ID), terminal_on_life_loss=True, grayscale_obs=grey)
    observation, info = env.reset(seed=1)
    assert observation.shape == ((84, 84) if grey else (84, 84, 3))
    assert 0 < info["episode_frame_number"] <= 30
    assert env.step(2)[4]["episode_frame_number"] == info["episode_frame_number"] + 4
    with_lives(env.unwrapped, 1)  # type: ignore[arg-type]
    assert env.step(0)[2]


# --- the trained twin ---


def test_a_served_ball_flies_and_points_are_won() -> None:
    env = make()
    env.reset(seed=0)
    rows, points = set(), 0.0
    for step in range(600):
        ball, paddle = env.state.objects[0, -1, 1], env.state.objects[0, -1, 2]
        chase = Action.RIGHT if ball > paddle + 10 else Action.LEFT if ball < paddle + 6 else Action.NOOP
        _, reward, over, _, info = env.step(int(Action.FIRE if step % 60 == 0 else chase))
        rows.add(int(env.state.objects[0, -1, 0]))
        points += reward
        assert not over
    assert len(rows) > 40
    assert points == info["score"] > 0


def test_importing_model_loads_no_engine() -> None:
    code = "import sys, model, gymnasium; assert 'onnxruntime' not in sys.modules; gymnasium.spec('NeuralBreakout-v0')"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_the_documents_lines_work() -> None:
    text = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    first = text.split("```python\n")[1].split("```")[0].replace("horizon=600", "horizon=20")
    exec(compile(first, "environment.md", "exec"), {})
