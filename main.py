"""Neural Breakout: play Breakout beside its neural twin. `python main.py --help` lists the commands."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
collect_app = typer.Typer(no_args_is_help=True, help="Make datasets: transitions, and (action, code) pairs.")
train_app = typer.Typer(no_args_is_help=True, help="Train the VQ-VAE and the controllers.")
app.add_typer(collect_app, name="collect")
app.add_typer(train_app, name="train")

if __name__ == "__main__":
    app()
