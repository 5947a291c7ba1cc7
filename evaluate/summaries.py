"""From what was predicted and dreamt to the numbers of a report: the definitions are `model.metrics`'s."""

from __future__ import annotations

import math
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from evaluate.heldout import Event, Zone, episode_of, zones
from evaluate.memory import digits_shown
from evaluate.possible import Alone, Reason, look
from evaluate.rollouts import Drawn, Dreams, Pass, Predicted, Truth
from model.breakout import (
    BALL_HEIGHT,
    BALL_WIDTH,
    BRICK_COLUMNS,
    BRICK_HEIGHT,
    BRICK_WIDTH,
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CODES,
    COLUMNS,
    EMULATOR_HZ,
    FIELD_LEFT,
    GRID_COLUMNS,
    GRID_ROWS,
    ROWS,
    WALL_TOP,
    Action,
)
from model.metrics import Numbers, Rate, ambiguous, kaplan_meier, mean, partings_per_minute, quartiles, ratio
from model.readers import Bools, Floats, Ints
from model.state import INDEX, NOT_KNOWN

TOP = 5
CLOSE = 2.0
"""A ball within this many pixels counts as followed."""
EVENT_STEPS = 14
"""An event counts as right if it and the steps after it, so many in all, are right in every pixel."""
EVENTS = (Event.PADDLE, Event.BRICK, Event.SIDE_WALL, Event.TOP_WALL, Event.SERVE)
ByAction = dict[str, Rate]


def by_action(parts: Numbers, wholes: Numbers, truth: Truth) -> ByAction:
    """`ratio` over all steps and for each action taken."""
    chosen = {action.name.lower(): truth.actions == action for action in Action}
    return {
        "all": ratio(parts, wholes, truth.episodes),
        **{name: ratio(parts[of], wholes[of], truth.episodes[of]) for name, of in chosen.items()},
    }


def summarise_truth(truth: Truth, majority: Ints) -> dict[str, Any]:
    """What needs no controller: the baselines, and the picture for the codes of the real pair."""
    cells, ones = np.full(len(truth.t), CELLS), np.ones(len(truth.t), np.int64)
    hits, dynamic = truth.codes == majority, truth.dynamic.sum(1)
    taken = {action.name.lower(): int((truth.actions == action).sum()) for action in Action}
    return {
        "steps": {"all": len(truth.t), **taken},
        "changed_cells_a_step": mean(dynamic, truth.episodes),
        "changed_pixels_a_step": mean(truth.changed, truth.episodes),
        "majority_code_accuracy": by_action(hits.sum(1), cells, truth),
        "majority_dynamic_accuracy": by_action((hits & truth.dynamic).sum(1), dynamic, truth),
        "copy_last_exact_frames": by_action(truth.changed == 0, ones, truth),
        "copy_last_changed_pixels": 0.0,
        "inferred": _picture(truth.inferred, truth),
        "codebook": {
            "all_cells": codebook_use(truth.codes),
            "changed_cells": codebook_use(truth.codes[truth.dynamic]),
        },
    }


def _picture(drawn: Drawn, truth: Truth) -> dict[str, Any]:
    return {
        "exact_frames": by_action(drawn.wrong == 0, np.ones(len(truth.t)), truth),
        "changed_pixels": by_action(drawn.right, truth.changed, truth),
        "wrong_pixels_a_step": mean(drawn.wrong, truth.episodes),
        "psnr": mean(drawn.psnr, truth.episodes),
    }


def summarise_predicted(predicted: Predicted, truth: Truth) -> dict[str, Any]:
    """The one-step metrics of one controller."""
    hits = predicted.codes == truth.codes
    cells, ones, dynamic = np.full(len(truth.t), CELLS), np.ones(len(truth.t)), truth.dynamic.sum(1)
    # float64: the sums do not depend on the order in which the machine adds
    told = predicted.truth.astype(np.float64)
    return {
        "code_accuracy": by_action(hits.sum(1), cells, truth),
        "dynamic_accuracy": by_action((hits & truth.dynamic).sum(1), dynamic, truth),
        "dynamic_top5_accuracy": by_action(((predicted.rank < TOP) & truth.dynamic).sum(1), dynamic, truth),
        "expected_code_accuracy": by_action(told.sum(1), cells, truth),
        "expected_dynamic_accuracy": by_action((told * truth.dynamic).sum(1), dynamic, truth),
        **_picture(predicted.drawn, truth),
        "delta_psnr": by_action(truth.inferred.psnr - predicted.random_psnr, ones, truth),
        "delta_psnr_of_the_key": by_action(predicted.drawn.psnr - predicted.random_psnr, ones, truth),
    }


