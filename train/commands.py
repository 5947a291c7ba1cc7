"""The commands `train` and `ship`. Heavy imports (torch) are inside them, so that --help is instant."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console import SeedOption, clean_errors, finite, progress

if TYPE_CHECKING:
    from train.run import Run

app = typer.Typer(no_args_is_help=True)
train_app = typer.Typer(no_args_is_help=True, help="Train the networks of the twin, one after the other.")
app.add_typer(train_app, name="train")

FRAMES, WORLD, ACTION, SHIPPED = (
    Path(name) for name in ("data/frames", "checkpoints/world", "checkpoints/latent_action", "checkpoints/shipped")
)
PAIRS, PLAYER = Path("data/actions/action_latent_pairs.json"), Path("checkpoints/player")

FramesOption = Annotated[
    list[Path] | None, typer.Option(help=f"A dataset made by `collect frames`; may be repeated. Default: {FRAMES}.")
]
OutOption = Annotated[Path, typer.Option(help="Where the weights go, and what --resume needs.")]
WeightsOption = Annotated[Path, typer.Option(help="Directory with the VQ-VAE whose codes are meant.")]
MinutesOption = Annotated[
    float | None,
    typer.Option(help="How long to train, on this machine's clock; preparing apart.", callback=finite(above=0.0)),
]
EpochsOption = Annotated[
    float | None, typer.Option(help="How long to train, in passes over the data.", callback=finite(above=0.0))
]
BatchOption = Annotated[int, typer.Option(min=1, max=1 << 20, help="Samples in a step.")]
RateOption = Annotated[float, typer.Option(help="Highest learning rate.", callback=finite(above=0.0, high=10.0))]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")]
TensorBoardOption = Annotated[bool, typer.Option("--tensorboard", help="Log to TensorBoard as well.")]
WandbOption = Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases as well.")]


class WorldName(StrEnum):
    """Where a player trains."""

    dream = "dream"
    real = "real"


def _train(
    what: str,
    begin: Callable[[Run], dict[str, Any]],
    length: tuple[float | None, float | None, float],
    device: str,
    out: Path,
    extras: tuple[bool, bool, bool],
    **settings: Any,
) -> dict[str, Any]:
    """Train as the options say: `length` is minutes, epochs, and the minutes if neither is given; `extras` are resume,
    tensorboard and wandb. Returns the last validation's figures."""
    from train.run import Run, Settings, choose_device

    minutes, epochs, usual = length
    if minutes is not None and epochs is not None:
        raise typer.BadParameter("give either --minutes or --epochs.")
    chosen = choose_device(device)
    settings["validate_every"] = 1000 if chosen.type == "cpu" else 2000  # half a minute of steps, about
    made = Settings(minutes=usual if minutes is None and epochs is None else minutes, epochs=epochs, **settings)
    with progress(f"train {what}") as show:
        return begin(Run(out, made, chosen, *extras, show))


def _datasets(frames: list[Path] | None) -> list[Path]:
    return frames or [FRAMES]


