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
from app.keys import KeyMap
from app.players import Autopilot, Player, Replay, Scripted
from app.recording import Recorder
from app.session import COMMANDS, REWIND_SECONDS, Session
from app.view import Choices, View, help_lines, make_view

if TYPE_CHECKING:
    from app.window import Screen, Window

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
AUTOPILOTS = ("", "follow", "random")
_IDLE, _INTRO_SECONDS, _TOAST_SECONDS = 0.5, 3.0, 2.5


class Loop:
    """One run of the game. `screen` may be a `Window` or a `NoWindow`; `player` None means the person at the keys.

    `frames` ends it after so many steps. `stay`: when a script or replay is over, the person plays on.
    `captures` is where screenshots and recordings made by keys go.
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        clock: Clock,
        keys: KeyMap,
        player: Player | None = None,
        frames: int | None = None,
        stay: bool = False,
        captures: Path = Path(),
        seed: int = 0,
    ) -> None:
        self.session, self.screen, self.clock, self.keys = session, screen, clock, keys
        self.player, self._left, self._captures, self._seed = player, frames, captures, seed
        self.choices = Choices()
        self._stay = stay
        self.recorder: Recorder | None = None
        self.recording_error: OSError | None = None
        self.replayed: tuple[str, str] | None = None
        """The session's digests when a replay had come to its end."""
        self._toast, self._toast_until = "", 0.0
        self._standing_since: float | None = None
        self._autopilot = 0
        self._own: dict[str, Callable[[], None]] = {
            "pause": self._pause,
            "single": self._single,
            "autopilot": self._next_autopilot,
            "grid": self._next_grid,
            "difference": lambda: self._flip("difference"),
            "futures": lambda: self._flip("futures"),
            "help": lambda: self._flip("help"),
            "slower": lambda: self._change_speed(-1),
            "faster": lambda: self._change_speed(1),
            "record_gif": lambda: self._toggle_recording(".gif"),
            "record_mp4": lambda: self._toggle_recording(".mp4"),
        }

    def run(self) -> None:
        """Until the player quits, the frames are played, or the player has no more actions."""
        self.clock.start()
        self._show()
        while self._left is None or self._left > 0:
            waiting = self._waiting()
            commands = self.screen.poll(_IDLE if waiting else self.clock.wait_time())
            for command in commands:
                if command == "quit":
                    return
                self._obey(command)
            if self._standing_since is not None:
                self._stand(self._standing_since)
            if self._waiting():
                if commands or waiting:
                    self._show()
            elif self.clock.wait_time() == 0 and not self.step():
                return

    def introduce(self) -> None:
        """Show the keys for three seconds or until one is pressed; that key already plays."""
        self.choices.help = True
        end = time.monotonic() + _INTRO_SECONDS
        while (left := end - time.monotonic()) > 0 and self.choices.help:
            self._show()
            for command in self.screen.poll(min(left, 0.1)):
                if command:
                    self.choices.help = False
                    if command == "quit":
                        self._left = 0
                        return
                    if command != "help":
                        self._obey(command)
            if self.screen.held.playing:
                break
        self.choices.help = False

    def _waiting(self) -> bool:
        """Whether time stands still: paused, rewinding, or a game that is over and waits for its player."""
        ended = self.session.over and self.player is None
        return self.choices.paused or self._standing_since is not None or ended

    # --- a step and its picture ---

    def step(self) -> bool:
        """One step with its picture; false when the player has no more actions."""
        if self.player is not None and self.screen.held.playing:
            self._take_over()
        action = self.screen.held.take() if self.player is None else self.player.act(self.session)
        if action is None:
            return self._played_out()
        self.clock.begin()
        self.session.step(action)
        if self.recorder is not None:
            self._record(self.recorder)
        self._show()
        self.clock.end()
        if self._left is not None:
            self._left -= 1
        return True

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
        if self._toast and time.monotonic() > self._toast_until:
            self._toast = ""
        playing = {"": "", "follow": "autopilot follows the ball", "random": "autopilot at random"}
        player = "replay" if isinstance(self.player, Replay) else playing[AUTOPILOTS[self._autopilot]]
        view = make_view(self.session, self.clock, self.choices, self._toast, player)
        if self._standing_since is not None:
            view = replace(view, message=("rewound", "release to play on"))
        elif self.player is None and getattr(self.screen, "lost", False):
            view = replace(view, message=("click to play", ""))
        return replace(view, help=help_lines(self.keys)) if self.choices.help else view

    def say(self, text: str) -> None:
        """Show a line for a moment."""
        self._toast, self._toast_until = text, time.monotonic() + _TOAST_SECONDS

    # --- commands ---

    def _obey(self, command: str) -> None:
        if command in COMMANDS:
            if isinstance(self.player, (Replay, Scripted)):
                self._take_over()
            self.session.do(command)
            if command == "rewind":
                self._standing_since = time.monotonic()
            elif command == "controller" and len(self.session.twin.controllers) == 1:
                self.say("these weights hold only one controller")
        elif command in self._own:
            self._own[command]()
        elif command == "fullscreen":
            self._window().toggle_fullscreen()
        elif command == "screenshot":
            self._screenshot()

    def _window(self) -> Window:
        from app.window import Window

        assert isinstance(self.screen, Window)
        return self.screen

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
            self.session.do("rewind")
            self._standing_since = time.monotonic()

    def _flip(self, name: str) -> None:
        setattr(self.choices, name, not getattr(self.choices, name))

    def _next_grid(self) -> None:
        self.choices.grid = (self.choices.grid + 1) % 3

    def _change_speed(self, by: int) -> None:
        nearest = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self.clock.speed))
        self.clock.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))]
        self.say(f"speed {self.clock.speed:g}")

    def _next_autopilot(self) -> None:
        self._autopilot = (self._autopilot + 1) % len(AUTOPILOTS)
        name = AUTOPILOTS[self._autopilot]
        self.player = Autopilot(name, self._seed + self.session.taken) if name else None
        self.say(f"autopilot: {name or 'off'}")

    def _take_over(self) -> None:
        self.player, self._autopilot = None, 0
        self.say("you play")

    def _screenshot(self) -> None:
        path = self._capture(".png")
        try:
            self._window().screenshot(path)
            self.say(f"saved {path}")
        except OSError as error:
            self.say(f"no screenshot: {error.strerror or error}")

    def _capture(self, suffix: str) -> Path:
        """A new file's name; two within a second do not share one."""
        stem = time.strftime("breakout-%Y%m%d-%H%M%S")
        names = itertools.chain((stem,), (f"{stem}-{number}" for number in itertools.count(2)))
        return next(path for name in names if not (path := self._captures / f"{name}{suffix}").exists())

    # --- recording ---

    def _toggle_recording(self, suffix: str) -> None:
        if self.recorder is not None:
            self.stop_recording()
            return
        path = self._capture(suffix)
        self.start_recording(path)
        self.say(f"recording {path}; the key again ends it")

    def start_recording(self, path: Path) -> None:
        """Record every step from now on."""
        self.recorder = Recorder(path, self.session.steps_per_second, 1 if self.session.emulator is None else 2)

    def _record(self, recorder: Recorder) -> None:
        moment = self.session.moment
        recorder.add(*([] if moment.real is None else [moment.real]), moment.twin)
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
