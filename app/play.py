"""`play`: from the command's flags to a running loop, and what is written and said when it ends."""

from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app import players
from app.clock import Clock
from app.commands import ControllerName, PlayOptions
from app.keys import load_keys
from app.recording import check_suffix
from app.session import Session
from model.files import SCHEMA, FileError, make_directory, write_json

if TYPE_CHECKING:
    from app.loop import Loop
    from app.window import NoWindow

TURN = 0.0005
"""Seconds after which the recorder's thread makes way for the game, a tenth of what Python grants it."""


def play(options: PlayOptions) -> None:
    """Run `play`. Raises ValueError, FileError or OSError with one clear line for whatever a user can cause."""
    saved = players.load_session(options.replay) if options.replay else None
    if saved is not None:
        options = replace(options, seed=saved.seed, dream=saved.dream, dream_only=saved.dream_only)
        options = replace(options, controller=ControllerName(saved.controller))
    # Whatever can be known to be impossible is said before anything is loaded.
    if options.record:
        check_suffix(options.record)
    for path in (options.record, options.report, options.save_session):
        if path is not None:
            make_directory(path.parent)
            if path.is_dir() or not os.access(path.parent, os.W_OK):
                raise FileError(f"{path} cannot be written")
    keys = load_keys(options.keys)
    # What takes long to import comes when the window is there, and after whatever may be wrong with the options.
    from app.window import NoWindow, Window

    with closing(NoWindow(keys) if options.headless else Window(keys, options.fullscreen)) as screen:
        from app.loop import Loop

        player = _player(options, saved)
        session = _load(options, saved, screen)
        if session is None:  # closed while it loaded
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
    print(_summary(session))
    if loop.recording_error is not None:
        raise loop.recording_error
    if saved is not None and loop.replayed is not None:
        if list(loop.replayed) != saved.digests:
            raise ValueError(f"replay {options.replay}: the pixels differ from those of the session that was saved")
        print(f"replayed {len(saved.actions)} steps: the same pixels on both sides")


def _run(loop: Loop, options: PlayOptions, first: bool) -> None:
    """The introduction, if this person's first run; then the game; at the end everything asked for is written."""
    session = loop.session
    sys.setswitchinterval(TURN)
    gc.collect()
    gc.freeze()  # all that is there stays: to look through it from time to time takes as long as ten steps
    try:
        if first and not _introduce(loop, options.seed):
            return
        loop.run()
    finally:
        gc.unfreeze()
        loop.close()
        if options.report:
            pace = {"steps_per_second": loop.clock.measured, "median_step_seconds": loop.clock.cost}
            write_json(options.report, {"schema": SCHEMA, **players.report(session), **pace})
        if options.save_session:
            players.save_session(options.save_session, session, options.seed, options.controller, options.dream)


def _introduce(loop: Loop, seed: int) -> bool:
    """The tour, then the help until it is closed; false if the window was closed meanwhile."""
    loop.records.introduced = True
    if not loop.records.save():  # nobody could remember that it was shown
        return True
    if loop.session.emulator is not None:
        from app.loop import Tour
        from collect.emulator import Emulator

        engine = loop.session.engine
        tour = Tour(Session(engine, Emulator(engine.frameskip, seed)), loop.screen, loop.keys)
        tour.run()
        if tour.quit:
            return False
    loop.screen.held.release_all()
    loop.choices.help = True
    return True


# --- loading ---


def _load(options: PlayOptions, saved: players.SavedSession | None, screen: NoWindow) -> Session | None:
    """Engine, emulator and session, warmed up. In a window that goes on in a thread, so that it answers meanwhile;
    None if the window was closed before it was done."""
    if options.headless:
        return _make_session(options, saved)
    with ThreadPoolExecutor(1, "loading") as pool:
        future = pool.submit(_make_session, options, saved)
        screen.open_pads()
        while not future.done():
            commands = screen.poll(0.02)
            if "quit" in commands:  # it is waited for: an emulator that is half made cannot be left behind
                return None
            if commands:
                screen.say("loading")
    screen.held.release_all()
    return future.result()


def _make_session(options: PlayOptions, saved: players.SavedSession | None) -> Session:
    from collect.emulator import Emulator
    from model.engine import Engine

    engine = Engine.load(options.weights)
    if saved is not None and saved.frameskip != engine.frameskip:
        raise FileError(f"session {options.replay} has frame skip {saved.frameskip}, these weights {engine.frameskip}")
    if saved is not None and saved.weights != engine.checksum:
        theirs = f"({saved.weights[:12]}, these are {engine.checksum[:12]})"
        raise FileError(
            f"session {options.replay} was played with other weights {theirs}; give the same ones with --weights"
        )
    emulator = None if options.dream_only else Emulator(engine.frameskip, options.seed)
    session = Session(engine, emulator, options.dream, options.controller)
    session.warm_up()
    return session


def _player(options: PlayOptions, saved: players.SavedSession | None) -> players.Player | None:
    if saved is not None:
        return players.Scripted(bytes(map(int, saved.actions)), saved.commands)
    if options.actions == "random" or (options.headless and options.actions is None):
        return players.Autopilot("random", options.seed)
    return players.Scripted(players.read_actions(Path(options.actions))) if options.actions else None


def _summary(session: Session) -> str:
    """One line for the terminal."""
    text = f"{session.taken} steps"
    if not session.played:
        return text
    rates = session.tally.rates(in_play=True)
    return (
        f"{text}, {session.played} with a ball in play: codes {rates['code_accuracy']:.1%} right (majority code "
        f"{rates['majority_code_accuracy']:.1%}), {rates['exact_frames']:.1%} of frames exact (last frame again "
        f"{rates['copy_last_exact_frames']:.1%}), {rates['wrong_pixels']:.1f} pixels wrong on average"
    )
