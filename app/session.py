"""The real game and its twin in lock-step: one `step(action)`, and commands that change how they run. No screen.

One model of three words. FOLLOW: after every step the twin is shown the real frame, and predicts one step ahead.
DREAM: it lives on its own frames, under the same keys. BACK: it is put on reality again. A session holds two states of
the twin, one that follows reality and the one on show: dreaming begins with an assignment, and coming back is another.

A session is a seed, a list of commands and a list of actions: the same three give the same pixels on both sides.
"""

from __future__ import annotations

import copy
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.breakout import ACTIONS, CELLS, EMULATOR_HZ, Action, Frame
from model.metrics import Parting, StepScore, Tally, score_step
from model.state import BALL_COLUMN, BALL_ROW, LIVES, PADDLE, WIDTH, State, stack

if TYPE_CHECKING:
    from collect.emulator import Emulator, Objects, Snapshot
    from model.engine import Engine

REMEMBERED_SECONDS, RECENT_SECONDS, REWIND_SECONDS, REWIND_ROOM_SECONDS = 30, 5, 2, 12
KEPT_PER_SECOND = 6
"""Moments kept for rewinding: so many a second of twelve seconds take 9 MB as they are, every step would take 90."""
FALLEN, GONE_SECONDS, SURE_STEPS = 160, 0.6, 3
"""Without an emulator, a game is over when under the last life a ball that was seen at this row or below is gone for so
long: the emulator stops before it would draw 0 lives, so a twin that learned from it hardly ever draws that."""
COMMANDS = ("dream", "resync", "controller", "restart", "rewind")
"""What `Session.do` understands, and what a session file holds beside the actions."""
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moment:
    """What the last step showed: screens of classes (210, 160) uint8, codes (35,) int64.

    `real`, `actual` and `score` are None when no emulator runs behind the twin.
    """

    action: int
    twin: Frame
    predicted: Codes
    real: Frame | None = None
    actual: Codes | None = None
    score: StepScore | None = None


class Mark(NamedTuple):
    """Something worth a line on the timeline: what, and at which step (counted as `Session.taken`)."""

    step: int
    what: str


class Kept(NamedTuple):
    """A moment to rewind to: steps of this game, both states, whether and how long it dreamt, and the emulator."""

    game_steps: int
    reality: State
    twin: State
    dreaming: bool
    since_real: int
    parting: Parting
    emulator: Snapshot | None


