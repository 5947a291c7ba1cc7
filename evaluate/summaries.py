"""From what was predicted and dreamt to the numbers of a report: the definitions are `model.metrics`'s."""

from __future__ import annotations

import math
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from evaluate.heldout import LEFT_END, RIGHT_END, Event, Zone, episode_of, zones
from evaluate.memory import digits_shown
from evaluate.possible import Alone, Reason
from evaluate.rollouts import Drawn, Dreams, Pass, Predicted, Truth
from model.breakout import (
    BALL_HEIGHT,
    BALL_WIDTH,
    BRICK_HEIGHT,
    BRICK_WIDTH,
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CODES,
    EMULATOR_HZ,
    FIELD_BOTTOM,
    FIELD_LEFT,
    GRID_ROWS,
    WALL_TOP,
    Action,
)
from model.metrics import Numbers, Rate, ambiguous, kaplan_meier, mean, partings_per_minute, quartiles, ratio
from model.readers import Bools, Floats, Ints
from model.state import INDEX, NOT_KNOWN

TOP = 5
UNCHANGED = 0
"""The code of a cell that stays as it is."""
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
    zone = zones(dataset)[truth.t]
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    shown = digits_shown(dataset)
    digits = shown[truth.t], shown[truth.t + 1]
    steps, cells, outcomes = [], [], []
    for n in range(len(truth.t)):
        for cell in np.flatnonzero(truth.dynamic[n]):
            column, row = divmod(int(cell), GRID_ROWS)
            if row == 0:
                old, new = (of[n, DIGITS_OF.get(column, slice(0))].tolist() for of in digits)
                outcome: tuple[Any, ...] = tuple(b if a != b else -1 for a, b in zip(old, new, strict=True))
            elif not holds_ball(now, after, n, row, column):
                continue
            else:
                outcome = _ball_outcome(now, after, n)
            steps.append(n)
            cells.append(cell)
            outcomes.append(outcome)
    number = {outcome: k for k, outcome in enumerate(dict.fromkeys(outcomes))}
    which = np.array([number[outcome] for outcome in outcomes], np.int64)
    at, of = np.array(steps, np.int64), np.array(cells, np.int64)
    wrong = ambiguous(truth.codes[at, of], which)
    score = of % GRID_ROWS == 0
    parts = {place.label: ~score & (zone[at] == place) for place in Zone} | {"score": score}
    return {name: mean(wrong[part], truth.episodes[at[part]]) for name, part in parts.items()}


DIGITS_OF = {1: slice(0, 2), 2: slice(2, 3), 3: slice(3, 4)}
"""Which digits the top cell of each column of cells shows."""


def holds_ball(now: ram.GameState, after: ram.GameState, n: int, row: int, column: int) -> bool:
    """Whether the ball has a part in a cell before or after the step, or a brick that goes has."""
    for moment in (now, after):
        top, left = int(moment.ball_row[n]), int(moment.ball_column[n])
        rows, columns = (top, top + BALL_HEIGHT - 1), (left, left + BALL_WIDTH - 1)
        if top and row in (r // CELL_ROWS for r in rows) and column in (c // CELL_COLUMNS for c in columns):
            return True
    gone = np.argwhere(now.wall[n] & ~after.wall[n])
    tops, lefts = WALL_TOP + gone[:, 0] * BRICK_HEIGHT, FIELD_LEFT + gone[:, 1] * BRICK_WIDTH
    in_rows = (tops // CELL_ROWS == row) | ((tops + BRICK_HEIGHT - 1) // CELL_ROWS == row)
    in_columns = (lefts // CELL_COLUMNS == column) | ((lefts + BRICK_WIDTH - 1) // CELL_COLUMNS == column)
    return bool((in_rows & in_columns).any())


def _ball_outcome(now: ram.GameState, after: ram.GameState, n: int) -> tuple[Any, ...]:
    place, then = (np.array((of.ball_row[n], of.ball_column[n]), np.int64) for of in (now, after))
    gone = np.argwhere(now.wall[n] & ~after.wall[n]) * (BRICK_HEIGHT, BRICK_WIDTH) + (WALL_TOP, FIELD_LEFT)
    bricks = tuple(((gone - place) // (BRICK_HEIGHT, BRICK_WIDTH)).ravel().tolist())
    was, there = shows(place), shows(then)
    if was and there:
        return ("step", *(then - place).tolist(), bricks)
    if there and place[0] == 0:
        return ("serve", *then.tolist(), bricks)
    return ("appears" if there else "vanishes", bricks)  # where from, the state knows


def shows(place: Ints) -> bool:
    """Whether a ball at (row, column) is seen, not off the screen or under a side wall."""
    return bool(0 < place[0] < FIELD_BOTTOM and LEFT_END - 1 <= place[1] <= RIGHT_END + 1)


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
