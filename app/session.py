"""The real game and its twin in lock-step: one `step(action)`, and commands that change how they run. No screen.

Two ways to run. One step: after every step the twin is shown the real frame and predicts the next. Dream: the twin
lives on its own frames. A session is a seed, a list of commands and a list of actions: the same three give the same
pixels on both sides again.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.ending import Ending
from app.rewind import Saved, pack, pack_emulator, restore, unpack
from app.scoring import Drift, StepScore, Tally, as_json, score_step
from collect.emulator import Emulator, Objects
from model.breakout import ACTIONS, EMULATOR_HZ, NO_ACTION, Action, Frame
from model.memory import Unseen, Watcher
from model.scoreboard import Scoreboard, read_scoreboard

if TYPE_CHECKING:
    from model.world_model import WorldModel

REMEMBERED_SECONDS, RECENT_SECONDS, REWIND_SECONDS = 30, 5, 2
REWIND_ROOM_SECONDS = 12
SERVE_TEMPERATURE = 0.5
"""Leaves an even choice even, and what is hardly likely all but undrawn."""
COMMANDS = ("dream", "resync", "controller", "restart", "fork", "rewind")
"""What `Session.do` understands, and what a session file holds beside the actions."""


@dataclass(frozen=True)
class Moment:
    """What the last step showed: screens of classes (210, 160) uint8, codes (35,) int64.

    `real`, `actual` and `score` are None when no emulator runs behind the twin.
    """

    action: int
    twin: Frame
    predicted: npt.NDArray[np.int64]
    real: Frame | None = None
    actual: npt.NDArray[np.int64] | None = None
    score: StepScore | None = None


class Mark(NamedTuple):
    """Something worth a line on the timeline: what, and at which step (counted as `Session.taken`)."""

    step: int
    what: str


class Session:
    """The emulator and the twin under the same action, with the running score of one against the other.

    Without an emulator (`emulator=None`) the twin dreams alone from `start`, classes (n, 210, 160) uint8.
    Raises ValueError if the emulator's frame skip is not the twin's, or neither emulator nor start is given.
    """

    def __init__(
        self, twin: WorldModel, emulator: Emulator | None, dream: bool = False, start: Frame | None = None
    ) -> None:
        if emulator is None and start is None:
            raise ValueError("a session without an emulator needs frames to start from")
        if emulator is not None and emulator.frameskip != twin.frameskip:
            raise ValueError(f"the emulator's frame skip is {emulator.frameskip}, the twin's is {twin.frameskip}")
        self.twin, self.emulator, self._start = twin, emulator, start
        self.steps_per_second = EMULATOR_HZ / twin.frameskip
        self.dreaming = dream or emulator is None
        self.forked = False
        self.taken = 0
        """Steps taken since the session began; rewinding does not take any back."""
        self.log: list[tuple[int, str]] = []
        """Every command with the value of `taken` at which it was given."""
        self.actions = bytearray()
        self.tally = Tally(self.steps(REMEMBERED_SECONDS))
        self.drift = Drift()
        self.exact_now, self.exact_longest = 0, 0
        self._ending = Ending(self.steps_per_second)
        self.marks: deque[Mark] = deque(maxlen=64)
        self._hashes = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
        self._saved: deque[Saved] = deque(maxlen=self.steps(REWIND_ROOM_SECONDS))
        self._commands: dict[str, Callable[[], None]] = {name: getattr(self, f"_{name}") for name in COMMANDS}
        self._begin()

    def steps(self, seconds: float) -> int:
        """Seconds of game time in steps, at least one."""
        return max(1, round(seconds * self.steps_per_second))

    def warm_up(self) -> None:
        """Run every network once before the first step, so that no key waits for anything. Changes nothing."""
        for _ in range(self.steps(REWIND_ROOM_SECONDS)):  # the networks' memory is to lie beside it, not in its place
            self._save()
        self.twin.warm_up()
        self._saved.clear()

    # --- steps ---

    def step(self, action: int) -> Moment:
        """Take one step with `action` 0..3 on both sides; ValueError for another action."""
        if not 0 <= action < ACTIONS:
            raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
        self._save()
        self.actions.append(action)
        self._keys.append(action)
        self.taken += 1
        self._game_steps += 1
        self.since_real += 1
        if self.dreaming:
            # FIRE serves, and where to cannot be known: in a dream it is drawn. At any other time it changes nothing.
            prediction = self.twin.step_classes(action, SERVE_TEMPERATURE if action == Action.FIRE else 0.0)
        else:
            prediction = self.twin.predict_classes(action)
        if self.emulator is None:
            self._twin_frames.append(pack(prediction.classes))
            self._ending.add(prediction.classes)
            self.moment = Moment(action, prediction.classes, prediction.codes)
        else:
            self._compare(action, prediction.classes, prediction.codes, self.emulator)
        self._hashes[1].update(prediction.classes.tobytes())
        return self.moment

    def _compare(self, action: int, twin: Frame, predicted: npt.NDArray[np.int64], emulator: Emulator) -> None:
        before, lives = emulator.frame, self.objects.lives if self.objects else 0
        step = emulator.step(action)
        real = step.frame
        self.objects = emulator.objects()
        self._real_frames.append(pack(real))
        self._twin_frames.append(pack(twin) if self.dreaming else self._real_frames[-1])
        if self.dreaming:
            self._watcher.see(before, real, action)
        else:
            self.twin.observe_classes(real, action)
        actual = self.twin.encode_classes(before, real, self._watcher.pair if self.dreaming else None)
        score = score_step(before, real, twin, predicted, actual, self.twin.majority)
        self.tally.add(score)
        self.exact_now = self.exact_now + 1 if score.exact else 0
        self.exact_longest = max(self.exact_longest, self.exact_now)
        if self.dreaming and self.drift.add(score, real, twin):
            self._mark("parted")
        if step.lives < lives:
            self._mark("life")
        self._hashes[0].update(real.tobytes())
        self.moment = Moment(action, twin, predicted, real, actual, score)

    def futures(self) -> Frame:
        """What the twin expects next for each of the four actions: (4, 210, 160) uint8 classes. Changes nothing."""
        return np.stack([prediction.classes for prediction in self.twin.predict_each(self.moment.action)])

    @property
    def over(self) -> bool:
        """Whether the game is over: the real one, whose further steps show the same screen, or a dream without one."""
        return self._ending.over if self.emulator is None else self.emulator.over

    def twin_board(self) -> Scoreboard:
        """Score and lives as the twin's newest frame shows them."""
        return read_scoreboard(self.moment.twin)

    # --- commands ---

    def do(self, command: str) -> None:
        """Carry out one of `COMMANDS` between two steps, and log it.

        dream: one step <-> dream. resync: the twin is put on reality. controller: context <-> action.
        restart: a new game. fork: cut the twin loose, or tie it back with the history it has. rewind: both sides
        go back two seconds. Raises ValueError for another command.
        """
        if command not in self._commands:
            raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {command!r}")
        self.log.append((self.taken, command))
        self._commands[command]()

    def _mark(self, what: str) -> None:
        self.marks.append(Mark(self.taken, what))

    def _begin(self) -> None:
        if self.emulator is None:
            assert self._start is not None
            frames, self.objects = list(self._start), None
        else:
            frames, self.objects = [self.emulator.reset()], self.emulator.objects()
        self._real_frames: deque[bytes] = deque(map(pack, frames), maxlen=self.twin.context)
        self._keys: deque[int] = deque([NO_ACTION] * len(frames), maxlen=self.twin.context)
        self._game_steps = 0
        # The knob of a new game is known, and the frames to dream from begin with the serve.
        self._on_reality(Unseen(knob=self.emulator.knob) if self.emulator else Unseen(hits=0))
        frame = frames[-1]
        nothing = np.zeros_like(self.twin.majority)
        self.moment = Moment(0, frame, nothing, frame if self.emulator else None, nothing if self.emulator else None)
        self._saved.clear()
        self._ending.restart()

    def _real_unseen(self) -> Unseen:
        """What no frame of the real game shows. Tied to reality the twin knows; while it dreams, a watcher looks on."""
        return self._watcher.unseen if self.dreaming else self.twin.unseen

    def _watch_from(self, unseen: Unseen) -> None:
        self._watcher = Watcher(unpack(self._real_frames), list(self._keys), self.twin.frameskip, unseen)

    def _on_reality(self, unseen: Unseen) -> None:
        self._twin_frames: deque[bytes] = deque(self._real_frames, maxlen=self.twin.context)
        self.twin.reset_classes(unpack(self._twin_frames), list(self._keys), unseen)
        self._watch_from(unseen)
        self.since_real = 0
        self.drift.restart()

    def _dream(self) -> None:
        if self.emulator is None:
            return
        unseen = self._real_unseen()
        self.dreaming, self.forked = not self.dreaming, False
        self._on_reality(unseen)
        self._mark("dream" if self.dreaming else "one step")

    def _resync(self) -> None:
        if self.emulator is None:
            self._restart()
            return
        self._on_reality(self._real_unseen())
        self._mark("resync")

    def _fork(self) -> None:
        if self.emulator is None:
            return
        # Cut loose, the history is real anyway; tied back, imagined frames stay in it until real ones push them out.
        self.forked = not self.dreaming
        self._watch_from(self._real_unseen())
        self.dreaming = not self.dreaming
        self.since_real = 0
        self.drift.restart()
        self._mark("cut" if self.dreaming else "tied")

    def _controller(self) -> None:
        names = list(self.twin.controllers)
        self.twin.controller = names[(names.index(self.twin.controller) + 1) % len(names)]
        self._mark("controller")

    def _restart(self) -> None:
        self._begin()
        self._mark("restart")

    def _save(self) -> None:
        emulator = pack_emulator(self.emulator) if self.emulator else None
        seen = tuple(self._real_frames), tuple(self._twin_frames), tuple(self._keys)
        unseen = self._real_unseen(), self.twin.unseen
        self._saved.append(Saved(self._game_steps, *seen, unseen, self.since_real, emulator))

    def _rewind(self) -> None:
        """Back by two seconds, or as far as is remembered."""
        if not self._saved:
            return
        target = self._game_steps - self.steps(REWIND_SECONDS)
        saved = self._saved.pop()
        while self._saved and saved.game_steps > target:
            saved = self._saved.pop()
        self._game_steps, self.since_real = saved.game_steps, saved.since_real
        self._real_frames = deque(saved.real, maxlen=self.twin.context)
        if self.emulator is not None and saved.emulator is not None:
            restore(self.emulator, saved.emulator)
            self.objects = self.emulator.objects()
        # A twin that is fed reality now must not keep what it imagined then.
        self._twin_frames = deque(saved.twin if self.dreaming else saved.real, maxlen=self.twin.context)
        self._keys = deque(saved.keys, maxlen=self.twin.context)
        self._watch_from(saved.unseen[0])
        self.twin.reset_classes(unpack(self._twin_frames), list(self._keys), saved.unseen[1 if self.dreaming else 0])
        self.drift.restart()
        self._ending.restart()
        real, imagined = unpack([self._real_frames[-1], self._twin_frames[-1]])
        shown = real if self.emulator else None
        self.moment = Moment(self.moment.action, imagined, self.moment.predicted, shown)
        self._mark("rewind")

    # --- what it came to ---

    objects: Objects | None
    """The real game's ball, paddle, lives and score; None without an emulator."""
    moment: Moment
    """The newest step, or the opening frame before the first one."""
    since_real: int
    """Steps since the twin was last put on reality."""

    def digests(self) -> tuple[str, str]:
        """Hashes over every real and every predicted frame so far: equal sessions have equal ones."""
        return self._hashes[0].hexdigest(), self._hashes[1].hexdigest()

    def report(self) -> dict[str, Any]:
        """The session's figures, ready for JSON."""
        board = self.twin_board()
        return {
            "steps": self.taken,
            "game_seconds": round(self.taken / self.steps_per_second, 3),
            "frameskip": self.twin.frameskip,
            "controller": self.twin.controller,
            "mode": "dream" if self.dreaming else "one-step",
            "weights": self.twin.checksum,
            "score": self.objects.score if self.objects else None,
            "lives": self.objects.lives if self.objects else None,
            "twin_score": board.score,
            "twin_lives": board.lives,
            **as_json(self.tally, self.drift, self.exact_longest),
            "action_steps": [self.actions.count(action) for action in range(ACTIONS)],
            "commands": [{"step": step, "command": command} for step, command in self.log],
            "real_digest": self.digests()[0],
            "twin_digest": self.digests()[1],
        }
