"""The dream as a Gymnasium environment: `gymnasium.make("model:NeuralBreakout-v0")`. See `docs/environment.md`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import HumanRendering

from model.breakout import EMULATOR_HZ, PALETTE, Action
from model.state import VARIABLES, Array, State
from model.vector_env import GREY, NeuralBreakoutVector

_RIGHT_ARROW, _LEFT_ARROW = 1073741903, 1073741904
"""What SDL calls the arrow keys."""
_ZOOM = 4


class Ale:
    """As much of ALE's own interface (`env.unwrapped.ale`) as Gymnasium's Atari wrappers ask for.

    Screens are written into `output`, if it is given.
    """

    def __init__(self, games: NeuralBreakoutVector) -> None:
        self._games = games

    def lives(self) -> int:
        """Lives left, 0..5."""
        return int(self._games.lives[0])

    def getScreenRGB(self, output: Array | None = None) -> Array:
        """The screen, (210, 160, 3) uint8."""
        return np.take(PALETTE, self._games.state.frame[0], axis=0, out=output)

    def getScreenGrayscale(self, output: Array | None = None) -> Array:
        """The screen in ALE's greys, (210, 160) uint8."""
        return np.take(GREY, self._games.state.frame[0], axis=0, out=output)


class NeuralBreakout(gymnasium.Env[Array, int]):
    """A dreamt game of Breakout; spaces, keyword arguments and info keys are those of `ALE/Breakout-v5`.

    Observations are (210, 160, 3) uint8 (`obs_type` "rgb"), or (210, 160): "grayscale" or "classes" 0..8; actions are
    0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT, held for the weights' own frame skip. The reward is in points. `terminated`: the
    last life is lost. `truncated`: `horizon` steps are over.

    weights                    a directory of weights; None: the shipped ones
    controller                 "context", or "action": codes from the key alone
    temperature                0: the likeliest codes; above, codes are drawn from softmax(logits / temperature)
    horizon                    steps after which an episode is truncated; None: never
    frameskip                  fixed by the weights; another one is refused
    repeat_action_probability  of each step, that the last action is taken again (ALE's own default is 0.25)
    full_action_space          must be False
    obs_type, render_mode      render modes are "rgb_array" and "human"

    `info`: lives, score, frame_number, episode_frame_number (emulator frames), codes (35,) int64, remembers (V,) int64:
    the class of each of `model.state.VARIABLES`, 0 where it is not known, and certainty (V,) float32: how sure the twin
    is of each. ValueError for arguments that are none of these; FileError for weights that cannot be used.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": EMULATOR_HZ}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **arguments: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be human or rgb_array, got {render_mode!r}")
        self._games = NeuralBreakoutVector(1, autoreset_mode=AutoresetMode.DISABLED, **arguments)
        self.render_mode, self.ale, self.engine = render_mode, Ale(self._games), self._games.engine
        self.metadata = self.metadata | {"render_fps": self._games.metadata["render_fps"]}
        self.observation_space = self._games.single_observation_space
        self.action_space = self._games.single_action_space
        self._frameskip = self.engine.frameskip  # the name that Gymnasium's AtariPreprocessing looks for
        self._window: gymnasium.Env[Any, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new game. The same seed and actions give the same episode.

        Without options it starts as the emulator does after a reset. `options`: "frames" (n, 210, 160, 3) uint8 RGB,
        real ones, oldest first, to go on from; "actions", the n - 1 between them, where they are known; "temperature".
        """
        super().reset(seed=seed)
        self._games.reset(seed=seed, options=options)
        self._games.rngs = [self.np_random]
        seeds = {} if seed is None else {"seeds": tuple(np.random.SeedSequence(seed).generate_state(2))}  # as ALE tells
        return self._games.observe()[0], self._told() | seeds

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; after the game's end the screen stands still, as ALE's does."""
        points = float(self._games.dream(np.array([action]))[0]) if self.ale.lives() else 0.0
        return self._games.observe()[0], points, self.ale.lives() == 0, bool(self._games.at_horizon[0]), self._told()

    def _told(self) -> dict[str, Any]:
        if self.render_mode == "human":
            if self._window is None:
                self._window = HumanRendering(_Picture(self))
            self._window.step(0)  # shows the picture, and waits until it is time for it
        infos = self._games.infos(np.ones(1, np.bool_))
        one = {key: value[0] for key, value in infos.items() if not key.startswith("_")}
        return {key: value if value.ndim else int(value) for key, value in one.items()}

    @property
    def state(self) -> State:
        """The twin's state, a batch of one: a value that may be kept, and given back."""
        return self._games.state

    @state.setter
    def state(self, state: State) -> None:
        self._games.state = state

    def remembers(self) -> dict[str, tuple[str, float]]:
        """What the twin remembers that no frame shows: each variable in words, and how sure it is, 0..1."""
        known, sure = self.state.memory[0].tolist(), self.state.certainty[0].tolist()
        return {v.name: (v.classes[known[n]], sure[n]) for n, v in enumerate(VARIABLES)}

    def render(self) -> Array | None:
        """The picture (210, 160, 3) uint8 in render mode "rgb_array"; a window shows itself at each step."""
        return self.ale.getScreenRGB() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def get_action_meanings(self) -> list[str]:
        """The actions by name."""
        return [action.name for action in Action]

    def get_keys_to_action(self) -> dict[tuple[str | int, ...], int]:
        """For `gymnasium.utils.play`: a, d or the arrows steer, space serves, e does nothing."""
        keys: dict[tuple[str | int, ...], int] = {("e",): int(Action.NOOP), (" ",): int(Action.FIRE)}
        for action, names in ((Action.LEFT, ("a", _LEFT_ARROW)), (Action.RIGHT, ("d", _RIGHT_ARROW))):
            for name in names:
                keys[name,] = keys[" ", name] = int(action)
        return keys


class _Picture(gymnasium.Env[Any, Any]):
    """An environment's picture alone, (840, 640, 3) uint8, large enough to play in, for Gymnasium's own window."""

    render_mode = "rgb_array"

    def __init__(self, env: NeuralBreakout) -> None:
        self._env, self.metadata = env, env.metadata

    def step(self, action: Any) -> Any:
        return None, 0.0, False, False, {}  # the environment has stepped already

    def render(self) -> Array:
        return self._env.ale.getScreenRGB().repeat(_ZOOM, 0).repeat(_ZOOM, 1)
