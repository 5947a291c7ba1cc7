"""What the window shows, as data: made from a session and the player's choices, drawn by `app.draw`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.clock import Clock
from app.futures import Ahead
from app.keys import KeyMap
from app.session import RECENT_SECONDS, REMEMBERED_SECONDS, Session
from model.breakout import CELLS, Action, Frame
from model.metrics import Tally
from model.state import SIGNED_SPEEDS, VARIABLES

PART = " \N{MIDDLE DOT} "
"""Between the parts of a line; where there is little room, the last parts go first."""
NEEDS_REALITY = ("dream", "resync", "difference", "grid", "layout", "sound")
"""Commands that do something only beside a real game."""
_NAMES = {
    "left": "\N{LEFTWARDS ARROW}",
    "right": "\N{RIGHTWARDS ARROW}",
    "up": "\N{UPWARDS ARROW}",
    "return": "Enter",
    "enter": "",  # the keypad's, the same word
    "escape": "Esc",
}
_NO_BALL_SECONDS, _DASH = 0.4, "\N{EN DASH}"


@dataclass
class Choices:
    """What the player switched on: views, pause, the autopilot; nothing of it changes the games."""

    grid: int = 0
    difference: bool = False
    futures: bool = False
    memory: bool = False
    large: bool = False
    help: bool = False
    paused: bool = False


@dataclass(frozen=True)
class Timeline:
    """The last `span` steps: codes right (of 35) and wrong pixels, oldest first; marks as (steps ago, what)."""

    span: int
    codes: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    marks: list[tuple[int, str]]


class Remembered(NamedTuple):
    """A variable of the twin's memory: its name, what the twin takes it to be, how sure it is (0..1), what the real
    game's RAM says, "" where it does not, and whether that agrees."""

    name: str
    value: str
    certainty: float
    real: str
    right: bool


@dataclass
class View:
    """One picture of the window, made anew for each. Frames are classes (210, 160) uint8; codes (35,) int64.

    `mode` and `accuracy` are the last things that a small window leaves out. `strips` are lines at the foot of the
    twin's panel, `real_strip` one on the real game's.
    """

    twin: Frame
    real: Frame | None
    mode: str
    accuracy: str
    tone: str
    action: int
    real_note: str = ""
    twin_note: str = ""
    strips: tuple[str, ...] = ()
    real_strip: str = ""
    table: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    footer: str = ""
    hints: str = ""
    warning: str = ""
    toast: str = ""
    caption: tuple[str, str] | None = None
    message: tuple[str, str] | None = None
    recording: bool = False
    grid: int = 0
    difference: bool = False
    large: bool = False
    codes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
    futures: Ahead | None = None
    memory: list[Remembered] | None = None
    timeline: Timeline | None = None
    help: list[tuple[str, str]] | None = None


def key_names(keys: KeyMap, command: str) -> str:
    """The keys of a command, to be read by people: "← or A"."""
    words = []
    for key in keys.keys_of(command):
        shift, bare = ("Shift+", key[6:]) if key.startswith("shift+") else ("", key)
        word = _NAMES.get(bare, bare.upper() if len(bare) == 1 or bare[1:].isdigit() else bare.capitalize())
        if word:
            words.append(shift + word)
    return " or ".join(words)


def help_lines(keys: KeyMap, alone: bool) -> list[tuple[str, str]]:
    """Every command that does something here, with its keys: (keys, what they do). `alone`: without an emulator."""
    shown = [name for name in keys.help if not (alone and name in NEEDS_REALITY)]
    return [(key_names(keys, name), keys.help[name]) for name in shown]


def bottom_line(keys: KeyMap, alone: bool) -> str:
    """The few keys that everybody needs, for the foot of the window."""
    dream = [] if alone else [("dream", "dreams")]
    wanted = [("fire", "serves"), *dream, ("autopilot", "machine plays"), ("help", "keys")]
    return "   ".join(f"{key_names(keys, command).split(' or ')[0]} {what}" for command, what in wanted)


