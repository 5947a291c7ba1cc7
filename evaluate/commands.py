"""The commands `evaluate`, `analyze`, `bench`, `match`, `evaluate-player`. Imports are inside: --help is instant."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console import SeedOption, clean_errors, finite, progress

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(no_args_is_help=True)
WeightsOption = Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")]
JsonOption = Annotated[Path | None, typer.Option(help="Write every number as JSON.")]


class PolicyName(StrEnum):
    """Who plays held-out games."""

    people = "people"
    mixed = "mixed"
    random = "random"


class WithoutName(StrEnum):
    """`evaluate.rollouts.Without`, as a choice on the command line."""

    nothing = "nothing"
    memory = "memory"
    actions = "actions"
    expectation = "expectation"


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def _write(path: Path | None, report: dict[str, Any]) -> None:
    from evaluate.summaries import plain
    from model.files import write_json

    if path is not None:
        write_json(path, plain(report))


def _given(context: typer.Context, *names: str) -> list[str]:
    """Those of the options that stand on the command line."""
    return [f"--{name.replace('_', '-')}" for name in names if _source(context, name) == "COMMANDLINE"]


def _source(context: typer.Context, name: str) -> str:
    source = context.get_parameter_source(name)
    return source.name if source is not None else ""


@app.command("evaluate")
def evaluate(
    context: typer.Context,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    policy: Annotated[
        list[PolicyName] | None, typer.Option(help="Who plays the held-out games; default: people, then mixed.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Held-out games of each policy.")] = 16,
    game_seconds: Annotated[
        float, typer.Option(help="The longest that a game may last.", callback=finite(above=0.0, high=3600.0))
    ] = 90.0,
    transitions: Annotated[int, typer.Option(min=1, help="Steps looked at closely, of each policy.")] = 4000,
    runs: Annotated[int, typer.Option(min=1, help="Dreams, of each policy and controller.")] = 24,
    least_seconds: Annotated[
        float, typer.Option(help="A dream starts where the game goes on so long.", callback=finite(above=0.0))
    ] = 10.0,
    run_seconds: Annotated[
        float, typer.Option(help="The longest that a dream may last.", callback=finite(above=0.0, high=3600.0))
    ] = 60.0,
    alone: Annotated[int, typer.Option(min=0, help="Dreams left alone, from games of the first policy.")] = 8,
    alone_seconds: Annotated[
        float, typer.Option(help="The longest that one is left alone.", callback=finite(above=0.0, high=36000.0))
    ] = 600.0,
    without: Annotated[WithoutName, typer.Option(help="Take this from the twin.")] = WithoutName.nothing,
    live: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: play so many steps (first --policy), compare codes step by step."),
    ] = None,
) -> None:
    """Measure the twin on games that were never trained on: one step ahead, dreaming, and left alone.

    Example: python main.py evaluate --seed 1 --json evaluation.json --without memory
    """
    if least_seconds > run_seconds:
        raise typer.BadParameter(f"--least-seconds {least_seconds:g} is more than --run-seconds {run_seconds:g}.")
    policies = tuple(name.value for name in policy or (PolicyName.people, PolicyName.mixed))
    if live is not None:
        sizes = ("episodes", "game_seconds", "transitions", "runs", "least_seconds", "run_seconds", "alone")
        if others := _given(context, *sizes, "alone_seconds"):
            raise typer.BadParameter(f"{others[0]} has no meaning with --live: it plays so many steps and no dreams.")
        _live(weights, live, policies[0], seed, without, json)
        return
    with clean_errors():
        from evaluate.evaluate import EvaluationSettings
        from evaluate.evaluate import evaluate as run
        from evaluate.rollouts import Without
        from evaluate.tables import print_evaluation
        from model.engine import Engine

        settings = EvaluationSettings(
            seed, policies, episodes, game_seconds, transitions, runs, least_seconds, run_seconds, alone, alone_seconds,
            Without(without.value),
        )  # fmt: skip
        engine = Engine.load(weights)
        with progress("evaluate") as show:
            report = run(engine, settings, show)
            show(1.0, "")
        _write(json, report)
        print_evaluation(report, _console())


def _live(weights: Path | None, steps: int, policy: str, seed: int, without: WithoutName, json: Path | None) -> None:
    with clean_errors():
        from evaluate.live import live, print_live
        from evaluate.rollouts import Without
        from model.engine import Engine

        engine = Engine.load(weights)
        with progress("evaluate --live") as show:
            taken = Without(without.value)
            report = live(engine, steps, policy, seed, taken, lambda share: show(share, f"{steps} steps"))
        _write(json, report)
        print_live(report, _console())


@app.command("analyze")
def analyze(
    out: Annotated[Path, typer.Option(help="Directory for the page, its plots and its numbers.")] = Path("report"),
    weights: WeightsOption = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Compare the action-only controller with these pairs, not held-out steps.")
    ] = None,
    seed: SeedOption = 0,
    policy: Annotated[PolicyName, typer.Option(help="Who plays the held-out games.")] = PolicyName.mixed,
    episodes: Annotated[int, typer.Option(min=1, help="Held-out games.")] = 16,
    transitions: Annotated[int, typer.Option(min=1, help="Steps predicted, drawn evenly over the games.")] = 3000,
    per_event: Annotated[int, typer.Option(min=0, help="Predict at least so many steps of each event.")] = 60,
    runs: Annotated[int, typer.Option(min=1, help="Dreams at each temperature.")] = 12,
    dream_seconds: Annotated[
        float, typer.Option(help="The longest that a dream may last.", callback=finite(above=0.0, high=60.0))
    ] = 10.0,
    top: Annotated[int, typer.Option(min=1, max=16, help="Codes shown for each action and position.")] = 4,
) -> None:
    """See why the controllers are right and wrong: one page that opens without a network, its PNGs and its JSON.

    Example: python main.py analyze --out report
    """
    with clean_errors():
        import evaluate.analysis.page as pages  # first, so that a missing extra is told before the work
        from evaluate.analysis.analysis import AnalysisSettings, analyse, load_pairs
        from model.engine import Engine

        settings = AnalysisSettings(seed, policy.value, episodes, transitions, per_event, runs, dream_seconds, top)
        engine = Engine.load(weights)
        given = load_pairs(pairs) if pairs is not None else None
        with progress("analyze") as show:
            report, pictures = analyse(engine, settings, given, lambda share, text: show(0.92 * share, text))
            page = pages.write_report(report, pictures, out, lambda share, text: show(0.92 + 0.08 * share, text))
            show(1.0, "")
        print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")


@app.command("bench")
def bench(
    context: typer.Context,
    weights: WeightsOption = None,
    json: JsonOption = None,
    seed: SeedOption = 0,
    seconds: Annotated[
        float, typer.Option(help="How long each part is measured.", callback=finite(above=0.0, high=3600.0))
    ] = 10.0,
    soak: Annotated[
        float | None,
        typer.Option(
            help="Instead: play so many hours of game time, and watch memory and pace.", callback=finite(above=0.0)
        ),
    ] = None,
) -> None:
    """Measure this machine: collecting, the parts of a step at several batches, play, dreams beside the emulator.

    Example: python main.py bench --json bench.json, and for hours of play: python main.py bench --soak 2
    """
    if soak is not None and _given(context, "seconds"):
        raise typer.BadParameter("--seconds has no meaning with --soak, which plays so many hours of game time.")
    with clean_errors():
        from evaluate.bench import bench as run
        from evaluate.bench import soak as play_on
        from evaluate.bench import steadiness_line
        from evaluate.tables import print_bench
        from model.engine import Engine

        engine = Engine.load(weights)
        with progress("bench" if soak is None else "soak") as show:
            report = run(engine, seconds, seed, show) if soak is None else play_on(engine, soak, seed, show)
            show(1.0, "")
        _write(json, report)
        if soak is None:
            print_bench(report, _console())
        else:
            print(steadiness_line(report))


@app.command("match")
def match(
    weights: WeightsOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Games of each policy.")] = 100,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Steps compared at most.")] = 3600,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Play the emulator and the twin from a reset under the same actions: at which step does the first pixel differ?

    Example: python main.py match --seeds 100
    """
    with clean_errors():
        from evaluate.match import match as run
        from evaluate.tables import print_match
        from model.engine import Engine

        engine = Engine.load(weights)
        with progress("match") as show:
            report = run(engine, seeds, steps, seed, show=show)
            show(1.0, "")
        _write(json, report)
        print_match(report, _console())


@app.command("evaluate-player")
def evaluate_player(
    player: Annotated[
        list[Path] | None,
        typer.Option(help="Weights made by `train player`; may be repeated. Default: the shipped ones."),
    ] = None,
    games: Annotated[int, typer.Option(min=1, max=1000, help="Games of each player.")] = 30,
    dream: Annotated[bool, typer.Option("--dream", help="Let each play as many games in the twin as well.")] = False,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Let players play the real game, with and without sticky actions, beside chance and the built-in autopilot.

    Example: python main.py evaluate-player --games 30 --json players.json
    """
    with clean_errors():
        from evaluate.player import RIVAL, evaluate_players, print_players
        from model.player import SHIPPED

        paths = player or [path for path in (SHIPPED, RIVAL) if path.exists()]
        with progress("evaluate-player") as show:
            report = evaluate_players(paths, games, seed, dream, weights, show)
            show(1.0, "")
        _write(json, report)
        print_players(report, _console())
