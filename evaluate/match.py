"""`match`: the emulator and the twin from a reset, under the same actions, up to the first step that differs.

What `gymnasium.utils.env_match.check_environments_match` asserts, which stops there without a number, and plays random
actions alone; here as a loop of our own, so that many seeds make a distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from collect.dataset import EpisodeWriter, TransitionDataset
from collect.emulator import Emulator
from collect.policies import make_policy
from evaluate.heldout import SEED_OFFSET
from model.breakout import EMULATOR_HZ
from model.files import SCHEMA
from model.metrics import kaplan_meier, mean
from model.readers import Ints

if TYPE_CHECKING:
    from model.engine import Engine

POLICIES = ("random", "people")
STEPS = 3600
BATCH = 64


def match(
    engine: Engine,
    seeds: int,
    steps: int = STEPS,
    seed: int = 0,
    policies: tuple[str, ...] = POLICIES,
    show: Callable[[float, str], None] = lambda share, text: None,
) -> dict[str, Any]:
    """For each policy and each of `seeds` seeds, the first step 1..`steps` whose frame differs in any pixel.

    A game that ends before that, or is still equal after `steps`, is censored: `first_difference` has None.
    """
    if seeds < 1 or steps < 1:
        raise ValueError(f"--seeds and --steps must be 1 or more, got {seeds} and {steps}")
    found: dict[str, Any] = {}
    for number, policy in enumerate(policies):

        def part(share: float, number: int = number, policy: str = policy) -> None:
            show((number + share) / len(policies), f"{policy}: {seeds} games")

        played = play_from_reset(policy, engine.frameskip, seeds, steps, seed, lambda share: part(0.5 * share))
        lasted, differs = first_differences(engine, played, lambda share: part(0.5 + 0.5 * share))
        found[policy] = {
            "steps": kaplan_meier(lasted, differs),
            "seconds": kaplan_meier(lasted * engine.frameskip / EMULATOR_HZ, differs),
            "never": mean(~differs, np.arange(seeds)),
            "first_difference": [int(n) if d else None for n, d in zip(lasted, differs, strict=True)],
            "compared": lasted,
        }
    return {
        "schema": SCHEMA, "kind": "match", "weights": engine.checksum, "frameskip": engine.frameskip,
        "seed": seed, "seeds": seeds, "steps": steps, "policies": found,
    }  # fmt: skip


def play_from_reset(
    policy: str, frameskip: int, games: int, steps: int, seed: int, progress: Callable[[float], None]
) -> TransitionDataset:
    """Games from the emulator's own reset, nothing edited; `policy` plays each with a seed of its own."""
    emulator, played = Emulator(frameskip), []
    for number in range(games):
        emulator.reset()
        player = make_policy(policy, np.random.default_rng([SEED_OFFSET + seed, number, 6]), frameskip)
        writer = EpisodeWriter(emulator.screen, emulator.ram())
        while len(writer) < steps and not emulator.over:
            action = player.act(emulator.objects())
            reward = emulator.advance(action)
            writer.add(action, emulator.screen, emulator.ram(), reward)
        played.append(writer.to_episode(emulator.over))
        progress((number + 1) / games)
    return TransitionDataset(played, {"policy": policy, "frameskip": frameskip, "seed": SEED_OFFSET + seed})


def first_differences(
    engine: Engine, games: TransitionDataset, progress: Callable[[float], None] = lambda share: None
) -> tuple[Ints, Any]:
    """For each game how many steps were compared, up to the first that differs, and whether one did: (E,) each."""
    lengths = np.diff(games.first) - 1
    compared, differs = lengths.copy(), np.zeros(games.episodes, bool)
    for start in range(0, games.episodes, BATCH):
        alive = np.arange(start, min(start + BATCH, games.episodes))
        state, longest = engine.begin(games.frame(games.first[alive][:, None]), fresh=True), int(lengths[alive].max())
        for step in range(longest):
            t = games.first[alive] + step
            actions = games.actions[t].astype(np.int64)
            prediction = engine.predict(state, actions)
            wrong = (prediction.frame != games.frame(t + 1)).any((1, 2))
            compared[alive[wrong]], differs[alive[wrong]] = step + 1, True
            stays = ~wrong & (step + 1 < lengths[alive])
            if not stays.any():
                break
            state = engine.advance(state, actions, prediction.frame, prediction).rows(stays)
            alive = alive[stays]
            progress((start + len(alive) * (step + 1) / longest) / games.episodes)
    return compared, differs
