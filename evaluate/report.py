"""The evaluation's numbers as tables on a terminal. An empty class shows as "-"."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from model.breakout import Action

EMPTY = "-"
_ACTIONS = ("all", *(action.name.lower() for action in Action))


def share(rate: dict[str, Any] | None) -> str:
    """A rate as per cent."""
    return EMPTY if rate is None or rate["value"] is None else f"{100 * rate['value']:.1f}%"


def number(value: float | None, digits: int = 1) -> str:
    """A number, or "-" for None."""
    return EMPTY if value is None else f"{value:.{digits}f}"


def with_interval(rate: dict[str, Any], percent: bool = True) -> str:
    """A rate with its 95% interval."""
    if rate["value"] is None:
        return EMPTY
    factor, sign = (100, "%") if percent else (1, "")
    text = f"{factor * rate['value']:.1f}{sign}"
    if rate["low"] is None:
        return text
    return f"{text} [{factor * rate['low']:.1f}, {factor * rate['high']:.1f}]"


def make_table(title: str, *columns: str) -> Table:
    """An empty table; all columns but the first hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _one_step(policy: str, result: dict[str, Any]) -> Table:
    truth = result["truth"]
    ones = {name: controller["one_step"] for name, controller in result["controllers"].items()}
    title = f"{policy}: one step from real history, {truth['steps']['all']} steps of {result['episodes']} games"
    table = make_table(title, "share, 95% interval", *ones, "real codes", "baseline")
    inferred = truth["inferred"]

    def row(name: str, key: str, real: str, baseline: str) -> None:
        table.add_row(name, *(with_interval(one[key]["all"]) for one in ones.values()), real, baseline)

    row("codes right", "code_accuracy", EMPTY, f"{share(truth['majority_code_accuracy']['all'])} majority")
    row("  of changed cells", "dynamic_accuracy", EMPTY, f"{share(truth['majority_dynamic_accuracy']['all'])} majority")
    row("  among the five likeliest", "dynamic_top5_accuracy", EMPTY, EMPTY)
    row("  probability of the truth", "expected_dynamic_accuracy", EMPTY, EMPTY)
    copied = f"{share(truth['copy_last_exact_frames']['all'])} copy last"
    row("exact frames", "exact_frames", with_interval(inferred["exact_frames"]["all"]), copied)
    row("changed pixels right", "changed_pixels", with_interval(inferred["changed_pixels"]["all"]), "0.0% copy last")
    for name, key in (("PSNR, dB", "psnr"), ("wrong pixels a step", "wrong_pixels_a_step")):
        found = (with_interval(one[key], percent=False) for one in ones.values())
        table.add_row(name, *found, with_interval(inferred[key], percent=False), EMPTY)
    # The first is the contract's; the second asks the controller itself whether the key makes its picture better.
    deltas = {"delta PSNR, dB": "delta_psnr", "  right key less random key": "delta_psnr_of_the_key"}
    for name, key in deltas.items():
        found = (with_interval(one[key]["all"], percent=False) for one in ones.values())
        table.add_row(name, *found, EMPTY, "0")
    return table


def _per_action(policy: str, result: dict[str, Any]) -> Table:
    truth = result["truth"]
    table = make_table(f"{policy}: by the action taken", "", *_ACTIONS)
    table.add_row("steps", *(str(truth["steps"][action]) for action in _ACTIONS))
    for name, key in (("majority", "majority_code_accuracy"), ("majority, changed cells", "majority_dynamic_accuracy")):
        table.add_row(name, *(share(truth[key][action]) for action in _ACTIONS))
    for controller, parts in result["controllers"].items():
        one = parts["one_step"]
        rows = (
            ("codes", "code_accuracy"),
            ("changed cells", "dynamic_accuracy"),
            ("exact frames", "exact_frames"),
            ("changed pixels", "changed_pixels"),
        )
        for name, key in rows:
            table.add_row(f"{controller}: {name}", *(share(one[key][action]) for action in _ACTIONS))
        psnrs = (number(one["delta_psnr"][action]["value"], 2) for action in _ACTIONS)
        table.add_row(f"{controller}: delta PSNR, dB", *psnrs)
    return table


