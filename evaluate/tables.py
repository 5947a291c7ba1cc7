"""The evaluation's numbers as tables on a terminal. What nothing was counted for shows as "-"."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from model.breakout import Action
from model.metrics import Quartiles, Rate

EMPTY = "-"
_ACTIONS = ("all", *(action.name.lower() for action in Action))


def share(rate: Rate, digits: int = 1) -> str:
    """A rate as per cent."""
    return EMPTY if rate.value is None else f"{100 * rate.value:.{digits}f}%"


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


def spans(found: Quartiles) -> str:
    """Median and quartiles of times of which some are censored: what was not reached shows as "never"."""
    if not found.of:
        return EMPTY
    low, median, high = (
        "never" if value is None else f"{value:.1f}" for value in (found.low, found.median, found.high)
    )
    return f"{median} [{low}, {high}]"


def make_table(title: str, *columns: str) -> Table:
    """An empty table; all columns but the first hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def one_step_table(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    """`summarise_truth` and, by controller, `summarise_predicted`."""
    table = make_table(title, "share, 95% interval", *ones, "real codes", "baseline")
    inferred = truth["inferred"]

    def row(name: str, key: str, real: str, baseline: str, digits: int = 1) -> None:
        found = (with_interval(one[key]["all"], digits=digits) for one in ones.values())
        table.add_row(name, *found, real, baseline)

    row("codes right", "code_accuracy", EMPTY, f"{share(truth['majority_code_accuracy']['all'])} majority", 2)
    majority = f"{share(truth['majority_dynamic_accuracy']['all'])} majority"
    row("  of changed cells", "dynamic_accuracy", EMPTY, majority, 2)
    row("  among the five likeliest", "dynamic_top5_accuracy", EMPTY, EMPTY)
    row("  probability of the truth", "expected_dynamic_accuracy", EMPTY, EMPTY)
    copied = f"{share(truth['copy_last_exact_frames']['all'])} copy last"
    row("exact frames", "exact_frames", with_interval(inferred["exact_frames"]["all"], digits=2), copied, 2)
    row("changed pixels right", "changed_pixels", with_interval(inferred["changed_pixels"]["all"]), "0.0% copy last")
    for name, key in (("PSNR, dB", "psnr"), ("wrong pixels a step", "wrong_pixels_a_step")):
        found = (with_interval(one[key], percent=False) for one in ones.values())
        table.add_row(name, *found, with_interval(inferred[key], percent=False), EMPTY)
    # The first is Genie's; the second asks the controller itself whether the key makes its picture better.
    for name, key in (("delta PSNR, dB", "delta_psnr"), ("  right key less random key", "delta_psnr_of_the_key")):
        found = (with_interval(one[key]["all"], percent=False) for one in ones.values())
        table.add_row(name, *found, EMPTY, "0")
    return table


def per_action_table(title: str, truth: dict[str, Any], ones: dict[str, Any]) -> Table:
    """The accuracies by the action taken."""
    table = make_table(title, "", *_ACTIONS)
    table.add_row("steps", *(str(truth["steps"][action]) for action in _ACTIONS))
    for name, key in (("majority", "majority_code_accuracy"), ("majority, changed cells", "majority_dynamic_accuracy")):
        table.add_row(name, *(share(truth[key][action]) for action in _ACTIONS))
    rows = {
        "codes": "code_accuracy",
        "changed cells": "dynamic_accuracy",
        "exact frames": "exact_frames",
        "changed pixels": "changed_pixels",
    }
    for controller, one in ones.items():
        for name, key in rows.items():
            table.add_row(f"{controller}: {name}", *(share(one[key][action]) for action in _ACTIONS))
        psnrs = (number(one["delta_psnr"][action].value, 2) for action in _ACTIONS)
        table.add_row(f"{controller}: delta PSNR, dB", *psnrs)
    return table


def _dreams(policy: str, dreams: dict[str, Any]) -> Table:
    first = next(iter(dreams.values()))
    length = first["run_seconds"]
    title = (
        f"{policy}: {first['runs']} dreams in {first['episodes']} games, "
        f"lasting {number(length.low)} / {number(length.median)} / {number(length.high)} s at most (quartiles)"
    )
    table = make_table(title, "", *dreams)
    each = dreams.values()
    table.add_row("partings per minute", *(with_interval(d["partings_per_minute"], False) for d in each))
    table.add_row("horizon, s: median, quartiles (Kaplan-Meier)", *(spans(d["horizon_seconds"]) for d in each))
    for name, key in (("true to the end", "reach_the_end"), ("true after 10 s", "true_after_10_seconds")):
        table.add_row(name, *(with_interval(d[key]) for d in each))
    for mark in first["after_seconds"]:
        after = [d["after_seconds"].get(mark) for d in each]  # only the twin's own dreams are drawn to the last mark
        table.add_section()
        table.add_row(f"after {mark} s: ball error, px: median", *(_error(a["ball"]) if a else EMPTY for a in after))
        table.add_row(
            "  ball within 2 px", *(with_interval(a["ball"]["within_2_pixels"]) if a else EMPTY for a in after)
        )
        table.add_row("  paddle error, px: median", *(_error(a["paddle"]) if a else EMPTY for a in after))
        table.add_row("  wrong bricks, mean", *(number(a["wrong_bricks"].value) if a else EMPTY for a in after))
    return table


def _error(errors: dict[str, Any]) -> str:
    found: Quartiles = errors["error"]
    if not found.of:
        return EMPTY
    return "gone" if found.median is None else number(found.median)


def _rates(title: str, rates: dict[str, Rate]) -> Table:
    table = make_table(title, "", "share, 95% interval", "of")
    for name, rate in rates.items():
        table.add_row(name, with_interval(rate, digits=2), f"{rate.of:.0f}")
    return table


def _memory(policy: str, memory: dict[str, Any]) -> Table:
    table = make_table(f"{policy}: what is remembered", "", "known", "right when known", "in dreams: known", "right")
    dreams = memory.get("dreams", {})
    for name, rates in memory["real_history"].items():
        found = [rates] + ([dreams[name]] if name in dreams else [])
        row = [with_interval(of[key]) for of in found for key in ("known", "right_when_known")]
        table.add_row(name, *row, *[EMPTY] * (4 - len(row)))
    return table


def print_evaluation(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate.evaluate.evaluate`, before it is made JSON."""
    without = report["settings"]["without"]
    console.print(
        f"weights {report['weights'][:12]}, frame skip {report['frameskip']}, context {report['context']} frames, "
        f"seed {report['settings']['seed']}" + (f", without {without}" if without != "nothing" else ""),
        highlight=False,
    )
    for policy, held in report["held_out"].items():
        truth, ones = held["truth"], {name: parts["one_step"] for name, parts in held["controllers"].items()}
        steps = f"{truth['steps']['all']} steps of {held['episodes']} games"
        tables = [
            one_step_table(f"{policy}: one step from real history, {steps}", truth, ones),
            per_action_table(f"{policy}: by the action taken", truth, ones),
            _rates(f"{policy}: events, one by one from real history, 14 steps right", held["events"]),
            _rates(f"{policy}: ambiguous codes, by zone", held["ambiguity"]),
            _memory(policy, held["memory"]),
            _dreams(policy, held["dreams"]),
        ]
        for table in tables:
            console.print()
            console.print(table)
        every = held["exact_frames_of_all_steps"]
        console.print(
            f"{policy}: exact frames, all {every.of:.0f} steps: {with_interval(every, digits=2)}", highlight=False
        )
        use = truth["codebook"]["changed_cells"]
        console.print(
            f"{policy}: {use['used']} of 256 codes draw its changed cells, perplexity {number(use['perplexity'])}",
            highlight=False,
        )
        if alone := held.get("alone"):
            reasons = ", ".join(f"{name} {count}" for name, count in alone["reasons"].items() if count)
            console.print(
                f"{policy}: {alone['runs']} dreams left alone are possible for {spans(alone['possible_seconds'])} s "
                f"(median, quartiles); then: {reasons or 'nothing impossible'}; {alone['games_ended']} games ended",
                highlight=False,
            )


def print_match(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate.match.match`."""
    table = make_table(
        f"the emulator and the twin from a reset, {report['seeds']} seeds, at most {report['steps']} steps",
        "first step that differs", "median [quartiles]", "least", "no difference",
    )  # fmt: skip
    for name, found in report["policies"].items():
        least = min((step for step in found["first_difference"] if step is not None), default=None)
        table.add_row(name, spans(found["steps"]), number(least, 0), with_interval(found["never"]))
    console.print(table)


def print_bench(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate.bench.bench`."""
    machine = report["machine"]
    console.print(
        f"{machine['system']} {machine['processor']}, {machine['cores']} cores, frame skip {report['frameskip']}; "
        f"the bare emulator: {number(report['bare_emulator_frames_per_second'], 0)} frames/s",
        highlight=False,
    )
    batches = list(next(iter(report["step_milliseconds"].values())))
    table = make_table("milliseconds, median (99th percentile), by batch", "", *batches)
    for name, by_batch in report["step_milliseconds"].items():
        table.add_row(name, *(f"{number(t['median'], 2)} ({number(t['p99'], 2)})" for t in by_batch.values()))
    console.print(table)
    play = report["play_milliseconds"]
    console.print(
        f"a step of play, emulator and twin: {number(play['median'], 2)} ms, 99th percentile {number(play['p99'], 2)}; "
        f"real time allows {number(report['real_time_milliseconds'], 2)}",
        highlight=False,
    )
    steps = ", ".join(f"{games}: {number(speed, 0)}" for games, speed in report["dream_steps_per_second"].items())
    console.print(f"dreamt steps/s by batch: {steps}; the emulator's {number(report['ale_steps_per_second'], 0)}")
    collecting = report["collecting"]
    console.print(
        f"collecting on one core: {number(collecting['collected_steps_per_second'], 0)} steps/s, "
        f"{100 * collecting['share_of_bare']:.0f}% of the bare emulator with its screen read; "
        f"peak memory {number(report['peak_memory_mb'], 0)} MB",
        highlight=False,
    )
