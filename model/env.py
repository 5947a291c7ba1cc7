"""The dream as Gymnasium environments: `gymnasium.make("model:NeuralBreakout-v0")`, and `make_vec` for many games at
once, with one call of the networks a step for all of them. See `docs/environment.md`.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import HumanRendering

from model.breakout import CELLS, COLUMNS, EMULATOR_HZ, PALETTE, ROWS, Action, rgb_from_classes
from model.engine import MANIFEST, SHIPPED, Engine, check_action, check_controller, check_history
from model.files import FileError, read_bytes
from model.state import INDEX, LIVES, VARIABLES, Array, State, in_words, lives_left, where

RESET_FRAME = Path(__file__).resolve().parent.parent / "assets" / "reset_frame.png"
_DUE = np.array([0, *map(int, VARIABLES[INDEX["points_due"]].classes[1:])])
GREY = (PALETTE @ (0.2989, 0.587, 0.114)).round().astype(np.uint8)  # ALE's own grey of each class
_KINDS = {"rgb": (255, PALETTE), "grayscale": (255, GREY), "classes": (8, np.arange(9, dtype=np.uint8))}
_WRAP = 1000  # the score goes from 999 back to 0


def shared_engine(weights: str | Path | None) -> Engine:
    """The engine of a directory of weights (None: the shipped ones), loaded once for all environments of a process, and
    anew when there are others in it."""
    where = Path(weights or SHIPPED).absolute()
    return _engine(where, read_bytes(where / MANIFEST, "weights", 1 << 20))


@lru_cache(maxsize=4)
def _engine(where: Path, manifest: bytes) -> Engine:
    return Engine.load(where)  # the manifest names each of its files by its checksum


def reset_state(engine: Engine) -> State:
    """The moment after a reset of the emulator, alike for every seed, with all that RAM holds known: a batch of one."""
    from PIL import Image

    try:
        with Image.open(RESET_FRAME) as image:
            frame = np.asarray(image)
    except OSError as error:
        raise FileError(f"start frame {RESET_FRAME} cannot be read: {error}") from None
    return engine.begin(frame[None, None], fresh=True)


class NeuralBreakoutVector(VectorEnv[Array, Array, Array]):
    """N dreamt games. Keyword arguments as of `NeuralBreakout`; `autoreset_mode` as Gymnasium defines it.

    Score and lives are counted when the emulator counts them, a frame before the digits show it: the twin remembers
    what is due. A game that is reset by itself starts from the shipped frame."""

    def __init__(
        self,
        num_envs: int = 1,
        weights: str | Path | None = None,
        controller: str = "context",
        temperature: float = 0.0,
        horizon: int | None = None,
        frameskip: int | None = None,
        repeat_action_probability: float = 0.0,
        full_action_space: bool = False,
        obs_type: str = "rgb",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.engine = shared_engine(weights)
        if frameskip not in (None, self.engine.frameskip):
            raise ValueError(f"these weights have frame skip {self.engine.frameskip}, not {frameskip}")
        if full_action_space:
            raise ValueError("the twin knows the four actions of Breakout's minimal set, not the full action space")
        if obs_type not in _KINDS:
            raise ValueError(f"obs_type must be one of {', '.join(_KINDS)}, got {obs_type!r}")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"a vector of games renders as rgb_array, not {render_mode!r}")
        if num_envs < 1 or (horizon is not None and horizon < 1) or not 0 <= repeat_action_probability <= 1:
            raise ValueError("num_envs and horizon must be 1 or more, repeat_action_probability 0..1")
        self.num_envs, self.render_mode, self.controller = num_envs, render_mode, check_controller(controller)
        self.temperature, self.horizon, self.sticky = temperature, horizon, repeat_action_probability
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        fps = EMULATOR_HZ // self.engine.frameskip
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps, "autoreset_mode": self.autoreset_mode}
        top, self._colours = _KINDS[obs_type]
        self.single_action_space = Discrete(len(Action))
        self.single_observation_space = Box(0, top, (ROWS, COLUMNS, *self._colours.shape[1:]), np.uint8)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._fresh = self.state = reset_state(self.engine).rows(np.zeros(num_envs, np.int64))
        self._heat = np.zeros(num_envs)
        self._last, self._steps, self._all_steps = (np.zeros(num_envs, np.int64) for _ in range(3))
        self._codes, self._every = np.zeros((num_envs, CELLS), np.int64), np.ones(num_envs, np.bool_)
        self._ended = ~self._every
        self.begin(self._every)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start games anew. `seed`: game i gets seed + i, or one for each game; options as of `NeuralBreakout.reset`,
        and `reset_mask` (N,) bool."""
        given = dict(options or {})
        mask = np.asarray(given.pop("reset_mask", self._every))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be ({self.num_envs},) bool with a game to reset")
        seeds = [seed + game for game in range(self.num_envs)] if isinstance(seed, (int, np.integer)) else seed
        if seeds is not None and len(seeds) != self.num_envs:
            raise ValueError(f"there are {self.num_envs} games, got {len(seeds)} seeds")
        for game in np.flatnonzero(mask).tolist():
            if seeds is not None and (one := seeds[game]) is not None:
                self.rngs[game], self._all_steps[game] = np.random.default_rng(one), 0
        self.begin(mask, **given)
        return self.observe(), self.infos(mask)

    def begin(self, mask: Array, frames: Any = None, actions: Any = None, temperature: float | None = None) -> None:
        """The games of `mask` (N,) bool start from the shipped frame, or from `frames` as of `NeuralBreakout.reset`."""
        heat = self.temperature if temperature is None else temperature
        if not 0 <= heat < np.inf:
            raise ValueError(f"temperature must be 0 or more and finite, got {heat}")
        start = self._fresh
        if frames is not None:
            start = self.engine.begin(*check_history(frames, actions)).rows(np.zeros(self.num_envs, np.int64))
        self.state, self._ended = where(mask, start, self.state), self._ended & ~mask
        self._heat[mask] = heat
        for of_game in (self._last, self._steps, self._codes):
            of_game[mask] = 0

    def dream(self, actions: Array) -> Array:
        """One step of every game that goes on, actions (N,): the points of each, (N,) float64. After its end a game
        stands still, as ALE's does: dreamt on, it would get its last life back."""
        actions = np.array([check_action(action) for action in np.asarray(actions).tolist()], np.int64)
        before, goes, chance = self.score, self.going_on, 1.0 if self._heat.any() else 0.0
        if self.sticky:
            sticks = [go and rng.random() < self.sticky for go, rng in zip(goes, self.rngs, strict=True)]
            actions = np.where(sticks, self._last, actions)
        guess = self.engine.predict(self.state, actions, self.controller, chance, self)  # type: ignore[arg-type]
        after = self.engine.advance(self.state, actions, guess.frame, guess)
        self.state = after if goes.all() else where(goes, after, self.state)
        self._last, self._codes = actions, guess.codes * goes[:, None]
        self._steps, self._all_steps = self._steps + goes, self._all_steps + goes
        return ((self.score - before + _WRAP // 2) % _WRAP - _WRAP // 2).astype(np.float64)

    def gumbel(self, size: tuple[int, ...]) -> Array:
        """Noise of each game's own generator and temperature, so that a game is the same beside any others."""
        of_one = zip(self.rngs, self._heat * self.going_on, strict=True)
        return np.stack([t * rng.gumbel(size=size[1:]) if t else np.zeros(size[1:]) for rng, t in of_one])

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One step of every game; a game that has ended is reset as `autoreset_mode` says."""
        again = self._ended
        if self.autoreset_mode is AutoresetMode.DISABLED and again.any():
            raise ValueError(f"games {np.flatnonzero(again).tolist()} have ended: reset them with reset_mask")
        rewards = self.dream(actions)
        if again.any():
            self.begin(again)
        terminated, truncated = self.lives == 0, self.at_horizon
        self._ended = ended = terminated | truncated
        final: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            pictures = np.full(self.num_envs, None, object)
            for game, picture in zip(np.flatnonzero(ended), self.observe()[ended], strict=True):
                pictures[game] = picture
            final = {"final_obs": pictures, "final_info": self.infos(ended)}
            final |= {f"_{key}": ended.copy() for key in final}
            self.begin(ended)
        return self.observe(), rewards, terminated, truncated, self.infos(self._every) | final

    @property
    def score(self) -> Array:
        """The points (N,) int64 that the emulator would have counted by now."""
        return self.state.board[:, :LIVES] @ (100, 10, 1) + _DUE[self.state.memory[:, INDEX["points_due"]]]

    @property
    def lives(self) -> Array:
        """The lives (N,) int64 that the emulator would count now."""
        return lives_left(self.state)

    @property
    def going_on(self) -> Array:
        """Which games (N,) bool have not ended."""
        return ~self._ended & (self.lives > 0)

    @property
    def at_horizon(self) -> Array:
        """Which games (N,) bool have had as many steps as they may."""
        return self._steps >= (np.inf if self.horizon is None else self.horizon)

    def observe(self) -> Array:
        """What the games show, as `obs_type` asks: (N, 210, 160[, 3]) uint8."""
        return np.take(self._colours, self.state.frame, axis=0)  # five times as fast as indexing

    def infos(self, mask: Array) -> dict[str, Any]:
        """What is known of each game of `mask`: see `NeuralBreakout`."""
        found = {
            "lives": self.lives,
            "episode_frame_number": self._steps * self.engine.frameskip,
            "frame_number": self._all_steps * self.engine.frameskip,
            "score": self.score % _WRAP,
            "codes": self._codes,
            "remembers": self.state.memory,
            "certainty": self.state.certainty,
        }
        rows = {key: np.where(mask.reshape(-1, *[1] * (value.ndim - 1)), value, 0) for key, value in found.items()}
        return rows | {f"_{key}": mask.copy() for key in found}

    def render(self) -> tuple[Array, ...] | None:
        """The games' pictures, (210, 160, 3) uint8 each."""
        return tuple(rgb_from_classes(self.state.frame)) if self.render_mode else None


class Ale:
    """As much of ALE's own interface (`env.unwrapped.ale`) as Gymnasium's Atari wrappers ask for. Screens are written
    into `output`, if it is given."""

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
    last life is lost. `truncated`: `horizon` steps are over (None: never). `weights`: a directory (None: the shipped
    ones), whose `frameskip` is the only one. `controller`: "context", or "action": codes from the key alone.
    `temperature` 0: the likeliest codes; above, drawn from softmax(logits / temperature). `repeat_action_probability`:
    of each step, that the last action is taken again (ALE's own default is 0.25). `full_action_space`: only False.
    `render_mode`: "rgb_array" or "human".

    `info`: lives, score, frame_number, episode_frame_number (emulator frames), codes (35,) int64, remembers (V,) int64:
    the class of each of `model.state.VARIABLES`, 0 where it is not known, and certainty (V,) float32: how sure the twin
    is of each. ValueError for arguments that are none of these; FileError for weights that cannot be used."""

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
        """A new game. The same seed and actions give the same episode. Without options it starts as the emulator does
        after a reset. `options`: "frames" (n, 210, 160, 3) uint8 RGB, real ones, oldest first, to go on from;
        "actions", the n - 1 between them, where they are known; "temperature"."""
        super().reset(seed=seed)
        self._games.reset(seed=seed, options=options)
        self._games.rngs = [self.np_random]
        seeds = {} if seed is None else {"seeds": tuple(np.random.SeedSequence(seed).generate_state(2))}  # as ALE tells
        return self._games.observe()[0], self._told() | seeds

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; after the game's end the screen stands still, as ALE's does."""
        points = float(self._games.dream(np.array([action]))[0])
        return self._games.observe()[0], points, self.ale.lives() == 0, bool(self._games.at_horizon[0]), self._told()

    def _told(self) -> dict[str, Any]:
        if self.render_mode == "human":
            self._window = self._window or HumanRendering(_Picture(self))
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
        return in_words(self.state)

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
        """For `gymnasium.utils.play`: a, d or the arrows (as SDL numbers them) steer, space serves, e does nothing."""
        keys: dict[tuple[str | int, ...], int] = {("e",): int(Action.NOOP), (" ",): int(Action.FIRE)}
        steers: dict[str | int, int] = {"a": 3, 1073741904: 3, "d": 2, 1073741903: 2}
        for name, action in steers.items():
            keys[name,] = keys[" ", name] = action
        return keys


class _Picture(gymnasium.Env[Any, Any]):
    """An environment's picture alone, (840, 640, 3) uint8, large enough to play in, for Gymnasium's own window."""

    render_mode = "rgb_array"

    def __init__(self, env: NeuralBreakout) -> None:
        self._env, self.metadata = env, env.metadata

    def step(self, action: Any) -> Any:
        return None, 0.0, False, False, {}  # the environment has stepped already

    def render(self) -> Array:
        return self._env.ale.getScreenRGB().repeat(4, 0).repeat(4, 1)
