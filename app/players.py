"""Who chooses the actions of a session: a script, chance, a ball follower, the player that learned in the dream, or a
session played before."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Protocol

import numpy as np

from app.session import Session
from model.breakout import ACTIONS, Action
from model.files import FileError, read_text
from model.player import Attention, Follower
from model.player import Player as Trained

_LIMIT = 1 << 26
AUTOPILOTS = {
    "player": "player trained in the dream",
    "follow": "autopilot follows the ball",
    "random": "autopilot at random",
}
"""Who plays, one after the other, when the machine is asked to, and how each is called."""


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
        for digit in word if len(word) > 2 else [word]:
            if digit not in ("0", "1", "2", "3"):
                at = len(actions) + 1, text.count("\n", 0, match.start()) + 1
                raise ValueError(f"{where}: action {at[0]} (line {at[1]}) is {digit!r}; actions are 0..{ACTIONS - 1}")
            actions.append(int(digit))
    if not actions:
        raise ValueError(f"{where} holds no actions; write digits 0..{ACTIONS - 1} (noop, fire, right, left)")
    return bytes(actions)


def read_actions(path: Path) -> bytes:
    """The actions of a text file; FileError if it is missing, no plain file, too large or not text, ValueError as
    `parse_actions`."""
    return parse_actions(read_text(path, "actions file", _LIMIT), f"actions file {path}")


class Scripted:
    """Plays given actions once, and goes on in a new game when one is over.

    With `commands`, each with the step at which it was given, it plays a session again: only they begin a new game.
    """

    def __init__(self, actions: bytes, commands: list[tuple[int, str]] | None = None) -> None:
        self.replays = commands is not None
        self._actions, self._commands = deque(actions), deque(commands or ())

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        while self._commands and self._commands[0][0] <= session.taken:
            session.do(self._commands.popleft()[1])
        if not self._actions:
            return None
        if session.over and not self.replays:
            session.do("restart")
        return self._actions.popleft()


class Autopilot:
    """Lets one of `AUTOPILOTS` play, and starts a new game when one is over. FileError if its weights are unusable.

    One paddle plays two balls in a dream that has parted. The one that falls is looked after, the dream's own before
    the real game's; and whichever side waits for a serve gets one as soon as there is time for it.
    "player" is the network of `model.player`: it sees where the twin takes things to be, in its dream and in reality.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._rng = np.random.default_rng(seed)
        self._follower, self._attention = Follower(self._rng), Attention()
        self._player = Trained.load(seed=seed) if name == "player" else None

    def act(self, session: Session) -> int | None:
        """See `Player.act`."""
        if session.over:
            session.do("restart")
        if self.name == "random":
            return int(self._rng.integers(ACTIONS))
        sides = [(session.twin_ball, session.twin_paddle)] if session.dreaming else []
        if session.objects is not None:
            sides.append((session.objects.ball, session.real_paddle))
        if self._player is None:
            return self._follower.act(sides)
        chosen, serve = self._attention.choose([ball for ball, _ in sides])
        states = ([session.twin] if session.dreaming else []) + [session.reality]
        key = int(self._player.act(states[chosen or 0].objects)[0])
        return int(Action.FIRE) if serve else key


def next_autopilot(now: Player | None, seed: int) -> Autopilot | None:
    """Who plays after `now` when the machine is asked to: the next that can be had, and after the last the person."""
    names = list(AUTOPILOTS)
    for name in names[names.index(now.name) + 1 if isinstance(now, Autopilot) else 0 :]:
        try:
            return Autopilot(name, seed)
        except FileError:  # no weights of a player: the others need none
            continue
    return None