def _dreams(policy: str, result: dict[str, Any]) -> Table:
    dreams = {name: parts["dream"] for name, parts in result["controllers"].items()}
    dreams["copy last"] = result["copy_last"]["dream"]
    first = next(iter(dreams.values()))
    length = first["run_seconds"]
    title = (
        f"{policy}: {first['runs']} dreams in {first['episodes']} games, lasting {number(length['low'])} / "
        f"{number(length['median'])} / {number(length['high'])} s (quartiles)"
    )
    table = make_table(title, "", *dreams)
    quarters = [dream["horizon_seconds"] for dream in dreams.values()]
    spans = (f"{number(q['median'], 2)} [{number(q['low'], 2)}, {number(q['high'], 2)}]" for q in quarters)
    table.add_row("horizon, s: median, quartiles", *spans)
    for name, key in (("true to the end", "reach_the_end"), ("true after 10 s", "true_after_10_seconds")):
        table.add_row(name, *(with_interval(dream[key]) for dream in dreams.values()))
    for mark in first["after_seconds"]:
        after = [dream["after_seconds"][mark] for dream in dreams.values()]
        table.add_section()
        table.add_row(f"after {mark} s: ball error, px: median", *(_error(a["ball"]) for a in after))
        table.add_row("  ball within 2 px", *(with_interval(a["ball"]["within_2_pixels"]) for a in after))
        table.add_row("  paddle error, px: median", *(_error(a["paddle"]) for a in after))
        table.add_row("  wrong bricks, mean", *(number(a["wrong_bricks"]["value"]) for a in after))
        table.add_row("  wrong pixels, mean", *(number(a["wrong_pixels"]["value"], 0) for a in after))
    return table


def _error(errors: dict[str, Any]) -> str:
    if errors["of"] == 0:
        return EMPTY
    return "gone" if errors["error"]["median"] is None else number(errors["error"]["median"])


def print_evaluation(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate.evaluation.evaluate`."""
    console.print(
        f"weights {report['weights'][:12]}, frame skip {report['frameskip']}, context {report['context']} frames, "
        f"seed {report['settings']['seed']}",
        highlight=False,
    )
    for policy, result in report["held_out"].items():
        for make in (_one_step, _per_action, _dreams):
            console.print()
            console.print(make(policy, result))
        use = result["truth"]["codebook"]["changed_cells"]
        print_use = f"{use['used']} of 256 codes draw its changed cells, perplexity {number(use['perplexity'])}"
        console.print(f"{policy}: {print_use}", highlight=False)


def print_bench(report: dict[str, Any], console: Console) -> None:
    """Print the report of `evaluate.bench.bench`."""
    machine, play = report["machine"], report["play"]
    console.print(
        f"{machine['system']} {machine['processor']}, {machine['cores']} cores, {machine['device']}, "
        f"torch {machine['torch']} with {machine['torch_threads']} threads, frame skip {report['frameskip']}",
        highlight=False,
    )
    table = make_table("a play step, milliseconds (no display)", "part", "median", "99th percentile")
    for name, found in play["milliseconds"].items():
        if name == "whole step":
            table.add_section()
        table.add_row(name, number(found["median"], 2), number(found["p99"], 2))
    table.add_row("true pace allows", number(play["true_pace_milliseconds"], 2), EMPTY)
    console.print(table)
    console.print(f"peak memory while playing: {number(play['peak_memory_mb'], 0)} MB", highlight=False)
    collecting = report["collecting"]
    console.print(
        f"collecting on one core: {number(collecting['collected_steps_per_second'], 0)} steps/s, "
        f"{100 * collecting['share_of_bare']:.0f}% of the bare emulator with its screen read "
        f"({number(collecting['bare_emulator_steps_per_second'], 0)} steps/s)",
        highlight=False,
    )
    for name, found in report["training"].items():
        speed = number(found["samples_per_second"])
        console.print(f"training {name}: {speed} samples/s in batches of {found['batch']}", highlight=False)
