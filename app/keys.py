"""From keys to actions: the key map as data, and what is held, tapped or pointed at when a step asks for its action.

Keys here are names ("left", "a", "space"); nothing of pygame is known, so a key map is judged alike with a window and
without one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.breakout import FIELD_LEFT, LAST_PADDLE, LONG_PADDLE, Action
from model.files import SCHEMA, FileError, check_schema, read_bytes

DEFAULT_KEYS = Path(__file__).resolve().parent.parent / "assets" / "keys.toml"
PLAY = {"left": Action.LEFT, "right": Action.RIGHT, "fire": Action.FIRE}
SHIFT = "shift+"
NAMED = frozenset(
    ["left", "right", "up", "down", "space", "return", "enter", "tab", "backspace", "escape", "delete", "insert"]
    + ["home", "end", "page up", "page down", "clear", "help", "menu", "pause", "break", "print screen", "sys req"]
    + ["equals", "power", "numlock", "caps lock", "scroll lock", "alt gr", "ac back"]
    + [f"{side} {key}" for side in ("left", "right") for key in ("shift", "ctrl", "alt", "meta")]
    + [f"f{number}" for number in range(1, 16)]
    + [f"[{key}]" for key in "0123456789+-*/."]
)
"""Every key that has a name longer than its one character."""
_PLACED = (*range(4, 40), *range(45, 50), *range(51, 57))
PLACES = dict(zip(_PLACED, "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./", strict=True))
"""What stands at each place of a US keyboard: USB's number of the place -> the key's name."""
_LIMIT, _MOST_DOTS = 1 << 16, 100
_SLACK, _PUSH = 4.0, 5.0
"""The pointer is followed to so many pixels. A step of a key moves the paddle by `_PUSH` or a little more, so it comes
nearer with each key, and never turns back; see `Held._steer`."""
_REACH = FIELD_LEFT + LONG_PADDLE / 2, LAST_PADDLE + LONG_PADDLE / 2
"""The columns that the paddle's middle can have."""


@dataclass(frozen=True, eq=False)
class KeyMap:
    """`play`: key -> action. `commands`: key -> command. `help`: what each of both does, in words."""

    play: dict[str, Action]
    commands: dict[str, str]
    help: dict[str, str]

    def keys_of(self, command: str) -> list[str]:
        """The keys that give a command or, for left, right and fire, that action; in the file's order."""
        if command in PLAY:
            return [key for key, action in self.play.items() if action == PLAY[command]]
        return [key for key, name in self.commands.items() if name == command]

    def meant(self, symbol: str, place: int) -> str:
        """The name of a key that shows `symbol` and lies at a place of the keyboard.

        A letter of another script is none of ours: it stands for what a US keyboard has at its place.
        """
        known = symbol in self.play or symbol in self.commands
        return symbol if known or (symbol and symbol.isascii()) else PLACES.get(place, symbol)


def load_keys(path: Path | None = None) -> KeyMap:
    """The shipped key map, with the lines of `path` in place of its own.

    FileError if the file is missing, not TOML, of a newer schema version, or names a command or a key that does not
    exist, or one key twice.
    """
    table = _read(DEFAULT_KEYS)
    where = f"key map {path or DEFAULT_KEYS}"
    for section, lines in _read(path).items() if path is not None else ():
        if section not in table or not isinstance(lines, dict):
            raise FileError(f"{where}: sections are [play], [command] and [help], got [{section}]")
        known = table[section]
        for name, keys in lines.items():
            if name not in known:
                raise FileError(f"{where}: no command {name!r}; there are: {', '.join(known)}")
            if section == "help":
                if not isinstance(keys, str):
                    raise FileError(f"{where}: the help for {name} must be words in quotes")
            elif not isinstance(keys, list) or not all(type(key) is str and key for key in keys):
                raise FileError(f'{where}: {name} must be a list of key names, as in {name} = ["f5"]')
            known[name] = keys
    meaning: dict[str, str] = {}
    for name, keys in (table["play"] | table["command"]).items():
        for key in map(str.lower, keys):
            bare = key.removeprefix(SHIFT)
            if name in PLAY and bare != key:
                raise FileError(f"{where}: {name} has {key!r}; a playing key goes without shift")
            if bare not in NAMED and not (len(bare) == 1 and bare.isprintable() and bare != " "):
                known = 'names are as in "a", "space", "f9"'
                raise FileError(f"{where}: {name} has a key {key!r} that does not exist; {known}")
            if meaning.setdefault(key, name) != name:
                raise FileError(f"{where}: the key {key!r} is given to {meaning[key]} and to {name}")
    play = {key: PLAY[name] for key, name in meaning.items() if name in PLAY}
    return KeyMap(play, {key: name for key, name in meaning.items() if name not in PLAY}, table["help"])