def ram_says(ram: npt.NDArray[np.uint8]) -> dict[str, str]:
    """The emulator's RAM (128,) uint8 in the words of `model.state.VARIABLES`: name -> text."""
    from collect.ram import read

    now = read(ram)
    speed = float(now.row_speed) / 256, float(now.column_speed) / 256
    return {
        "speed": VARIABLES[0].classes[1 + SIGNED_SPEEDS.index(speed)] if speed in SIGNED_SPEEDS else "",
        "half_row": f"{now.row_fraction // 32}/8",
        "half_column": "1/2" if now.column_fraction else "0",
        "hits": str(now.hits),
        "fast": "yes" if now.fast else "no",
        "contact": ("top wall", "paddle", "brick", "")[int(now.contact)],
        "steep": "yes" if now.steep else "no",
        "clock": str(now.clock % 4),
    }  # the knob is not all in RAM, and what is due is what the next frame shows


def remembered(session: Session) -> list[Remembered]:
    """What the twin on show remembers that no frame shows, beside the truth."""
    real = ram_says(session.emulator.ram()) if session.emulator else {}
    memory, sure = session.twin.memory[0].tolist(), session.twin.certainty[0].tolist()
    lines = []
    for number, variable in enumerate(VARIABLES):
        value, truth = variable.classes[memory[number]], real.get(variable.name, "")
        possible = value.split("|")  # some are known to be one of several
        value = value if len(possible) <= 2 else f"one of {len(possible)}"
        right = not truth or truth in possible
        lines.append(Remembered(variable.name.replace("_", " "), value, sure[number], truth, right))
    return lines


def heading(session: Session) -> tuple[str, str, str]:
    """The twin's mode and accuracy in words, and the tone they are said in."""
    mode, tone = _mode(session)
    return mode + {"context": "", "action": f"{PART}from the key alone"}[session.controller], _accuracy(session), tone


def make_view(session: Session, clock: Clock, choices: Choices, keys: KeyMap, ahead: Ahead | None = None) -> View:
    """The picture of this moment; the loop adds what it alone knows (messages, who plays, records)."""
    moment, objects = session.moment, session.objects
    alone = session.emulator is None
    mode, accuracy, tone = heading(session)
    message = None
    if choices.paused:
        message = ("paused", f"{key_names(keys, 'pause').split(' or ')[0]} plays on")
    elif session.over:
        message = ("game over", f"{key_names(keys, 'restart').split(' or ')[0]} starts a new one")
    return View(
        twin=moment.twin,
        real=moment.real,
        mode=mode,
        accuracy=accuracy,
        tone=tone,
        action=moment.action,
        real_note=board(objects.score, objects.lives) if objects else "",
        twin_note=board(*session.twin_board),
        strips=_strips(session, choices, keys),
        real_strip=_serve(keys) if objects and objects.ball is None and not session.over and not choices.paused else "",
        table=[] if alone else _table(session),
        facts=[] if alone else _facts(session),
        footer=_footer(session, clock),
        hints=bottom_line(keys, alone),
        warning=_warning(clock, choices),
        message=message,
        grid=choices.grid,
        difference=choices.difference and not alone,
        large=choices.large,
        codes=None if moment.actual is None else (moment.predicted, moment.actual),
        futures=ahead if choices.futures else None,
        memory=remembered(session) if choices.memory else None,
        timeline=None if alone else _timeline(session),
    )


def _mode(session: Session) -> tuple[str, str]:
    """What the twin is doing, in words, and the tone of it."""
    if session.emulator is None:
        return f"dreams alone, {session.seconds(session.since_real):.1f} s", "dream"
    if not session.dreaming:
        return "follows reality, one step ahead", "step"
    if session.parted_at is None:
        return f"dreams, true for {session.seconds(session.since_real):.1f} s", "dream"
    return f"dreams, parted from reality after {session.parted_at:.1f} s", "parted"


def _serve(keys: KeyMap) -> str:
    return f"no ball: {key_names(keys, 'fire').split(' or ')[0]} serves"


def _strips(session: Session, choices: Choices, keys: KeyMap) -> tuple[str, ...]:
    lines = []
    if session.waiting >= session.steps(_NO_BALL_SECONDS) and not session.over and not choices.paused:
        lines.append(_serve(keys))
    if session.parted_at is not None:
        back, again = (key_names(keys, command).split(" or ")[0] for command in ("dream", "resync"))
        lines.append(f"not the real game any more: {back} goes back, {again} dreams anew")
    score = session.moment.score
    if choices.difference and score is not None and score.exact:
        lines.append("nothing is wrong: all 33,600 pixels are the real game's")
    return tuple(lines)