def summarise_events(dataset: TransitionDataset, events: Ints, found: Pass) -> dict[str, Rate]:
    """Events one by one from real history: the share after which `EVENT_STEPS` steps are right in every pixel.

    If all of them are predicted right from real history, a dream begun at the event would show just the same.
    """
    ends = dataset.first[1:] - 1
    windows = np.lib.stride_tricks.sliding_window_view(found.exact, EVENT_STEPS)
    right: Bools = np.all(windows, axis=1)
    rates = {}
    for event in EVENTS:
        t = np.flatnonzero(events == event)
        t = t[t + EVENT_STEPS <= ends[episode_of(dataset, t)]]
        rates[event.label] = mean(right[t], episode_of(dataset, t))
        if event == Event.SERVE:  # where it appears follows from the clock
            t = t[found.memory[t, INDEX["clock"]] != NOT_KNOWN]
            rates["serve, clock known"] = mean(right[t], episode_of(dataset, t))
    return rates


def summarise_ambiguity(dataset: TransitionDataset, truth: Truth) -> dict[str, Rate]:
    """Of changed cells, the share whose outcome is not the commonest one of its code, by zone of the ball.

    An outcome is the step of the ball as one sees it and which bricks go, seen from the ball; or the digits that come.
    Cells in which only the paddle moves do not count.
    """
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    zone, score = zones(dataset)[truth.t], np.arange(CELLS) % GRID_ROWS == 0
    n, cell = np.nonzero(truth.dynamic & (ball_cells(now, after) | score))
    shown = digits_shown(dataset)
    new = np.where(shown[truth.t] != shown[truth.t + 1], shown[truth.t + 1], -1)
    digits = np.pad(new[n[:, None], DIGITS_OF[cell // GRID_ROWS]], ((0, 0), (4, 0)), constant_values=-1)
    balls = _ball_outcomes(now, after, ball_seen(dataset, truth.t), ball_seen(dataset, truth.t + 1))
    outcome = np.where(score[cell, None], digits, balls[n])
    number = np.unique(outcome, axis=0, return_inverse=True)[1].reshape(-1)
    wrong = ambiguous(truth.codes[n, cell], number)
    parts = {place.label: ~score[cell] & (zone[n] == place) for place in Zone} | {"score": score[cell]}
    return {name: mean(wrong[part], truth.episodes[n[part]]) for name, part in parts.items()}


DIGITS_OF = np.array([(4, 4), (0, 1), (2, 4), (3, 4), (4, 4)])
"""Which digits the top cell of each column of cells shows; the last one, the player's, never changes."""


def ball_cells(now: ram.GameState, after: ram.GameState) -> Bools:
    """The cells that the ball has a part in before or after each of N steps, or a brick that goes has: (N, 35)."""
    found = np.zeros((len(now.ball_row), GRID_COLUMNS, GRID_ROWS), np.bool_)

    def mark(n: Ints, top: Numbers, left: Numbers, height: int, width: int) -> None:
        for row in (top, top + height - 1):
            for column in (left, left + width - 1):
                inside = (row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS)
                found[n[inside], column[inside] // CELL_COLUMNS, row[inside] // CELL_ROWS] = True

    for moment in (now, after):
        n = np.flatnonzero(moment.ball_row)
        mark(n, moment.ball_row[n], moment.ball_column[n], BALL_HEIGHT, BALL_WIDTH)
    n, row, column = np.nonzero(now.wall & ~after.wall)
    mark(n, WALL_TOP + row * BRICK_HEIGHT, FIELD_LEFT + column * BRICK_WIDTH, BRICK_HEIGHT, BRICK_WIDTH)
    return found.reshape(-1, CELLS)


def ball_seen(dataset: TransitionDataset, t: Ints) -> Bools:
    """Whether frames t (N,) show a part of the ball: it may be off the screen, under a wall, or on its own colour."""
    parts = np.array_split(t, len(t) // 256 + 1)
    return np.concatenate([look(dataset.frame(part)).pixels > 0 for part in parts])


def _ball_outcomes(now: ram.GameState, after: ram.GameState, was: Bools, there: Bools) -> Ints:
    """Numbers that tell the outcomes of N steps apart, (N, 6): what the ball does, its step or where it is served, how
    many bricks go, and where the first of them is, from the brick at the ball. Where from it comes, the state knows."""
    served = now.ball_row == 0
    place, then = (np.stack((of.ball_row, of.ball_column), 1).astype(np.int64) for of in (now, after))
    step = np.where((was & there)[:, None], then - place, np.where((there & served)[:, None], then, 0))
    gone: Bools = np.reshape(now.wall & ~after.wall, (len(was), -1))
    brick = np.stack(np.divmod(gone.argmax(1), BRICK_COLUMNS), 1)
    beside = (place - (WALL_TOP, FIELD_LEFT)) // (BRICK_HEIGHT, BRICK_WIDTH)  # the brick at the ball's corner
    seen = (brick - beside) * np.any(gone, axis=1)[:, None]
    kind = was + 2 * there + 4 * (there & served)
    return np.concatenate((kind[:, None], step, gone.sum(1)[:, None], seen), 1)


def _errors(errors: Floats, episodes: Ints) -> dict[str, Any]:
    known = ~np.isnan(errors)
    errors, episodes = errors[known], episodes[known]
    close = mean(errors <= CLOSE, episodes)
    return {"error": quartiles(errors), "missing": mean(np.isinf(errors), episodes), "within_2_pixels": close}


def summarise_dreams(dreams: Dreams, frameskip: int) -> dict[str, Any]:
    """Horizons in seconds, partings per minute, and what is shown after each mark."""
    seconds = frameskip / EMULATOR_HZ
    lasted, ten = dreams.horizons * seconds, round(10 / seconds)
    told = dreams.parted | (dreams.horizons >= ten)  # of the others nobody knows
    after = {}
    for number, mark in enumerate(dreams.marks):
        runs = dreams.steps >= mark
        episodes = dreams.episodes[runs]
        after[f"{mark * seconds:g}"] = {
            "runs": int(runs.sum()),
            "still_true": mean(dreams.horizons[runs] >= mark, episodes),
            "ball": _errors(dreams.ball[runs, number], episodes),
            "paddle": _errors(dreams.paddle[runs, number], episodes),
            "wrong_bricks": mean(dreams.bricks[runs, number], episodes),
        }
    return {
        "runs": len(dreams.steps),
        "episodes": len(np.unique(dreams.episodes)),
        "run_seconds": quartiles(dreams.steps * seconds),
        "horizon_seconds": kaplan_meier(lasted, dreams.parted),
        "partings_per_minute": partings_per_minute(lasted, dreams.parted, dreams.episodes),
        "reach_the_end": mean(~dreams.parted, dreams.episodes),
        "true_after_10_seconds": mean(dreams.horizons[told] >= ten, dreams.episodes[told]),
        "after_seconds": after,
    }


def summarise_possible(found: Alone, episodes: Ints, frameskip: int) -> dict[str, Any]:
    """Possible seconds, and what ended them; a dream that came to its game's end or the cap is censored."""
    seconds, broken = found.horizon * frameskip / EMULATOR_HZ, found.reason > 0
    return {
        "runs": len(seconds),
        "possible_seconds": kaplan_meier(seconds, broken),
        "still_possible": mean(~broken, episodes),
        "games_ended": int(found.over.sum()),
        "reasons": {reason.name.lower(): int((found.reason == reason).sum()) for reason in Reason if reason},
    }


def codebook_use(codes: Ints) -> dict[str, Any]:
    """How many codes (any shape) are in use and their perplexity: how many there would be were all used alike."""
    counts = np.bincount(codes.ravel(), minlength=CODES)
    shares = counts[counts > 0] / max(1, counts.sum())
    perplexity = float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else None
    return {"used": len(shares), "perplexity": perplexity}


def plain(value: Any, digits: int = 6) -> Any:
    """A nested report as JSON can hold it: dataclasses as dicts, floats rounded, NaN and infinity as None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, digits) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), digits)
    if isinstance(value, (float, np.floating)):
        return round(float(value), digits) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
