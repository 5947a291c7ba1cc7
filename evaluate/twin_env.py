"""Dream and reality side by side as an environment: `gymnasium.make("evaluate.twin_env:BreakoutTwin-v0")`.

For scripts that ask how long, and at what, the twin is true. `info` says of every step what the window says of it."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from collect.emulator import Emulator
from model.breakout import ACTIONS, COLUMNS, EMULATOR_HZ, ROWS, rgb_from_classes
from model.engine import check_controller
from model.env import reset_state, shared_engine
from model.metrics import Parting, StepScore, score_step
from model.state import Array


class BreakoutTwin(gymnasium.Env[Any, Any]):
    """The real game and its twin. Observations are {"real", "twin"}, each (210, 160, 3) uint8; reward, `terminated` and
    actions are the real game's.

    weights, controller, temperature   as of `model.env.NeuralBreakout`
    follow                             steps in which the twin sees the real frames before it dreams on; None: always
    horizon                            steps after which an episode is truncated; None: never
    render_mode                        "rgb_array": the real game at the left, the twin at the right

    `info`: lives, score (the real game's), exact (bool), codes_right 0..35, wrong_pixels 0..33600, dreaming (bool),
    horizon: steps that the dream was true so far, parted (bool): as in `model.metrics.Parting`."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": EMULATOR_HZ}  # noqa: RUF012

    def __init__(
        self, *, render_mode: str | None = None, weights: str | Path | None = None, controller: str = "context",
        temperature: float = 0.0, follow: int | None = 0, horizon: int | None = None,
    ) -> None:  # fmt: skip
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be rgb_array, got {render_mode!r}")
        self.engine, self._choice = shared_engine(weights), (check_controller(controller), temperature)
        self.render_mode = render_mode
        self.emulator = Emulator(self.engine.frameskip)
        self.metadata = self.metadata | {"render_fps": EMULATOR_HZ // self.engine.frameskip}
        self._follow, self._horizon = (np.inf if steps is None else steps for steps in (follow, horizon))
        screen = Box(0, 255, (ROWS, COLUMNS, 3), np.uint8)
        self.observation_space, self.action_space = Dict({"real": screen, "twin": screen}), Discrete(ACTIONS)
        self._fresh = self.state = reset_state(self.engine)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, Array], dict[str, Any]]:
        """Both games start anew; the seed is of the chance that a temperature draws from."""
        super().reset(seed=seed)
        self.emulator.reset()
        self.state, self._drawn = self._fresh, self.emulator.frame
        self._steps, self._parting = 0, Parting()
        return self._shown(), self._told(StepScore(*[35] * 2, *[0] * 6))

    def step(self, action: int) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """One step of both games."""
        key, before = np.array([action]), self.emulator.frame
        dreaming = self._steps >= self._follow
        guess = self.engine.predict(self.state, key, *self._choice, self.np_random)
        step = self.emulator.step(int(action))
        self.state = self.engine.advance(self.state, key, guess.frame if dreaming else step.frame[None], guess)
        self._drawn = guess.frame[0]
        actual = self.engine.encode(before[None], step.frame[None])[0]
        score = score_step(before, step.frame, self._drawn, guess.codes[0], actual, self.engine.majority)
        if dreaming:
            self._parting.add(step.frame, self._drawn)
        info = self._told(score)
        self._steps += 1
        return self._shown(), float(step.reward), step.over, self._steps >= self._horizon, info

    def _shown(self) -> dict[str, Array]:
        return {"real": self.emulator.rgb, "twin": rgb_from_classes(self._drawn)}

    def _told(self, score: StepScore) -> dict[str, Any]:
        objects, parting = self.emulator.objects(), self._parting
        return {
            "lives": objects.lives,
            "score": objects.score,
            "exact": score.exact,
            "codes_right": score.codes_right,
            "wrong_pixels": score.pixels_wrong,
            "dreaming": bool(self._steps >= self._follow),
            "horizon": parting.horizon,
            "parted": parting.parted_at is not None,
        }

    def render(self) -> Array | None:
        """Both pictures, (210, 320, 3) uint8."""
        return np.concatenate(list(self._shown().values()), 1) if self.render_mode else None


gymnasium.register("BreakoutTwin-v0", entry_point="evaluate.twin_env:BreakoutTwin")
