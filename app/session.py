"""The real game and its twin in lock-step: one `step(action)`, and commands that change how they run. No screen.

FOLLOW: after every step the twin is shown the real frame, and predicts one step ahead. DREAM: it lives on its own
frames, under the same keys. A session holds two states of the twin, one that follows reality and the one on show: a
dream begins with an assignment, and coming back is another. The same seed, commands and actions give the same pixels.
The real game's step runs beside the twin's prediction, and the futures beside the picture."""

import copy
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model.breakout import ACTIONS, CELLS, EMULATOR_HZ, Frame
from model.metrics import Parting, StepScore, Tally, score_step
from model.readers import Ints
from model.state import BALL_COLUMN, BALL_ROW, INDEX, PADDLE, VARIABLES, WIDTH, State, stack

if TYPE_CHECKING:
    from collect.emulator import Emulator, Objects, Snapshot
    from model.engine import Engine

REMEMBERED_SECONDS, RECENT_SECONDS, REWIND_SECONDS, REWIND_ROOM_SECONDS = 30, 5, 2, 12
KEPT_PER_SECOND = 6  # moments to rewind to take 9 MB like this; every step of twelve seconds would take 90
_KEPT = ("_game_steps", "reality", "twin", "dreaming", "since_real", "parting")  # what rewinding takes back
COMMANDS = ("dream", "resync", "controller", "restart", "rewind")  # a session file has them beside actions
AHEAD_SECONDS = 0.5
_LIFE_DUE = VARIABLES[INDEX["life_due"]].classes.index("yes")
_SECOND_CORE = ThreadPoolExecutor(1)  # the engine and the emulator run without Python's lock


class Moment(NamedTuple):
    """What the last step showed: screens of classes (210, 160) uint8, codes (35,) int64. `real`, `actual` and `score`
    are None without an emulator."""

    action: int
    twin: Frame
    predicted: Ints
    real: Frame | None = None
    actual: Ints | None = None
    score: StepScore | None = None


