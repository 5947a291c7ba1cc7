"""The commands `train` and `ship`. Heavy imports (torch) are inside them, so that --help is instant."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from collect.commands import FRAMES, PAIRS
from console import SeedOption, clean_errors, finite, progress, say_next

app = typer.Typer(no_args_is_help=True)
train_app = typer.Typer(no_args_is_help=True, help="Train the networks of the twin, one after the other.")
app.add_typer(train_app, name="train")

WORLD, SHIPPED = Path("checkpoints/world"), Path("checkpoints/shipped")
ACTION, PLAYER = Path("checkpoints/latent_action"), Path("checkpoints/player")

FramesOption = Annotated[
    list[Path] | None, typer.Option(help=f"A dataset made by `collect frames`; may be repeated. Default: {FRAMES}.")
]
OutOption = Annotated[Path, typer.Option(help="Where the weights go, and what --resume needs.")]
MinutesOption = Annotated[
    float | None,
    typer.Option(help="How long to train, on this machine's clock; preparing apart.", callback=finite(above=0.0)),
]
WorldName = StrEnum("WorldName", ["dream", "real"])


def _options(
    out: OutOption = WORLD,
    minutes: MinutesOption = None,
    epochs: Annotated[
        float | None, typer.Option(help="How long to train, in passes over the data.", callback=finite(above=0.0))
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1 << 20, help="Samples in a step.")] = 512,
    rate: Annotated[float, typer.Option(help="Highest learning rate.", callback=finite(above=0.0, high=10.0))] = 1.5e-3,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log to TensorBoard as well.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases as well.")] = False,
) -> None:
    """The options that the trainings of all networks have."""


def _trains(network: str, usual: float | None = None, decay: float = 0.02, **defaults: Any) -> Callable[..., Any]:
    """Make a command of a function that trains a network into `run.out`/`network`.safetensors.

    Its options are its own and those of `_options`, with these `defaults`. The function is given the `Run` that they
    describe and its own options, and returns what to say and the words of the command that comes next. `usual`: the
    minutes, if no length is given; None: it has no --minutes."""

    def register(begin: Callable[..., tuple[Any, ...]]) -> None:
        own, shared = (dict(inspect.signature(of, eval_str=True).parameters) for of in (begin, _options))
        del own["run"]
        if usual is None:
            del shared["minutes"]
        every = ({name: of for name, of in own.items() if name not in shared} | shared | own).values()
        parameters = [of.replace(default=defaults.get(of.name, of.default)) for of in every]
        name = begin.__name__.removeprefix("train_")

        def command(**given: Any) -> None:
            with clean_errors():
                from train.loop import Run, Settings, choose_device

                minutes, epochs = given.get("minutes"), given["epochs"]
                if minutes and epochs:
                    raise typer.BadParameter("give either --minutes or --epochs.")
                minutes = None if epochs else minutes or usual
                device, how = choose_device(given["device"]), (given["batch"], given["rate"], given["seed"])
                often = 1000 if device.type == "cpu" else 2000  # half a minute of steps, about
                settings = Settings(*how, minutes, epochs, decay=decay, validate_every=often)
                extras = {key: given[key] for key in ("resume", "tensorboard", "wandb")}
                with progress(f"train {name}") as show:
                    run = Run(given["out"], settings, device, show=show, **extras)
                    text, *following = begin(run, **{key: given[key] for key in own if key not in shared})
                print(f"{run.out / network}.safetensors:{text}")
                say_next(*following)

        signed: Any = command
        signed.__signature__ = inspect.Signature(parameters)
        signed.__annotations__ = {of.name: of.annotation for of in parameters}
        train_app.command(name, help=begin.__doc__)(command)

    return register


def _told(figures: dict[str, Any]) -> str:
    return " " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items() if isinstance(v, (int, float)))


def _words(frames: list[Path] | None) -> list[object]:
    return [word for directory in frames or [] for word in ("--frames", directory)]


@_trains("vqvae", 4.0, decay=1e-4)
def train_vqvae(run: Any, frames: FramesOption = None) -> tuple[Any, ...]:
    """Learn what things look like, and the codes of what happens in a step. Without --minutes or --epochs: 4 minutes.

    Example: python main.py train vqvae --frames data/frames --out checkpoints/world --minutes 4"""
    from train.vqvae import train_vqvae

    return _told(train_vqvae(frames or [FRAMES], run)), "train", "memory", *_words(frames), "--out", run.out


@_trains("memory", 20.0)
def train_memory(run: Any, frames: FramesOption = None) -> tuple[Any, ...]:
    """Learn to carry what no frame shows, with the emulator's RAM as teacher. Without --minutes or --epochs: 20.

    Example: python main.py train memory --frames data/frames --out checkpoints/world --minutes 20"""
    from train.steps import train_memory

    following = "train", "context", *_words(frames), "--weights", run.out, "--out", run.out
    return _told(train_memory(frames or [FRAMES], run)), *following


@_trains("context", 20.0)
def train_context(
    run: Any,
    frames: FramesOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="Directory with the VQ-VAE whose codes are meant; default: --out.")
    ] = None,
) -> tuple[Any, ...]:
    """Learn the codes of the next step from the state and the key. Without --minutes or --epochs: 20 minutes.

    Example: python main.py train context --frames data/frames --out checkpoints/world --minutes 20"""
    from train.steps import train_context

    text = _told(train_context(frames or [FRAMES], weights or run.out, run))
    if weights and not weights.samefile(run.out):
        text += f"\nnote: ship looks for the whole twin in one folder: copy VQ-VAE and memory to {run.out}"
    return text, "ship", "--world", run.out, *_words((frames or [])[:1])


@_trains("action_to_latent_best", decay=0.0, out=ACTION, batch=1024, rate=1e-3)
def train_action(
    run: Any,
    pairs: Annotated[Path, typer.Option(help="Pairs made by `collect pairs`.")] = PAIRS,
    epochs: Annotated[float, typer.Option(help="Passes over the pairs.", callback=finite(above=0.0))] = 50,
) -> tuple[Any, ...]:
    """Train the seed design's controller: from the key alone to the 35 codes.

    Example: python main.py train action --pairs data/actions/action_latent_pairs.json --epochs 50"""
    from train.action import report, train_action

    return "\n" + "\n".join(report(train_action(pairs, run))), "ship", "--action", run.out


@train_app.command("player")
def train_player(
    world: Annotated[WorldName, typer.Option(help="Inside the twin, or in the emulator.")] = WorldName.dream,
    out: Annotated[Path, typer.Option(help="Where the player goes; one that is there is kept.")] = PLAYER,
    minutes: MinutesOption = None,
    frames: Annotated[int | None, typer.Option(min=1, help="How long to train, in frames of all games.")] = None,
    seed: SeedOption = 0,
    weights: Annotated[Path | None, typer.Option(help="The twin's weights; default: the shipped ones.")] = None,
) -> None:
    """Train a policy that plays, wholly inside the dream, or for comparison in the real game. Without a length: 30.

    Example: python main.py train player --world dream --minutes 30 --out checkpoints/player"""
    with clean_errors():
        from train.player import train_player

        minutes = 30.0 if minutes is None and frames is None else minutes
        with progress(f"train player --world {world.value}") as show:
            figures = train_player(world.value, out, minutes, frames, seed, weights, show)
            show(1.0, "")
        path = out / "player.safetensors"
        print(f"{path}:{_told(figures)}")
        say_next("evaluate-player", "--player", path)


@app.command("ship")
def ship(
    world: Annotated[Path, typer.Option(help="Directory with VQ-VAE, memory and context controller.")] = WORLD,
    action: Annotated[Path, typer.Option(help="Directory with the action-only controller, if there is one.")] = ACTION,
    frames: Annotated[Path, typer.Option(help="A dataset, of whose steps the commonest codes are counted.")] = FRAMES,
    out: Annotated[Path, typer.Option(help="Where `play --weights` will find it.")] = SHIPPED,
) -> None:
    """Make of trained weights what plays without PyTorch: ONNX graphs and one file of weights.

    Example: python main.py ship --world checkpoints/world --out checkpoints/shipped"""
    with clean_errors():
        from train.export import ship_checkpoints

        engine = ship_checkpoints(world, action, frames, out, print)
        size = sum(path.stat().st_size for path in out.iterdir() if path.is_file()) / 1e6
        print(f"{out}: {size:.1f} MB, frame skip {engine.frameskip}, checksum {engine.checksum[:12]}")
        if "action" in engine.meta["made"]:
            say_next("play", "--weights", out)
        else:
            say_next("collect", "pairs", "--weights", out)
