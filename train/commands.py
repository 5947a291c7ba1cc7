"""The `train` commands of the command line. Heavy imports (torch) are inside them, so that --help is instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import clean_errors, progress

train_app = typer.Typer(no_args_is_help=True, help="Train the VQ-VAE and the controllers.")

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
    batch: Annotated[int, typer.Option(min=1, help="Transitions in a step.")] = 256,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
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
        from train.loop import LoopSettings, RunOptions, validate_every
        from train.vqvae import train_vqvae as train

        minutes = 20.0 if minutes is None and epochs is None else minutes
        chosen = choose_device(device)
        settings = LoopSettings(batch, rate, seed, minutes, epochs, validate_every=validate_every(chosen))
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train vqvae") as show:
            figures = train(frames, settings, options, chosen, show)
        _print_figures(out / "vqvae.json", figures)


@train_app.command("decoder")
def train_decoder(
    frames: FramesOption = Path("data/frames"),
    weights: Annotated[Path, typer.Option(help="Directory with the VQ-VAE to go on from.")] = Path("checkpoints/world"),
    out: Annotated[Path, typer.Option(help="Where the weights go, as vqvae.*.")] = Path("checkpoints/sharp"),
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: Annotated[int, typer.Option(min=2, help="Transitions in a step.")] = 256,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Go on with a VQ-VAE's decoder, its codes fixed, also on frames that it drew. Without --minutes or --epochs: 10.

    Example: python main.py train decoder --weights checkpoints/world --out checkpoints/sharp --minutes 10
    """
    with clean_errors():
        from model.device import choose_device
        from train.decoder import train_decoder as train
        from train.loop import LoopSettings, RunOptions, validate_every

        minutes = 10.0 if minutes is None and epochs is None else minutes
        chosen = choose_device(device)
        settings = LoopSettings(batch, rate, seed, minutes, epochs, validate_every=validate_every(chosen))
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train decoder") as show:
            figures = train(frames, weights, settings, options, chosen, show)
        _print_figures(out / "vqvae.json", figures)


@train_app.command("context")
def train_context(
    frames: FramesOption = Path("data/frames"),
    weights: Annotated[Path, typer.Option(help="Directory with the VQ-VAE.")] = Path("checkpoints/world"),
    start: Annotated[Path | None, typer.Option(help="Directory with a controller to go on from.")] = None,
    out: Annotated[Path, typer.Option(help="Where the weights go, as context.*.")] = Path("checkpoints/world"),
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Transitions in a step.")] = 384,
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
        from train.loop import LoopSettings, RunOptions, validate_every

        minutes = 60.0 if minutes is None and epochs is None else minutes
        chosen = choose_device(device)
        settings = LoopSettings(batch, rate, seed, minutes, epochs, validate_every=validate_every(chosen))
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train context") as show:
            figures = train(frames, weights, settings, options, chosen, show, start=start)
        _print_figures(out / "context.json", figures)


@train_app.command("action")
def train_action(
    pairs: Annotated[Path, typer.Option(help="Pairs made by `collect pairs`.")] = Path(
        "data/actions/action_latent_pairs.json"
    ),
    out: Annotated[Path, typer.Option(help="Where the weights go, as action_to_latent_best.*.")] = Path(
        "checkpoints/latent_action"
    ),
    epochs: Annotated[float, typer.Option(help="Passes over the pairs.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Pairs in a step.")] = 1024,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Train the seed design's controller: from the key alone to the 35 codes.

    Example: python main.py train action --pairs data/actions/action_latent_pairs.json --epochs 50
    """
    with clean_errors():
        from model.device import choose_device
        from model.files import read_json
        from train.action import report
        from train.action import train_action as train
        from train.loop import LoopSettings, RunOptions

        settings = LoopSettings(batch, rate, seed, epochs=epochs, decay=0.0)
        options = RunOptions(out, resume, tensorboard, wandb)
        with progress("train action") as show:
            train(pairs, settings, options, choose_device(device), show)
        best = out / "action_to_latent_best.json"
        print("\n".join([f"{best}:", *report(read_json(best, "checkpoint")["validation"])]))


def _print_figures(path: Path, figures: dict[str, object]) -> None:
    text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, (int, float)))
    print(f"{path}: {text}")
