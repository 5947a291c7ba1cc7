"""A report's numbers as tables on a terminal. What nothing was counted for shows as "-"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluate.heldout import Event, Zone
from model.breakout import Action
from model.metrics import Quartiles, Rate

EMPTY = "-"
ACTIONS = ("all", *(action.name.lower() for action in Action))
ONE_STEP: tuple[tuple[str, str, int | None, str, str], ...] = (
    ("codes right", "code_accuracy", 2, "majority_code_accuracy", "majority"),
    ("  of changed cells", "dynamic_accuracy", 2, "majority_dynamic_accuracy", "majority"),
    ("  among the five likeliest", "dynamic_top5_accuracy", 1, "", ""),
    ("  probability of the truth", "expected_dynamic_accuracy", 1, "", ""),
    ("exact frames", "exact_frames", 2, "copy_last_exact_frames", "copy last"),
    ("changed pixels right", "changed_pixels", 1, "", "0.0% copy last"),
    ("PSNR, dB", "psnr", None, "", ""),
    ("wrong pixels a step", "wrong_pixels_a_step", None, "", ""),
    ("delta PSNR, dB", "delta_psnr", None, "", "0"),  # Genie's; the next asks the controller itself
    ("  right key less random key", "delta_psnr_of_the_key", None, "", "0"),
)
"""The metrics of one step: label, key, digits of its per cent (None: it is no share), the baseline's key and name."""
BY_ACTION = {
    "codes": "code_accuracy",
    "changed cells": "dynamic_accuracy",
    "exact frames": "exact_frames",
    "changed pixels": "changed_pixels",
}


def number(value: float | None, digits: int = 1) -> str:
    """A number, or "-" for None."""
    return EMPTY if value is None else f"{value:.{digits}f}"


def with_interval(rate: Rate, percent: bool = True, digits: int = 1) -> str:
    """A rate with its 95% interval."""
    if rate.value is None:
        return EMPTY
    factor, sign = (100, "%") if percent else (1, "")
    text = f"{factor * rate.value:.{digits}f}{sign}"
    if rate.low is None or rate.high is None:
        return text
    return f"{text} [{factor * rate.low:.{digits}f}, {factor * rate.high:.{digits}f}]"


def share(rate: Rate) -> str:
    """A rate as per cent."""
    return with_interval(Rate(rate.value, None, None, rate.of))


def spans(found: Quartiles) -> str:
    """Median and quartiles of times of which some are censored: what was not reached shows as "never"."""
    if not found.of:
        return EMPTY
    low, median, high = ("never" if v is None else f"{v:.1f}" for v in (found.low, found.median, found.high))
    return f"{median} [{low}, {high}]"


