"""How well players play the real game, with and without sticky actions; `docs/player.md` has the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from collect.games import RealGames
from evaluate.tables import make_table, number, with_interval
from model.breakout import ACTIONS
from model.files import SCHEMA
from model.metrics import mean
from model.player import LONGEST, MOST_NOOPS, SHIPPED, DreamGames, Follower, Games, Player
from model.state import BALL_COLUMN, BALL_ROW, PADDLE, WIDTH, Array

RIVAL = SHIPPED.with_name("player_real.safetensors")
"""The same training in the real game."""
STICKY = (0.0, 0.25)
RANDOM_HOLD = 4
"""Frames for which a random key is held, as ALE's usual frame skip has it."""
PUBLISHED = (("a human, Mnih et al. 2015", 31.8), ("DQN, Mnih et al. 2015", 401.2))
"""Means of https://doi.org/10.1038/nature14236, Extended Data Table 2 (401.2 +- 26.9 for DQN): 30 games (about 20 of a
human) of at most 5 minutes; DQN with 0..30 NOOPs at the start, 5% random actions, a choice held for 4 frames, no sticky
actions."""
Act = Callable[[Array], Array]


def play(games: Games, act: Act, seed: int, longest: int) -> tuple[Array, Array]:
    """Play N games to their ends: points (N,) float64 and frames (N,) int64 of each. Each starts with 0..30 NOOPs, as
    `seed` decides, and is cut after `longest` frames. `act` gives the keys (N,) for objects (N, 4, 4)."""
    noops = np.random.default_rng([seed, 3]).integers(0, MOST_NOOPS + 1, len(games.lives))
    scores, frames, alive = np.zeros(len(noops)), np.zeros(len(noops), np.int64), games.lives > 0
    for frame in range(longest):
        keys = act(games.objects)
        points = games.step(np.where(frame < noops, 0, keys))
        scores[alive] += points[alive]
        frames += alive
        alive &= games.lives > 0
        if not alive.any():
            break
    return scores, frames


def players(paths: list[Path], number: int, seed: int) -> dict[str, Callable[[], Act]]:
    """Who plays, by name: chance, the built-in autopilot, and the players of these files."""

    def chance() -> Act:
        rng, held, frames = np.random.default_rng([seed, 4]), np.zeros(number, np.int64), iter(range(1 << 40))

        def act(objects: Array) -> Array:
            if next(frames) % RANDOM_HOLD == 0:
                held[:] = rng.integers(0, ACTIONS, number)
            return held

        return act

    def autopilot() -> Act:
        each = [Follower(np.random.default_rng([seed, 5, game])) for game in range(number)]

        def act(objects: Array) -> Array:
            now = objects[:, -1]
            balls = [(r, c) if r else None for r, c in now[:, [BALL_ROW, BALL_COLUMN]].tolist()]
            middles = (now[:, PADDLE] + now[:, WIDTH] / 2).tolist()
            return np.array([one.act([side]) for one, side in zip(each, zip(balls, middles, strict=True), strict=True)])

        return act

    def from_file(path: Path) -> Callable[[], Act]:
        return lambda: Player.load(path, seed).act

    named = {f"trained in the {_world(path)} ({path.stem})": from_file(path) for path in paths}
    return {"random keys": chance, "the built-in autopilot": autopilot, **named}


def _world(path: Path) -> str:
    return {"dream": "dream", "real": "real game"}[str(Player.load(path).about.get("world"))]


def evaluate_players(
    paths: list[Path],
    number: int,
    seed: int,
    dream: bool = False,
    weights: Path | None = None,
    show: Callable[[float, str], None] = lambda share, text: None,
) -> dict[str, Any]:
    """`number` real games of each player at each stickiness, and with `dream` as many in the twin of `weights`."""
    worlds: dict[str, Callable[[], Games]] = {
        f"real, sticky {sticky:g}": partial(RealGames, number, sticky, seed) for sticky in STICKY
    }
    if dream:
        worlds["dream"] = partial(DreamGames, number, weights, seed=seed)
    each = players(paths, number, seed)
    found: dict[str, Any] = {}
    for done, (who, make) in enumerate(each.items()):
        found[who] = {}
        for part, (world, games) in enumerate(worlds.items()):
            show((done + part / len(worlds)) / len(each), f"{who}: {world}")
            scores, frames = play(games(), make(), seed, LONGEST)
            rates = {"score": mean(scores, np.arange(number)), "frames": mean(frames, np.arange(number))}
            found[who][world] = {**rates, "scores": scores.astype(int)}
    published = {name: {"score": score} for name, score in PUBLISHED}
    settings = {"games": number, "seed": seed, "noops": MOST_NOOPS, "longest": LONGEST}
    return {"schema": SCHEMA, "kind": "player", **settings, "players": found, "published": published}


def print_players(report: dict[str, Any], console: Console) -> None:
    """The table of scores."""
    worlds = list(next(iter(report["players"].values())))
    table = make_table(f"points, mean of {report['games']} games with 95% intervals", "", *worlds, "minutes a game")
    for who, found in report["players"].items():
        minutes = number(found[worlds[0]]["frames"].value / 3600)
        table.add_row(who, *(with_interval(found[world]["score"], percent=False) for world in worlds), minutes)
    table.add_section()
    for who, published in report["published"].items():
        table.add_row(who, number(published["score"]), *["-"] * len(worlds))
    console.print(table)
