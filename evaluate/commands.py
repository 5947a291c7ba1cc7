"""The commands `evaluate`, `analyze`, `bench`, `match`, `evaluate-player`. Imports are inside: --help is instant."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from console import SeedOption, Show, WeightsOption, clean_errors, finite, progress, within
from evaluate import Without

app = typer.Typer(no_args_is_help=True)
JsonOption = Annotated[Path | None, typer.Option(help="Write every number as JSON.")]
PolicyName = StrEnum("PolicyName", ["people", "mixed", "random"])  # of `collect.policies.POLICIES`


def _seconds(text: str, high: float = float("inf")) -> Any:
    return typer.Option(help=text, callback=finite(above=0.0, high=high))


def _count(text: str) -> Any:
    return typer.Option(min=1, help=text)


def _refuse(context: typer.Context, names: str, why: str) -> None:
    """Wrong usage if one of the options stands on the command line."""
    for name in names.split():
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
            raise typer.BadParameter(f"--{name.replace('_', '-')} has no meaning with {why}.")


def _report(title: str, json: Path | None, make: Callable[[Show], Any], show: Callable[[Any, Any], None]) -> None:
    """Make a report with a progress bar, write it as JSON, and show it on the terminal."""
    from rich.console import Console

    from evaluate.summaries import plain
    from model.files import write_json

    with progress(title) as part:
        report = make(part)
        part(1.0, "")
    if json is not None:
        write_json(json, plain(report))
    # What stands in brackets is an interval or a path, not rich's markup, which is not shown.
    show(report, Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False))


@app.command("evaluate")
@clean_errors()
def evaluate(
    context: typer.Context,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    policy: Annotated[list[PolicyName] | None, typer.Option(help="Who plays; default: people, then mixed.")] = None,
    episodes: Annotated[int, _count("Held-out games of each policy.")] = 16,
    game_seconds: Annotated[float, _seconds("The longest that a game may last.", 3600.0)] = 90.0,
    transitions: Annotated[int, _count("Steps looked at closely, of each policy.")] = 4000,
    runs: Annotated[int, _count("Dreams, of each policy and controller.")] = 24,
    least_seconds: Annotated[float, _seconds("A dream starts where the game goes on so long.")] = 10.0,
    run_seconds: Annotated[float, _seconds("The longest that a dream may last.", 3600.0)] = 60.0,
    alone: Annotated[int, typer.Option(min=0, help="Dreams left alone, from games of the first policy.")] = 8,
    alone_seconds: Annotated[float, _seconds("The longest that one is left alone.", 36000.0)] = 600.0,
    without: Annotated[Without, typer.Option(help="Take this from the twin.")] = Without.nothing,
    live: Annotated[int | None, _count("Instead: compare codes at each of so many steps (first --policy).")] = None,
) -> None:
    """Measure the twin on games that were never trained on: one step ahead, dreaming, and left alone.

    Example: python main.py evaluate --seed 1 --json evaluation.json --without memory"""
    if least_seconds > run_seconds:
        raise typer.BadParameter(f"--least-seconds {least_seconds:g} is more than --run-seconds {run_seconds:g}.")
    if live is not None:
        no_meaning = "episodes game_seconds transitions runs least_seconds run_seconds alone alone_seconds"
        _refuse(context, no_meaning, "--live: it plays so many steps and no dreams")
    policies = tuple(name.value for name in policy or (PolicyName.people, PolicyName.mixed))
    from evaluate import reports, tables
    from model.engine import Engine

    engine = Engine.load(weights)
    if live is not None:
        playing = (engine, live, policies[0], seed, without)
        _report("evaluate --live", json, lambda show: reports.live(*playing, show), tables.print_live)
        return
    settings = reports.EvaluationSettings(
        seed, policies, episodes, game_seconds, transitions, runs, least_seconds, run_seconds, alone, alone_seconds,
        without,
    )  # fmt: skip
    _report("evaluate", json, lambda show: reports.evaluate(engine, settings, show), tables.print_evaluation)


@app.command("analyze")
@clean_errors()
def analyze(
    out: Annotated[Path, typer.Option(help="Directory for the page, its plots and its numbers.")] = Path("report"),
    weights: WeightsOption = None,
    pairs: Annotated[Path | None, typer.Option(help="Compare the action alone with these, not held-out steps.")] = None,
    seed: SeedOption = 0,
    policy: Annotated[PolicyName, typer.Option(help="Who plays the held-out games.")] = PolicyName.mixed,
    episodes: Annotated[int, _count("Held-out games.")] = 16,
    transitions: Annotated[int, _count("Steps predicted, drawn evenly over the games.")] = 3000,
    per_event: Annotated[int, typer.Option(min=0, help="Predict at least so many steps of each event.")] = 60,
    runs: Annotated[int, _count("Dreams at each temperature.")] = 12,
    dream_seconds: Annotated[float, _seconds("The longest that a dream may last.", 60.0)] = 10.0,
    top: Annotated[int, typer.Option(min=1, max=16, help="Codes shown for each action and position.")] = 4,
) -> None:
    """See why the controllers are right and wrong: one page that opens without a network, its PNGs and its JSON.

    Example: python main.py analyze --out report"""
    import evaluate.analysis.page as pages  # first, so that a missing extra is told before the work
    from collect.pairs import count_codes, read_pairs
    from evaluate.analysis.analysis import AnalysisSettings, analyse
    from model.engine import Engine

    settings = AnalysisSettings(seed, policy.value, episodes, transitions, per_event, runs, dream_seconds, top)
    engine = Engine.load(weights)
    given = (count_codes(*read_pairs(pairs)), pairs.name) if pairs is not None else None
    with progress("analyze") as show:
        report, pictures = analyse(engine, settings, given, within(show, 0, 0.92))
        page = pages.write_report(report, pictures, out, within(show, 0.92, 1))
        show(1.0, "")
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")


@app.command("bench")
@clean_errors()
def bench(
    context: typer.Context,
    weights: WeightsOption = None,
    json: JsonOption = None,
    seed: SeedOption = 0,
    seconds: Annotated[float, _seconds("How long each part is measured.", 3600.0)] = 10.0,
    soak: Annotated[float | None, _seconds("Instead: play so many hours of game, watch memory and pace.")] = None,
) -> None:
    """Measure this machine: collecting, the parts of a step at several batches, play, dreams beside the emulator.

    Example: python main.py bench --json bench.json, and for hours of play: python main.py bench --soak 2"""
    if soak is not None:
        _refuse(context, "seconds", "--soak, which plays so many hours of game time")
    import evaluate.bench as benches
    from evaluate import tables
    from model.engine import Engine

    engine = Engine.load(weights)
    if soak is None:
        _report("bench", json, lambda show: benches.bench(engine, seconds, seed, show), tables.print_bench)
    else:
        _report("soak", json, lambda show: benches.soak(engine, soak, seed, show), tables.print_soak)


@app.command("match")
@clean_errors()
def match(
    weights: WeightsOption = None,
    seeds: Annotated[int, _count("Games of each policy.")] = 100,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Steps compared at most.")] = 3600,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Play the emulator and the twin from a reset under the same actions: at which step does the first pixel differ?

    Example: python main.py match --seeds 100"""
    from evaluate import reports, tables
    from model.engine import Engine

    engine = Engine.load(weights)
    _report("match", json, lambda show: reports.match(engine, seeds, steps, seed, show), tables.print_match)


@app.command("evaluate-player")
@clean_errors()
def evaluate_player(
    player: Annotated[
        list[Path] | None, typer.Option(help="Weights of `train player`; may be repeated. Default: the shipped ones.")
    ] = None,
    games: Annotated[int, typer.Option(min=1, max=1000, help="Games of each player.")] = 30,
    dream: Annotated[bool, typer.Option("--dream", help="Let each play as many games in the twin as well.")] = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Let players play the real game, with and without sticky actions, beside chance and the built-in autopilot.

    Example: python main.py evaluate-player --games 30 --json players.json"""
    from collect.player import SHIPPED
    from evaluate import tables
    from evaluate.reports import RIVAL, evaluate_players

    playing = (player or [path for path in (SHIPPED, RIVAL) if path.exists()], games, seed, dream, weights)
    _report("evaluate-player", json, lambda show: evaluate_players(*playing, show), tables.print_players)
