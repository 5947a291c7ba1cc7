"""The reports of `evaluate`, `evaluate --live`, `match` and `evaluate-player`; `tables.py` prints them."""

from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from collect.dataset import Episode
from collect.dataset import TransitionDataset as Dataset
from collect.drills import play as play_on
from collect.emulator import Emulator
from collect.frames import CollectSettings, play_episode
from collect.player import LONGEST, MOST_NOOPS, SHIPPED, DreamGames, Follower, Games, Player, RealGames
from collect.policies import make_policy
from console import Show, quiet, within
from evaluate import Without, heldout, summaries
from evaluate.heldout import SEED_OFFSET, Event, Report, Zone, about, episode_of, label_of
from evaluate.possible import live_alone
from evaluate.rollouts import Mode, Rollout, dream, predict_all
from model.breakout import ACTIONS, EMULATOR_HZ, Action
from model.engine import Engine
from model.files import SCHEMA
from model.metrics import kaplan_meier, mean
from model.readers import Bools, Ints
from model.state import BALL_COLUMN, BALL_ROW, PADDLE, WIDTH, Array

MARKS = (1, 2, 5, 10, 30)  # seconds of game time after which the objects are compared
STREAM = 1 << 21  # keeps the games of `live` apart from those of `play_held_out` with the same seed
LIVE_SECONDS, BATCH = 600.0, 64


EvaluationSettings = namedtuple(
    "EvaluationSettings",
    "seed policies episodes game_seconds transitions runs least_seconds run_seconds alone alone_seconds without",
    defaults=[Without.nothing],
)
"""What an evaluation depends on, beside the weights: the options of `evaluate` (`commands.py`)."""


def evaluate(engine: Engine, settings: EvaluationSettings, show: Show = quiet) -> Report:
    """All metrics of an engine. The same weights, settings and machine give the same report."""
    count = len(settings.policies)
    parts = {name: within(show, n / count, (n + 1) / count, f"{name}: ") for n, name in enumerate(settings.policies)}
    held = {policy: _held_out(engine, policy, settings, part) for policy, part in parts.items()}
    return about(engine, "evaluation", context=engine.context, settings=settings._asdict(), held_out=held)


def _held_out(engine: Engine, policy: str, settings: EvaluationSettings, show: Show) -> Report:
    """The metrics on games that `policy` plays."""
    seed, without, frameskip = settings.seed, settings.without, engine.frameskip
    playing = within(show, 0, 0.05)
    dataset = heldout.play_held_out(policy, frameskip, seed, settings.episodes, settings.game_seconds, playing)
    rng = np.random.default_rng([seed, 1])
    starts = heldout.dream_starts(dataset, settings.runs, settings.least_seconds, settings.run_seconds, rng)
    t = heldout.sample_transitions(dataset, settings.transitions, rng)
    found = predict_all(engine, dataset, t, starts.t, seed, without, within(show, 0.05, 0.35))
    truth, numbers = heldout.true_memory(dataset), dataset.transitions()
    every = episode_of(dataset, np.arange(len(truth)))
    ones = {name: summaries.summarise_predicted(one, found.truth) for name, one in found.predicted.items()}
    held: Report = {
        "episodes": dataset.episodes,
        "transitions": len(dataset),
        "seed": dataset.manifest["seed"],
        "truth": summaries.summarise_truth(found.truth, engine.majority),
        "controllers": {name: {"one_step": one} for name, one in ones.items()},
        "exact_frames_of_all_steps": mean(found.exact[numbers], every[numbers]),
        "events": summaries.summarise_events(dataset, heldout.classify(dataset), found),
        "ambiguity": summaries.summarise_ambiguity(dataset, found.truth),
        "memory": {"real_history": summaries.summarise_memory(found.memory, truth, every)},
        "dreams": {},
    }
    jobs = {name: (Mode.dream, name) for name in engine.controllers}
    jobs |= {mode.value: (mode, "context") for mode in (Mode.decoder, Mode.controller, Mode.copy)}
    for number, (name, (mode, controller)) in enumerate(jobs.items()):
        # A dream that has parted is drawn to the last mark, which takes its time.
        marks = np.array([round(s * EMULATOR_HZ / frameskip) for s in (MARKS[:-1] if number else MARKS)], np.int64)
        marks = marks[marks <= starts.steps.max(initial=0)]
        part = within(show, 0.35 + 0.5 * number / len(jobs), 0.35 + 0.5 * (number + 1) / len(jobs))
        roll = Rollout(engine, found.states, mode, without, controller=controller)
        dreams = dream(roll, dataset, starts, marks, part)
        held["dreams"][name] = summaries.summarise_dreams(dreams, frameskip)
        if number == 0:
            held["memory"]["dreams"] = summaries.summarise_memory(dreams.memory, truth[dreams.at], every[dreams.at])
    if policy == settings.policies[0] and settings.alone and len(starts.t):
        some = np.linspace(0, len(starts.t) - 1, min(settings.alone, len(starts.t))).astype(np.int64)
        lived = live_alone(engine, found.states.rows(some), settings.alone_seconds, seed, within(show, 0.85, 1))
        held["alone"] = summaries.summarise_possible(lived, every[starts.t[some]], frameskip)
    return held


