"""Neural Breakout: play Breakout beside its neural twin. `python main.py COMMAND --help` tells more of each."""

from typing import Annotated

import typer

import console
from app.commands import app as play_app
from collect.commands import app as collect_app
from evaluate.commands import app as evaluate_app
from train.commands import app as train_app

# Heavy imports (the emulator, onnxruntime, PyTorch) are inside the rooms' commands, so that --help is instant.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(play_app)
app.add_typer(collect_app, name="collect")
app.add_typer(train_app)
app.add_typer(evaluate_app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"neural-breakout {console.version()}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """What comes before every command."""


if __name__ == "__main__":
    console.run(app)
