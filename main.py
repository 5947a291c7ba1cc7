"""Neural Breakout: play Breakout beside its neural twin. `python main.py --help` lists the commands."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import clean_errors, progress
from train.commands import DeviceOption, FramesOption, SeedOption, train_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
collect_app = typer.Typer(no_args_is_help=True, help="Make datasets: transitions, and (action, code) pairs.")
app.add_typer(collect_app, name="collect")
app.add_typer(train_app, name="train")


class PolicyName(StrEnum):
    """`collect.policies.POLICIES`, as a choice on the command line."""

    random = "random"
    mixed = "mixed"
    drill = "drill"
    people = "people"


class ControllerName(StrEnum):
    """`model.weights.CONTROLLERS`, as a choice on the command line."""

    context = "context"
    action = "action"


# Heavy imports (torch, the emulator) are inside the commands, so that --help is instant.


@app.command("play")
def play(
    weights: Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")] = None,
    controller: Annotated[ControllerName, typer.Option(help="Who predicts the codes.")] = ControllerName.context,
    dream: Annotated[bool, typer.Option("--dream", help="Begin with the twin on its own frames.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and keys give the same session.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    speed: Annotated[float, typer.Option(help="Times true pace, 0.25 to 4.")] = 1.0,
    fullscreen: Annotated[bool, typer.Option("--fullscreen", help="Begin in full screen.")] = False,
    keys: Annotated[Path | None, typer.Option(help="Your own key map; see assets/keys.toml.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="The same loop without a window.")] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None,
    actions: Annotated[str | None, typer.Option(help="A text file of digits 0..3, or random.")] = None,
    record: Annotated[Path | None, typer.Option(help="Write both panels as .gif or .mp4.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the session's accuracy as JSON.")] = None,
    save_session: Annotated[Path | None, typer.Option(help="Write the session, to be replayed.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Play a saved session again, pixel by pixel.")] = None,
    dream_only: Annotated[bool, typer.Option("--dream-only", help="The twin alone, no emulator behind it.")] = False,
) -> None:
    """Play Breakout beside its neural twin, under the same key. H shows the keys.

    Example: python main.py play --headless --frames 300 --actions random --record out.gif --report out.json
    """
    with clean_errors():
        from app.play import PlayOptions
        from app.play import play as run

        run(
            PlayOptions(
                weights=weights,
                controller=controller.value,
                dream=dream,
                seed=seed,
                device=device,
                headless=headless,
                frames=frames,
                actions=actions,
                record=record,
                report=report,
                save_session=save_session,
                replay=replay,
                dream_only=dream_only,
                speed=speed,
                keys=keys,
                fullscreen=fullscreen,
            )
        )


@collect_app.command("frames")
def collect_frames(
    transitions: Annotated[int, typer.Option(min=1, help="How many transitions to collect.")] = 100_000,
    policy: Annotated[PolicyName, typer.Option(help="Who plays; people is for held-out games.")] = PolicyName.mixed,
    frameskip: Annotated[int, typer.Option(min=1, max=16, help="Emulator frames in a step.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    out: Annotated[Path, typer.Option(help="The dataset's directory.")] = Path("data/frames"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core, at most 8.")] = None,
) -> None:
    """Play Breakout and store every frame, losslessly. Run it again after an interruption: it goes on.

    Example: python main.py collect frames --transitions 100000 --policy mixed --out data/frames
    """
    with clean_errors():
        from collect.frames import CollectSettings
        from collect.frames import collect_frames as collect

        settings = CollectSettings(transitions, policy.value, frameskip, seed)
        with progress("collecting") as show:
            manifest = collect(settings, out, workers, lambda n: show(n / transitions, f"{n} of {transitions}"))
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        print(f"{out}: {transitions} transitions of {len(manifest['episodes'])} episodes, {size:.1f} MB")


@collect_app.command("pairs")
def collect_pairs(
    weights: Annotated[Path, typer.Option(help="Directory with the VQ-VAE.")] = Path("checkpoints/world"),
    frames: Annotated[Path | None, typer.Option(help="A dataset to encode; without it a random agent plays.")] = None,
    out: Annotated[Path, typer.Option(help="The pairs; statistics go beside.")] = Path(
        "data/actions/action_latent_pairs.json"
    ),
    transitions: Annotated[int, typer.Option(min=1, help="How many pairs; of a smaller dataset, all.")] = 100_000,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Encode pairs of frames of a random agent's games: (action, latent code) pairs in the seed design's format.

    Example: python main.py collect pairs --weights checkpoints/world --out data/actions/action_latent_pairs.json
    """
    with clean_errors():
        from collect.pairs import PairSource, load_encoder
        from collect.pairs import collect_pairs as collect

        encoder = load_encoder(weights, device)
        source = PairSource(frames, encoder.frameskip, seed)
        with progress("collecting pairs") as show:
            stats = collect(encoder, source, out, transitions, lambda n: show(n / transitions, f"{n} of {transitions}"))
        actions = ", ".join(f"{name} {part['share']:.1%}" for name, part in stats["actions"].items())
        codes = stats["codes"]
        print(f"{out}: {stats['pairs']} pairs of {stats['episodes']} episodes; {actions}")
        print(f"{codes['used']} codes in use, perplexity {codes['perplexity']:.2f} over all 35 positions")


