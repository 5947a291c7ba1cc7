"""`bench`: how fast this machine collects and dreams, by the wall clock: leave the machine alone meanwhile.

The bare emulator's speed stands beside all of it, so that two machines can be compared."""

import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from collect.emulator import Emulator
from collect.frames import CollectSettings, play_episode
from console import Show, quiet
from evaluate.heldout import Report, about, play_held_out, sample_transitions
from evaluate.possible import Chaser
from evaluate.rollouts import Rollout, predict_all, watched_games
from model.breakout import EMULATOR_HZ
from model.engine import Engine
from model.files import SCHEMA
from model.metrics import score_step
from model.state import State

BATCHES, ENVIRONMENTS = (1, 4, 16, 64), (1, 16, 64)
WARM_UP = 5  # steps at the beginning that are not counted


def bench(engine: Engine, seconds: float, seed: int = 0, show: Show = quiet) -> Report:
    """Measure every part for about `seconds` each, above 0; `seed` is of the games played."""
    show(0.0, "collecting")
    collecting = bench_collecting(engine.frameskip, seconds, seed)
    bare = collecting["bare_emulator_steps_per_second"]
    # Different moments in play, so that the parts have something to do.
    played = play_held_out("people", engine.frameskip, seed, 2, 8.0)
    t = sample_transitions(played, max(BATCHES), np.random.default_rng([seed, 8]))
    states = predict_all(engine, played, t[:1], t, seed).states
    parts: dict[str, Report] = {}
    for number, games in enumerate(BATCHES):
        show(0.2 + 0.3 * number / len(BATCHES), f"the parts of a step, batch {games}")
        for name, found in step_times(engine, states.rows(slice(games)), seconds / len(BATCHES)).items():
            parts.setdefault(name, {})[str(games)] = found
    show(0.5, "playing")
    play, speeds = times(play_steps(engine, sys.maxsize, seconds, seed)), {}
    for number, games in enumerate(ENVIRONMENTS):
        show(0.7 + 0.3 * number / len(ENVIRONMENTS), f"{games} dreamt games")
        speeds[str(games)] = dream_speed(engine, states.rows(slice(games)), seconds / len(ENVIRONMENTS), seed)
    machine: Report = {"system": platform.system(), "processor": platform.machine()}
    machine |= {"cores": os.cpu_count(), "python": platform.python_version()}
    return {
        **about(engine, "bench", machine=machine, seconds=seconds, seed=seed),
        "bare_emulator_frames_per_second": bare * engine.frameskip,
        "step_milliseconds": parts,
        "play_milliseconds": play,
        "real_time_milliseconds": 1000 * engine.frameskip / EMULATOR_HZ,
        "dream_steps_per_second": speeds,
        "ale_steps_per_second": bare,
        "collecting": collecting,
        "peak_memory_mb": memory(most=True),
    }


def times(seconds: list[float]) -> Report:
    """Median and 99th percentile in milliseconds, and of how many steps; the first are for warming up."""
    median, p99 = np.quantile(np.array(seconds[WARM_UP:]) * 1e3, (0.5, 0.99))
    return {"median": float(median), "p99": float(p99), "of": len(seconds) - WARM_UP}


def memory(most: bool = False) -> float | None:
    """The memory of this process in MB: what it holds now, or the `most` it ever held, which is all that some systems
    tell (macOS); None where nothing is told (Windows)."""
    with suppress(OSError):
        if not most:
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes on macOS, KiB elsewhere


def bench_collecting(frameskip: int, seconds: float, seed: int) -> Report:
    """Steps a second on one core: the emulator alone with its screen read, and collecting with the mixed policy. They
    take turns, episode by episode, so that a machine that changes its pace changes both."""
    settings = CollectSettings(0, "mixed", frameskip, seed, 20.0)
    play_episode(settings, 0, 10)  # loads the ROM
    emulator = Emulator(frameskip)
    steps, bare, collecting = 0, 0.0, 0.0
    for number in count():
        start = time.perf_counter()
        episode = play_episode(settings, number)
        episode.to_bytes()
        collecting += time.perf_counter() - start
        actions = np.random.default_rng(number).integers(0, 4, len(episode)).tolist()
        start = time.perf_counter()
        for action in actions:
            emulator.advance(action)
            if emulator.over:
                emulator.reset()
        bare += time.perf_counter() - start
        steps += len(episode)
        if bare + collecting >= seconds:
            break
    speeds = {"bare_emulator_steps_per_second": steps / bare, "collected_steps_per_second": steps / collecting}
    return {**speeds, "share_of_bare": bare / collecting, "steps": steps}