def board(score: int, lives: int) -> str:
    """A score and lives in words."""
    return f"score {score}{PART}{lives} {'life' if lives == 1 else 'lives'}"


def _share(value: float | None) -> str:
    return _DASH if value is None else f"{value:.1%}" if value < 1 else "100%"


def _count(value: float | None) -> str:
    return _DASH if value is None else f"{value:.1f}"


_ROWS: tuple[tuple[str, str, Callable[[float | None], str], str, str], ...] = (
    ("codes right", "code_accuracy", _share, "majority_", "majority code"),
    ("changed cells", "dynamic_code_accuracy", _share, "majority_", "majority code"),
    ("exact frames", "exact_frames", _share, "copy_last_", "last frame"),
    ("wrong pixels", "wrong_pixels", _count, "copy_last_", "last frame"),
)


def _tally(session: Session) -> Tally:
    """The steps that are comparable with the one on show: dreamt ones in a dream, others else."""
    return session.dreams if session.dreaming else session.following


def _accuracy(session: Session) -> str:
    """The few figures that even a small window shows."""
    if session.emulator is None:
        return ""
    tally = _tally(session)
    if session.dreaming:
        wrong = session.moment.score.pixels_wrong if session.moment.score else 0
        return f"{wrong} px wrong{PART}longest true {session.seconds(session.longest_true):.1f} s"
    rates = tally.rates(in_play=True)
    return f"{_share(rates['exact_frames'])} exact{PART}codes {_share(rates['code_accuracy'])}"


def _table(session: Session) -> list[tuple[str, str, str, str, str]]:
    """Rows of (what, now, last seconds, since start, what comes for free); the head first. Steps with a ball only."""
    tally = _tally(session)
    total, now = tally.rates(in_play=True), session.moment.score
    recent = tally.rates(session.steps(RECENT_SECONDS), in_play=True)
    kind = "dreaming" if session.dreaming else "one step ahead"
    present = [None] * 4 if now is None else [
        f"{now.codes_right}/{CELLS}", f"{now.changed_cells_right}/{now.cells_changed}",
        "yes" if now.exact else "no", str(now.pixels_wrong),
    ]  # fmt: skip
    rows = [(kind, "now", f"last {RECENT_SECONDS} s", "all", "for free")]
    for this, (name, key, show, free, why) in zip(present, _ROWS, strict=True):
        rows.append((name, this or _DASH, show(recent[key]), show(total[key]), f"{show(total[free + key])} {why}"))
    return rows


def _facts(session: Session) -> list[str]:
    streak = f"exact in a row {session.exact_now}, longest {session.exact_longest}"
    if session.longest_true:
        streak += f"{PART}longest true dream {session.seconds(session.longest_true):.1f} s"
    without = session.tally.steps - session.played
    apart = f"counted: {session.played} steps with a ball in play"
    return [streak, apart + (f"; apart: {without} without" if without else "")]


def _footer(session: Session, clock: Clock) -> str:
    action = Action(session.moment.action).name.lower()
    speed = "" if clock.speed == 1 else f" (speed {clock.speed:g})"
    parts = [f"key {action}", f"{clock.target:.0f} steps/s{speed}"]
    if clock.measured:  # while time stands still there is nothing to measure
        parts[1:] = [f"{clock.measured:.1f} of {parts[1]}", f"{clock.cost * 1e3:.1f} ms"]
    return "   ".join(parts)


def _warning(clock: Clock, choices: Choices) -> str:
    if not clock.slow:
        return ""
    on = [name for name, shown in (("F", choices.futures), ("X", choices.difference), ("G", choices.grid)) if shown]
    hint = f"switch off {' and '.join(on)}" if on else "make the window smaller, or [ for a slower pace"
    return f"this machine runs below true pace: {hint}"


def _timeline(session: Session) -> Timeline:
    span = session.steps(REMEMBERED_SECONDS)
    codes, wrong = session.tally.series(span)
    marks = [(session.taken - step, what) for step, what in session.marks if session.taken - step < span]
    return Timeline(span, codes, wrong, marks)