@app.command("ship")
def ship(
    weights: Annotated[Path, typer.Option(help="Directory with vqvae.* and context.*.")] = Path("checkpoints/world"),
    action: Annotated[Path, typer.Option(help="Directory with action_to_latent_best.*.")] = Path(
        "checkpoints/latent_action"
    ),
    frames: FramesOption = Path("data/frames"),
    out: Annotated[Path, typer.Option(help="Where `play` looks without --weights.")] = Path("assets/weights"),
) -> None:
    """Gather trained weights into one directory, for `play` and for the repository.

    Example: python main.py ship --weights checkpoints/world --out assets/weights
    """
    with clean_errors():
        from train.ship import ship as gather

        twin = gather(weights, action, frames, out)
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        print(f"{out}: {size:.1f} MB, checksum {twin.checksum[:12]}")


@app.command("evaluate")
def evaluate(
    weights: Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")] = None,
    seed: SeedOption = 0,
    json: Annotated[Path | None, typer.Option(help="Write every number as JSON.")] = None,
    device: DeviceOption = "auto",
    policy: Annotated[
        list[PolicyName] | None, typer.Option(help="Who plays the held-out games; default: mixed, then people.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Held-out games of each policy.")] = 24,
    transitions: Annotated[int, typer.Option(min=1, help="Steps predicted one by one, of each policy.")] = 800,
    runs: Annotated[int, typer.Option(min=1, help="Dreams, of each policy and controller.")] = 64,
    least_seconds: Annotated[float, typer.Option(help="A dream starts where the ball is in play so long.")] = 10.0,
    run_seconds: Annotated[float, typer.Option(help="The longest that a dream may last.")] = 60.0,
    refinements: Annotated[
        bool, typer.Option("--refinements", help="Instead, compare what may be done to the action-only controller.")
    ] = False,
    live: Annotated[
        int | None,
        typer.Option(min=1, help="Instead: play so many steps (first --policy), compare codes step by step."),
    ] = None,
) -> None:
    """Measure both controllers on games that were never trained on: one step ahead, and dreaming.

    Example: python main.py evaluate --seed 1 --json evaluation.json
    Example: python main.py evaluate --live 500 --json live.json
    Example: python main.py evaluate --refinements
    """
    with clean_errors():
        from rich.console import Console

        from evaluate.evaluation import EvaluationSettings
        from evaluate.evaluation import evaluate as run
        from evaluate.live import live as play_live
        from evaluate.live import print_live
        from evaluate.refinements import compare_refinements, print_refinements
        from evaluate.report import print_evaluation
        from model import WorldModel
        from model.files import write_json

        if refinements and live is not None:
            raise ValueError("--refinements and --live are two different tests: choose one")
        policies = tuple(name.value for name in policy or (PolicyName.mixed, PolicyName.people))
        settings = EvaluationSettings(seed, policies, episodes, transitions, runs, least_seconds, run_seconds)
        wm = WorldModel.load(weights, device)
        with progress("evaluate") as show:
            if refinements:
                report, print_report = compare_refinements(wm, settings, show=show), print_refinements
            elif live is None:
                report, print_report = run(wm, settings, show), print_evaluation
                show(1.0, "")
            else:
                report = play_live(wm, live, policies[0], seed, lambda n: show(n / live, f"{n} of {live} steps"))
                print_report = print_live
        if json is not None:
            write_json(json, report)
        print_report(report, Console(width=None if sys.stdout.isatty() else 160))


