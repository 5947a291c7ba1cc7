"""From what was predicted and dreamt to the numbers of a report: the definitions are `model.metrics`'s."""

from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset as Dataset
from collect.pairs import entropy
from evaluate.heldout import Event, Zone, digits_shown, episode_of, label_of, zones
from evaluate.possible import Possible, Reason, look
from evaluate.rollouts import TEMPERATURES, Dreams, Pass, Predicted, Truth
from model import breakout
from model.breakout import CELLS, EMULATOR_HZ, GRID_ROWS, UNCHANGED, Action
from model.metrics import Numbers, Rate, ambiguous, kaplan_meier, mean, partings_per_minute, quartiles, ratio
from model.readers import Bools, Floats, Ints
from model.state import INDEX, NOT_KNOWN

TOP = 5
EVENT_STEPS = 14  # an event counts as right if it and the steps after it, so many in all, are right in every pixel
BRICK = breakout.BRICK_HEIGHT, breakout.BRICK_WIDTH
WALL = breakout.WALL_TOP, breakout.FIELD_LEFT
HIDING = label_of(Zone.BRICKS), label_of(Zone.PADDLE), label_of(Zone.SIDE_WALLS)  # where a frame may hide a ball
DIGITS_OF = np.array([(4, 4), (0, 1), (2, 4), (3, 4), (4, 4)])  # that top cells show; the player's, 4, never changes


def by_action(parts: Numbers, wholes: Numbers | int, truth: Truth) -> dict[str, Rate]:
    """`ratio` over all steps and for each action taken; `wholes` may be one number for every step."""
    wholes, chosen = np.broadcast_to(wholes, parts.shape), {"all": truth.actions >= 0}
    chosen |= {action.name.lower(): truth.actions == action for action in Action}
    return {name: ratio(parts[of], wholes[of], truth.episodes[of]) for name, of in chosen.items()}


def summarise_truth(truth: Truth, majority: Ints) -> dict[str, Any]:
    """What needs no controller: the baselines, and the picture for the codes of the real pair."""
    hits, dynamic = truth.codes == majority, truth.dynamic.sum(1)
    return {
        "steps": {"all": len(truth.t), **{a.name.lower(): int((truth.actions == a).sum()) for a in Action}},
        "changed_cells_a_step": mean(dynamic, truth.episodes),
        "changed_pixels_a_step": mean(truth.changed, truth.episodes),
        "majority_code_accuracy": by_action(hits.sum(1), CELLS, truth),
        "majority_dynamic_accuracy": by_action((hits & truth.dynamic).sum(1), dynamic, truth),
        "copy_last_exact_frames": by_action(truth.changed == 0, 1, truth),
        "copy_last_changed_pixels": 0.0,
        "inferred": _picture(truth, truth),
        "codebook": codebook_use(truth.codes, truth.dynamic),
    }


def _picture(drawn: Truth | Predicted, truth: Truth) -> dict[str, Any]:
    return {
        "exact_frames": by_action(drawn.wrong == 0, 1, truth),
        "changed_pixels": by_action(drawn.right, truth.changed, truth),
        "wrong_pixels_a_step": mean(drawn.wrong, truth.episodes),
        "psnr": mean(drawn.psnr, truth.episodes),
    }


def summarise_predicted(predicted: Predicted, truth: Truth) -> dict[str, Any]:
    """The one-step metrics of one controller."""
    hits, changed, dynamic = predicted.codes == truth.codes, truth.dynamic, truth.dynamic.sum(1)
    # float64: the sums do not depend on the order in which the machine adds
    told = predicted.truth[..., TEMPERATURES.index(1.0)].astype(np.float64)
    return {
        "code_accuracy": by_action(hits.sum(1), CELLS, truth),
        "dynamic_accuracy": by_action((hits & changed).sum(1), dynamic, truth),
        "dynamic_top5_accuracy": by_action(((predicted.rank < TOP) & changed).sum(1), dynamic, truth),
        "expected_code_accuracy": by_action(told.sum(1), CELLS, truth),
        "expected_dynamic_accuracy": by_action((told * changed).sum(1), dynamic, truth),
        **_picture(predicted, truth),
        "delta_psnr": by_action(truth.psnr - predicted.random_psnr, 1, truth),
        "delta_psnr_of_the_key": by_action(predicted.psnr - predicted.random_psnr, 1, truth),
    }


def codebook_use(codes: Ints, changed: Bools | None = None) -> dict[str, Any]:
    """How many codes (N, 35) are in use and their perplexity: how many there would be were all used alike. For all
    cells, and for those `changed` (N, 35); left out, those whose code says so."""
    found, changes = {}, codes[codes != UNCHANGED if changed is None else changed]
    for name, of in (("all_cells", codes), ("changed_cells", changes)):
        counts = np.unique(of, return_counts=True)[1]
        found[name] = {"used": len(counts), "perplexity": 2 ** entropy(counts) if len(counts) else None}
    return found


