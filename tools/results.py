"""Writes the tables of the documents from the shipped weights' own evaluation, so that no number is typed by hand.

    python -m tools.results            # docs/results.md and README.md, from what lies in assets/weights
    python -m tools.results --check    # says which tables are not those of the files; status 1 if there are any

A table stands between `<!-- numbers: NAME begin -->` and `<!-- numbers: NAME end -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "assets" / "weights"
EVALUATION, BENCH, MATCH, PRIORS = (WEIGHTS / f"{name}.json" for name in ("evaluation", "bench", "match", "priors"))
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
POLICIES = ("mixed", "people")
NONE = "-"


def at(report: Any, path: str) -> Any:
    """What stands in a report at a path of keys with dots between; None where there is nothing."""
    for key in path.split("."):
        if not isinstance(report, dict) or key not in report:
            return None
        report = report[key]
    return report


def percent(value: float) -> str:
    """A share, with enough places to see how far it is from 100%."""
    return f"{value:.2%}" if 0.995 <= value < 1 else f"{value:.1%}"


def seconds(value: float) -> str:
    """Seconds of game time."""
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def plain(value: float) -> str:
    """Any other number."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def shown(found: Any, form: Callable[[float], str], interval: bool = True) -> str:
    """A number, or {"value" or "median", "low", "high", "of"}, as text."""
    if found is None or (isinstance(found, dict) and not found.get("of", 1)):  # there was nothing to count
        return NONE
    if not isinstance(found, dict):
        return form(found)
    middle = found.get("value", found.get("median"))
    if middle is None:  # a median that was not reached
        return f"> {form(found['low'])}" if found.get("low") is not None else "not reached"
    low, high = found.get("low"), found.get("high")
    if not interval or (low is None and high is None):
        return form(middle)
    ends = [NONE if end is None else form(end).removesuffix(" s").removesuffix("%") for end in (low, high)]
    return f"{form(middle)} [{ends[0]}, {ends[1]}]"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("|  |", "| |")


ONE_STEP = (
    ("codes of cells that change", "dynamic_accuracy.all", percent, "majority_dynamic_accuracy.all"),
    ("all codes", "code_accuracy.all", percent, "majority_code_accuracy.all"),
    ("exact frames (all 33,600 pixels)", "exact_frames.all", percent, "copy_last_exact_frames.all"),
    ("changed pixels", "changed_pixels.all", percent, "copy_last_changed_pixels"),
    ("PSNR in dB, exact capped at 60", "psnr", plain, None),
    ("delta PSNR in dB", "delta_psnr.all", plain, None),
)
"""Label, place under a controller's `one_step`, form, and the baseline's place under `truth`."""
DREAM = (
    ("horizon, median and quartiles", "horizon_seconds", seconds),
    ("partings per minute", "partings_per_minute", plain),
    ("still true after 10 s", "after_seconds.10.still_true", percent),
    ("ball within 2 px after 5 s", "after_seconds.5.ball.within_2_pixels", percent),
    ("paddle within 2 px after 5 s", "after_seconds.5.paddle.within_2_pixels", percent),
    ("wrong bricks after 5 s", "after_seconds.5.wrong_bricks", plain),
)


def one_step(report: Any, bench: Any) -> str:
    """One step from real history: the context controller on both policies, the baseline, and the action alone."""
    rows = []
    for label, place, form, baseline in ONE_STEP:
        row = [label]
        for controller in ("context", "action"):
            for policy in POLICIES if controller == "context" else ("people",):
                found = at(report, f"held_out.{policy}.controllers.{controller}.one_step.{place}")
                row.append(shown(found, form, interval=controller == "context"))
        found = at(report, f"held_out.people.truth.{baseline}") if baseline else None
        row.insert(3, shown(found, form, interval=False))
        rows.append(row)
    heads = ["", "mixed", "people", "majority code / last frame (people)", "action alone (people)"]
    return table(heads, rows)


def dream(report: Any, bench: Any) -> str:
    """Dreams: the twin on both policies, each half of it alone, and a twin that copies."""
    columns = {
        "mixed": "mixed.dreams.context",
        "people": "people.dreams.context",
        "mixed: decoder alone": "mixed.dreams.decoder alone",
        "people: decoder alone": "people.dreams.decoder alone",
        "people: controller alone": "people.dreams.controller alone",
        "people: last frame again": "people.dreams.copy last",
    }
    rows = [
        [label, *(shown(at(report, f"held_out.{column}.{place}"), form) for column in columns.values())]
        for label, place, form in DREAM
    ]
    alone = [shown(at(report, f"held_out.{policy}.alone.possible_seconds"), seconds) for policy in POLICIES]
    rows.append(["left alone: possible seconds", *alone, *[""] * (len(columns) - len(alone))])
    return table(["", *columns], rows)


def by_policy(group: str, head: str) -> Callable[[Any, Any], str]:
    """A table of the rates under a policy's `group`, a row each."""

    def make(report: Any, bench: Any) -> str:
        names = at(report, f"held_out.people.{group}") or {}
        rates = {policy: at(report, f"held_out.{policy}.{group}") or {} for policy in POLICIES}
        rows = [[name, *(shown(rates[policy].get(name), percent) for policy in POLICIES)] for name in names]
        return table([head, *POLICIES], rows)

    return make