def _read(path: Path) -> dict[str, Any]:
    data = read_bytes(path, "key map", _LIMIT)
    if max(line.count(b".") for line in data.split(b"\n")) > _MOST_DOTS:  # tomllib's memory grows with their square
        raise FileError(f"key map {path} has a line with more than {_MOST_DOTS} dots")
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))  # Windows' Notepad begins a file with a byte order mark
    except (ValueError, RecursionError) as error:
        raise FileError(f"key map {path} cannot be read: {error}") from None
    check_schema(table.pop("schema", SCHEMA), "key map", path, "a copy of assets/keys.toml")
    return table


class Held:
    """What the player's fingers say. `press`, `hold` and `release` as events come; `take` once a step.

    The key pressed last wins, so LEFT over a held RIGHT goes left. A tap that is over before the step still counts
    once. FIRE acts once on its press and then, held together with a direction, gives way to it. The pointer steers
    while no key does; a key for a direction ends that until it points again.
    """

    _tapped: Action | None
    _fire_tapped: bool

    def __init__(self, keys: KeyMap) -> None:
        self._keys = keys
        self.down: dict[str, Action] = {}
        """What each key that is held, of a keyboard, a gamepad or a mouse, means; the newest last."""
        self.aim: float | None = None
        """The column, 0..160, to which the pointer asks the paddle's middle; None while keys steer."""
        self._paddle: float | None = None
        self._last: Action = Action.NOOP
        self.forget_taps()

    def press(self, key: str, shift: bool = False) -> str | None:
        """A key went down. Returns the command it stands for, or None if it plays or means nothing."""
        if shift and SHIFT + key in self._keys.commands:
            return self._keys.commands[SHIFT + key]
        if key in self._keys.play:
            self.hold(key, self._keys.play[key])
        return self._keys.commands.get(key)

    def hold(self, key: str, action: Action) -> None:
        """`key` goes down and means `action`."""
        self.release(key)
        self.down[key] = action
        if action == Action.FIRE:
            self._fire_tapped = True
        else:
            self._tapped, self.aim = action, None

    def release(self, key: str) -> None:
        """A key went up."""
        self.down.pop(key, None)

    def release_all(self) -> None:
        """The window lost the focus: nothing is held, tapped or pointed at."""
        self.down.clear()
        self.aim = None
        self.forget_taps()

    def forget_taps(self) -> None:
        """Taps made during a pause are not played when the game goes on; keys still held are."""
        self._tapped, self._fire_tapped = None, False

    @property
    def playing(self) -> bool:
        """Whether a playing key is down or was tapped since the last step, or the pointer steers."""
        return bool(self.down) or self._fire_tapped or self._tapped is not None or self.aim is not None

    def take(self, paddle: float | None = None) -> Action:
        """The action for the next step; `paddle` is the column of the paddle's middle, for the pointer to follow."""
        before, self._paddle = self._paddle, paddle
        moves = [action for action in self.down.values() if action != Action.FIRE]
        if self._fire_tapped:
            self._last, self._fire_tapped = Action.FIRE, False
        elif self._tapped is not None:
            self._last, self._tapped = self._tapped, None
        elif moves:
            self._last = moves[-1]
        else:
            move = Action.NOOP if self.aim is None or paddle is None else self._steer(self.aim, paddle, before)
            self._last = Action.FIRE if self.down and move == Action.NOOP else move
        return self._last

    def _steer(self, aim: float, paddle: float, before: float | None) -> Action:
        """Towards where the pointer is, unless the paddle comes to rest there by itself: what is left of its way halves
        with each step, so it glides on by the way it made last, and the key of the last step does not show yet."""
        pushed = {Action.RIGHT: _PUSH, Action.LEFT: -_PUSH}.get(self._last, 0.0)
        rest = paddle + (0.0 if before is None else paddle - before) + pushed
        off = min(max(aim, _REACH[0]), _REACH[1]) - rest
        return Action.NOOP if abs(off) <= _SLACK else Action.RIGHT if off > 0 else Action.LEFT
