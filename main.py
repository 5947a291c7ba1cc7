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


FramesOption = Annotated[Path, typer.Option(help="A dataset made by `collect frames`.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
MinutesOption = Annotated[float | None, typer.Option(help="How long to train, on this machine's clock.")]
EpochsOption = Annotated[
    float | None, typer.Option(help="How long to train, in passes over the data; instead of minutes.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
TensorBoardOption = Annotated[bool, typer.Option("--tensorboard", help="Log to TensorBoard as well.")]
WandbOption = Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases as well.")]


@train_app.command("vqvae")
def train_vqvae(
    frames: FramesOption = Path("data/frames"),
    out: Annotated[Path, typer.Option(help="Where the weights go, as vqvae.*.")] = Path("checkpoints/world"),
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Transitions in a step.")] = 80,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    warm: Annotated[int, typer.Option(min=1, help="Steps before the codebook starts.")] = 600,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Learn the codes of what changes between two frames. Without --minutes or --epochs: 20 minutes.

    Example: python main.py train vqvae --frames data/frames --out checkpoints/world --minutes 20
    """
    with clean_errors():
        from model.device import choose_device
        from train.loop import LoopSettings, RunOptions
        from train.vqvae import train_vqvae as train

        minutes = 20.0 if minutes is None and epochs is None else minutes
        settings = LoopSettings(batch, rate, seed, minutes, epochs)
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train vqvae") as show:
            figures = train(frames, settings, options, choose_device(device), show, warm)
        _print_figures(out / "vqvae.json", figures)


@train_app.command("context")
def train_context(
    frames: FramesOption = Path("data/frames"),
    weights: Annotated[Path, typer.Option(help="Directory with the VQ-VAE.")] = Path("checkpoints/world"),
    out: Annotated[Path, typer.Option(help="Where the weights go, as context.*.")] = Path("checkpoints/world"),
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Transitions in a step.")] = 64,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Learn to predict the codes from the key and the recent frames. Without --minutes or --epochs: 60 minutes.

    Example: python main.py train context --frames data/frames --weights checkpoints/world --minutes 60
    """
    with clean_errors():
        from model.device import choose_device
        from train.context import train_context as train
        from train.loop import LoopSettings, RunOptions

        minutes = 60.0 if minutes is None and epochs is None else minutes
        settings = LoopSettings(batch, rate, seed, minutes, epochs)
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train context") as show:
            figures = train(frames, weights, settings, options, choose_device(device), show)
        _print_figures(out / "context.json", figures)


def _print_figures(path: Path, figures: dict[str, object]) -> None:
    text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, (int, float)))
    print(f"{path}: {text}")


if __name__ == "__main__":
    app()