class Session:
    """The emulator and the twin, of one frame skip, under the same action, with the running score of one against the
    other. Without an emulator, the twin dreams alone from a new game on."""

    moment: Moment  # the newest step, or the opening frame before the first one
    reality: State  # the twin that has seen every real frame
    twin: State  # the twin on show: while it follows, the same
    since_real: int  # steps since the twin was last put on reality
    waiting: int  # steps for which it has had no ball
    _game_steps: int  # steps of this game, which rewinding takes back

    def __init__(
        self, engine: "Engine", emulator: "Emulator | None", dream: bool = False, controller: str = "context"
    ) -> None:
        from model.env import reset_state  # loads what takes long: only now, with the window there

        self.engine, self.emulator, self.controller = engine, emulator, controller
        self._start = reset_state(engine)
        self.steps_per_second = EMULATOR_HZ / engine.frameskip
        self.dreaming = dream or emulator is None
        self.taken = 0  # steps since the session began; rewinding does not take any back
        self.log: list[tuple[int, str]] = []  # every command with the value of `taken` at which it was given
        self.actions = bytearray()
        memory = self.steps(REMEMBERED_SECONDS)
        self.tally, self.following, self.dreams = Tally(memory), Tally(memory), Tally(memory)  # all, and by mode
        self.played = self.exact_now = self.exact_longest = self.longest_true = 0  # steps with a ball in play
        self.marks: deque[tuple[int, str]] = deque(maxlen=64)  # what is worth a line on the timeline, and when
        self._hashes = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
        self._kept: deque[tuple[dict[str, Any], Snapshot | None]] = deque(maxlen=REWIND_ROOM_SECONDS * KEPT_PER_SECOND)
        self._begin()

    def steps(self, seconds: float) -> int:
        """Seconds of game time in steps, at least one."""
        return max(1, round(seconds * self.steps_per_second))

    def seconds(self, steps: int) -> float:
        """The inverse of `steps`."""
        return steps / self.steps_per_second

    def warm_up(self) -> None:
        """Run the engine once in every way, so that no key waits for anything. Changes nothing."""
        for count in (1, 2, ACTIONS):
            states, actions = stack([self.twin] * count), np.zeros(count, np.int64)
            for controller in self.engine.controllers:
                guess = self.engine.predict(states, actions, controller)
            self.engine.advance(states, actions, guess.frame, guess)
        self.engine.encode(self.twin.frame, self.twin.frame)

    def step(self, action: int) -> Moment:
        """Take one step with `action` 0..3 on both sides."""
        if self._game_steps % self.steps(1 / KEPT_PER_SECOND) == 0:
            kept = {name: copy.copy(getattr(self, name)) for name in _KEPT}
            self._kept.append((kept, self.emulator.snapshot() if self.emulator else None))
        self.actions.append(action)
        self.taken += 1
        self._game_steps += 1
        self.since_real += 1
        if self.emulator is None:
            actions = np.array([action])
            guess = self.engine.predict(self.twin, actions, self.controller)
            self.twin = self.reality = self.engine.advance(self.twin, actions, guess.frame, guess)
            self.moment = Moment(action, guess.frame[0], guess.codes[0])
        else:
            self._both(action, self.emulator)
        self.waiting = 0 if self.twin_ball is not None else self.waiting + 1
        self._hashes[1].update(self.moment.twin.tobytes())
        return self.moment

    def _both(self, action: int, emulator: "Emulator") -> None:
        """A scored step beside the emulator. In a dream both states go through the engine as one batch."""
        before, there = emulator.frame, emulator.objects()
        step = _SECOND_CORE.submit(emulator.step, action)
        codes = _SECOND_CORE.submit(lambda: self.engine.encode(before[None], step.result().frame[None])[0])
        together = self.dreaming and self.controller == "context"  # what the key alone draws knows of no real ball
        states = stack([self.twin, self.reality]) if together else self.twin
        actions = np.full(len(states.frame), action, np.int64)
        guess = self.engine.predict(states, actions, self.controller)
        real, drawn, now = step.result().frame, guess.frame[0], emulator.objects()
        if self.dreaming and not together:
            self.twin = self.engine.advance(self.twin, actions, guess.frame, guess)
            self.reality = self.engine.advance(self.reality, actions, real[None])
        else:
            states = self.engine.advance(states, actions, np.stack([drawn, real]) if together else real[None], guess)
            self.twin, self.reality = states.rows(slice(0, 1)), states.rows(slice(-1, None))
        self._hashes[0].update(real.tobytes())
        actual = codes.result()
        score = score_step(before, real, drawn, guess.codes[0], actual, self.engine.majority)
        self.moment = Moment(action, drawn, guess.codes[0], real, actual, score)
        # Without a ball in play nothing is hard: such steps count apart, and in no streak.
        in_play = now.ball is not None or there.ball is not None
        self.tally.add(score, in_play)
        (self.dreams if self.dreaming else self.following).add(score, in_play)
        if in_play:
            self.played += 1
            self.exact_now = self.exact_now + 1 if score.exact else 0
            self.exact_longest = max(self.exact_longest, self.exact_now)
        if self.dreaming and self.parting.add(real, drawn):
            self.marks.append((self.taken, "parted"))
        elif self.dreaming and in_play and self.parting.parted_at is None:
            # The first steps of a parting, which only the third one tells, are not true.
            self._true += self.parting.horizon == self.parting.steps
            self.longest_true = max(self.longest_true, self._true)
        if now.lives < there.lives:
            self.marks.append((self.taken, "life"))

    @property
    def objects(self) -> "Objects | None":
        """The real game's ball, paddle, lives and score; None without an emulator."""
        return self.emulator.objects() if self.emulator else None

    @property
    def over(self) -> bool:
        """Whether the game is over: the real one or, alone, the twin's, once it knows that its last life is due."""
        if self.emulator is not None:
            return self.emulator.over
        return self.twin_board[1] <= int(self.twin.memory[0, INDEX["life_due"]] == _LIFE_DUE)

    @property
    def parted_at(self) -> float | None:
        """Seconds after its start at which the present dream parted from reality; None if it has not."""
        at = self.parting.parted_at if self.dreaming else None
        return None if at is None else self.seconds(at)

    @property
    def twin_ball(self) -> tuple[int, int] | None:
        """Row and column where the twin takes its ball to be."""
        row, column = self.twin.objects[0, -1, [BALL_ROW, BALL_COLUMN]].tolist()
        return (row, column) if row else None

    @property
    def twin_paddle(self) -> float:
        """The column of the middle of the twin's paddle."""
        return float(self.twin.objects[0, -1, PADDLE] + self.twin.objects[0, -1, WIDTH] / 2)

    @property
    def real_paddle(self) -> float:
        """The column of the middle of the real game's paddle; without an emulator, of the twin's."""
        left = self.objects.paddle if self.objects else self.twin.objects[0, -1, PADDLE]
        return float(left + self.reality.objects[0, -1, WIDTH] / 2)

    @property
    def twin_board(self) -> tuple[int, int]:
        """Score and lives as the twin's digits show them."""
        hundreds, tens, ones, lives = self.twin.board[0].tolist()
        return 100 * hundreds + 10 * tens + ones, lives

    def digests(self) -> tuple[str, str]:
        """Hashes over every real and every predicted frame so far: equal sessions have equal ones."""
        return self._hashes[0].hexdigest(), self._hashes[1].hexdigest()

    def do(self, command: str) -> str:
        """Carry out one of `COMMANDS` between two steps, and log it. Returns what has happened, for people to read.

        dream: follow <-> dream. resync: a dream goes on from reality. controller: context <-> action. restart: a new
        game. rewind: two seconds back, or as far as is remembered: both games, mode, and what the dream had come to."""
        self.log.append((self.taken, command))
        if command in ("dream", "resync") and self.emulator is None:
            return "there is no real game to go back to"
        return getattr(self, f"_{command}")()

    def _begin(self) -> None:
        frame = self.emulator.reset() if self.emulator else self._start.frame[0]
        known = np.array_equal(frame, self._start.frame[0])
        self.reality = self._start if known else self.engine.begin(frame[None, None])
        self.restarted, self._game_steps = self.taken, 0  # `restarted`: when this game began
        self._kept.clear()
        self._on_reality()
        self._show_twin()

    def _show_twin(self) -> None:
        """The moment between two steps, before the next one is taken."""
        self.waiting = 0
        nothing, real = np.zeros(CELLS, np.int64), self.emulator.frame if self.emulator else None
        self.moment = Moment(0, self.twin.frame[0], nothing, real, None if real is None else nothing)

    def _on_reality(self) -> None:
        self.twin, self.parting = self.reality, Parting()
        self.since_real = self._true = 0

    def _story(self) -> str:
        """How the dream that now ends went."""
        at, was = self.parted_at, self.seconds(self.since_real)
        return f"after {was:.1f} s" + (", true to the end" if at is None else f", parted after {at:.1f} s")

    def _dream(self) -> str:
        story = f"following reality again {self._story()}" if self.dreaming else "dreaming from here"
        self.dreaming = not self.dreaming
        self._on_reality()
        self.marks.append((self.taken, "dream" if self.dreaming else "back"))
        return story

    def _resync(self) -> str:
        if not self.dreaming:
            return "the twin follows reality already"
        story = f"back on reality {self._story()}; dreaming on"
        self._on_reality()
        self.marks.append((self.taken, "back"))
        return story

    def _controller(self) -> str:
        self.controller = {"context": "action", "action": "context"}[self.controller]
        self.marks.append((self.taken, "controller"))
        return "codes from " + {"context": "what the twin knows", "action": "the key alone"}[self.controller]

    def _restart(self) -> str:
        self._begin()
        self.marks.append((self.taken, "new game"))
        return "new game" + (", dreaming on" if self.dreaming and self.emulator else "")

    def _rewind(self) -> str:
        if not self._kept:
            return "nothing to rewind"
        begun, target = self._game_steps, self._game_steps - self.steps(REWIND_SECONDS)
        kept, snapshot = self._kept.pop()
        while self._kept and kept["_game_steps"] > target:
            kept, snapshot = self._kept.pop()
        vars(self).update(kept, _true=0)
        if self.emulator is not None and snapshot is not None:
            self.emulator.restore(snapshot)
        self._show_twin()
        self.marks.append((self.taken, "rewind"))
        mode = "" if self.emulator is None else ": in the dream" if self.dreaming else ": following reality"
        return f"{self.seconds(begun - self._game_steps):.1f} s back{mode}"


