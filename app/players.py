"""Who chooses the actions of a session: a script, chance, a ball follower, or a session played before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import numpy as np

from app.session import Session
from model.breakout import ACTIONS, Action
from model.files import read_text

_LIMIT = 1 << 26
_SERVE_CHANCE, _NEW_AIM_CHANCE, _AIM, _SLACK = 0.2, 0.02, 6, 3
_SAFE_ROW = 120
"""Above this row there is time for a serve before the ball is at the paddle."""
Ball = tuple[int, int]


class Player(Protocol):
    """Chooses the action for the next step of a session."""

    def act(self, session: Session) -> int | None:
        """0..3, or None when it has no more to play. It may give commands to the session first."""
        ...


def parse_actions(text: str, where: str) -> bytes:
    """Actions from text: digits 0..3, apart by spaces, commas or new lines, or not at all.

    ValueError names `where` and the position (counted from 1) of the first thing that is no action.
    """
    actions = bytearray()
    for match in re.finditer(r"[^\s,]+", text):
        word = match.group()
        # A number like 12 is more likely a wrong action than the actions 1 and 2, unless the file is one dense string.
        digits = list(word) if len(word) > 2 else [word]
        for digit in digits:
            if digit not in ("0", "1", "2", "3"):
                line = text.count("\n", 0, match.start()) + 1
                raise ValueError(
                    f"{where}: action {len(actions) + 1} (line {line}) is {digit!r}; actions are 0..{ACTIONS - 1}"
                )
            actions.append(int(digit))
    if not actions:
        raise ValueError(f"{where} holds no actions; write digits 0..{ACTIONS - 1} (noop, fire, right, left)")
    return bytes(actions)


def read_actions(path: Path) -> bytes:
    """The actions of a text file; FileError if it is missing, no plain file, too large or not text, ValueError as
    `parse_actions`."""
    return parse_actions(read_text(path, "actions file", _LIMIT), f"actions file {path}")


class Scripted:
    """Plays given actions once, and goes on in a new game when one is over."""

    def __init__(self, actions: bytes) -> None:
        self._actions, self._next = actions, 0

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        if self._next == len(self._actions):
            return None
        if session.over:
            session.do("restart")
        self._next += 1
        return self._actions[self._next - 1]


class Autopilot:
    """Lets a policy play ("follow" or "random"), and starts a new game when one is over.

    One paddle plays two balls in a dream that has parted. The one that falls is looked after, the dream's own before
    the real game's; and whichever side waits for a serve gets one as soon as there is time for it. Follows the ball a
    little off centre, by an amount that changes, so that games differ.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng(seed)
        self._aim = 0.0
        self._rows = [0, 0]

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        if session.over:
            session.do("restart")
        if self.name == "random":
            return int(self._rng.integers(ACTIONS))
        sides = [(session.twin_ball, session.twin_paddle)] if session.dreaming else []
        if session.objects is not None:
            sides.append((session.objects.ball, session.real_paddle))
        falling = [self._falls(number, ball) for number, (ball, _) in enumerate(sides)]
        if self._rng.random() < _NEW_AIM_CHANCE:
            self._aim = float(self._rng.uniform(-_AIM, _AIM))
        busy = any(falls and ball and ball[0] > _SAFE_ROW for falls, (ball, _) in zip(falling, sides, strict=True))
        if not busy and any(ball is None for ball, _ in sides) and self._rng.random() < _SERVE_CHANCE:
            return int(Action.FIRE)
        there = [side for side in sides if side[0] is not None]
        chosen = next((side for falls, side in zip(falling, sides, strict=True) if falls), there[0] if there else None)
        if chosen is None or chosen[0] is None:
            return int(Action.NOOP)
        off = chosen[0][1] + 1 + self._aim - chosen[1]
        return int(Action.RIGHT if off > _SLACK else Action.LEFT if off < -_SLACK else Action.NOOP)

    def _falls(self, side: int, ball: Ball | None) -> bool:
        before, self._rows[side] = self._rows[side], ball[0] if ball else 0
        return ball is not None and 0 < before < ball[0]


class Replay:
    """Plays a session again: its commands where they were given, and its actions."""

    def __init__(self, actions: bytes, commands: list[tuple[int, str]]) -> None:
        self._actions, self._commands, self._next, self._done = actions, commands, 0, 0

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        while self._done < len(self._commands) and self._commands[self._done][0] <= session.taken:
            session.do(self._commands[self._done][1])
            self._done += 1
        if self._next == len(self._actions):
            return None
        self._next += 1
        return self._actions[self._next - 1]
