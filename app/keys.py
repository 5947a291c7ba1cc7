"""From keys to actions: the key map as data, and what is held or tapped when a step asks for its action.

Keys here are names as pygame gives them ("left", "a", "space"); nothing else of pygame is known.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.breakout import Action
from model.files import SCHEMA, FileError, check_schema, read_bytes

DEFAULT_KEYS = Path(__file__).resolve().parent.parent / "assets" / "keys.toml"
PLAY = {"left": Action.LEFT, "right": Action.RIGHT, "fire": Action.FIRE}
SHIFT = "shift+"
_LIMIT = 1 << 16
_MOST_DOTS = 100


@dataclass(frozen=True)
class KeyMap:
    """`play`: key -> (action, the column of the file it stands in). `commands`: key -> command."""

    play: dict[str, tuple[Action, int]]
    commands: dict[str, str]

    def keys_of(self, command: str) -> list[str]:
        """The keys that give a command or, for left, right and fire, that action; in the file's order."""
        if command in PLAY:
            return [key for key, (action, _) in self.play.items() if action == PLAY[command]]
        return [key for key, name in self.commands.items() if name == command]


def load_keys(path: Path | None = None) -> KeyMap:
    """The shipped key map, with the lines of `path` in place of its own.

    FileError if the file is missing, not TOML, of a newer schema version, or names an unknown command.
    """
    table = _read(DEFAULT_KEYS)
    if path is not None:
        for section, lines in _read(path).items():
            known = table.get(section)
            if known is None or not isinstance(lines, dict):
                raise FileError(f"key map {path}: sections are [play] and [command], got [{section}]")
            for name, keys in lines.items():
                if name not in known:
                    raise FileError(f"key map {path}: no command {name!r}; there are: {', '.join(known)}")
                if not isinstance(keys, list) or not all(type(key) is str and key for key in keys):
                    raise FileError(f"key map {path}: {name} must be a list of key names")
                known[name] = keys
    play = {
        key.lower(): (PLAY[name], column) for name, keys in table["play"].items() for column, key in enumerate(keys)
    }
    commands = {key.lower(): name for name, keys in table["command"].items() for key in keys}
    return KeyMap(play, commands)


def _read(path: Path) -> dict[str, Any]:
    data = read_bytes(path, "key map", _LIMIT)
    if max(line.count(b".") for line in data.split(b"\n")) > _MOST_DOTS:  # tomllib's memory grows with their square
        raise FileError(f"key map {path} has a line with more than {_MOST_DOTS} dots")
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FileError(f"key map {path} cannot be read: {error}") from None
    check_schema(table.pop("schema", SCHEMA), "key map", path, "a copy of assets/keys.toml")
    return table


class Held:
    """What the player's fingers say. `press` and `release` as events come; `take` once a step.

    The key pressed last wins, so LEFT over a held RIGHT goes left. A tap that is over before the step still counts
    once. FIRE acts once on its press and then, held together with a direction, gives way to it.
    """

    def __init__(self, keys: KeyMap) -> None:
        self._keys = keys
        self._down: dict[str, Action] = {}
        self._tapped: Action | None = None
        self._fire_tapped = False
        self._column = 0

    def press(self, key: str, shift: bool = False) -> str | None:
        """A key went down. Returns the command it stands for, or None if it plays or means nothing."""
        if shift and SHIFT + key in self._keys.commands:
            return self._keys.commands[SHIFT + key]
        action, column = self._keys.play.get(key, (None, 0))
        command = self._keys.commands.get(key)
        if action is None or (command is not None and column != self._column):
            return command
        if action != Action.FIRE:
            self._column = column
        self.hold(key, action)
        return None

    def hold(self, key: str, action: Action) -> None:
        """`key` (of a keyboard or a gamepad) goes down and means `action`."""
        self._down.pop(key, None)
        self._down[key] = action
        if action == Action.FIRE:
            self._fire_tapped = True
        else:
            self._tapped = action

    def holds(self, key: str) -> Action | None:
        """What `key` is held for, or None."""
        return self._down.get(key)

    def release(self, key: str) -> None:
        """A key went up."""
        self._down.pop(key, None)

    def release_all(self) -> None:
        """The window lost the focus: nothing is held, nothing was tapped."""
        self._down.clear()
        self.forget_taps()

    def forget_taps(self) -> None:
        """Taps made during a pause are not played when the game goes on; keys still held are."""
        self._tapped, self._fire_tapped = None, False

    @property
    def playing(self) -> bool:
        """Whether a playing key is down or was tapped since the last step."""
        return bool(self._down) or self._fire_tapped or self._tapped is not None

    def take(self) -> Action:
        """The action for the next step."""
        if self._fire_tapped:
            self._fire_tapped = False
            return Action.FIRE
        tapped, self._tapped = self._tapped, None
        if tapped is not None:
            return tapped
        moves = [action for action in self._down.values() if action != Action.FIRE]
        if moves:
            return moves[-1]
        return Action.FIRE if self._down else Action.NOOP