class Ahead(NamedTuple):
    """For each key: the frame after half a second (4, 210, 160) uint8, and row (0: none) and column of the ball at each
    step (steps + 1, 4, 2) int64."""

    frames: Frame
    balls: Ints


class Futures:
    """What the twin expects of each key: four dreams as one batch, begun anew whenever they are done, or when a command
    has made the games others. Each step of play does half a step of them, so that the pace holds, and their picture is
    new once a second."""

    def __init__(self) -> None:
        self.ahead: Ahead | None = None
        self._commands, self._finished = 0, -1
        self._dreams: Iterator[None] = iter(())
        self._working: Future[None] = Future()
        self._working.set_result(None)

    def _settle(self, session: Session) -> None:
        """Wait for what is under way, and drop what was begun before the newest command."""
        self._working.result()
        if self._commands != len(session.log):
            self._commands, self._finished, self._dreams, self.ahead = len(session.log), -1, iter(()), None

    def finish(self, session: Session) -> None:
        """Time stands still: unless that is done, let the four dreams start from this very moment, and end, now."""
        self._settle(session)
        if self._finished != session.taken:
            self._finished, self._dreams = session.taken, iter(())
            for _ in self._dream(session, session.twin):
                pass

    def work(self, session: Session) -> None:
        """Begin with half a step more. Changes nothing in the session."""
        self._settle(session)
        self._working = _SECOND_CORE.submit(self._half_step, session, session.twin)

    def _half_step(self, session: Session, start: State) -> None:
        if next(self._dreams, "over") == "over":
            self._dreams = self._dream(session, start)
            next(self._dreams)

    def _dream(self, session: Session, start: State) -> Iterator[None]:
        """Half a step at a time: a prediction, or what follows from it."""
        states, controller, actions = stack([start] * ACTIONS), session.controller, np.arange(ACTIONS)
        balls = [states.objects]
        for number in range(session.steps(AHEAD_SECONDS)):
            if number:
                yield
            guess = session.engine.predict(states, actions, controller)
            yield
            states = session.engine.advance(states, actions, guess.frame, guess)
            balls.append(states.objects)
        self.ahead = Ahead(states.frame, np.stack(balls)[:, :, -1, [BALL_ROW, BALL_COLUMN]])
        yield