def _say(path: Path, figures: dict[str, Any], *following: object) -> None:
    """The figures in a line, and the command that comes next, as one may type it."""
    print(f"{path}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items() if isinstance(v, (int, float))))
    _next(*following)


def _next(*words: object) -> None:
    print("next: python main.py " + " ".join(shlex.quote(str(word)) for word in words))


def _frames_words(frames: list[Path] | None) -> list[object]:
    return [word for directory in frames or [] for word in ("--frames", directory)]


@train_app.command("vqvae")
def train_vqvae(
    frames: FramesOption = None,
    out: OutOption = WORLD,
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: BatchOption = 512,
    rate: RateOption = 1.5e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Learn what things look like, and the codes of what happens in a step. Without --minutes or --epochs: 4 minutes.

    Example: python main.py train vqvae --frames data/frames --out checkpoints/world --minutes 4
    """
    with clean_errors():
        from train.vqvae import train_vqvae as begin

        figures = _train(
            "vqvae", lambda run: begin(_datasets(frames), run), (minutes, epochs, 4.0), device, out,
            (resume, tensorboard, wandb), batch=batch, rate=rate, seed=seed, decay=1e-4,
        )  # fmt: skip
        _say(out / "vqvae.safetensors", figures, "train", "memory", *_frames_words(frames), "--out", out)


@train_app.command("memory")
def train_memory(
    frames: FramesOption = None,
    out: OutOption = WORLD,
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: BatchOption = 512,
    rate: RateOption = 1.5e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Learn to carry what no frame shows, with the emulator's RAM as teacher. Without --minutes or --epochs: 20.

    Example: python main.py train memory --frames data/frames --out checkpoints/world --minutes 20
    """
    with clean_errors():
        from train.memory import train_memory as begin

        figures = _train(
            "memory", lambda run: begin(_datasets(frames), run), (minutes, epochs, 20.0), device, out,
            (resume, tensorboard, wandb), batch=batch, rate=rate, seed=seed,
        )  # fmt: skip
        following = ("train", "context", *_frames_words(frames), "--weights", out, "--out", out)
        _say(out / "memory.safetensors", figures, *following)


@train_app.command("context")
def train_context(
    frames: FramesOption = None,
    weights: WeightsOption = WORLD,
    out: OutOption = WORLD,
    minutes: MinutesOption = None,
    epochs: EpochsOption = None,
    batch: BatchOption = 512,
    rate: RateOption = 1.5e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    resume: ResumeOption = False,
    tensorboard: TensorBoardOption = False,
    wandb: WandbOption = False,
) -> None:
    """Learn the codes of the next step from the state and the key. Without --minutes or --epochs: 20 minutes.

    Example: python main.py train context --frames data/frames --weights checkpoints/world --minutes 20
    """
    with clean_errors():
        from train.context import train_context as begin

        figures = _train(
            "context", lambda run: begin(_datasets(frames), weights, run), (minutes, epochs, 20.0), device, out,
            (resume, tensorboard, wandb), batch=batch, rate=rate, seed=seed,
        )  # fmt: skip
        _say(out / "context.safetensors", figures, "ship", "--world", out, *_frames_words((frames or [])[:1]))


@train_app.command("action")
def train_action(
    pairs: Annotated[Path, typer.Option(help="Pairs made by `collect pairs`.")] = PAIRS,
    out: OutOption = ACTION,
    epochs: Annotated[float, typer.Option(help="Passes over the pairs.", callback=finite(above=0.0))] = 50,
    batch: BatchOption = 1024,
    rate: RateOption = 1e-3,
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
        from train.action import report
        from train.action import train_action as begin

        figures = _train(
            "action", lambda run: begin(pairs, run), (None, epochs, 0.0), device, out,
            (resume, tensorboard, wandb), batch=batch, rate=rate, seed=seed, decay=0.0,
        )  # fmt: skip
        print("\n".join([f"{out / 'action_to_latent_best.safetensors'}:", *report(figures)]))
        _next("ship", "--action", out)


@train_app.command("player")
def train_player(
    world: Annotated[WorldName, typer.Option(help="Inside the twin, or in the emulator.")] = WorldName.dream,
    out: OutOption = PLAYER,
    minutes: MinutesOption = None,
    frames: Annotated[int | None, typer.Option(min=1, help="How long to train, in frames of all games.")] = None,
    seed: SeedOption = 0,
    weights: Annotated[Path | None, typer.Option(help="The twin's weights; default: the shipped ones.")] = None,
) -> None:
    """Train a policy that plays, wholly inside the dream, or for comparison in the real game. Without a length: 30.

    Example: python main.py train player --world dream --minutes 30 --out checkpoints/player
    """
    with clean_errors():
        from train.player import train_player as begin

        minutes = 30.0 if minutes is None and frames is None else minutes
        with progress(f"train player --world {world.value}") as show:
            figures = begin(world.value, out, minutes, frames, seed, weights, show)
            show(1.0, "")
        _say(out / "player.safetensors", figures, "evaluate-player", "--player", out / "player.safetensors")


@app.command("ship")
def ship(
    world: Annotated[Path, typer.Option(help="Directory with VQ-VAE, memory and context controller.")] = WORLD,
    action: Annotated[Path, typer.Option(help="Directory with the action-only controller, if there is one.")] = ACTION,
    frames: Annotated[Path, typer.Option(help="A dataset, of whose steps the commonest codes are counted.")] = FRAMES,
    out: Annotated[Path, typer.Option(help="Where `play --weights` will find it.")] = SHIPPED,
) -> None:
    """Make of trained weights what plays without PyTorch: ONNX graphs and one file of weights.

    Example: python main.py ship --world checkpoints/world --out checkpoints/shipped
    """
    with clean_errors():
        from train.ship import ship_checkpoints

        engine = ship_checkpoints(world, action, frames, out, print)
        size = sum(path.stat().st_size for path in out.iterdir() if path.is_file()) / 1e6
        print(f"{out}: {size:.1f} MB, frame skip {engine.frameskip}, checksum {engine.checksum[:12]}")
        if "action" in engine.meta["made"]:
            _next("play", "--weights", out)
        else:
            _next("collect", "pairs", "--weights", out)
