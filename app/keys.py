"""Which action a step takes: the key map as data, and what is held, tapped or pointed at. Nothing of pygame is known
here, so a key map is judged alike with a window and without one."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import ROOT
from model.breakout import FIELD_LEFT, LAST_PADDLE, LONG_PADDLE, Action
from model.files import SCHEMA, FileError, check_schema, read_bytes

DEFAULT_KEYS = ROOT / "assets" / "keys.toml"
PLAY = {"left": Action.LEFT, "right": Action.RIGHT, "fire": Action.FIRE}
SHIFT = "shift+"
NAMED = frozenset(  # every key that has a name longer than its one character
    ["left", "right", "up", "down", "space", "return", "enter", "tab", "backspace", "escape", "delete", "insert"]
    + ["home", "end", "page up", "page down", "clear", "help", "menu", "pause", "break", "print screen", "sys req"]
    + ["equals", "power", "numlock", "caps lock", "scroll lock", "alt gr", "ac back"]
    + [f"{side} {key}" for side in ("left", "right") for key in ("shift", "ctrl", "alt", "meta")]
    + [f"f{number}" for number in range(1, 16)]
    + [f"[{key}]" for key in "0123456789+-*/."]
)
_PLACED = (*range(4, 40), *range(45, 50), *range(51, 57))
PLACES = dict(
    zip(_PLACED, "abcdefghijklmnopqrstuvwxyz1234567890-=[]\\;'`,./", strict=True)
)  # on a US keyboard, by USB's numbers
_LIMIT, _MOST_DOTS = 1 << 16, 100
_SLACK, _PUSH = 4.0, 5.0
"""The pointer is followed to so many pixels. A step of a key moves the paddle by `_PUSH` or a little more, so it comes
nearer with each key, and never turns back."""
_REACH = FIELD_LEFT + LONG_PADDLE / 2, LAST_PADDLE + LONG_PADDLE / 2  # the columns of its middle


@dataclass(frozen=True)
class KeyMap:
    """`play`: key -> action. `commands`: key -> command. `help`: what each of both does, in words."""

    play: dict[str, Action]
    commands: dict[str, str]
    help: dict[str, str]
    __hash__ = object.__hash__  # a map is a key of caches

    def keys_of(self, command: str) -> list[str]:
        """The keys that give a command or, for left, right and fire, that action; in the file's order."""
        keys: dict[str, Action] | dict[str, str] = self.play if command in PLAY else self.commands
        return [key for key, what in keys.items() if what == PLAY.get(command, command)]

    def meant(self, symbol: str, place: int) -> str:
        """The name of a key that shows `symbol` and lies at a place of the keyboard; a letter of another script stands
        for what a US keyboard has there."""
        known = symbol in self.play or symbol in self.commands
        return symbol if known or (symbol and symbol.isascii()) else PLACES.get(place, symbol)


def load_keys(path: Path | None = None) -> KeyMap:
    """The shipped key map, with the lines of `path` in place of its own. FileError if that file cannot be read, is of
    a newer schema version, names a command or a key that does not exist, or gives one key to two."""
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
                wrong = f'key {key!r} that does not exist; names are as in "a", "space", "f9"'
                raise FileError(f"{where}: {name} has a {wrong}")
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
    """What the player's fingers say: the key pressed last wins, and a tap that is over before the step still counts
    once. FIRE acts once on its press and then, held together with a direction, gives way to it. The pointer steers
    while no key does; a key for a direction ends that until it points again."""

    def __init__(self, keys: KeyMap) -> None:
        self._keys = keys
        self.down: dict[str, Action] = {}  # what each key, button or stick that is held means; the newest last
        self.aim: float | None = None  # the column, 0..160, to which the pointer asks the paddle; None while keys steer
        self._tapped: Action | None = None
        self._fire_tapped = False
        self._paddle: float | None = None
        self._last = Action.NOOP

    def press(self, key: str, shift: bool = False) -> str | None:
        """A key went down. Returns the command it stands for; None if it plays or means nothing."""
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
            off = 0.0
            if self.aim is not None and paddle is not None:
                # What is left of the paddle's way halves with each step, so it glides on by the way it made last, and
                # the key of the last step does not show yet: it may come to rest at the pointer by itself.
                pushed = {Action.RIGHT: _PUSH, Action.LEFT: -_PUSH}.get(self._last, 0.0)
                rest = paddle + (0.0 if before is None else paddle - before) + pushed
                off = min(max(self.aim, _REACH[0]), _REACH[1]) - rest
            rests = Action.FIRE if self.down else Action.NOOP
            self._last = rests if abs(off) <= _SLACK else Action.RIGHT if off > 0 else Action.LEFT
        return self._last