def speed(report: Any, bench: Any) -> str:
    """The parts of a step at several batches, a whole step of play, and what else a bench measures."""
    parts = {name.replace("_", " "): found for name, found in (at(bench, "step_milliseconds") or {}).items()}
    batches = list(next(iter(parts.values()), {}))
    rows = [[name, *(_times(found.get(batch)) for batch in batches)] for name, found in parts.items()]
    rows.append(
        ["a step of play, emulator and twin", _times(at(bench, "play_milliseconds")), *[""] * (len(batches) - 1)]
    )
    text = table(["milliseconds: median, 99th percentile", *(f"batch of {batch}" for batch in batches)], rows)
    machine = at(bench, "machine") or {}
    others = {
        "dreamt steps a second": ", ".join(
            f"{rate:,.0f} in a batch of {games}" for games, rate in (at(bench, "dream_steps_per_second") or {}).items()
        ),
        "the bare emulator": f"{at(bench, 'bare_emulator_frames_per_second') or 0:,.0f} frames a second",
        "collecting": f"{percent(at(bench, 'collecting.share_of_bare') or 0)} of that",
        "peak memory": f"{at(bench, 'peak_memory_mb') or 0:.0f} MB",
        "machine": f"{machine.get('cores')} cores, {machine.get('system')} {machine.get('processor')}",
    }
    return text + "\n\n" + "\n".join(f"- {name}: {found}" for name, found in others.items())


def _times(found: Any) -> str:
    return f"{plain(found['median'])}, {plain(found['p99'])}" if found else NONE


def match(report: Any, bench: Any) -> str:
    """The emulator and the twin from a reset, under the same keys."""
    rows = [
        [name, shown(found["never"], percent), shown(found["seconds"], seconds)]
        for name, found in (at(_load(MATCH), "policies") or {}).items()
    ]
    return table(["keys of", "equal to the end (3,600 steps at most)", "median of the first difference"], rows)


def priors(report: Any, bench: Any) -> str:
    """What is lost without each prior, and without each variable of the memory."""
    rows = []
    for name, found in (at(_load(PRIORS), "without") or {}).items():
        events = [shown(one, percent, interval=False) for one in found["events"].values()]
        partings = shown(found["partings_per_minute"], plain)
        rows.append([name, shown(found["exact_frames"], percent, interval=False), *events, partings])
    heads = ["without", "exact frames", "paddle bounces", "bricks", "side walls", "serves", "partings per minute"]
    return table(heads, rows)


def readme(report: Any, bench: Any) -> str:
    """Six numbers, each with what costs nothing."""
    people = "held_out.people"
    context = f"{people}.controllers.context"
    rows = (
        ("exact frames, one step ahead (all 33,600 pixels)", f"{people}.exact_frames_of_all_steps", percent,
         f"{people}.truth.copy_last_exact_frames.all", "last frame again"),
        ("codes of the cells that change", f"{context}.one_step.dynamic_accuracy.all", percent,
         f"{people}.truth.majority_dynamic_accuracy.all", "majority code"),
        ("dreams that are true to their end, most after 20 to 30 s", f"{people}.dreams.context.reach_the_end", percent,
         f"{people}.dreams.copy last.reach_the_end", "last frame again"),
        ("partings per minute of dreaming", f"{people}.dreams.context.partings_per_minute", plain,
         f"{people}.dreams.copy last.partings_per_minute", "last frame again"),
    )  # fmt: skip
    lines = []
    for label, place, form, baseline, name in rows:
        lines.append([label, shown(at(report, place), form), f"{name}: {shown(at(report, baseline), form, False)}"])
    equal = shown(at(_load(MATCH), "policies.people.never"), percent)
    lines.append(["games equal in every pixel from a reset to their end", equal, f"last frame again: {percent(0.0)}"])
    step, bare = at(bench, "play_milliseconds.median"), at(bench, "bare_emulator_frames_per_second")
    emulator = shown(1000 / bare if bare else None, plain)
    lines.append(
        [
            "a step of play without its picture, of 16.7 ms",
            f"{shown(step, plain)} ms",
            f"the emulator alone: {emulator} ms",
        ]
    )
    return table(["", "the twin", "baseline"], lines)


TABLES: dict[str, Callable[[Any, Any], str]] = {
    "one_step": one_step,
    "dream": dream,
    "events": by_policy("events", "wholly right for 14 steps after"),
    "ambiguity": by_policy("ambiguity", "cells whose code says more than one thing"),
    "match": match,
    "priors": priors,
    "speed": speed,
    "readme": readme,
}


def filled(page: str, report: Any, bench: Any) -> str:
    """A page with its tables made anew."""
    for name, make in TABLES.items():
        marks = re.compile(rf"(<!-- numbers: {name} begin -->\n).*?(<!-- numbers: {name} end -->)", re.DOTALL)
        if marks.search(page):
            text = make(report, bench)
            page = marks.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def outdated() -> list[str]:
    """The pages whose tables are not those of the files."""
    report, bench = _load(EVALUATION), _load(BENCH)
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [page.name for page, text in texts.items() if filled(text, report, bench) != text]


def main() -> int:
    """The command. Returns 1 if `--check` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m tools.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, say what is not up to date")
    if parser.parse_args().check:
        print("\n".join(outdated()))
        return 1 if outdated() else 0
    report, bench = _load(EVALUATION), _load(BENCH)
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), report, bench), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