def make_table(title: str, *columns: str, rows: Iterable[Iterable[str]] = ()) -> Table:
    """A table with its first rows; all columns but the first hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False)


# --- evaluate ---


def one_step_table(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    """`summarise_truth` and, by controller, `summarise_predicted`."""
    rows = []
    for label, key, digits, baseline, name in ONE_STEP:
        rates = [of.get(key) for of in (*ones.values(), truth["inferred"])]
        rates = [rate["all"] if isinstance(rate, dict) else rate for rate in rates]
        shown = [with_interval(r, digits is not None, digits or 1) if r else EMPTY for r in rates]
        free = f"{share(truth[baseline]['all'])} {name}" if baseline else name or EMPTY
        rows.append([label, *shown, free])
    return make_table(title, "share, 95% interval", *ones, "real codes", "baseline", rows=rows)


def per_action_table(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    """The accuracies by the action taken."""

    def row(label: str, rates: dict[str, Any], form: Callable[[Any], str]) -> list[str]:
        return [label, *(form(rates[action]) for action in ACTIONS)]

    rows = [row("steps", truth["steps"], str), row("majority", truth["majority_code_accuracy"], share)]
    rows.append(row("majority, changed cells", truth["majority_dynamic_accuracy"], share))
    for controller, one in ones.items():
        rows += [row(f"{controller}: {name}", one[key], share) for name, key in BY_ACTION.items()]
        rows.append(row(f"{controller}: delta PSNR, dB", one["delta_psnr"], lambda rate: number(rate.value, 2)))
    return make_table(title, "", *ACTIONS, rows=rows)


def _dreams(policy: str, dreams: dict[str, Any]) -> Table:
    first, each = next(iter(dreams.values())), dreams.values()
    length = first["run_seconds"]
    title = (
        f"{policy}: {first['runs']} dreams in {first['episodes']} games, "
        f"lasting {number(length.low)} / {number(length.median)} / {number(length.high)} s at most (quartiles)"
    )
    table = make_table(title, "", *dreams)
    table.add_row("partings per minute", *(with_interval(d["partings_per_minute"], False) for d in each))
    table.add_row("horizon, s: median, quartiles (Kaplan-Meier)", *(spans(d["horizon_seconds"]) for d in each))
    table.add_row("true to the end", *(with_interval(d["reach_the_end"]) for d in each))
    table.add_row("true after 10 s", *(with_interval(d["true_after_10_seconds"]) for d in each))
    rows: dict[str, Callable[[Any], str]] = {
        "after {} s: ball error, px: median": lambda after: _error(after["ball"]["error"]),
        "  ball within 2 px": lambda after: with_interval(after["ball"]["within_2_pixels"]),
        "  paddle error, px: median": lambda after: _error(after["paddle"]["error"]),
        "  wrong bricks, mean": lambda after: number(after["wrong_bricks"].value),
    }
    for mark in first["after_seconds"]:
        after = [d["after_seconds"].get(mark) for d in each]  # only the twin's own dreams are drawn to the last mark
        table.add_section()
        for label, form in rows.items():
            table.add_row(label.format(mark), *(form(one) if one else EMPTY for one in after))
    return table


def _error(found: Quartiles) -> str:
    return "gone" if found.of and found.median is None else number(found.median)


def _rates(title: str, rates: dict[str, Rate]) -> Table:
    rows = ([name, with_interval(rate, digits=2), f"{rate.of:.0f}"] for name, rate in rates.items())
    return make_table(title, "", "share, 95% interval", "of", rows=rows)


def _memory(policy: str, memory: dict[str, Any]) -> Table:
    parts, keys = (memory["real_history"], memory["dreams"]), ("known", "right_when_known")
    rows = ([name, *(with_interval(of[name][key]) for of in parts for key in keys)] for name in parts[0])
    columns = "", "known", "right when known", "in dreams: known", "right"
    return make_table(f"{policy}: what is remembered", *columns, rows=rows)


def print_evaluation(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate`, before it is made JSON."""
    settings = report["settings"]
    _say(
        console,
        f"weights {report['weights'][:12]}, frame skip {report['frameskip']}, context {report['context']} frames, seed "
        f"{settings['seed']}" + (f", without {settings['without']}" if settings["without"] != "nothing" else ""),
    )
    for policy, held in report["held_out"].items():
        truth, ones = held["truth"], {name: parts["one_step"] for name, parts in held["controllers"].items()}
        steps = f"{truth['steps']['all']} steps of {held['episodes']} games"
        for table in (
            one_step_table(f"{policy}: one step from real history, {steps}", truth, ones),
            per_action_table(f"{policy}: by the action taken", truth, ones),
            _rates(f"{policy}: events, one by one from real history, 14 steps right", held["events"]),
            _rates(f"{policy}: ambiguous codes, by zone", held["ambiguity"]),
            _memory(policy, held["memory"]),
            _dreams(policy, held["dreams"]),
        ):
            console.print()
            console.print(table)
        every, use = held["exact_frames_of_all_steps"], truth["codebook"]["changed_cells"]
        _say(console, f"{policy}: exact frames, all {every.of:.0f} steps: {with_interval(every, digits=2)}")
        perplexity = number(use["perplexity"])
        _say(console, f"{policy}: {use['used']} of 256 codes draw its changed cells, perplexity {perplexity}")
        if alone := held.get("alone"):
            reasons = ", ".join(f"{name} {count}" for name, count in alone["reasons"].items() if count)
            _say(
                console,
                f"{policy}: {alone['runs']} dreams left alone are possible for {spans(alone['possible_seconds'])} s "
                f"(median, quartiles); then: {reasons or 'nothing impossible'}; {alone['games_ended']} games ended",
            )


