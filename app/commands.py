"""The commands `play`, `doctor` and `web`. They import what takes long themselves, so that --help is instant."""

import gc
import inspect
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from app import players
from app.clock import FASTEST, SLOWEST, Clock
from app.keys import load_keys
from app.recording import check_ffmpeg
from app.session import Session
from console import MOST_SEED, WeightsOption, clean_errors, finite, unbroken
from model.files import SCHEMA, FileError, make_directory, write_json

if TYPE_CHECKING:
    from app.loop import Loop
    from app.window import NoWindow

TURN = 0.0005  # seconds after which another thread makes way for the game, a tenth of what Python grants it
app = typer.Typer(no_args_is_help=True)
ControllerName = StrEnum("ControllerName", ["context", "action"])


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
        float | None, typer.Option(help="Seconds after which a parted dream goes back.", callback=finite(0.0, 3600.0))
    ] = None
    headless: Annotated[bool, typer.Option("--headless", help="The same loop without a window.")] = False
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None
    actions: Annotated[str | None, typer.Option(help="A text file of digits 0..3, or random.")] = None
    record: Annotated[Path | None, typer.Option(help="Write both panels as .gif or .mp4.")] = None
    report: Annotated[Path | None, typer.Option(help="Write the session's accuracy as JSON.")] = None
    save_session: Annotated[Path | None, typer.Option(help="Write the session, to be replayed.")] = None
    replay: Annotated[Path | None, typer.Option(help="Play a saved session again, pixel by pixel.")] = None
    dream_only: Annotated[bool, typer.Option("--dream-only", help="The twin alone, no emulator behind it.")] = False


def play(**given: Any) -> None:
    """Play Breakout beside its neural twin, under the same key. H shows the keys.

    Example: python main.py play --headless --frames 300 --actions random --record out.gif --report out.json"""
    with clean_errors():
        options = PlayOptions(**given)
        if options.replay and options.actions is not None:
            raise typer.BadParameter("--replay brings its own actions; leave out --actions")
        if options.headless and options.frames is None and not options.replay and options.actions in (None, "random"):
            raise typer.BadParameter("--headless needs an end: --frames N, --actions FILE or --replay FILE")
        if options.record and options.record.suffix.lower() not in (".gif", ".mp4"):
            raise typer.BadParameter(f"--record writes .gif or .mp4, got {options.record.name!r}")
        _play(options)


# The fields of `PlayOptions` are the command's options.
play.__signature__ = inspect.signature(PlayOptions, eval_str=True)  # type: ignore[attr-defined]
play.__annotations__ = get_type_hints(PlayOptions, include_extras=True)
app.command("play")(play)


def _play(options: PlayOptions) -> None:
    saved = players.load_session(options.replay) if options.replay else None
    if saved is not None:
        options = replace(options, seed=saved.seed, dream=saved.dream, dream_only=saved.dream_only)
        options = replace(options, controller=ControllerName(saved.controller))
    # Whatever can be known to be impossible is said before anything is loaded.
    if options.record:
        check_ffmpeg(options.record)
    for path in filter(None, (options.record, options.report, options.save_session)):
        make_directory(path.parent)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise FileError(f"{path} cannot be written")
    keys = load_keys(options.keys)
    # What takes long to import comes when the window is there, and after whatever may be wrong with the options.
    from app.window import NoWindow, Window

    with closing(NoWindow(keys) if options.headless else Window(keys, options.fullscreen)) as screen:
        from app.loop import Loop

        player: players.Player | None = None
        if saved is not None:
            player = players.Scripted(bytes(map(int, saved.actions)), saved.commands)
        elif options.actions == "random" or (options.headless and options.actions is None):
            player = players.Autopilot("random", options.seed)
        elif options.actions is not None:
            player = players.Scripted(players.read_actions(Path(options.actions)))
        session = _load(options, saved, screen)
        if session is None:  # the window was closed
            return
        clock = Clock(session.steps_per_second, options.speed, paced=not options.headless)
        stay = not options.headless and options.frames is None
        loop = Loop(session, screen, clock, keys, player, options.frames, stay)
        loop.seed, loop.back_after = options.seed, options.back_after
        if options.record:
            loop.start_recording(options.record)
        if not options.headless:
            loop.records = players.Records.load(players.records_path())
            if options.sound:
                loop.say(loop.sound.toggle())
        _run(loop, options, first=stay and player is None and not loop.records.introduced)
    print(players.summary(session))
    if loop.recording_error is not None:
        raise loop.recording_error
    if saved is not None and loop.replayed is not None:
        if list(loop.replayed) != saved.digests:
            raise ValueError(f"replay {options.replay}: the pixels differ from those of the session that was saved")
        print(f"replayed {len(saved.actions)} steps: the same pixels on both sides")