def live(engine: Engine, steps: int, policy: str, seed: int = 0, without: str = "", show: Show = quiet) -> Report:
    """Play `steps` steps afresh, predict each from what came before it, and compare with what then happened: every
    controller's accuracy, where it fails, and each step, so that a mistake can be looked up."""
    settings = CollectSettings(0, policy, engine.frameskip, SEED_OFFSET + seed, LIVE_SECONDS)
    games = list[Episode]()
    while (left := steps - sum(len(game) for game in games)) > 0:
        games.append(play_episode(settings, STREAM + len(games), left))
    dataset = Dataset(games, {"policy": policy, "frameskip": engine.frameskip, "seed": settings.seed})
    found = predict_all(engine, dataset, dataset.transitions(), np.zeros(0, np.int64), seed, without, show)
    truth, ones, events = found.truth, found.predicted, heldout.classify(dataset)
    hits = {name: one.codes == truth.codes for name, one in ones.items()}
    return {
        **about(engine, "live", context=engine.context),
        **dataset.manifest,
        "steps": len(truth.t),
        "games": dataset.episodes,
        "truth": summaries.summarise_truth(truth, engine.majority),
        "controllers": {name: summaries.summarise_predicted(one, truth) for name, one in ones.items()},
        "mistakes": {name: summaries.mistakes(truth, one, events) for name, one in ones.items()},
        "longest_run_of_right_grids": {name: longest_run(of.all(1), truth.episodes) for name, of in hits.items()},
        "frequency": summaries.frequency(dataset, events),
        "events": summaries.by_group(truth, ones, Event, events),
        "zones": summaries.by_group(truth, ones, Zone, heldout.zones(dataset)),
        "steps_taken": [
            {
                "game": int(truth.episodes[n]),
                "action": Action(truth.actions[n]).name.lower(),
                "event": label_of(Event(events[truth.t[n]])),
                "wrong_codes": {name: int((~of[n]).sum()) for name, of in hits.items()},
                "wrong_pixels": {name: int(one.wrong[n]) for name, one in ones.items()},
            }
            for n in range(len(truth.t))
        ],
    }


def longest_run(right: Bools, games: Ints) -> int:
    """The most steps of one game running that were right: (N,) bool, and their games (N,)."""
    right = np.insert(right, np.flatnonzero(np.diff(games)) + 1, False)  # between two games
    ends = np.flatnonzero(np.concatenate(([True], ~right, [True])))
    return int(np.diff(ends).max()) - 1


def match(engine: Engine, seeds: int, steps: int, seed: int = 0, show: Show = quiet) -> Report:
    """For the random and the people policy, and each of `seeds` seeds, the emulator and the twin from a reset under the
    same actions: the first step 1..`steps` whose frame differs in any pixel, as Gymnasium's `check_environments_match`
    asks. A game that ends before that, or is still equal after `steps`, is censored: `first_difference` has None."""
    found: Report = {}
    for number, policy in enumerate(("random", "people")):
        part = within(show, number / 2, (number + 1) / 2, f"{policy}: {seeds} games")
        played = play_from_reset(policy, engine.frameskip, seeds, steps, seed, within(part, 0, 0.5))
        lasted, differs = first_differences(engine, played, within(part, 0.5, 1))
        found[policy] = {
            "steps": kaplan_meier(lasted, differs),
            "seconds": kaplan_meier(lasted * engine.frameskip / EMULATOR_HZ, differs),
            "never": mean(~differs, np.arange(seeds)),
            "first_difference": [int(n) if d else None for n, d in zip(lasted, differs, strict=True)],
            "compared": lasted,
        }
    return about(engine, "match", seed=seed, seeds=seeds, steps=steps, policies=found)