def print_live(report: dict[str, Any], console: Console) -> None:
    """Print the report of `live`, before it is made JSON."""
    names = list(report["controllers"])
    title = f"{report['steps']} steps of {report['games']} games played by the {report['policy']} policy"
    console.print(one_step_table(title, report["truth"], report["controllers"]))
    by_event, by_zone = "steps with all 35 codes right, by what happened", "the same, by where the ball was"
    for key, title, kinds in (("events", by_event, tuple(Event)), ("zones", by_zone, tuple(Zone))):
        table = make_table(title, "", "steps", *names, "wrong pixels a step")
        for kind in kinds:
            of = report[key][kind.name.lower()]
            each = [of["controllers"][name] for name in names]
            wrong = " / ".join(number(one["wrong_pixels"].value) for one in each) if of["steps"] else EMPTY
            grids = (with_interval(one["grid"]) for one in each)
            table.add_row(kind.label, str(of["steps"] or EMPTY), *grids, wrong)
        console.print(table)
    for name in names:
        found = report["mistakes"][name]
        codes = found["codes"]
        _say(
            console,
            f"{name}: {found['failures']} of {found['of_steps']} steps have a wrong code, in all {codes['wrong']}: "
            f"{codes['missed']} changes taken for none, {codes['invented']} where there was none, "
            f"{codes['wrong_change']} taken for another; longest run without one: "
            f"{report['longest_run_of_right_grids'][name]} steps",
        )


# --- the other reports ---


def print_match(report: dict[str, Any], console: Console) -> None:
    """Print the report of `match`."""
    title = f"the emulator and the twin from a reset, {report['seeds']} seeds, at most {report['steps']} steps"
    table = make_table(title, "first step that differs", "median [quartiles]", "least", "no difference")
    for name, found in report["policies"].items():
        least = min((step for step in found["first_difference"] if step is not None), default=None)
        table.add_row(name, spans(found["steps"]), number(least, 0), with_interval(found["never"]))
    console.print(table)


def print_players(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate_players`."""
    worlds = list(next(iter(report["players"].values())))
    table = make_table(f"points: mean of {report['games']} games, 95% interval", "", *worlds, "minutes a game")
    for who, found in report["players"].items():
        scores = (with_interval(found[world]["score"], percent=False) for world in worlds)
        table.add_row(who, *scores, number(found[worlds[0]]["minutes"]))
    table.add_section()
    for who, score in report["published"].items():
        table.add_row(who, number(score), *[EMPTY] * len(worlds))
    console.print(table)


def print_bench(report: dict[str, Any], console: Console) -> None:
    """Print the report of `bench`."""
    machine = report["machine"]
    _say(
        console,
        f"{machine['system']} {machine['processor']}, {machine['cores']} cores, frame skip {report['frameskip']}; "
        f"the bare emulator: {number(report['bare_emulator_frames_per_second'], 0)} frames/s",
    )
    parts = report["step_milliseconds"]
    rows = ([name, *(f"{t['median']:.2f} ({t['p99']:.2f})" for t in of.values())] for name, of in parts.items())
    title, batches = "milliseconds, median (99th percentile), by batch", next(iter(parts.values()))
    console.print(make_table(title, "", *batches, rows=rows))
    play, collecting = report["play_milliseconds"], report["collecting"]
    steps = ", ".join(f"{games}: {speed:.0f}" for games, speed in report["dream_steps_per_second"].items())
    _say(
        console,
        f"a step of play, emulator and twin: {play['median']:.2f} ms, 99th percentile {play['p99']:.2f}; "
        f"real time allows {report['real_time_milliseconds']:.2f}\n"
        f"dreamt steps/s by batch: {steps}; the emulator's {report['ale_steps_per_second']:.0f}\n"
        f"collecting on one core: {collecting['collected_steps_per_second']:.0f} steps/s, "
        f"{100 * collecting['share_of_bare']:.0f}% of the bare emulator with its screen read; "
        f"peak memory {number(report['peak_memory_mb'], 0)} MB",
    )


def print_soak(report: dict[str, Any], console: Console) -> None:
    """Print the report of `soak`."""
    last, growth, drift = report["samples"][-1], report["memory_growth"], report["pace_drift"]
    held = "memory unknown here" if last["memory"] is None else f"{last['memory']:.1f} MB at the end"
    grown = "too short to tell of growth" if growth is None else f"{growth:+.2%} since the first minute"
    pace = "too short to tell of drift" if drift is None else f"{drift:+.1%} from the first quarter to the last"
    _say(console, f"{report['hours']:g} hours of play: {held}, {grown}; a step {last['step']:.1f} ms, {pace}")
