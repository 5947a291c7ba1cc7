"""How well players play the real game, with and without sticky actions; `docs/player.md` has the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from collect.emulator import RealGames
from console import Show
from evaluate import quiet
from model.breakout import ACTIONS, EMULATOR_HZ
from model.files import SCHEMA
from model.metrics import mean
from model.player import LONGEST, MOST_NOOPS, SHIPPED, DreamGames, Follower, Games, Player
from model.state import BALL_COLUMN, BALL_ROW, PADDLE, WIDTH, Array

RIVAL = SHIPPED.with_name("player_real.safetensors")
"""The same training in the real game."""
STICKY = (0.0, 0.25)
RANDOM_HOLD = 4
"""Frames for which a random key is held, as ALE's usual frame skip has it."""
PUBLISHED = {"human (Mnih et al. 2015)": 31.8, "DQN (Mnih et al. 2015)": 401.2}
"""Means of https://doi.org/10.1038/nature14236, Extended Data Table 2, of games of at most 5 minutes without sticky
actions: 30 of DQN (401.2 +- 26.9, with 5% random actions, each held for 4 frames), about 20 of a human."""
Act = Callable[[Array], Array]


def play(games: Games, act: Act, seed: int, longest: int) -> tuple[Array, Array]:
    """Play N games to their ends: points (N,) float64 and frames (N,) int64 of each. Each starts with 0..30 NOOPs, as
    `seed` decides, and is cut after `longest` frames. `act` gives the keys (N,) for objects (N, 4, 4)."""
    noops = np.random.default_rng([seed, 3]).integers(0, MOST_NOOPS + 1, len(games.lives))
    scores, frames, alive = np.zeros(len(noops)), np.zeros(len(noops), np.int64), games.lives > 0
    while alive.any() and frames.max() < longest:
        points = games.step(np.where(frames < noops, 0, act(games.objects)))
        scores, frames = scores + points * alive, frames + alive
        alive = alive & (games.lives > 0)
    return scores, frames


def chance(games: int, seed: int) -> Act:
    """Each key as likely, held for `RANDOM_HOLD` frames."""
    drawn = np.random.default_rng([seed, 4]).integers(0, ACTIONS, (LONGEST // RANDOM_HOLD + 1, games))
    keys = iter(np.repeat(drawn, RANDOM_HOLD, 0))
    return lambda objects: next(keys)


def autopilot(games: int, seed: int) -> Act:
    """The built-in ball follower, one for each game."""
    each = [Follower(np.random.default_rng([seed, 5, game])) for game in range(games)]

    def side(now: Array) -> tuple[tuple[int, int] | None, float]:
        ball = (int(now[BALL_ROW]), int(now[BALL_COLUMN])) if now[BALL_ROW] else None
        return ball, float(now[PADDLE] + now[WIDTH] / 2)

    return lambda objects: np.array([one.act([side(now)]) for one, now in zip(each, objects[:, -1], strict=True)])


def evaluate_players(
    paths: list[Path], number: int, seed: int, dream: bool = False, weights: Path | None = None, show: Show = quiet
) -> dict[str, Any]:
    """`number` real games of chance, the autopilot and the players of `paths` at each stickiness, and with `dream` as
    many in the twin of `weights`."""
    worlds: dict[str, Callable[[], Games]] = {f"sticky {s:g}": partial(RealGames, number, s, seed) for s in STICKY}
    if dream:
        worlds["in the dream"] = partial(DreamGames, number, weights, seed=seed)
    players: dict[str, Callable[[], Act]] = {
        "random keys": partial(chance, number, seed), "the built-in autopilot": partial(autopilot, number, seed),
    }  # fmt: skip
    for path in paths:
        world = "in the dream" if Player.load(path).about.get("world") == "dream" else "in the real game"
        players[f"trained {world}: {path}"] = lambda path=path: Player.load(path, seed).act  # type: ignore[misc]
    found: dict[str, Any] = {who: {} for who in players}
    for done, (who, world) in enumerate((who, world) for who in players for world in worlds):
        show(done / len(players) / len(worlds), f"{who}, {world}")
        scores, frames = play(worlds[world](), players[who](), seed, LONGEST)
        minutes = frames.mean() / EMULATOR_HZ / 60
        found[who][world] = {"score": mean(scores, np.arange(number)), "minutes": minutes, "scores": scores}
    settings = {"games": number, "seed": seed, "noops": MOST_NOOPS, "longest": LONGEST}
    return {"schema": SCHEMA, "kind": "player", **settings, "players": found, "published": PUBLISHED}
