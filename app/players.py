"""Who chooses the actions of a session (a script, a session saved before, or a machine), and what is kept of it."""

import os
import re
import sys
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_origin, get_type_hints

import numpy as np

from app.session import COMMANDS, Session
from model.breakout import ACTIONS, CELLS, COLUMNS, ROWS, Action
from model.files import SCHEMA, FileError, check_schema, read_json, read_text, write_json

KIND = "neural-breakout session"
_LIMIT, _SMALL = 1 << 26, 1 << 12
AUTOPILOTS = {  # who plays, one after the other, when the machine is asked to -> how it is called
    "player": "player trained in the dream",
    "follow": "autopilot follows the ball",
    "random": "autopilot at random",
}


def parse_actions(text: str, where: str) -> bytes:
    """Actions from text: digits 0..3, apart by spaces, commas or new lines, or not at all. ValueError names `where` and
    the position (counted from 1) of the first thing that is no action."""
    actions = bytearray()
    for match in re.finditer(r"[^\s,]+", text):
        word = match.group()
        # A number like 12 is more likely a wrong action than the actions 1 and 2, unless the file is one dense string.
        for digit in word if len(word) > 2 else [word]:
            if digit not in ("0", "1", "2", "3"):
                line = text.count("\n", 0, match.start()) + 1
                at = f"action {len(actions) + 1} (line {line})"
                raise ValueError(f"{where}: {at} is {digit!r}; actions are 0..{ACTIONS - 1}")
            actions.append(int(digit))
    if not actions:
        raise ValueError(f"{where} holds no actions; write digits 0..{ACTIONS - 1} (noop, fire, right, left)")
    return bytes(actions)


def read_actions(path: Path) -> bytes:
    """The actions of a text file; FileError if it cannot be read, ValueError as `parse_actions`."""
    return parse_actions(read_text(path, "actions file", _LIMIT), f"actions file {path}")


class Scripted:
    """Plays given actions once, and goes on in a new game when one is over. With `commands`, each with the step at
    which it was given, it plays a session again: only they begin a new game."""

    def __init__(self, actions: bytes, commands: list[tuple[int, str]] | None = None) -> None:
        self.replays, self.title = commands is not None, "" if commands is None else "replay"
        self._actions, self._commands = deque(actions), deque(commands or ())

    @property
    def done(self) -> bool:
        """Whether it has given all its actions."""
        return not self._actions

    def act(self, session: Session) -> int | None:
        """The action for the next step, 0..3, None when there is no more; commands that are due are given first."""
        while self._commands and self._commands[0][0] <= session.taken:
            session.do(self._commands.popleft()[1])
        if not self._actions:
            return None
        if session.over and not self.replays:
            session.do("restart")
        return self._actions.popleft()


class Autopilot:
    """Lets one of `AUTOPILOTS` play, and starts a new game when one is over. FileError if its weights are unusable.

    One paddle plays two balls in a dream that has parted: the one that falls is looked after, the dream's own first."""

    def __init__(self, name: str, seed: int) -> None:
        from collect import player  # loads what takes long: only now, with the window there

        self.name, self.title = name, AUTOPILOTS[name]
        self._rng = np.random.default_rng(seed)
        self._follower, self._attention = player.Follower(self._rng), player.Attention()
        self._player = player.Player.load(seed=seed) if name == "player" else None

    def act(self, session: Session) -> int:
        """The action for the next step, 0..3."""
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
        states = [session.twin, session.reality] if session.dreaming else [session.reality]
        key = int(self._player.act(states[chosen or 0].objects)[0])
        return int(Action.FIRE) if serve else key


Player = Scripted | Autopilot


def report(session: Session) -> dict[str, Any]:
    """The session's figures, ready for JSON. Rates at the top count steps with a ball in play, in either mode."""
    real, twin = session.digests()
    return {
        "steps": session.taken,
        "game_seconds": round(session.seconds(session.taken), 3),
        "frameskip": session.engine.frameskip,
        "controller": session.controller,
        "mode": "dream" if session.dreaming else "one-step",
        "weights": session.engine.checksum,
        "score": session.objects.score if session.objects else None,
        "lives": session.objects.lives if session.objects else None,
        "twin_score": session.twin_board[0],
        "twin_lives": session.twin_board[1],
        "scored_steps": session.tally.steps,
        "codes_per_step": CELLS,
        "pixels_per_step": ROWS * COLUMNS,
        **session.tally.rates(in_play=True),
        "one_step": session.following.rates(in_play=True),
        "dream": session.dreams.rates(in_play=True),
        "with_and_without_ball": session.tally.rates(),
        "longest_exact_steps": session.exact_longest,
        "longest_true_steps": session.longest_true,
        "action_steps": [session.actions.count(action) for action in range(ACTIONS)],
        "commands": [{"step": step, "command": command} for step, command in session.log],
        "real_digest": real,
        "twin_digest": twin,
    }


