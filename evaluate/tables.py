"""A report's numbers, before they are made JSON, as tables on a terminal. What nothing was counted for shows as "-"."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluate.heldout import Event, Zone, label_of
from model.metrics import Quartiles, Rate

EMPTY = "-"
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
    """A number, "-" for None and NaN, "gone" for an infinite error."""
    return EMPTY if value is None or math.isnan(value) else "gone" if math.isinf(value) else f"{value:.{digits}f}"


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
    table = Table(columns[0], title=title, title_justify="left", title_style="bold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _one_step(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    """`summarise_truth` and, by controller, `summarise_predicted`."""
    table = make_table(title, "share, 95% interval", *ones, "real codes", "baseline")
    for label, key, digits, baseline, name in ONE_STEP:
        rates = [of.get(key) for of in (*ones.values(), truth["inferred"])]
        rates = [rate["all"] if isinstance(rate, dict) else rate for rate in rates]
        shown = [with_interval(r, digits is not None, digits or 1) if r else EMPTY for r in rates]
        table.add_row(label, *shown, f"{share(truth[baseline]['all'])} {name}" if baseline else name or EMPTY)
    return table


def _per_action(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    table = make_table(title, "", *truth["steps"])  # which are in the order of all rates by action
    table.add_row("steps", *map(str, truth["steps"].values()))
    table.add_row("majority", *map(share, truth["majority_code_accuracy"].values()))
    table.add_row("majority, changed cells", *map(share, truth["majority_dynamic_accuracy"].values()))
    for controller, one in ones.items():
        for name, key in BY_ACTION.items():
            table.add_row(f"{controller}: {name}", *map(share, one[key].values()))
        table.add_row(f"{controller}: delta PSNR, dB", *(number(of.value, 2) for of in one["delta_psnr"].values()))
    return table


def _dreams(policy: str, dreams: dict[str, Any]) -> Table:
    first, each = next(iter(dreams.values())), dreams.values()
    lasting = " / ".join(number(getattr(first["run_seconds"], name)) for name in ("low", "median", "high"))
    title = f"{policy}: {first['runs']} dreams in {first['episodes']} games, lasting {lasting} s at most (quartiles)"
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


def print_evaluation(report: dict[str, Any], console: Console) -> None:
    seed, without = report["settings"]["seed"], report["settings"]["without"]
    about = f"frame skip {report['frameskip']}, context {report['context']} frames, seed {seed}"
    lacks = f", without {without}" if without != "nothing" else ""
    console.print(f"weights {report['weights'][:12]}, {about}{lacks}")
    for policy, held in report["held_out"].items():
        truth, ones = held["truth"], {name: parts["one_step"] for name, parts in held["controllers"].items()}
        steps = f"{truth['steps']['all']} steps of {held['episodes']} games"
        columns = "", "known", "right when known", "in dreams: known", "right"
        memory = make_table(f"{policy}: what is remembered", *columns)
        for name, known in held["memory"]["real_history"].items():
            both, keys = (known, held["memory"]["dreams"][name]), ("known", "right_when_known")
            memory.add_row(name, *(with_interval(of[key]) for of in both for key in keys))
        parts = (
            _one_step(f"{policy}: one step from real history, {steps}", truth, ones),
            _per_action(f"{policy}: by the action taken", truth, ones),
            _rates(f"{policy}: events, one by one from real history, 14 steps right", held["events"]),
            _rates(f"{policy}: ambiguous codes, by zone", held["ambiguity"]),
            memory,
            _dreams(policy, held["dreams"]),
        )
        for table in parts:
            console.print("", table, sep="\n")
        every, use = held["exact_frames_of_all_steps"], truth["codebook"]["changed_cells"]
        console.print(f"{policy}: exact frames, all {every.of:.0f} steps: {with_interval(every, digits=2)}")
        perplexity = number(use["perplexity"])
        console.print(f"{policy}: {use['used']} of 256 codes draw its changed cells, perplexity {perplexity}")
        if alone := held.get("alone"):
            reasons = ", ".join(f"{name} {count}" for name, count in alone["reasons"].items() if count)
            console.print(
                f"{policy}: {alone['runs']} dreams left alone are possible for {spans(alone['possible_seconds'])} s "
                f"(median, quartiles); then: {reasons or 'nothing impossible'}; {alone['games_ended']} games ended"
            )


def print_live(report: dict[str, Any], console: Console) -> None:
    names = list(report["controllers"])
    title = f"{report['steps']} steps of {report['games']} games played by the {report['policy']} policy"
    console.print(_one_step(title, report["truth"], report["controllers"]))
    by_event, by_zone = "steps with all 35 codes right, by what happened", "the same, by where the ball was"
    for title, found, kinds in ((by_event, report["events"], Event), (by_zone, report["zones"], Zone)):
        table = make_table(title, "", "steps", *names, "wrong pixels a step")
        for kind, of in zip(kinds, found.values(), strict=True):
            each, steps = of["controllers"].values(), str(of["steps"] or EMPTY)
            wrong = " / ".join(number(one["wrong_pixels"].value) for one in each) if of["steps"] else EMPTY
            table.add_row(label_of(kind), steps, *(with_interval(one["grid"]) for one in each), wrong)
        console.print(table)
    for name, found in report["mistakes"].items():
        codes, longest = found["codes"], report["longest_run_of_right_grids"][name]
        console.print(
            f"{name}: {found['failures']} of {found['of_steps']} steps have a wrong code, in all {codes['wrong']}: "
            f"{codes['missed']} changes taken for none, {codes['invented']} where there was none, "
            f"{codes['wrong_change']} taken for another; longest run without one: {longest} steps"
        )


def print_match(report: dict[str, Any], console: Console) -> None:
    title = f"the emulator and the twin from a reset, {report['seeds']} seeds, at most {report['steps']} steps"
    table = make_table(title, "first step that differs", "median [quartiles]", "least", "no difference")
    for name, found in report["policies"].items():
        least = min((step for step in found["first_difference"] if step is not None), default=None)
        table.add_row(name, spans(found["steps"]), number(least, 0), with_interval(found["never"]))
    console.print(table)


def print_players(report: dict[str, Any], console: Console) -> None:
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
    machine, bare = report["machine"], number(report["bare_emulator_frames_per_second"], 0)
    cores = f"{machine['cores']} cores, frame skip {report['frameskip']}"
    console.print(f"{machine['system']} {machine['processor']}, {cores}; the bare emulator: {bare} frames/s")
    parts = report["step_milliseconds"]
    rows = ([name, *(f"{t['median']:.2f} ({t['p99']:.2f})" for t in of.values())] for name, of in parts.items())
    title, batches = "milliseconds, median (99th percentile), by batch", next(iter(parts.values()))
    console.print(make_table(title, "", *batches, rows=rows))
    play, collecting = report["play_milliseconds"], report["collecting"]
    steps = ", ".join(f"{games}: {speed:.0f}" for games, speed in report["dream_steps_per_second"].items())
    console.print(
        f"a step of play, emulator and twin: {play['median']:.2f} ms, 99th percentile {play['p99']:.2f}; "
        f"real time allows {report['real_time_milliseconds']:.2f}\n"
        f"dreamt steps/s by batch: {steps}; the emulator's {report['ale_steps_per_second']:.0f}\n"
        f"collecting on one core: {collecting['collected_steps_per_second']:.0f} steps/s, "
        f"{100 * collecting['share_of_bare']:.0f}% of the bare emulator with its screen read; "
        f"peak memory {number(report['peak_memory_mb'], 0)} MB"
    )


def print_soak(report: dict[str, Any], console: Console) -> None:
    last, growth, drift = report["samples"][-1], report["memory_growth"], report["pace_drift"]
    held = "memory unknown here" if last["memory"] is None else f"{last['memory']:.1f} MB at the end"
    grown = "too short to tell of growth" if growth is None else f"{growth:+.2%} since the first minute"
    pace = "too short to tell of drift" if drift is None else f"{drift:+.1%} from the first quarter to the last"
    console.print(f"{report['hours']:g} hours of play: {held}, {grown}; a step {last['step']:.1f} ms, {pace}")
