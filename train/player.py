"""Training of a player, in the dream or in the real game: PPO on the positions of ball and paddle.

Proximal policy optimisation (Schulman et al. 2017, https://arxiv.org/abs/1707.06347) by stable-baselines3, policy and
value two networks of two layers of 64. A choice is held for `HOLD` frames; FIRE is given wherever there is no ball. The
reward is the points of these frames, and a lost life ends an episode, though its game goes on.

    OUT/player.safetensors   what plays, for `evaluate-player`; written after each update
    OUT/player_log.jsonl     one JSON object for each update"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import stable_baselines3
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from collect import player as rules
from collect.player import HOLD, LONGEST, MOVES, DreamGames, Games, Player, RealGames, features, with_serves
from console import Show, quiet
from model.files import FileError, make_directory
from model.state import Array
from train.loop import Tracker
from train.weights import arrays

GAMES, ROLLOUT, RATE = 16, 128, 1e-3  # games at once, choices of each in a rollout, and about the highest learning rate
LAYERS = {"0": "mlp_extractor.policy_net.0", "1": "mlp_extractor.policy_net.2", "2": "action_net"}
"""What stable-baselines3 calls the layers of `collect.player.SHAPES`."""


class Lessons(VecEnv):
    """N games as stable-baselines3 wants them: an episode is a life, a step is `HOLD` frames, the reward is points."""

    def __init__(self, games: Games, seed: int) -> None:
        number = len(games.lives)
        super().__init__(number, Box(-np.inf, np.inf, (rules.FEATURES,), np.float32), Discrete(len(MOVES)))
        self.games, self._rng = games, np.random.default_rng([seed, 2])  # [seed, 1] is `RealGames`' own
        self._frames, self._noops = np.zeros((2, number), np.int64)  # (N,) each: of the game so far; NOOP until then
        self._score = np.zeros(number)  # (N,)
        self.scores: list[float] = []  # of games that have ended

    def _begin(self, mask: Array) -> None:
        self.games.begin(mask)
        self._frames[mask], self._score[mask] = 0, 0
        self._noops[mask] = self._rng.integers(0, rules.MOST_NOOPS + 1, int(mask.sum()))  # or all begin alike

    def reset(self) -> Array:
        """All games anew: features (N, 11) float32."""
        self._begin(np.ones(self.num_envs, np.bool_))
        return features(self.games.objects)

    def step_async(self, actions: Array) -> None:
        """Choices (N,) 0..2 for the next step."""
        self._keys = MOVES[actions]  # (N,), held until the next choice

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Features (N, 11), points (N,), whether a life was lost or the game cut (N,), and infos."""
        before, points = self.games.lives, np.zeros(self.num_envs, np.float32)  # (N,) each
        for _ in range(HOLD):
            keys = with_serves(self._keys, self.games.objects)  # asked in each frame: a ball may be lost in any
            points += self.games.step(np.where(self._frames < self._noops, 0, keys))  # 0: NOOP, and no serve
            self._frames += 1
        self._score += points
        lost, cut = self.games.lives < before, self._frames >= LONGEST  # (N,) bool each
        over, seen = (self.games.lives == 0) | cut, features(self.games.objects)  # (N,), (N, 11): of the old games
        cuts = (cut & ~lost).tolist()  # it would have gone on: PPO adds what it expects of that
        infos = [{"terminal_observation": s, "TimeLimit.truncated": c} for s, c in zip(seen, cuts, strict=True)]
        if over.any():
            self.scores += self._score[over].tolist()
            self._begin(over)
        return features(self.games.objects), points, lost | over, infos  # (N, 11), of new games too

    def _nothing(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [None] * self.num_envs  # stable-baselines3 asks for a render mode: there is none

    close = get_attr = set_attr = env_method = env_is_wrapped = _nothing  # type: ignore[assignment]


class Keeper(BaseCallback):
    """Ends the training in time; keeps what it has learned when it begins and after each update. `minutes` and
    `frames`, of all games together, say how long: what is over first; None is no limit."""

    def __init__(self, out: Path, minutes: float | None, frames: int | None, about: dict[str, Any], show: Show) -> None:
        super().__init__()
        self._out, self._about, self._show = out, about, show
        self._limits = minutes and 60 * minutes, frames
        self._start, self._tracker = time.monotonic(), Tracker(out, "player")

    def figures(self) -> dict[str, Any]:
        """How far it is: frames of all games together, seconds, and the mean points of the last 20 games."""
        scores = self.training_env.scores[-20:]  # type: ignore[attr-defined]
        seconds = round(time.monotonic() - self._start, 1)
        return {"step": self.num_timesteps * HOLD, "seconds": seconds, "points": float(np.mean(scores or [0]))}

    def share(self) -> float:
        """The share of the training that is done, 0..1."""
        done = time.monotonic() - self._start, self.num_timesteps * HOLD  # PPO counts choices, of all games
        return min(1.0, max(part / limit for part, limit in zip(done, self._limits, strict=True) if limit))

    def _on_step(self) -> bool:
        return self.share() < 1  # False ends the training

    def _on_rollout_start(self) -> None:  # a rollout begins where an update ends, but for the first
        found, tensors = self.figures(), arrays(self.model.policy.state_dict())
        parts = {f"{n}.{p}": tensors[f"{layer}.{p}"] for n, layer in LAYERS.items() for p in ("weight", "bias")}
        about = {**self._about, "frames": found["step"], "seconds": found["seconds"]}
        Player(parts, about, np.random.default_rng(0)).save(self._out / "player.safetensors")  # to save draws nothing
        self._tracker.log(found)
        self._show(self.share(), f"{found['step']} frames, points of the last games {found['points']:.1f}")

    _on_training_end = _on_rollout_start


def train_player(
    world: str,
    out: Path,
    minutes: float | None = None,
    frames: int | None = None,
    seed: int = 0,
    weights: Path | None = None,
    show: Show = quiet,
) -> dict[str, Any]:
    """Train a player in the `world` "dream" or "real"; see `Keeper` for its length. Returns the last figures.
    `weights`: the twin's, for the dream; None: the shipped ones. FileError if the folder holds a player already."""
    if (out / "player.safetensors").exists():
        raise FileError(f"{out} holds a player already, who is kept: choose another --out")
    torch.set_num_threads(1)  # so small a network gains nothing from a second one
    games: Games = DreamGames(GAMES, weights, seed=seed) if world == "dream" else RealGames(GAMES, seed=seed)
    about: dict[str, Any] = {"world": world, "seed": seed, "games": GAMES}
    about["made with"] = f"stable-baselines3 {stable_baselines3.__version__}, PyTorch {torch.__version__}"
    if isinstance(games, DreamGames):
        about["twin"] = games.env.engine.checksum
    make_directory(out, "folder of weights")
    keeper = Keeper(out, minutes, frames, about, show)
    model = PPO(
        "MlpPolicy", Lessons(games, seed), n_steps=ROLLOUT, batch_size=GAMES * ROLLOUT // 4, n_epochs=8, gamma=0.99,
        ent_coef=0.005, learning_rate=lambda _: RATE * (1.02 - keeper.share()),  # `_`, what is left of 1 << 40, stays 1
        policy_kwargs={"net_arch": [rules.HIDDEN, rules.HIDDEN]}, device="cpu", seed=seed,
    )  # fmt: skip
    model.learn(1 << 40, callback=keeper)  # no end: `Keeper` knows when
    return keeper.figures()
