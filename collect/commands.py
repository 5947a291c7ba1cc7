"""The `collect` commands: datasets of transitions, and (action, code) pairs. Heavy imports are inside the commands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console import SeedOption, WeightsOption, clean_errors, progress, say_next

app = typer.Typer(no_args_is_help=True, help="Make datasets: transitions, and (action, code) pairs.")
PolicyName = StrEnum("PolicyName", ["random", "mixed", "drill", "people"])  # `collect.policies.POLICIES`
FRAMES, PAIRS = Path("data/frames"), Path("data/actions/action_latent_pairs.json")


@app.command("frames")
def collect_frames(
    transitions: Annotated[int, typer.Option(min=1, help="How many transitions to collect.")] = 100_000,
    policy: Annotated[PolicyName, typer.Option(help="Who plays; people is for held-out games.")] = PolicyName.mixed,
    frameskip: Annotated[int, typer.Option(min=1, max=16, help="Emulator frames in a step.")] = 1,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="The dataset's directory.")] = FRAMES,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one per core, at most 8.")] = None,
) -> None:
    """Play Breakout and store every frame, losslessly. Run it again after an interruption: it goes on.

    Example: python main.py collect frames --transitions 100000 --policy mixed --out data/frames"""
    with clean_errors():
        from collect.frames import CollectSettings
        from collect.frames import collect_frames as collect

        settings = CollectSettings(transitions, policy.value, frameskip, seed)
        with progress("collecting") as show:
            manifest = collect(settings, out, workers, show)
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        print(f"{out}: {transitions} transitions of {len(manifest['episodes'])} episodes, {size:.1f} MB")
        say_next("train", "vqvae", "--frames", out)


@app.command("pairs")
def collect_pairs(
    weights: WeightsOption = None,
    frames: Annotated[Path | None, typer.Option(help="A dataset to encode; without it a random agent plays.")] = None,
    out: Annotated[Path, typer.Option(help="The pairs; statistics go beside.")] = PAIRS,
    transitions: Annotated[  # no more than a pairs file that is read may hold
        int, typer.Option(min=1, max=2_500_000, help="How many pairs; of a smaller dataset, all.")
    ] = 100_000,
    seed: SeedOption = 0,
) -> None:
    """Encode pairs of frames of a random agent's games: (action, latent code) pairs in the seed design's format.

    Example: python main.py collect pairs --out data/actions/action_latent_pairs.json"""
    with clean_errors():
        from collect.pairs import collect_pairs as collect
        from model.engine import Engine

        engine = Engine.load(weights)
        # Whose codes these are: graphs may be made anew of the same VQ-VAE.
        codes = str(engine.meta.get("made", {}).get("codes_sha256", engine.checksum))
        with progress("collecting pairs") as show:
            stats = collect(engine.encode, engine.frameskip, out, transitions, seed, frames, show, codes)
        actions = ", ".join(f"{name} {part['share']:.1%}" for name, part in stats["actions"].items())
        print(f"{out}: {stats['pairs']} pairs of {stats['episodes']} episodes; {actions}")
        of = stats["codes"]
        print(f"{of['used']} codes in use, perplexity {of['perplexity']:.2f} over all 35 positions")
        say_next("train", "action", "--pairs", out)
