"""The game loop, the same with a window and headless: events, one step when it is due, and the picture after it."""

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app import PART
from app.clock import Clock
from app.keys import KeyMap
from app.players import AUTOPILOTS, Autopilot, Player, Records, Scripted
from app.recording import Recorder
from app.session import COMMANDS, REWIND_SECONDS, Futures, Session
from app.view import Choices, View, board, heading, help_lines, key_names, make_view
from app.window import NoWindow, Sound
from console import unbroken
from model.files import FileError

SPEEDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
FLIPS = ("difference", "memory", "large", "help")  # commands that switch one of `Choices`
_IDLE, _TOAST_SECONDS = 0.5, 3.0
CARDS = {  # seconds at which a card comes -> its head and lines
    0.0: (
        "one step",
        "Left, the real game. Right, its twin: a neural network.\nIt is shown every frame and predicts the next.",
    ),
    3.5: ("a dream", "{dream}: now it sees nothing any more.\nIt plays on in its head, under the same keys."),
    7.0: (
        "parting",
        "Sooner or later the two games part, and it says so.\n{dream} or {resync} puts it back on reality.",
    ),
}


@dataclass(eq=False)
class Loop:
    """One run of the game. `player` None means the person at the keys; `stay`: when a script or replay is over, the
    person plays on; `captures`: where screenshots and recordings by keys go."""

    session: Session
    screen: NoWindow
    clock: Clock
    keys: KeyMap
    player: Player | None = None
    frames: int | None = None  # how many steps are left; None for no end
    stay: bool = False
    captures: Path = Path("captures")
    seed: int = 0
    back_after: float | None = None  # seconds after which a dream that has parted puts itself back on reality

    def __post_init__(self) -> None:
        self.choices, self.records = Choices(), Records()
        self.sound, self.futures = Sound(), Futures()
        self.quit = False  # whether the player asked for the end
        self.caption: tuple[str, str] | None = None
        self.recorder: Recorder | None = None
        self.recording_error: OSError | None = None
        self.replayed: tuple[str, str] | None = None  # the session's digests when a replay had come to its end
        self.toast, self._toast_until = "", 0.0
        self._standing_since: float | None = None  # since when time stands still for a rewind
        self._by_hand = True  # whether a person has played all of this game
        self._notes, self._notes_of = ("", ""), ""
        self._commands: dict[str, Callable[[], object]] = {
            "": lambda: None,  # only a new picture is asked for
            "pause": self._pause,
            "single": lambda: self.choices.paused and not self._ended and self.step(),
            "grid": lambda: setattr(self.choices, "grid", (self.choices.grid + 1) % 3),
            "layout": lambda: self.obey("large"),
            "futures": self._foresee,
            "slower": lambda: self._change_speed(-1),
            "faster": lambda: self._change_speed(1),
            "sound": lambda: self.say(self.sound.toggle()),
            "autopilot": self._autopilot,
            "fullscreen": self.screen.toggle_fullscreen,
            "screenshot": self._screenshot,
            "record_gif": lambda: self._start_or_stop(".gif"),
            "record_mp4": lambda: self._start_or_stop(".mp4"),
        }

    def run(self) -> None:
        """Until the player quits or has no more actions, or the frames are played."""
        self.clock.start()
        self.screen.show(self.view)
        while self.frames is None or self.frames > 0:
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
                self.obey(command)
            if self._standing_since is not None and not self.screen.is_held("rewind"):
                self._standing_since = None
                self._go_on()
            elif self._standing_since is not None and time.monotonic() - self._standing_since >= REWIND_SECONDS / 2:
                self.say(self.session.do("rewind"))
                self._standing_since = time.monotonic()
            if self._waiting():
                if commands or waiting:
                    self.screen.show(self.view)
            elif self.clock.wait_time() == 0 and not self.step():
                return
        if isinstance(self.player, Scripted) and self.player.replays and self.player.done:
            self.replayed = self.session.digests()

    def _waiting(self) -> bool:
        """Whether time stands still: paused, help, rewinding, or a game that is over and waits for its player."""
        return self.choices.paused or self.choices.help or self._standing_since is not None or self._ended

    @property
    def _ended(self) -> bool:
        return self.session.over and self.player is None

    @property
    def _replays(self) -> bool:
        return isinstance(self.player, Scripted) and self.player.replays

    def step(self) -> bool:
        """One step with its picture; false when the player has no more actions."""
        session, held = self.session, self.screen.held
        if self.player is not None and held.playing:
            self._take_over()
        action = held.take(session.real_paddle) if self.player is None else self.player.act(session)
        if action is None:
            if self._replays:
                self.replayed = session.digests()
            if self.stay:  # now it is the person's turn
                self.player, self.choices.paused = None, True
                self.say(f"that was all; {key_names(self.keys, 'pause')[0]} plays on from here")
            return self.stay
        if self.choices.paused:  # the time between single steps is no measure of the machine
            self.clock.start()
        self.clock.begin()
        with unbroken():  # a step that was half counted would be in no report and no replay
            session.step(action)
        self._by_hand = (self._by_hand or session.taken == session.restarted + 1) and self.player is None
        parted, dreamt = session.parted_at, session.seconds(session.since_real)
        goes_back = self.back_after is not None and parted is not None and dreamt >= parted + self.back_after
        if goes_back and not self._replays:
            self.say(session.do("resync"))
        if self.recorder is not None:
            self._record(self.recorder)
        if self.choices.futures:
            self.futures.work(session)
        self.sound.hear(session)
        if session.over:
            self._note_records()
        self.screen.show(self.view)
        self.clock.end()
        if self.frames is not None:
            self.frames -= 1
        return True

    def _note_records(self) -> None:
        """Take in the game's score, if a person played it from its start, and the longest true dream."""
        records, session = self.records, self.session
        score = session.objects.score if session.objects and self._by_hand else 0
        before, dream = (records.best_score, records.longest_dream), session.seconds(session.longest_true)
        records.best_score, records.longest_dream = max(before[0], score), max(before[1], dream)
        if before != (records.best_score, records.longest_dream) and session.over:
            self.say(f"best score {records.best_score}, longest true dream {records.longest_dream:.1f} s")

    def introduce(self) -> bool:
        """The first run: the tour, then the help until it is closed; false if the window was closed meanwhile."""
        self.records.introduced = True
        if self.records.save():  # else nobody could remember that it was shown
            if self.session.emulator is not None:
                from collect.emulator import Emulator

                engine = self.session.engine
                tour = Tour(Session(engine, Emulator(engine.frameskip, self.seed)), self.screen, self.keys)
                tour.run()
                if tour.quit:
                    return False
            self.screen.held.release_all()
            self.choices.help = True
        return True

    def close(self) -> None:
        """The end of everything that runs; records are kept."""
        self._note_records()
        self.records.save()
        self.sound.close()
        self.stop_recording()

    def view(self) -> View:
        """What the window shows now."""
        if time.monotonic() > self._toast_until:
            self.toast = ""
        if self.choices.futures and self._waiting():  # there is no next step to work in
            self.futures.finish(self.session)
        view = make_view(self.session, self.clock, self.choices, self.keys, self.futures.ahead)
        if view.facts and (self.records.best_score or self.records.longest_dream):
            dream = f"longest true dream {self.records.longest_dream:.1f} s"
            view.facts.append(f"your records: best score {self.records.best_score}{PART}{dream}")
        view.toast, view.caption, view.recording = self.toast, self.caption, self.recorder is not None
        pointer = "" if self.screen.held.aim is None else "the pointer steers"
        who = getattr(self.player, "title", pointer)  # the person has none
        view.footer = "   ".join(filter(None, (who, view.footer)))
        if self.choices.help:
            view.message, view.help = None, help_lines(self.keys, self.session.emulator is None)
        elif self._standing_since is not None:
            view.message = "rewound", "release to play on"
        elif self.player is None and self.screen.lost:
            view.message = "click to play", ""
        return view

    def say(self, text: str) -> None:
        """Show a line for a moment."""
        self.toast, self._toast_until = text, time.monotonic() + _TOAST_SECONDS

    def obey(self, command: str) -> None:
        """Carry out a command."""
        if command in COMMANDS:
            if isinstance(self.player, Scripted):
                self._take_over()
            if command == "restart":
                self._note_records()
                self._by_hand = True
                self._go_on()
            elif command == "rewind":
                self._standing_since, self._by_hand = time.monotonic(), False
            self.say(self.session.do(command))
        elif command in FLIPS:
            setattr(self.choices, command, not getattr(self.choices, command))
        else:
            self._commands[command]()

    def _foresee(self) -> None:
        self.choices.futures, self.futures = not self.choices.futures, Futures()

    def _pause(self) -> None:
        self.choices.paused = not self.choices.paused
        if not self.choices.paused:
            self._go_on()

    def _go_on(self) -> None:
        self.screen.held.forget_taps()
        self.clock.start()

    def _change_speed(self, by: int) -> None:
        nearest = min(range(len(SPEEDS)), key=lambda i: abs(SPEEDS[i] - self.clock.speed))
        self.clock.set_speed(SPEEDS[max(0, min(len(SPEEDS) - 1, nearest + by))])
        self.say(f"speed {self.clock.speed:g}")

    def _autopilot(self) -> None:
        """The next that can be had plays, and after the last the person."""
        names = list(AUTOPILOTS)
        left = names[names.index(self.player.name) + 1 if isinstance(self.player, Autopilot) else 0 :]
        self._take_over()
        self.screen.held.aim = None
        self.screen.held.forget_taps()  # those at the end of a game would take over again
        for name in left:
            with suppress(FileError):  # no weights of a player: the others need none
                self.player = Autopilot(name, self.seed + self.session.taken)
                return self.say(AUTOPILOTS[name])

    def _take_over(self) -> None:
        self.player = None
        self.say("you play")

    def _capture(self, suffix: str) -> Path:
        """A new file's name; two within a second do not share one."""
        stem = self.captures / time.strftime("breakout-%Y%m%d-%H%M%S")
        ends = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        return next(path for end in ends if not (path := Path(f"{stem}{end}{suffix}")).exists())

    def _screenshot(self) -> None:
        path = self._capture(".png")
        try:
            self.screen.screenshot(path)
            self.say(f"saved {path}")
        except (OSError, ValueError) as error:
            self.say(f"no screenshot: {getattr(error, 'strerror', None) or error}")

    def _start_or_stop(self, suffix: str) -> None:
        if self.recorder is not None:
            return self.stop_recording()
        try:
            path = self._capture(suffix)
            self.start_recording(path)
            self.say(f"recording {path}; the key again ends it")
        except ValueError as error:
            self.say(str(error))

    def start_recording(self, path: Path) -> None:
        """Record every step from now on. ValueError if such a file cannot be recorded here."""
        self.recorder, self._notes_of = Recorder(path, self.session.steps_per_second), ""

    def _record(self, recorder: Recorder) -> None:
        """Hand the step over. What is written above the panels changes once a second, or a file would be all text."""
        moment, session = self.session.moment, self.session
        kind = f"{session.dreaming} {session.parted_at} {session.controller}"
        if kind != self._notes_of or session.taken % session.steps(1) == 0:
            mode, accuracy, _ = heading(session)
            accuracy = accuracy.split(PART)[0] if session.dreaming else accuracy
            real = board(session.objects.score, session.objects.lives) if session.objects else ""
            self._notes, self._notes_of = (real, PART.join(filter(None, (mode, accuracy)))), kind
        frames = [moment.twin] if moment.real is None else [moment.real, moment.twin]
        recorder.add(*frames, notes=self._notes)
        if recorder.error is not None:
            self.stop_recording()

    def stop_recording(self) -> None:
        """Finish the file, if one is being recorded; a failure is kept in `recording_error` and shown."""
        recorder, self.recorder = self.recorder, None
        try:
            if recorder is not None:
                recorder.close()
                self.say(f"saved {recorder.path}")
        except OSError as error:
            self.recording_error = error
            self.say(f"recording failed: {error.strerror or error}")


class Tour(Loop):
    """The first run: the autopilot shows for ten seconds what one step, a dream and a parting are. Any key ends it."""

    def __init__(self, session: Session, screen: NoWindow, keys: KeyMap, paced: bool = True) -> None:
        clock = Clock(session.steps_per_second, paced=paced)
        super().__init__(session, screen, clock, keys, Autopilot("follow", 1), session.steps(10.0))
        self._cards = {round(begin * session.steps_per_second): card for begin, card in CARDS.items()}
        self._pressed = screen.pressed

    def step(self) -> bool:
        """As a loop's, with the next card when it is due."""
        if self.screen.pressed != self._pressed:
            return False
        if self.session.taken in self._cards:
            head, lines = self._cards[self.session.taken]
            names = {name: key_names(self.keys, name)[0] for name in ("dream", "resync")}
            self.caption = head, lines.format(**names)
            if head == "a dream":
                self.session.do("dream")
        return super().step()

    def obey(self, command: str) -> None:
        """Every key only ends it."""