def summarise_memory(memory: Ints, truth: Ints, episodes: Ints) -> dict[str, Any]:
    """Per variable how often it is known, and how often right when known; memory and truth (N, V), episodes (N,).
    Moments of which RAM does not tell a variable do not count for it."""
    found = {}
    for name, number in INDEX.items():
        told = truth[:, number] >= 0
        said, of = memory[told, number], episodes[told]
        known, right = said != NOT_KNOWN, said == truth[told, number]
        if name == "half_row":  # its class is a set: it is known when that holds one eighth
            known &= np.bitwise_count(said) == 1
        rates = {"known": mean(known, of), "right_when_known": ratio(right & known, known, of)}
        found[name] = {**rates, "right": mean(right, of)}
    return found


def summarise_events(dataset: Dataset, events: Ints, found: Pass) -> dict[str, Rate]:
    """Events one by one from real history: the share after which `EVENT_STEPS` steps are right in every pixel. If all
    of them are predicted right from real history, a dream begun at the event would show just the same."""
    ends, rates = dataset.first[1:] - 1, {}
    exact = np.pad(found.exact, (0, EVENT_STEPS))  # there may be fewer frames than steps are asked for
    right: Bools = np.all(np.lib.stride_tricks.sliding_window_view(exact, EVENT_STEPS), axis=1)
    for event in (Event.PADDLE, Event.BRICK, Event.SIDE_WALL, Event.TOP_WALL, Event.LIFE_LOST, Event.SERVE):
        t = np.flatnonzero(events == event)
        t = t[t + EVENT_STEPS <= ends[episode_of(dataset, t)]]
        rates[label_of(event)] = mean(right[t], episode_of(dataset, t))
        if event == Event.SERVE:  # where it appears follows from the clock
            t = t[found.memory[t, INDEX["clock"]] != NOT_KNOWN]
            rates["serve, clock known"] = mean(right[t], episode_of(dataset, t))
    return rates


def by_group(truth: Truth, predicted: dict[str, Predicted], groups: type[Any], of_frame: Ints) -> dict[str, Any]:
    """Success of every controller in each of the `groups`, `Event` or `Zone`, which `of_frame` gives of each frame: all
    35 codes right (`grid`), `changed_cells`, `exact_frames`, `wrong_pixels`. None can better `real_codes`' frames."""
    found = {}
    for group in groups:
        of, each = of_frame[truth.t] == group, {}
        dynamic, episodes = truth.dynamic[of], truth.episodes[of]
        for name, one in predicted.items():
            hits, wrong = (one.codes == truth.codes)[of], one.wrong[of]
            each[name] = {
                "grid": mean(hits.all(1), episodes),
                "changed_cells": ratio((hits & dynamic).sum(1), dynamic.sum(1), episodes),
                "exact_frames": mean(wrong == 0, episodes),
                "wrong_pixels": mean(wrong, episodes),
            }
        ideal = mean(truth.wrong[of] == 0, episodes)
        found[group.name.lower()] = {"steps": int(of.sum()), "real_codes": ideal, "controllers": each}
    return found


def frequency(dataset: Dataset, events: Ints) -> dict[str, Any]:
    """How often each event occurs in all that was played: its steps, and their share."""
    of_step = events[dataset.transitions()]
    return {e.name.lower(): {"steps": int((of_step == e).sum()), "share": float((of_step == e).mean())} for e in Event}


def mistakes(truth: Truth, predicted: Predicted, events: Ints) -> dict[str, Any]:
    """Of evenly drawn steps: codes that `missed` a change, `invented` one, or gave another (`wrong_change`); steps with
    any wrong code (`failures`), how many of them in each group of events, and the share with just one or two."""
    wrong = predicted.codes != truth.codes
    missed, invented = wrong & (predicted.codes == UNCHANGED), wrong & (truth.codes == UNCHANGED)
    kinds = {"wrong": wrong, "missed": missed, "invented": invented, "wrong_change": wrong & ~missed & ~invented}
    failed, of_step = wrong.any(1), events[truth.t]
    return {
        "codes": {name: int(kind.sum()) for name, kind in kinds.items()},
        "failures": int(failed.sum()),
        "of_steps": len(failed),
        "failures_by_event": {event.name.lower(): int((failed & (of_step == event)).sum()) for event in Event},
        "one_or_two_codes": ratio(failed & (wrong.sum(1) <= 2), failed, truth.episodes),
    }


