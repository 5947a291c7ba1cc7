"""What is kept of sessions: a report, the file from which one plays again, and a person's records."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.session import COMMANDS, Session
from model.breakout import ACTIONS, CELLS, COLUMNS, ROWS
from model.files import SCHEMA, FileError, check_schema, read_json, write_json

KIND = "neural-breakout session"
_LIMIT, _SMALL = 1 << 26, 1 << 12


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


@dataclass(frozen=True)
class SavedSession:
    """What a session file says; `controller` and `dream` are what it began with. The names are those in the file."""

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
    """Write a session, atomically."""
    about = session.engine.frameskip, controller, dream, session.emulator is None, session.engine.checksum
    played = "".join(map(str, session.actions)), session.log, list(session.digests())
    write_json(path, {"kind": KIND, "schema": SCHEMA, **asdict(SavedSession(seed, *about, *played))})


def load_session(path: Path) -> SavedSession:
    """Read what `save_session` wrote. FileError if it is missing, damaged, foreign or of another version."""
    found = read_json(path, "session", limit=_LIMIT)
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise FileError(f"session {path} is not a session of this program")
    check_schema(found.get("schema"), "session", path, "python main.py play --save-session")
    kinds = dict(zip(SavedSession.__annotations__, (int, int, str, bool, bool, str, str, list, list), strict=True))
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
    """A person's best score of a game played by hand, and longest dream in seconds that was true with a ball in play.

    `path` None: nothing is read or written. A folder that cannot be written takes nothing from the game.
    """

    path: Path | None = None
    best_score: int = 0
    longest_dream: float = 0.0
    introduced: bool = False
    """Whether this person has seen the first run's introduction."""

    @classmethod
    def load(cls, path: Path) -> Records:
        """What is kept at `path`; a file that is missing or damaged counts as none."""
        records = cls(path)
        with suppress(FileError, TypeError, KeyError, ValueError):
            found = read_json(path, "records", _SMALL)
            records.best_score = max(0, int(found["best_score"]))
            records.longest_dream = max(0.0, float(found["longest_dream_seconds"]))
            records.introduced = bool(found["introduced"])
        return records

    def note(self, score: int = 0, dream: float = 0.0) -> bool:
        """Take in a game's score or a dream's true seconds; whether that is a new record. Not yet written."""
        better = score > self.best_score or dream > self.longest_dream
        self.best_score, self.longest_dream = max(self.best_score, score), max(self.longest_dream, dream)
        return better

    def save(self) -> bool:
        """Write them, atomically; false if that is not possible."""
        if self.path is None:
            return False
        kept = {"best_score": self.best_score, "introduced": self.introduced}
        try:
            dream = round(self.longest_dream, 2)
            write_json(self.path, {"schema": SCHEMA, **kept, "longest_dream_seconds": dream})
        except (OSError, FileError):
            return False
        return True


def records_path() -> Path:
    """Where a person's records are kept: the system's folder for programs' data."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return folder / "neural-breakout" / "records.json"