def summary(session: Session) -> str:
    """The session's accuracy in one line for the terminal."""
    text = f"{session.taken} steps"
    if not session.played:
        return text
    rates = session.tally.rates(in_play=True)
    return (
        f"{text}, {session.played} with a ball in play: codes {rates['code_accuracy']:.1%} right (majority code "
        f"{rates['majority_code_accuracy']:.1%}), {rates['exact_frames']:.1%} of frames exact (last frame again "
        f"{rates['copy_last_exact_frames']:.1%}), {rates['wrong_pixels']:.1f} pixels wrong on average"
    )


@dataclass(frozen=True)
class SavedSession:
    """What a session file says, under the same names."""

    seed: int
    frameskip: int
    controller: str
    dream: bool
    dream_only: bool
    weights: str
    actions: str
    commands: list[tuple[int, str]]
    digests: list[str]


def save_session(path: Path, session: Session, seed: int, controller: str, dream: bool) -> None:
    """Write a session, atomically; `controller` and `dream` are what it began with."""
    about = session.engine.frameskip, controller, dream, session.emulator is None, session.engine.checksum
    played = "".join(map(str, session.actions)), session.log, list(session.digests())
    write_json(path, {"kind": KIND, "schema": SCHEMA, **asdict(SavedSession(seed, *about, *played))})


def load_session(path: Path) -> SavedSession:
    """Read what `save_session` wrote. FileError if it is missing, damaged, foreign or of another version."""
    found = read_json(path, "session", limit=_LIMIT)
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise FileError(f"session {path} is not a session of this program")
    check_schema(found.get("schema"), "session", path, "python main.py play --save-session")
    kinds = {name: get_origin(kind) or kind for name, kind in get_type_hints(SavedSession).items()}
    for name, kind in kinds.items():
        if type(found.get(name)) is not kind:
            raise FileError(f"session {path}: {name} is missing or not a {kind.__name__}")
    saved = SavedSession(**{name: found[name] for name in kinds})
    if not saved.actions.isascii() or saved.actions.strip("0123"):
        raise FileError(f"session {path}: actions must be digits 0..3")
    if not 0 <= saved.seed < 1 << 31 or not 1 <= saved.frameskip <= 60:
        raise FileError(f"session {path}: seed or frameskip out of range")
    at = 0
    for entry in saved.commands:
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int or entry[1] not in COMMANDS:
            raise FileError(f"session {path}: {str(entry)[:60]} is not a command at a step")
        if not at <= entry[0] <= len(saved.actions):
            raise FileError(f"session {path}: commands are not in the order of the steps")
        at = entry[0]
    if len(saved.digests) != 2 or not all(isinstance(digest, str) for digest in saved.digests):
        raise FileError(f"session {path}: digests are missing")
    return saved


@dataclass
class Records:
    """A person's best score of a game played by hand, longest dream in seconds that was true with a ball in play, and
    whether the first run's introduction has been seen. `path` None: nothing is read or written."""

    path: Path | None = None
    best_score: int = 0
    longest_dream: float = 0.0
    introduced: bool = False

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """What is kept at `path`; a file that is missing or damaged counts as none."""
        with suppress(FileError, TypeError, KeyError, ValueError, OverflowError):
            found = read_json(path, "records", _SMALL) if path else {}
            score, dream = int(found["best_score"]), float(found["longest_dream_seconds"])
            return cls(path, max(0, score), max(0.0, dream), bool(found["introduced"]))
        return cls(path)

    def save(self) -> bool:
        """Write them, atomically; false if that is not possible, which takes nothing from the game. What another window
        has written meanwhile stays if it is better."""
        with suppress(OSError, FileError):
            if self.path is not None:
                there = Records.load(self.path)
                dream = max(there.longest_dream, round(self.longest_dream, 2))
                kept = {"best_score": max(there.best_score, self.best_score), "longest_dream_seconds": dream}
                write_json(self.path, {"schema": SCHEMA, **kept, "introduced": self.introduced})
                return True
        return False


def records_path() -> Path | None:
    """Where a person's records are kept: the system's folder for programs' data; None for a user without a home."""
    other = {"win32": ("APPDATA", "AppData/Roaming"), "darwin": ("", "Library/Application Support")}
    variable, below_home = other.get(sys.platform, ("XDG_DATA_HOME", ".local/share"))
    with suppress(RuntimeError):
        return Path(os.environ.get(variable) or Path.home() / below_home) / "neural-breakout" / "records.json"
    return None