def play_from_reset(policy: str, frameskip: int, games: int, steps: int, seed: int, show: Show = quiet) -> Dataset:
    """Games from the emulator's own reset, nothing edited; `policy` plays each with a seed of its own."""
    emulator, played = Emulator(frameskip), []
    for number in range(games):
        emulator.reset()
        player = make_policy(policy, np.random.default_rng([SEED_OFFSET + seed, number, 6]), frameskip)
        played.append(play_on(emulator, player, steps).to_episode(emulator.over))
        show((number + 1) / games, "")
    return Dataset(played, {"policy": policy, "frameskip": frameskip, "seed": SEED_OFFSET + seed})


def first_differences(engine: Engine, games: Dataset, show: Show = quiet) -> tuple[Ints, Bools]:
    """For each game how many steps were compared, up to the first that differs, and whether one did: (E,) each."""
    lengths = np.diff(games.first) - 1
    compared, differs = lengths.copy(), np.zeros(games.episodes, bool)
    for start in range(0, games.episodes, BATCH):
        first = games.first[start:-1][:BATCH]
        roll = Rollout(engine, engine.begin(games.frame(first[:, None]), fresh=True))
        for step in range(int(lengths.max())):
            rows, t = start + roll.rows, first[roll.rows] + step
            roll.step(games.actions[t].astype(np.int64))
            wrong = (roll.state.frame != games.frame(t + 1)).any((1, 2))
            compared[rows[wrong]], differs[rows[wrong]] = step + 1, True
            roll.keep(~wrong & (step + 1 < lengths[rows]))
            if not len(roll.rows):
                break
            show((start + len(roll.rows) * (step + 1) / lengths.max()) / games.episodes, "")
    return compared, differs


RIVAL = SHIPPED.with_name("player_real.safetensors")  # the same training in the real game
RANDOM_HOLD = 4  # frames for which a random key is held, as ALE's usual frame skip has it
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

    def key(follower: Follower, now: Array) -> int:
        ball = (int(now[BALL_ROW]), int(now[BALL_COLUMN])) if now[BALL_ROW] else None
        return follower.act([(ball, float(now[PADDLE] + now[WIDTH] / 2))])

    return lambda objects: np.array(list(map(key, each, objects[:, -1])))


def evaluate_players(
    paths: list[Path], number: int, seed: int, dream: bool = False, weights: Path | None = None, show: Show = quiet
) -> Report:
    """`number` games of chance, the autopilot and each player at each stickiness; with `dream` in the twin as well."""
    worlds: dict[str, Callable[[], Games]] = {f"sticky {s:g}": partial(RealGames, number, s, seed) for s in (0, 0.25)}
    if dream:
        worlds["in the dream"] = partial(DreamGames, number, weights, seed=seed)
    players: dict[str, Callable[[], Act]] = {"random keys": partial(chance, number, seed)}
    players["the built-in autopilot"] = partial(autopilot, number, seed)
    for path in paths:
        world = "in the dream" if Player.load(path).about.get("world") == "dream" else "in the real game"
        players[f"trained {world}: {path}"] = lambda path=path: Player.load(path, seed).act  # type: ignore[misc]
    found: Report = {who: {} for who in players}
    for done, (who, world) in enumerate((who, world) for who in players for world in worlds):
        show(done / len(players) / len(worlds), f"{who}, {world}")
        scores, frames = play(worlds[world](), players[who](), seed, LONGEST)
        minutes = frames.mean() / EMULATOR_HZ / 60
        found[who][world] = {"score": mean(scores, np.arange(number)), "minutes": minutes, "scores": scores}
    settings = {"games": number, "seed": seed, "noops": MOST_NOOPS, "longest": LONGEST}
    return {"schema": SCHEMA, "kind": "player", **settings, "players": found, "published": PUBLISHED}
