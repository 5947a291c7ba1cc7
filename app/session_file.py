"""A session as one small JSON file: what is needed to play it again with the same pixels on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.session import COMMANDS, Session
from model.files import SCHEMA, FileError, check_schema, read_json, write_json

KIND = "neural-breakout session"
_LIMIT = 1 << 26


@dataclass(frozen=True)
class SavedSession:
    """What a session file says."""

    seed: int
    frameskip: int
    controller: str
    dream: bool
    alone: bool
    weights: str
    actions: bytes
    commands: list[tuple[int, str]]
    digests: tuple[str, str]


def save_session(path: Path, session: Session, seed: int, controller: str, dream: bool) -> None:
    """Write a session, atomically. `controller` and `dream` are what it began with."""
    write_json(
        path,
        {
            "kind": KIND,
            "schema": SCHEMA,
            "seed": seed,
            "frameskip": session.twin.frameskip,
            "controller": controller,
            "dream": dream,
            "dream_only": session.emulator is None,
            "weights": session.twin.checksum,
            "actions": "".join(map(str, session.actions)),
            "commands": [list(entry) for entry in session.log],
            "digests": list(session.digests()),
        },
    )


def load_session(path: Path) -> SavedSession:
    """Read what `save_session` wrote. FileError if it is missing, damaged, foreign or of another version."""
    found = read_json(path, "session", limit=_LIMIT)
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise FileError(f"session {path} is not a session of this program")
    check_schema(found.get("schema"), "session", path, "python main.py play --save-session")

    def take(name: str, kind: type) -> Any:
        value = found.get(name)
        if type(value) is not kind:
            raise FileError(f"session {path}: {name} is missing or not a {kind.__name__}")
        return value

    seed, frameskip = take("seed", int), take("frameskip", int)
    actions, commands, digests = take("actions", str), take("commands", list), take("digests", list)
    if not actions.isascii() or actions.strip("0123"):
        raise FileError(f"session {path}: actions must be digits 0..3")
    if not 0 <= seed < 1 << 63 or not 1 <= frameskip <= 60:
        raise FileError(f"session {path}: seed or frameskip out of range")
    at = 0
    for entry in commands:
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int or entry[1] not in COMMANDS:
            raise FileError(f"session {path}: {str(entry)[:60]} is not a command at a step")
        if not at <= entry[0] <= len(actions):
            raise FileError(f"session {path}: commands are not in the order of the steps")
        at = entry[0]
    if len(digests) != 2 or not all(isinstance(digest, str) for digest in digests):
        raise FileError(f"session {path}: digests are missing")
    return SavedSession(
        seed=seed,
        frameskip=frameskip,
        controller=take("controller", str),
        dream=take("dream", bool),
        alone=take("dream_only", bool),
        weights=take("weights", str),
        actions=actions.encode().translate(bytes((code - 48) % 256 for code in range(256))),
        commands=[(step, name) for step, name in commands],
        digests=(digests[0], digests[1]),
    )