def step_times(engine: Engine, states: State, seconds: float) -> Report:
    """Milliseconds of each of the engine's functions for these states, taking turns."""
    actions = np.arange(len(states.frame)) % 4
    guess, end = engine.predict(states, actions), time.perf_counter() + seconds
    parts: dict[str, Callable[[], Any]] = {
        "predict": lambda: engine.predict(states, actions),
        "advance": lambda: engine.advance(states, actions, guess.frame, guess),
        "encode": lambda: engine.encode(states.frame, guess.frame),
        "draw": lambda: engine.draw(states, guess.codes),
    }
    found: dict[str, list[float]] = {name: [] for name in parts}
    while time.perf_counter() < end or len(found["draw"]) <= WARM_UP:
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            found[name].append(time.perf_counter() - start)
    return {name: times(costs) for name, costs in found.items()}


def play_steps(engine: Engine, steps: int, seconds: float, seed: int) -> list[float]:
    """Seconds of each step of play without a window: emulator, the twin's prediction, the real codes, the score, and
    the real frame observed; for `steps` beside those for warming up, or `seconds` of wall clock."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    for emulator, roll, action in watched_games(engine, "people", np.random.default_rng([seed, 7])):
        before = roll.state.frame
        start = time.perf_counter()
        step = emulator.step(action)
        guess = roll.step(np.array([action]), step.frame[None])
        codes = engine.encode(before, step.frame[None])
        score_step(before[0], step.frame, guess.frame[0], guess.codes[0], codes[0], engine.majority)
        found.append(time.perf_counter() - start)
        if len(found) > WARM_UP and (time.perf_counter() >= end or len(found) >= steps + WARM_UP):
            break
    return found


def dream_speed(engine: Engine, states: State, seconds: float, seed: int) -> float:
    """Dreamt steps a second, all games together: what an environment gives, its policy included."""
    chaser = Chaser(len(states.frame), engine.frameskip, seed)
    roll = Rollout(engine, states)
    steps = -WARM_UP
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or steps <= 0:
        if steps == 0:
            start = time.perf_counter()
        roll.step(chaser.act(roll.state))
        steps += 1
    return steps * len(states.frame) / (time.perf_counter() - start)


def soak(engine: Engine, hours: float, seed: int = 0, show: Show = quiet) -> Report:
    """Play `hours` of game time as fast as the machine can. A sample for each minute of game time, {minutes played,
    memory held in MB, step: median milliseconds}, and what became of them."""
    minute = 60 * EMULATOR_HZ // engine.frameskip
    total, samples = max(1, round(60 * hours * minute)), list[Report]()
    for number, taken in enumerate(range(0, total, minute)):
        steps = min(minute, total - taken)
        step, held = times(play_steps(engine, steps, float("inf"), seed + number))["median"], memory()
        samples.append({"minutes": (taken + steps) / minute, "memory": held, "step": step})
        show((taken + steps) / total, f"{(taken + steps) / minute:.0f} min, {held or 0:.1f} MB")
    return {"schema": SCHEMA, "kind": "soak", "hours": hours, **steadiness(samples), "samples": samples}


def steadiness(samples: list[Report]) -> Report:
    """{memory_growth, pace_drift}: shares. Memory at the end over that after the first minute, less 1; the median step
    of the last quarter over that of the first quarter, less 1. None where it takes more samples to tell."""
    held = samples[-1]["memory"]
    costs, quarter = [sample["step"] for sample in samples], len(samples) // 4
    growth = held / samples[0]["memory"] - 1 if len(samples) > 1 and held else None
    drift = float(np.median(costs[-quarter:]) / np.median(costs[:quarter])) - 1 if quarter else None
    return {"memory_growth": growth, "pace_drift": drift}