@app.command("analyze")
def analyze(
    out: Annotated[Path, typer.Option(help="Directory for the page, its plots and its numbers.")] = Path("report"),
    weights: Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Compare the action-only controller with these pairs, not held-out steps.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    policy: Annotated[PolicyName, typer.Option(help="Who plays the held-out games.")] = PolicyName.mixed,
    episodes: Annotated[int, typer.Option(min=1, help="Held-out games.")] = 24,
    transitions: Annotated[int, typer.Option(min=1, help="Steps predicted, drawn evenly over the games.")] = 1500,
    encoded: Annotated[int, typer.Option(min=1, help="Steps encoded, to count codes and to draw them.")] = 6000,
    per_event: Annotated[int, typer.Option(min=0, help="Predict at least so many steps of each event.")] = 60,
    runs: Annotated[int, typer.Option(min=1, help="Dreams at each temperature.")] = 12,
    dream_seconds: Annotated[float, typer.Option(help="The longest that a dream may last.")] = 3.0,
    top: Annotated[int, typer.Option(min=1, max=16, help="Codes shown for each action and position.")] = 4,
) -> None:
    """See why the controllers are right and wrong: one page that opens without a network, its PNGs and its JSON.

    Example: python main.py analyze --out report
    """
    with clean_errors():
        from evaluate.analysis.analysis import ActionPairs, analyse
        from evaluate.analysis.page import write_report
        from evaluate.analysis.sample import AnalysisSettings
        from model import WorldModel
        from train.latent_action_data import load_pairs

        settings = AnalysisSettings(
            seed, policy.value, episodes, transitions, encoded, per_event, runs, dream_seconds, top
        )
        wm = WorldModel.load(weights, device)
        given = None
        if pairs is not None:
            found = load_pairs(pairs)
            owner = found.stats["codes_sha256"] if found.stats else None
            given = ActionPairs(found.actions.numpy(), found.codes.numpy(), pairs.name, owner)
        with progress("analyze") as show:
            report, pictures = analyse(wm, settings, given, lambda share, text: show(0.92 * share, text))
            page = write_report(report, pictures, out, lambda share, text: show(0.92 + 0.08 * share, text))
            show(1.0, "")
        print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")


@app.command("bench")
def bench(
    weights: Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every number as JSON.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option(help="How long each part is measured.")] = 10.0,
    soak: Annotated[
        float | None, typer.Option(help="Instead: play so many hours of game time, and watch memory and pace.")
    ] = None,
) -> None:
    """Measure this machine: collecting, training, and the parts of a play step, with peak memory.

    Example: python main.py bench --json bench.json, and for hours of play: python main.py bench --soak 2
    """
    with clean_errors():
        if soak is not None:
            _soak(weights, device, soak, seed, json)
            return
        from rich.console import Console

        from evaluate.bench import bench as run
        from evaluate.report import print_bench
        from model import WorldModel
        from model.files import write_json

        wm = WorldModel.load(weights, device)
        with progress("bench") as show:
            report = run(wm, seconds, seed, show)
            show(1.0, "")
        if json is not None:
            write_json(json, report)
        print_bench(report, Console(width=None if sys.stdout.isatty() else 160))


def _soak(weights: Path | None, device: str, hours: float, seed: int, json: Path | None) -> None:
    from app.pace import soak, steadiness_line
    from model import WorldModel
    from model.files import write_json

    wm = WorldModel.load(weights, device)
    with progress("soak") as show:
        report = soak(wm, hours, seed, show)
    if json is not None:
        write_json(json, report)
    print(steadiness_line(report))


@app.command("doctor")
def doctor(
    weights: Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")] = None,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option(min=0.0, help="How long steps are measured; 0: not at all.")] = 3.0,
) -> None:
    """Say whether this machine can play, and what a maintainer would ask for. Exit status 1 if something is broken.

    Example: python main.py doctor
    """
    with clean_errors():
        from app.doctor import examine

        broken = 0
        for finding in examine(weights, device, seconds):
            broken += finding.broken
            print(finding.line(), flush=True)
        if broken:
            raise typer.Exit(1)


if __name__ == "__main__":
    app()
