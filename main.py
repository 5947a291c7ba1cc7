"""Neural Breakout: play Breakout beside its neural twin. `python main.py --help` lists the commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import clean_errors, progress

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
collect_app = typer.Typer(no_args_is_help=True, help="Make datasets: transitions, and (action, code) pairs.")
train_app = typer.Typer(no_args_is_help=True, help="Train the VQ-VAE and the controllers.")
app.add_typer(collect_app, name="collect")
app.add_typer(train_app, name="train")


class PolicyName(StrEnum):
    """`collect.policies.POLICIES`, as a choice on the command line."""

    random = "random"
    mixed = "mixed"
    people = "people"


# Heavy imports (torch, the emulator) are inside the commands, so that --help is instant.


@collect_app.command("frames")
def collect_frames(
    transitions: Annotated[int, typer.Option(min=1, help="How many transitions to collect.")] = 100_000,
    policy: Annotated[PolicyName, typer.Option(help="Who plays; people is for held-out games.")] = PolicyName.mixed,
    frameskip: Annotated[int, typer.Option(min=1, max=16, help="Emulator frames in a step.")] = 2,
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


if __name__ == "__main__":
    app()