class Session:
    """The emulator and the twin under the same action, with the running score of one against the other.

    Without an emulator (`emulator=None`) the twin dreams alone from `start`, classes (n, 210, 160) uint8 that lead to
    one another under NOOP. Raises ValueError if the emulator's frame skip is not the twin's, or neither emulator nor
    start is given.
    """

    def __init__(
        self,
        engine: Engine,
        emulator: Emulator | None,
        dream: bool = False,
        start: Frame | None = None,
        controller: str = "context",
    ) -> None:
        if emulator is None and start is None:
            raise ValueError("a session without an emulator needs frames to start from")
        if emulator is not None and emulator.frameskip != engine.frameskip:
            raise ValueError(f"the emulator's frame skip is {emulator.frameskip}, the twin's is {engine.frameskip}")
        if controller not in engine.controllers:
            raise ValueError(f"these weights have no {controller!r} controller, only {', '.join(engine.controllers)}")
        self.engine, self.emulator, self._start, self.controller = engine, emulator, start, controller
        self.steps_per_second = EMULATOR_HZ / engine.frameskip
        self.dreaming = dream or emulator is None
        self.taken = 0
        """Steps taken since the session began; rewinding does not take any back."""
        self.log: list[tuple[int, str]] = []
        """Every command with the value of `taken` at which it was given."""
        self.actions = bytearray()
        memory = self.steps(REMEMBERED_SECONDS)
        self.tally, self.following, self.dreams = Tally(memory), Tally(memory), Tally(memory)
        """All steps, those one step ahead of reality, and those that were dreamt."""
        self.played = self.exact_now = self.exact_longest = self.longest_true = 0
        self.marks: deque[Mark] = deque(maxlen=64)
        self._hashes = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
        self._kept: deque[Kept] = deque(maxlen=REWIND_ROOM_SECONDS * KEPT_PER_SECOND)
        self._every = max(1, round(self.steps_per_second / KEPT_PER_SECOND))
        self._commands: dict[str, Callable[[], str]] = {name: getattr(self, f"_{name}") for name in COMMANDS}
        self._begin()

    def steps(self, seconds: float) -> int:
        """Seconds of game time in steps, at least one."""
        return max(1, round(seconds * self.steps_per_second))

    def seconds(self, steps: int) -> float:
        """Steps in seconds of game time."""
        return steps / self.steps_per_second

    def warm_up(self) -> None:
        """Run the engine once in every way, so that no key waits for anything. Changes nothing."""
        for count in (1, 2, ACTIONS):
            states, actions = stack([self.twin] * count), np.zeros(count, np.int64)
            for controller in self.engine.controllers:
                guess = self.engine.predict(states, actions, controller)
            self.engine.advance(states, actions, guess.frame, guess)
        self.engine.encode(self.twin.frame, self.twin.frame)

    # --- steps ---

    def step(self, action: int) -> Moment:
        """Take one step with `action` 0..3 on both sides; ValueError for another action."""
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
        if self._game_steps % self._every == 0:
            self._keep()
        self.actions.append(action)
        self.taken += 1
        self._game_steps += 1
        self.since_real += 1
        if self.emulator is None:
            self._dream_alone(action)
        else:
            self._both(action, self.emulator)
        self.waiting = 0 if self.twin_ball is not None else self.waiting + 1
        self._hashes[1].update(self.moment.twin.tobytes())
        return self.moment

    def _dream_alone(self, action: int) -> None:
        actions = np.array([action])
        guess = self.engine.predict(self.twin, actions, self.controller)
        self.twin = self.reality = self.engine.advance(self.twin, actions, guess.frame, guess)
        self.moment = Moment(action, guess.frame[0], guess.codes[0])
        self._look_for_the_end()

    def _both(self, action: int, emulator: Emulator) -> None:
        """One step beside the emulator. While it dreams, both states go through the engine as one batch."""
        before, there = emulator.frame, self.objects
        states = stack([self.twin, self.reality]) if self.dreaming else self.reality
        actions = np.full(len(states.frame), action, np.int64)
        guess = self.engine.predict(states, actions, self.controller)
        step = emulator.step(action)
        self.objects = emulator.objects()
        real, drawn = step.frame, guess.frame[0]
        frames = np.stack([drawn, real]) if self.dreaming else real[None]
        states = self.engine.advance(states, actions, frames, guess)
        self.twin, self.reality = states.rows(slice(0, 1)), states.rows(slice(-1, None))
        actual = self.engine.encode(before[None], real[None])[0]
        score = score_step(before, real, drawn, guess.codes[0], actual, self.engine.majority)
        self.moment = Moment(action, drawn, guess.codes[0], real, actual, score)
        assert there is not None
        self._count(score, self.objects.ball is not None or there.ball is not None)
        if step.lives < there.lives:
            self._mark("life")
        self._hashes[0].update(real.tobytes())

    def _count(self, score: StepScore, in_play: bool) -> None:
        """Score a step. Without a ball in play nothing is hard: such steps count apart, and in no streak."""
        self.tally.add(score, in_play)
        (self.dreams if self.dreaming else self.following).add(score, in_play)
        if in_play:
            self.played += 1
            self.exact_now = self.exact_now + 1 if score.exact else 0
            self.exact_longest = max(self.exact_longest, self.exact_now)
        if not self.dreaming or self.moment.real is None:
            return
        parted = self.parting.add(self.moment.real, self.moment.twin)
        if parted:
            self._mark("parted")
        elif self.parting.parted_at is None and in_play:
            # The first steps of a parting, which only the third one tells, are not true.
            self._true += self.parting.horizon == self.parting.steps
            self.longest_true = max(self.longest_true, self._true)

    def _look_for_the_end(self) -> None:
        """Without an emulator: has the twin lost its last ball?"""
        ball, lives = self.twin_ball, self.twin_lives
        self._none_left: int = self._none_left + 1 if lives == 0 else 0
        if lives > 1:
            self._last_row, self._seen = 0, 0
        elif ball is not None:
            self._last_row, self._seen = ball[0], self._seen + 1
        fell = self._seen >= SURE_STEPS and self._last_row >= FALLEN and self.waiting >= self.steps(GONE_SECONDS)
        self._ended: bool = self._ended or fell or self._none_left >= SURE_STEPS

    # --- what is known now ---

    objects: Objects | None
    """The real game's ball, paddle, lives and score; None without an emulator."""
    moment: Moment
    """The newest step, or the opening frame before the first one."""
    twin: State
    """The twin that is on show: while it follows, the same as `reality`."""
    reality: State
    """The twin that has seen every real frame."""
    restarted: int
    """The value of `taken` at which this game began."""
    waiting: int
    """Steps for which the twin has had no ball."""
    since_real: int
    """Steps since the twin was last put on reality."""
    parting: Parting
    """Whether and when the dream that now runs has parted."""

    @property
    def over(self) -> bool:
        """Whether the game is over: the real one, whose further steps show the same screen, or a dream without one."""
        return self._ended if self.emulator is None else self.emulator.over

    @property
    def parted_at(self) -> float | None:
        """Seconds after its start at which the present dream parted from reality; None if it has not."""
        at = self.parting.parted_at if self.dreaming else None
        return None if at is None else self.seconds(at)

    @property
    def twin_ball(self) -> tuple[int, int] | None:
        """Row and column where the twin takes its ball to be."""
        row, column = (int(value) for value in self.twin.objects[0, -1, [BALL_ROW, BALL_COLUMN]])
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
    def twin_score(self) -> int:
        """The points that the twin's digits show."""
        return int(self.twin.board[0, :LIVES] @ (100, 10, 1))

    @property
    def twin_lives(self) -> int:
        """The lives that the twin's digit shows."""
        return int(self.twin.board[0, LIVES])

    # --- commands ---

    def do(self, command: str) -> str:
        """Carry out one of `COMMANDS` between two steps, and log it. Returns what has happened, for people to read.

        dream: follow <-> dream. resync: a dream is put on reality, and dreams on from there. controller: context <->
        action. restart: a new game. rewind: everything goes back two seconds. ValueError for another command.
        """
        if command not in self._commands:
            raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {command!r}")
        self.log.append((self.taken, command))
        return self._commands[command]()

    def _mark(self, what: str) -> None:
        self.marks.append(Mark(self.taken, what))

    def _begin(self) -> None:
        if self.emulator is None:
            assert self._start is not None
            frames, self.objects = self._start[-self.engine.context :], None
        else:
            frames = self.emulator.reset()[None]
            self.objects = self.emulator.objects()
        noops = np.full((1, len(frames) - 1), Action.NOOP, np.int64)
        self.reality = self.engine.begin(frames[None], noops)
        self.restarted = self.taken
        self._game_steps = self.waiting = self._none_left = self._last_row = self._seen = 0
        self._ended = False
        self._on_reality()
        self._show_twin()
        self._kept.clear()

    def _show_twin(self) -> None:
        """The moment between two steps, before the next one is taken."""
        nothing, real = np.zeros(CELLS, np.int64), self.emulator.frame if self.emulator else None
        self.moment = Moment(0, self.twin.frame[0], nothing, real, None if real is None else nothing)

    def _on_reality(self) -> None:
        self.twin, self.since_real, self._true = self.reality, 0, 0
        self.parting = Parting()

    def _story(self) -> str:
        """How the dream that now ends went."""
        at, was = self.parted_at, self.seconds(self.since_real)
        return f"after {was:.1f} s" + (", true to the end" if at is None else f", parted after {at:.1f} s")

    def _dream(self) -> str:
        if self.emulator is None:
            return "there is no real game to go back to"
        story = f"following reality again {self._story()}" if self.dreaming else "dreaming from here"
        self.dreaming = not self.dreaming
        self._on_reality()
        self._mark("dream" if self.dreaming else "back")
        return story

    def _resync(self) -> str:
        if self.emulator is None:
            return "there is no real game to go back to"
        if not self.dreaming:
            return "the twin follows reality already"
        story = f"back on reality {self._story()}; dreaming on"
        self._on_reality()
        self._mark("back")
        return story

    def _controller(self) -> str:
        names = list(self.engine.controllers)
        self.controller = names[(names.index(self.controller) + 1) % len(names)]
        self._mark("controller")
        if len(names) == 1:
            return "these weights hold only one controller"
        return {"context": "codes from what the twin knows", "action": "codes from the key alone"}[self.controller]

    def _restart(self) -> str:
        self._begin()
        self._mark("new game")
        return "new game" + (", dreaming on" if self.dreaming and self.emulator else "")

    def _keep(self) -> None:
        snapshot = self.emulator.snapshot() if self.emulator else None
        parting = copy.copy(self.parting)
        dream = self.dreaming, self.since_real, parting
        self._kept.append(Kept(self._game_steps, self.reality, self.twin, *dream, snapshot))

    def _rewind(self) -> str:
        """Back by two seconds, or as far as is remembered: both games, the mode, and what the dream had come to."""
        if not self._kept:
            return "nothing to rewind"
        begun, target = self._game_steps, self._game_steps - self.steps(REWIND_SECONDS)
        kept = self._kept.pop()
        while self._kept and kept.game_steps > target:
            kept = self._kept.pop()
        self._game_steps, self.reality, self.twin, self.dreaming, self.since_real, parting, snapshot = kept
        self.parting, self._true = copy.copy(parting), 0
        if self.emulator is not None and snapshot is not None:
            self.emulator.restore(snapshot)
            self.objects = self.emulator.objects()
        self._ended, self._none_left, self._seen, self.waiting = False, 0, 0, 0
        self._show_twin()
        self._mark("rewind")
        mode = "" if self.emulator is None else ": in the dream" if self.dreaming else ": following reality"
        return f"{self.seconds(begun - self._game_steps):.1f} s back{mode}"

    def digests(self) -> tuple[str, str]:
        """Hashes over every real and every predicted frame so far: equal sessions have equal ones."""
        return self._hashes[0].hexdigest(), self._hashes[1].hexdigest()
