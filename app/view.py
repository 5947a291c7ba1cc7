"""What the window shows, as data: made from a session and the player's choices, drawn by `app.overlay`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.clock import Clock
from app.keys import KeyMap
from app.session import RECENT_SECONDS, REMEMBERED_SECONDS, Session
from model.breakout import CELLS, Action, Frame

PART = " \N{MIDDLE DOT} "
"""Between the parts of a line; where there is little room, the last parts go first."""
HELP = (
    ("left", "steer left"),
    ("right", "steer right"),
    ("fire", "serve the ball"),
    ("restart", "new game"),
    ("pause", "pause"),
    ("single", "one step while paused"),
    ("dream", "dream / one step"),
    ("resync", "put the twin back on reality"),
    ("fork", "cut the twin loose / tie it back"),
    ("rewind", "both games back two seconds"),
    ("controller", "switch the controller"),
    ("autopilot", "let the machine play"),
    ("grid", "grid of the 35 codes"),
    ("difference", "pixels that are wrong"),
    ("futures", "what the twin expects for each key"),
    ("slower", "slower"),
    ("faster", "faster"),
    ("record_gif", "record a GIF"),
    ("record_mp4", "record an MP4"),
    ("screenshot", "screenshot"),
    ("fullscreen", "full screen"),
    ("help", "these keys"),
    ("quit", "quit"),
)
_NAMES = {
    "left": "\N{LEFTWARDS ARROW}",
    "right": "\N{RIGHTWARDS ARROW}",
    "return": "Enter",
    "enter": "",  # the keypad's, the same word
    "escape": "Esc",
}


@dataclass
class Choices:
    """What the player switched on: views, pause, the autopilot; nothing of it changes the games."""

    grid: int = 0
    difference: bool = False
    futures: bool = False
    help: bool = False
    paused: bool = False


@dataclass(frozen=True)
class Timeline:
    """The last `span` steps: codes right (of 35) and wrong pixels, oldest first; marks as (steps ago, what)."""

    span: int
    codes: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    marks: list[tuple[int, str]]


@dataclass(frozen=True)
class View:
    """One picture of the window. Frames are classes (210, 160) uint8; codes (35,) int64."""

    twin: Frame
    real: Frame | None
    real_note: str
    twin_note: str
    twin_tone: str
    action: int
    table: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    footer: str = ""
    warning: str = ""
    toast: str = ""
    message: tuple[str, str] | None = None
    grid: int = 0
    difference: bool = False
    codes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
    futures: Frame | None = None
    timeline: Timeline | None = None
    help: list[tuple[str, str]] | None = None


def key_names(keys: KeyMap, command: str) -> str:
    """The keys of a command, to be read by people: "← or A"."""
    words = []
    for key in keys.keys_of(command):
        shift, bare = ("Shift+", key[6:]) if key.startswith("shift+") else ("", key)
        if shift and bare in keys.keys_of(command):
            continue
        word = _NAMES.get(bare, bare.upper() if len(bare) == 1 or bare[1:].isdigit() else bare.capitalize())
        if word:
            words.append(shift + word)
    return " or ".join(words)


def help_lines(keys: KeyMap) -> list[tuple[str, str]]:
    """Every command with its keys: (keys, what they do)."""
    return [(key_names(keys, command), what) for command, what in HELP]


def make_view(session: Session, clock: Clock, choices: Choices, toast: str = "", player: str = "") -> View:
    """The picture of this moment. `player` says who plays, if it is not the person at the keys."""
    moment, objects, board = session.moment, session.objects, session.twin_board()
    alone = session.emulator is None
    seconds = session.since_real / session.steps_per_second
    controller = {"context": "from context", "action": "from the key alone"}[session.twin.controller]
    tone = "dream" if session.dreaming else "step"
    if alone:
        mode = f"dreams alone {seconds:.1f} s"
    elif session.dreaming:
        mode = f"{'cut loose' if session.forked else 'dream'} {seconds:.1f} s"
        if session.drift.parted_at is not None:
            mode += f"{PART}parted at {session.drift.parted_at / session.steps_per_second:.1f} s"
            tone = "parted"
    else:
        mode = "one step ahead"
    message = None
    if choices.paused:
        message = ("paused", "")
    elif session.over:
        message = ("game over", "Enter starts a new one")
    return View(
        twin=moment.twin,
        real=moment.real,
        real_note=_score(objects.score, objects.lives) if objects else "",
        twin_note=f"{_score(board.score, board.lives)}{PART}{mode}{PART}{controller}",
        twin_tone=tone,
        action=moment.action,
        table=[] if alone else _table(session),
        facts=[] if alone else _facts(session),
        footer=_footer(session, clock, player),
        warning=_warning(clock, choices),
        toast=toast,
        message=message,
        grid=choices.grid,
        difference=choices.difference,
        codes=None if moment.actual is None else (moment.predicted, moment.actual),
        futures=session.futures() if choices.futures else None,
        timeline=None if alone else _timeline(session),
    )


def _score(score: int | None, lives: int | None) -> str:
    """What a scoreboard says; what cannot be read is dashes."""
    return f"score {'---' if score is None else f'{score:03d}'}   lives {'-' if lives is None else lives}"


def _share(value: float | None) -> str:
    return "\N{EM DASH}" if value is None else f"{value:.1%}" if value < 1 else "100%"


def _count(value: float | None) -> str:
    return "\N{EM DASH}" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _table(session: Session) -> list[tuple[str, str, str, str, str]]:
    now = session.moment.score
    recent, total = session.tally.rates(session.steps(RECENT_SECONDS)), session.tally.rates()
    dash = "\N{EM DASH}"
    return [
        ("", "now", f"{RECENT_SECONDS} s", "all", "baseline"),
        (
            "codes right",
            f"{now.codes_right}/{CELLS}" if now else dash,
            _share(recent["code_accuracy"]),
            _share(total["code_accuracy"]),
            f"{_share(total['majority_code_accuracy'])} majority code",
        ),
        (
            "changed cells",
            f"{now.changed_cells_right}/{now.cells_changed}" if now else dash,
            _share(recent["dynamic_code_accuracy"]),
            _share(total["dynamic_code_accuracy"]),
            "",
        ),
        (
            "exact frames",
            ("yes" if now.exact else "no") if now else dash,
            _share(recent["exact_frames"]),
            _share(total["exact_frames"]),
            f"{_share(total['copy_last_exact_frames'])} last frame again",
        ),
        (
            "wrong pixels",
            str(now.pixels_wrong) if now else dash,
            _count(recent["wrong_pixels"]),
            _count(total["wrong_pixels"]),
            f"{_count(total['copy_last_wrong_pixels'])} last frame again",
        ),
    ]


def _facts(session: Session) -> list[str]:
    rate = session.steps_per_second
    since = "on its own frames" if session.dreaming else "shown every real frame"
    since += f" for {session.since_real} steps, {session.since_real / rate:.1f} s"
    streak = f"exact in a row {session.exact_now}, longest {session.exact_longest}"
    if session.drift.longest:
        streak += f"{PART}longest true dream {session.drift.longest / rate:.1f} s"
    return [since, streak]


def _footer(session: Session, clock: Clock, player: str) -> str:
    action = Action(session.moment.action).name.lower()
    speed = "" if clock.speed == 1 else f" (speed {clock.speed:g})"
    parts = [f"key {action}", f"{clock.target:.0f} steps/s{speed}"]
    if clock.measured:  # while time stands still there is nothing to measure
        parts[1:] = [f"{clock.measured:.1f} of {parts[1]}", f"{clock.cost * 1e3:.1f} ms"]
    return "   ".join([*parts, player] if player else parts)


def _warning(clock: Clock, choices: Choices) -> str:
    if not clock.slow:
        return ""
    on = [name for name, shown in (("F", choices.futures), ("X", choices.difference), ("G", choices.grid)) if shown]
    hint = f"switch off {' and '.join(on)}" if on else "make the window smaller, or [ for a slower pace"
    return f"this machine is too slow for true pace: {hint}"


def _timeline(session: Session) -> Timeline:
    span = session.steps(REMEMBERED_SECONDS)
    codes, wrong = session.tally.series(span)
    marks = [(session.taken - mark.step, mark.what) for mark in session.marks if session.taken - mark.step < span]
    return Timeline(span, codes, wrong, marks)
