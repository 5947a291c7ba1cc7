"""Who chooses the actions of a session: a script, chance, a ball follower, or a session played before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import numpy as np

from app.session import Session
from collect.emulator import Objects
from collect.policies import PADDLE_WIDTH, Policy, RandomPolicy
from model.breakout import ACTIONS, Action
from model.files import FileError

_LIMIT = 1 << 26


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
    """The actions of a text file; FileError if it is missing or not text, ValueError as `parse_actions`."""
    try:
        if path.stat().st_size > _LIMIT:
            raise FileError(f"actions file {path} is larger than {_LIMIT >> 20} MB")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileError(f"actions file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"actions file {path} cannot be read: {error}") from None
    return parse_actions(text, f"actions file {path}")


class Scripted:
    """Plays a list of actions, then nothing more. Starts a new game when one is over."""

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


class FollowPolicy:
    """Serves, then keeps the paddle under the ball, off centre by a little that changes, so that games differ."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._aim = rng, 0.0

    def act(self, objects: Objects) -> int:
        """See `collect.policies.Policy.act`."""
        ball = objects.ball
        if ball is None:
            self._aim = float(self._rng.uniform(-6, 6))
            return int(Action.FIRE if self._rng.random() < 0.2 else Action.NOOP)
        if self._rng.random() < 0.02:
            self._aim = float(self._rng.uniform(-6, 6))
        off = ball[1] + 1 + self._aim - (objects.paddle + PADDLE_WIDTH / 2)
        return int(Action.RIGHT if off > 3 else Action.LEFT if off < -3 else Action.NOOP)


class Autopilot:
    """Lets a policy play, and starts a new game when one is over. Without an emulator there is no ball to follow."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng(seed)
        self._policy: Policy = FollowPolicy(self._rng) if name == "follow" else RandomPolicy(self._rng)

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        if session.over:
            session.do("restart")
        if session.objects is None:
            return int(self._rng.integers(ACTIONS))
        return self._policy.act(session.objects)


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
