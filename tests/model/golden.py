"""What the shipped twin predicts along two real games, step by step, as short digests: the golden values.

python -m tests.model.golden     writes them anew, for new weights
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collect.frames import CollectSettings, play_episode
from model.engine import Engine
from model.files import write_json

PATH = Path(__file__).with_suffix(".json")
SEED, GAMES = 1_900_000_000, 2
"""Games that nothing was trained on: no dataset has such a seed."""
HISTORY, STEPS = 90, 150


class Step(NamedTuple):
    """One step of a game: the frames before it and after it, their codes, and the codes and frame predicted."""

    before: np.ndarray
    after: np.ndarray
    actual: np.ndarray
    codes: np.ndarray
    frame: np.ndarray


def predicted(engine: Engine) -> list[Step]:
    """Both games' steps, each predicted from real history (teacher forcing)."""
    steps = []
    seconds = (HISTORY + STEPS) * engine.frameskip / 60 + 1
    for number in range(GAMES):
        game = play_episode(CollectSettings(0, "people", engine.frameskip, SEED, seconds), number)
        frames, actions = game.frame(np.arange(HISTORY + STEPS + 1)), game.actions.astype(np.int64)
        state = engine.begin(frames[None, : HISTORY + 1], actions[None, :HISTORY])
        for t in range(HISTORY, HISTORY + STEPS):
            found = engine.predict(state, actions[t : t + 1])
            actual = engine.encode(frames[t : t + 1], frames[t + 1 : t + 2])[0]
            steps.append(Step(frames[t], frames[t + 1], actual, found.codes[0], found.frame[0]))
            state = engine.advance(state, actions[t : t + 1], frames[t + 1 : t + 2], found)
    return steps


def golden(engine: Engine) -> dict[str, Any]:
    """The weights' checksum, and a digest of each step. Float sums differ between processors, so these are of codes and
    frames alone."""
    digests = [
        hashlib.sha256(step.codes.tobytes() + step.frame.tobytes()).hexdigest()[:8] for step in predicted(engine)
    ]
    return {"weights": engine.checksum, "steps": digests}


if __name__ == "__main__":
    write_json(PATH, golden(Engine.load()))
    print(f"wrote {PATH.name}: {GAMES * STEPS} steps")