def _load(options: PlayOptions, saved: players.SavedSession | None, screen: "NoWindow") -> Session | None:
    """Engine, emulator and session, warmed up. In a window that goes on in a thread, so that it answers meanwhile;
    None if the window was closed before it was done."""
    from app.window import Window

    def load() -> Session:
        from collect.emulator import Emulator
        from model.engine import Engine

        engine, of = Engine.load(options.weights), f"session {options.replay}"
        if saved is not None and saved.frameskip != engine.frameskip:
            raise FileError(f"{of} has frame skip {saved.frameskip}, these weights {engine.frameskip}")
        if saved is not None and saved.weights != engine.checksum:
            theirs = f"({saved.weights[:12]}, these are {engine.checksum[:12]})"
            raise FileError(f"{of} was played with other weights {theirs}; give the same ones with --weights")
        emulator = None if options.dream_only else Emulator(engine.frameskip, options.seed)
        session = Session(engine, emulator, options.dream, options.controller)
        session.warm_up()
        return session

    if not isinstance(screen, Window):
        return load()
    with ThreadPoolExecutor(1, "loading") as pool:
        future = pool.submit(load)
        screen.open_pads()
        while not future.done():
            commands = screen.poll(0.02)
            if "quit" in commands:  # it is waited for: an emulator that is half made cannot be left behind
                return None
            if commands:
                screen.say("loading")
    screen.held.release_all()
    return future.result()


def _run(loop: "Loop", options: PlayOptions, first: bool) -> None:
    """The introduction, if this person's first run; then the game; at the end everything asked for is written."""
    session = loop.session
    sys.setswitchinterval(TURN)
    gc.collect()
    gc.freeze()  # all that is there stays: to look through it from time to time takes as long as ten steps
    try:
        if not first or loop.introduce():
            loop.run()
    finally:
        gc.unfreeze()
        # The recording may take a while: a second Ctrl-C ends that alone.
        with closing(loop), unbroken():
            try:
                if options.report:
                    pace = {"steps_per_second": loop.clock.measured, "median_step_seconds": loop.clock.cost}
                    write_json(options.report, {"schema": SCHEMA, **players.report(session), **pace})
            finally:  # also where there is no room for the report
                if options.save_session:
                    players.save_session(options.save_session, session, options.seed, options.controller, options.dream)


@app.command("doctor")
def doctor(
    weights: WeightsOption = None,
    seconds: Annotated[
        float, typer.Option(help="How long steps are measured; 0: not at all.", callback=finite(0.0, 600.0))
    ] = 3.0,
) -> None:
    """Say whether this machine can play, and what a maintainer would ask for. Exit status 1 if something is broken.

    Example: python main.py doctor"""
    with clean_errors():
        from app.doctor import examine

        broken = False
        for name, found, remedy in examine(weights, seconds):
            broken |= bool(remedy)
            line = " ".join(found.splitlines())
            print(f"{name:<14}" + (f"BROKEN: {line} -> {remedy}" if remedy else line), flush=True)
        if broken:
            raise typer.Exit(1)


@app.command("web")
def web(
    out: Annotated[Path, typer.Option(help="The folder for the page; it must be new, empty, or hold an earlier page.")],
    weights: WeightsOption = None,
) -> None:
    """Write a static page in which the dream is played in the browser.

    Example: python main.py web --out site"""
    with clean_errors():
        from app.web import build

        page = build(weights, out)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
        print(f"{page}: {size:.1f} MB; open it in a browser, or put the folder on any web server")
