"""The game loop: it ties keys, the session, the clock, the window and the recorder together.

With a window or headless, it is the same loop: events, one step when it is due, a picture, and wait for the next.
The picture shows the frame after the action just taken.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.clock import Clock
from app.futures import Futures
from app.keys import KeyMap
from app.players import Autopilot, Player, Replay, Scripted
from app.recording import Recorder
from app.saved import Records
from app.session import COMMANDS, REWIND_SECONDS, Session
from app.sound import Sound
from app.view import PART, Choices, View, board, heading, help_lines, make_view

if TYPE_CHECKING:
    from app.window import NoWindow

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
AUTOPILOTS = ("", "follow", "random")
CAPTURES = Path("captures")
_IDLE, _TOAST_SECONDS = 0.5, 3.0


class Loop:
    """One run of the game. `screen` may be a `Window` or a `NoWindow`; `player` None means the person at the keys.

    `frames` ends it after so many steps. `stay`: when a script or replay is over, the person plays on.
    `captures` is where screenshots and recordings made by keys go.
    """

    def __init__(
        self,
        session: Session,
        screen: NoWindow,
        clock: Clock,
        keys: KeyMap,
        player: Player | None = None,
        frames: int | None = None,
        stay: bool = False,
        captures: Path = CAPTURES,
    ) -> None:
        self.session, self.screen, self.clock, self.keys = session, screen, clock, keys
        self.player, self._left, self._captures = player, frames, captures
        self.choices, self.sound, self.futures = Choices(), Sound(), Futures()
        self.records, self.seed = Records(), 0
        self.back_after: float | None = None
        """Seconds after which a dream that has parted puts itself back on reality; None leaves it alone."""
        self._stay = stay
        self.quit = False
        """Whether the player asked for the end."""
        self.recorder: Recorder | None = None
        self.recording_error: OSError | None = None
        self.replayed: tuple[str, str] | None = None
        """The session's digests when a replay had come to its end."""
        self.caption: tuple[str, str] | None = None
        self.toast, self._toast_until = "", 0.0
        self._standing_since: float | None = None
        self._autopilot = 0
        self._by_hand = True
        self._notes, self._notes_kind, self._noted = ("", ""), "", -1
        self._own: dict[str, Callable[[], None]] = {
            "pause": self._pause,
            "single": self._single,
            "autopilot": self._next_autopilot,
            "grid": self._next_grid,
            "difference": lambda: self._flip("difference"),
            "futures": self._flip_futures,
            "memory": lambda: self._flip("memory"),
            "layout": lambda: self._flip("large"),
            "help": lambda: self._flip("help"),
            "sound": lambda: self.say(self.sound.toggle()),
            "slower": lambda: self._change_speed(-1),
            "faster": lambda: self._change_speed(1),
            "record_gif": lambda: self._toggle_recording(".gif"),
            "record_mp4": lambda: self._toggle_recording(".mp4"),
            "fullscreen": self.screen.toggle_fullscreen,
            "screenshot": self._screenshot,
        }

    def run(self) -> None:
        """Until the player quits, the frames are played, or the player has no more actions."""
        self.clock.start()
        self._show()
        while self._left is None or self._left > 0:
            waiting, pressed = self._waiting(), self.screen.pressed
            commands = self.screen.poll(_IDLE if waiting else self.clock.wait_time())
            if self.choices.help and self.screen.pressed != pressed:
                # Any key closes the help, and does what it does; the help's own key is done with that.
                commands = [command for command in commands if command != "help"]
                self.choices.help = False
                self.clock.start()
            for command in commands:
                if command == "quit":
                    self.quit = True
                    return
                self._obey(command)
            if self._standing_since is not None:
                self._stand(self._standing_since)
            if self._waiting():
                if commands or waiting:
                    self._show()
            elif self.clock.wait_time() == 0 and not self.step():
                return

    def _waiting(self) -> bool:
        """Whether time stands still: paused, help, rewinding, or a game that is over and waits for its player."""
        ended = self.session.over and self.player is None
        return self.choices.paused or self.choices.help or self._standing_since is not None or ended

    # --- a step and its picture ---

    def step(self) -> bool:
        """One step with its picture; false when the player has no more actions."""
        session = self.session
        if self.player is not None and self.screen.held.playing:
            self._take_over()
        by_hand = self.player is None
        action = self.screen.held.take(session.real_paddle) if by_hand else self.player.act(session)  # type: ignore[union-attr]
        if action is None:
            return self._played_out()
        self.clock.begin()
        session.step(action)
        self._by_hand = (self._by_hand or session.taken == session.restarted + 1) and by_hand
        self._after_step()
        self._show()
        self.clock.end()
        if self._left is not None:
            self._left -= 1
        return True

    def _after_step(self) -> None:
        session = self.session
        if self.back_after is not None and not isinstance(self.player, Replay):
            at = session.parting.parted_at if session.dreaming else None
            if at is not None and session.since_real - at >= session.steps(self.back_after):
                self.say(session.do("resync"))
        if self.recorder is not None:
            self._record(self.recorder)
        if self.choices.futures:
            self.futures.work(session)
        self.sound.hear(session)
        if session.over:
            self._note_records()

    def _note_records(self) -> None:
        """Take in the game's score, if a person played it from its start, and the longest true dream."""
        score = self.session.objects.score if self.session.objects and self._by_hand else 0
        if self.records.note(score, self.session.seconds(self.session.longest_true)) and self.session.over:
            self.say(f"best score {self.records.best_score}, longest true dream {self.records.longest_dream:.1f} s")

    def close(self) -> None:
        """The end: records are noted and kept, sound and recording end."""
        self._note_records()
        self.records.save()
        self.sound.close()
        self.stop_recording()

    def _played_out(self) -> bool:
        """The script or replay has no more actions: the end, or the person's turn."""
        if isinstance(self.player, Replay):
            self.replayed = self.session.digests()
        if self._stay:
            self.player, self.choices.paused = None, True
            self.say("that was all; P plays on from here")
        return self._stay

    def _show(self) -> None:
        self.screen.show(self._view)

    def _view(self) -> View:
        if self.toast and time.monotonic() > self._toast_until:
            self.toast = ""
        if self.choices.futures and self._waiting() and self._noted != self.session.taken:
            self.futures.finish(self.session)  # time stands still: there is no next step to work in
            self._noted = self.session.taken
        view = make_view(self.session, self.clock, self.choices, self.keys, self.futures.ahead)
        facts = list(view.facts)
        if facts and (self.records.best_score or self.records.longest_dream):
            dream = f"longest true dream {self.records.longest_dream:.1f} s"
            facts.append(f"your records: best score {self.records.best_score}{PART}{dream}")
        view = replace(view, toast=self.toast, caption=self.caption, footer=self._footer(view.footer), facts=facts)
        view = replace(view, recording=self.recorder is not None)
        if self._standing_since is not None:
            view = replace(view, message=("rewound", "release to play on"))
        elif self.player is None and self.screen.lost:
            view = replace(view, message=("click to play", ""))
        if self.choices.help:
            view = replace(view, message=None, help=help_lines(self.keys, self.session.emulator is None))
        return view

    def _footer(self, footer: str) -> str:
        if isinstance(self.player, Replay):
            return f"replay   {footer}"
        name = self.player.name if isinstance(self.player, Autopilot) else ""
        who = {"follow": "autopilot follows the ball", "random": "autopilot at random"}.get(name, "")
        if not name and self.screen.held.aim is not None:
            who = "the pointer steers"
        return f"{who}   {footer}" if who else footer

    def say(self, text: str) -> None:
        """Show a line for a moment."""
        self.toast, self._toast_until = text, time.monotonic() + _TOAST_SECONDS

    # --- commands ---

    def _obey(self, command: str) -> None:
        if command in COMMANDS:
            if isinstance(self.player, (Replay, Scripted)):
                self._take_over()
            if command == "restart":
                self._note_records()
            self.say(self.session.do(command))
            self.futures = Futures()
            if command == "restart":
                self._by_hand = True
            elif command == "rewind":
                self._standing_since, self._by_hand = time.monotonic(), False
        elif command in self._own:
            self._own[command]()

    def _pause(self) -> None:
        self.choices.paused = not self.choices.paused
        if not self.choices.paused:
            self._go_on()

    def _go_on(self) -> None:
        self.screen.held.forget_taps()
        self.clock.start()

    def _single(self) -> None:
        if self.choices.paused and not (self.session.over and self.player is None):
            self.step()

    def _stand(self, since: float) -> None:
        if not self.screen.is_held("rewind"):
            self._standing_since = None
            self._go_on()
        elif time.monotonic() - since >= REWIND_SECONDS / 2:
            self.say(self.session.do("rewind"))
            self._standing_since = time.monotonic()

    def _flip(self, name: str) -> None:
        setattr(self.choices, name, not getattr(self.choices, name))

    def _flip_futures(self) -> None:
        self._flip("futures")
        self.futures, self._noted = Futures(), -1

    def _next_grid(self) -> None:
        self.choices.grid = (self.choices.grid + 1) % 3

    def _change_speed(self, by: int) -> None:
        nearest = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self.clock.speed))
        self.clock.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))]
        self.say(f"speed {self.clock.speed:g}")

    def _next_autopilot(self) -> None:
        self._autopilot = (self._autopilot + 1) % len(AUTOPILOTS)
        name = AUTOPILOTS[self._autopilot]
        self.player = Autopilot(name, self.seed + self.session.taken) if name else None
        self.screen.held.aim = None
        self.say(f"autopilot: {name or 'off'}")

    def _take_over(self) -> None:
        self.player, self._autopilot = None, 0
        self.say("you play")

    # --- pictures and recordings ---

    def _screenshot(self) -> None:
        path = self._capture(".png")
        try:
            self.screen.screenshot(path)
            self.say(f"saved {path}")
        except (OSError, ValueError) as error:
            self.say(f"no screenshot: {getattr(error, 'strerror', None) or error}")

    def _capture(self, suffix: str) -> Path:
        """A new file's name; two within a second do not share one."""
        stem = time.strftime("breakout-%Y%m%d-%H%M%S")
        names = itertools.chain((stem,), (f"{stem}-{number}" for number in itertools.count(2)))
        return next(path for name in names if not (path := self._captures / f"{name}{suffix}").exists())

    def _toggle_recording(self, suffix: str) -> None:
        if self.recorder is not None:
            self.stop_recording()
            return
        try:
            path = self._capture(suffix)
            self.start_recording(path)
            self.say(f"recording {path}; the key again ends it")
        except ValueError as error:
            self.say(str(error))

    def start_recording(self, path: Path) -> None:
        """Record every step from now on. ValueError if such a file cannot be recorded here."""
        self.recorder = Recorder(path, self.session.steps_per_second)
        self._notes_kind = ""

    def _record(self, recorder: Recorder) -> None:
        """Hand the step over. What is written above the panels changes once a second, or a file would be all text."""
        moment, session = self.session.moment, self.session
        kind = f"{session.dreaming} {session.parted_at} {session.controller}"
        if kind != self._notes_kind or session.taken % session.steps(1) == 0:
            self._notes_kind = kind
            real = board(session.objects.score, session.objects.lives) if session.objects else ""
            self._notes = real, PART.join(part for part in heading(session)[:2] if part)
        frames = [moment.twin] if moment.real is None else [moment.real, moment.twin]
        recorder.add(*frames, notes=self._notes)
        if recorder.error is not None:
            self.stop_recording()

    def stop_recording(self) -> None:
        """Finish the file, if one is being recorded; a failure is kept in `recording_error` and shown."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return
        try:
            recorder.close()
            self.say(f"saved {recorder.path}")
        except OSError as error:
            self.recording_error = error
            self.say(f"recording failed: {error.strerror or error}")
