"""`play`: from the command's flags to a running loop, and what is written and said when it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.clock import FASTEST, SLOWEST, THREADS, TURN, Clock, Unpaced
from app.keys import KeyMap, load_keys
from app.loop import Loop
from app.pace import keep_memory, warm
from app.players import Autopilot, Player, Replay, Scripted, read_actions
from app.recording import SUFFIXES
from app.session import Session
from app.session_file import SavedSession, load_session, save_session
from app.start_frames import load_start_frames
from collect.emulator import Emulator
from model.files import SCHEMA, FileError, write_json

if TYPE_CHECKING:
    from app.window import Screen
    from model.world_model import WorldModel


@dataclass(frozen=True)
class PlayOptions:
    """The flags of `play`; see its `--help`."""

    weights: Path | None = None
    controller: str = "context"
    dream: bool = False
    seed: int = 0
    device: str = "auto"
    headless: bool = False
    frames: int | None = None
    actions: str | None = None
    record: Path | None = None
    report: Path | None = None
    save_session: Path | None = None
    replay: Path | None = None
    dream_only: bool = False
    speed: float = 1.0
    keys: Path | None = None
    fullscreen: bool = False


def play(options: PlayOptions) -> None:
    """Run `play`. Raises ValueError, FileError or OSError with one clear line for whatever a user can cause."""
    keep_memory()
    import torch

    from model.world_model import WorldModel

    saved = load_session(options.replay) if options.replay else None
    if saved is not None:
        options = replace(
            options, seed=saved.seed, controller=saved.controller, dream=saved.dream, dream_only=saved.alone
        )
    _check(options)
    player, keys = _player(options, saved), load_keys(options.keys)
    torch.set_num_threads(THREADS)
    sys.setswitchinterval(TURN)
    twin = WorldModel.load(options.weights, options.device, options.controller, options.seed)
    if saved is not None:
        _check_replay(saved, twin, options)
    emulator = None if options.dream_only else Emulator(twin.frameskip, options.seed)
    start = load_start_frames(twin.frameskip) if options.dream_only else None
    session = Session(twin, emulator, options.dream, start)
    with warm(session), _open_screen(options, keys) as screen:
        clock = (Unpaced if options.headless else Clock)(session.steps_per_second, options.speed)
        stay = not options.headless and options.frames is None
        loop = Loop(session, screen, clock, keys, player, options.frames, stay, seed=options.seed)
        if options.record:
            loop.start_recording(options.record)
        try:
            if stay and player is None:
                loop.introduce()
            loop.run()
        finally:
            loop.stop_recording()
            if options.report:
                pace = {"steps_per_second": loop.clock.measured, "median_step_seconds": loop.clock.cost}
                write_json(options.report, {"schema": SCHEMA, **session.report(), **pace})
            if options.save_session:
                save_session(options.save_session, session, options.seed, options.controller, options.dream)
    print(_summary(session))
    if loop.recording_error is not None:
        raise loop.recording_error
    if saved is not None and loop.replayed is not None:
        if loop.replayed != saved.digests:
            raise ValueError(f"replay {options.replay}: the pixels differ from those of the session that was saved")
        print(f"replayed {len(saved.actions)} steps: the same pixels on both sides")


@contextmanager
def _open_screen(options: PlayOptions, keys: KeyMap) -> Iterator[Screen]:
    from app.window import NoWindow, Window, check_keys

    if options.headless:
        yield NoWindow(keys)
        return
    window = Window(keys, options.fullscreen)
    try:
        check_keys(keys)
        yield window
    finally:
        window.close()


def _check(options: PlayOptions) -> None:
    """Whatever can be known to be wrong before anything is loaded."""
    if not SLOWEST <= options.speed <= FASTEST:
        raise ValueError(f"--speed must be {SLOWEST}..{FASTEST:g}, got {options.speed:g}")
    if options.replay and options.actions:
        raise ValueError("--replay brings its own actions; leave out --actions")
    scripted = options.replay or options.actions not in (None, "random")
    if options.headless and options.frames is None and not scripted:
        raise ValueError("--headless needs an end: --frames N, --actions FILE or --replay FILE")
    if options.record and options.record.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--record writes {' or '.join(SUFFIXES)}, got {options.record.name!r}")
    for path in (options.record, options.report, options.save_session):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() or not os.access(path.parent, os.W_OK):
                raise FileError(f"{path} cannot be written")


def _player(options: PlayOptions, saved: SavedSession | None) -> Player | None:
    if saved is not None:
        return Replay(saved.actions, saved.commands)
    if options.actions == "random" or (options.headless and options.actions is None):
        return Autopilot("random", options.seed)
    return Scripted(read_actions(Path(options.actions))) if options.actions else None


def _check_replay(saved: SavedSession, twin: WorldModel, options: PlayOptions) -> None:
    if saved.frameskip != twin.frameskip:
        raise FileError(f"session {options.replay} has frame skip {saved.frameskip}, these weights {twin.frameskip}")
    if saved.weights != twin.checksum:
        raise FileError(
            f"session {options.replay} was played with other weights ({saved.weights[:12]}, these are "
            f"{twin.checksum[:12]}); give the same ones with --weights"
        )


def _summary(session: Session) -> str:
    """One line for the terminal."""
    text = f"{session.taken} steps"
    if not session.tally.steps:
        return text
    rates = session.tally.rates()
    return (
        f"{text}: codes {rates['code_accuracy']:.1%} right (majority code {rates['majority_code_accuracy']:.1%}), "
        f"{rates['exact_frames']:.1%} of frames exact (last frame again {rates['copy_last_exact_frames']:.1%}), "
        f"{rates['wrong_pixels']:.1f} pixels wrong on average"
    )