def summarise_ambiguity(dataset: Dataset, truth: Truth) -> dict[str, Rate]:
    """Of changed cells, but for those where only the paddle moves, the share whose outcome is not the commonest one of
    its code, by zone of the ball. An outcome is the digits that come; or the ball's step, or where it is served, how
    many bricks go, and where the first of them is, from the brick at the ball: where that is, the state knows. A ball
    that a frame hides goes or comes; "hidden too" counts its step as well, which two frames do not tell."""
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    was, there, served = ball_seen(dataset, truth.t), ball_seen(dataset, truth.t + 1), now.ball_row == 0
    place, then = (np.stack((of.ball_row, of.ball_column), 1).astype(np.int64) for of in (now, after))
    gone: Bools = np.reshape(now.wall & ~after.wall, (len(was), -1))
    brick = np.stack(np.divmod(gone.argmax(1), breakout.BRICK_COLUMNS), 1) - (place - WALL) // BRICK
    bricks = np.column_stack((gone.sum(1), brick * np.any(gone, axis=1)[:, None]))
    zone, score = zones(dataset)[truth.t], np.arange(CELLS) % GRID_ROWS == 0
    n, cell = np.nonzero(truth.dynamic & (ball_cells(now, after) | score))
    shown = digits_shown(dataset)
    new = np.where(shown[truth.t] != shown[truth.t + 1], shown[truth.t + 1], -1)
    digits = np.pad(new[n[:, None], DIGITS_OF[cell // GRID_ROWS]], ((0, 0), (4, 0)), constant_values=-1)
    parts = {label_of(place): ~score[cell] & (zone[n] == place) for place in Zone} | {"score": score[cell]}
    found = dict[str, Rate]()
    for more, told in (("", was & there), (", hidden too", (place[:, 0] > 0) & (then[:, 0] > 0))):
        step = np.where(told[:, None], then - place, np.where((there & served)[:, None], then, 0))
        balls = np.column_stack((was + 2 * there + 4 * (there & served), step, bricks))
        outcome = np.where(score[cell, None], digits, balls[n])
        wrong = ambiguous(truth.codes[n, cell], np.unique(outcome, axis=0, return_inverse=True)[1].reshape(-1))
        some = {name: part for name, part in parts.items() if not more or name in HIDING}
        found |= {name + more: mean(wrong[part], truth.episodes[n[part]]) for name, part in some.items()}
    return found


def ball_cells(now: ram.GameState, after: ram.GameState) -> Bools:
    """The cells that the ball has a part in before or after each of N steps, or a brick that goes has: (N, 35)."""
    gone, row, column = np.nonzero(now.wall & ~after.wall)
    boxes: list[Any] = [(gone, WALL[0] + row * BRICK[0], WALL[1] + column * BRICK[1], *BRICK)]
    for moment in (now, after):
        n = np.flatnonzero(moment.ball_row)
        boxes.append((n, moment.ball_row[n], moment.ball_column[n], breakout.BALL_HEIGHT, breakout.BALL_WIDTH))
    found = np.zeros((len(now.ball_row), CELLS), np.bool_)
    for n, top, left, height, width in boxes:
        for row, column in ((top + y, left + x) for y in (0, height - 1) for x in (0, width - 1)):  # corners
            inside = (row >= 0) & (row < breakout.ROWS) & (column >= 0) & (column < breakout.COLUMNS)
            cell = column // breakout.CELL_COLUMNS * GRID_ROWS + row // breakout.CELL_ROWS
            found[n[inside], cell[inside]] = True
    return found


def ball_seen(dataset: Dataset, t: Ints) -> Bools:
    """Whether frames t (N,) show a part of the ball: it may be off the screen, under a wall, or on its own colour."""
    parts = np.array_split(t, len(t) // 256 + 1)
    return np.concatenate([look(dataset.frame(part)).pixels > 0 for part in parts])


def _errors(errors: Floats, episodes: Ints) -> dict[str, Any]:
    known = ~np.isnan(errors)
    errors, episodes = errors[known], episodes[known]
    close = mean(errors <= 2, episodes)
    return {"error": quartiles(errors), "missing": mean(np.isinf(errors), episodes), "within_2_pixels": close}


def summarise_dreams(dreams: Dreams, frameskip: int) -> dict[str, Any]:
    """Horizons in seconds, partings per minute, and what is shown after each mark."""
    seconds = frameskip / EMULATOR_HZ
    lasted, ten = dreams.horizons * seconds, round(10 / seconds)
    told = dreams.steps >= ten  # of the others nobody knows; those that parted in time would count alone
    after = {}
    for mark, errors in zip(dreams.marks, np.moveaxis(dreams.errors, 2, 0), strict=True):
        runs = dreams.steps >= mark
        episodes, (ball, paddle, bricks) = dreams.episodes[runs], errors[:, runs]
        after[f"{mark * seconds:g}"] = {
            "runs": int(runs.sum()),
            "still_true": mean(dreams.horizons[runs] >= mark, episodes),
            "ball": _errors(ball, episodes),
            "paddle": _errors(paddle, episodes),
            "wrong_bricks": mean(bricks, episodes),
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


def summarise_possible(found: Possible, episodes: Ints, frameskip: int) -> dict[str, Any]:
    """Possible seconds, and what ended them; a dream that came to its game's end or the cap is censored."""
    seconds, broken = found.horizon * frameskip / EMULATOR_HZ, found.reason > 0
    return {
        "runs": len(seconds),
        "possible_seconds": kaplan_meier(seconds, broken),
        "still_possible": mean(~broken, episodes),
        "games_ended": int(found.over.sum()),
        "reasons": {reason.name.lower(): int((found.reason == reason).sum()) for reason in Reason if reason},
    }


def plain(value: Any) -> Any:
    """A nested report as JSON can hold it: dataclasses as dicts, floats rounded, NaN and infinity as None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
