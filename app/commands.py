"""The commands `play`, `doctor` and `web`. Heavy imports are inside them, so that --help is instant."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from app.clock import FASTEST, SLOWEST
from console import MOST_SEED, clean_errors, finite

app = typer.Typer(no_args_is_help=True)
WeightsOption = Annotated[Path | None, typer.Option(help="Directory of weights; default: the shipped ones.")]


class ControllerName(StrEnum):
    """Who chooses the twin's codes, as a choice on the command line."""

    context = "context"
    action = "action"


@dataclass(frozen=True)
class PlayOptions:
    """The options of `play`."""

    weights: WeightsOption = None
    controller: Annotated[ControllerName, typer.Option(help="Who predicts the codes.")] = ControllerName.context
    dream: Annotated[bool, typer.Option("--dream", help="Begin with the twin on its own frames.")] = False
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Same seed, same keys: the same session.")] = 0
    speed: Annotated[float, typer.Option(help="Times true pace, 0.25 to 4.", callback=finite(SLOWEST, FASTEST))] = 1.0
    fullscreen: Annotated[bool, typer.Option("--fullscreen", help="Begin in full screen.")] = False
    sound: Annotated[bool, typer.Option("--sound", help="Begin with sound on.")] = False
    keys: Annotated[Path | None, typer.Option(help="Your own key map; see assets/keys.toml.")] = None
    back_after: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which a dream that has parted puts itself back on reality; default: never.",
            callback=finite(0.0, 3600.0),
        ),
    ] = None
    headless: Annotated[bool, typer.Option("--headless", help="The same loop without a window.")] = False
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None
    actions: Annotated[str | None, typer.Option(help="A text file of digits 0..3, or random.")] = None
    record: Annotated[Path | None, typer.Option(help="Write both panels as .gif or .mp4.")] = None
    report: Annotated[Path | None, typer.Option(help="Write the session's accuracy as JSON.")] = None
    save_session: Annotated[Path | None, typer.Option(help="Write the session, to be replayed.")] = None
    replay: Annotated[Path | None, typer.Option(help="Play a saved session again, pixel by pixel.")] = None
    dream_only: Annotated[bool, typer.Option("--dream-only", help="The twin alone, no emulator behind it.")] = False

    def check(self) -> None:
        """Wrong usage, before anything is read, if the options do not go together."""
        if self.replay and self.actions:
            raise typer.BadParameter("--replay brings its own actions; leave out --actions")
        if self.headless and self.frames is None and not (self.replay or self.actions not in (None, "random")):
            raise typer.BadParameter("--headless needs an end: --frames N, --actions FILE or --replay FILE")
        if self.record and self.record.suffix.lower() not in (".gif", ".mp4"):
            raise typer.BadParameter(f"--record writes .gif or .mp4, got {self.record.name!r}")


def play(**given: Any) -> None:
    """Play Breakout beside its neural twin, under the same key. H shows the keys.

    Example: python main.py play --headless --frames 300 --actions random --record out.gif --report out.json
    """
    with clean_errors():
        from app.play import play as run

        options = PlayOptions(**given)
        options.check()
        run(options)


# The fields of `PlayOptions` are the command's options.
play.__signature__ = inspect.signature(PlayOptions, eval_str=True)  # type: ignore[attr-defined]
play.__annotations__ = get_type_hints(PlayOptions, include_extras=True)
app.command("play")(play)


@app.command("doctor")
def doctor(
    weights: WeightsOption = None,
    seconds: Annotated[
        float, typer.Option(help="How long steps are measured; 0: not at all.", callback=finite(0.0, 600.0))
    ] = 3.0,
) -> None:
    """Say whether this machine can play, and what a maintainer would ask for. Exit status 1 if something is broken.

    Example: python main.py doctor
    """
    with clean_errors():
        from app.doctor import examine

        broken = False
        for line, wrong in examine(weights, seconds):
            broken |= wrong
            print(line, flush=True)
        if broken:
            raise typer.Exit(1)


@app.command("web")
def web(
    out: Annotated[Path, typer.Option(help="The folder for the page; it must be new, empty, or hold an earlier page.")],
    weights: WeightsOption = None,
) -> None:
    """Write a static page in which the dream is played in the browser.

    Example: python main.py web --out site
    """
    with clean_errors():
        from app.web import build

        page = build(weights, out)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
        print(f"{page}: {size:.1f} MB; open it in a browser, or put the folder on any web server")
