"""What each prior and each variable of the memory is worth: the twin without it, on the same held-out games.

python -m tools.priors             # writes assets/weights/priors.json, for `python -m tools.results`
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from console import progress
from evaluate import Without, heldout, summaries
from evaluate.heldout import episode_of
from evaluate.rollouts import Rollout, dream, predict_all
from model.engine import SHIPPED, Engine
from model.files import write_json
from model.metrics import mean

PRIORS = SHIPPED / "priors.json"
POLICY, SEED, GAMES, GAME_SECONDS, RUNS, LEAST_SECONDS, RUN_SECONDS = "people", 0, 8, 40.0, 16, 5.0, 20.0
EVENTS = ("paddle bounce", "brick hit", "side wall bounce", "serve")


def measure(without: Without) -> dict[str, Any]:
    """Exact frames and events from real history, and dreams, of the shipped twin, which goes without something."""
    engine = Engine.load()
    dataset = heldout.play_held_out(POLICY, engine.frameskip, SEED, GAMES, GAME_SECONDS)
    rng = np.random.default_rng([SEED, 1])
    starts = heldout.dream_starts(dataset, RUNS, LEAST_SECONDS, RUN_SECONDS, rng)
    found = predict_all(engine, dataset, heldout.sample_transitions(dataset, 1, rng), starts.t, SEED, without)
    numbers = dataset.transitions()
    events = summaries.summarise_events(dataset, heldout.classify(dataset), found)
    dreams = dream(Rollout(engine, found.states, without=without), dataset, starts, np.array([1]))
    return {
        "exact_frames": mean(found.exact[numbers], episode_of(dataset, numbers)),
        "events": {name: events[name] for name in EVENTS},
        "partings_per_minute": summaries.summarise_dreams(dreams, engine.frameskip)["partings_per_minute"],
    }


def main() -> int:
    """The command."""
    rows: dict[str, Any] = {}
    with progress("priors") as show, ProcessPoolExecutor() as pool:
        for without, found in zip(Without, pool.map(measure, Without), strict=True):
            rows[without.value] = found
            show(len(rows) / len(Without), f"without {without}")
    about = {"policy": POLICY, "seed": SEED, "games": GAMES, "runs": RUNS}
    write_json(PRIORS, summaries.plain({"weights": Engine.load().checksum, **about, "without": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
