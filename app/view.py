"""What the window shows, as data: made from a session and the player's choices, drawn by `app.draw`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from app import PART
from app.clock import Clock
from app.keys import SHIFT, KeyMap
from app.session import RECENT_SECONDS, REMEMBERED_SECONDS, Ahead, Session
from model.breakout import CELLS, Action, Frame
from model.metrics import Tally
from model.readers import Ints
from model.state import VARIABLES

NEEDS_REALITY = ("dream", "resync", "difference", "grid", "layout", "sound")  # commands
_NAMES = {"left": "\N{LEFTWARDS ARROW}", "right": "\N{RIGHTWARDS ARROW}", "up": "\N{UPWARDS ARROW}"}
_NAMES |= {"return": "Enter", "enter": "", "escape": "Esc"}  # the keypad's enter is the same word
Timeline = tuple[int, int, Tally, list[tuple[int, str]]]  # steps, the newest's number, scores, marks (step, what)
_NO_BALL_SECONDS, _DASH = 0.4, "\N{EN DASH}"


@dataclass
class Choices:
    """What the player switched on; nothing of it changes the games."""

    grid: int = 0
    difference: bool = False
    futures: bool = False
    memory: bool = False
    large: bool = False
    help: bool = False
    paused: bool = False


class Remembered(NamedTuple):
    """A variable of the twin's memory: what the twin takes it to be, how sure it is (0..1), what the real game's RAM
    says, "" where it does not, and whether that agrees."""

    name: str
    value: str
    certainty: float
    real: str
    right: bool


@dataclass
class View:
    """One picture of the window, made anew for each. Frames are classes (210, 160) uint8; codes (35,) int64.

    What takes long to draw, memory, timeline and pace, is drawn anew when `tick` is another one: ten times a second.
    `strips` are lines on the twin's panel, `real_strip` one on the real game's."""

    mode: str
    accuracy: str
    tone: str
    twin: Frame
    real: Frame | None
    action: int
    twin_note: str
    footer: str
    hints: str
    warning: str
    strips: tuple[str, ...]
    message: tuple[str, str] | None
    grid: int
    large: bool
    futures: Ahead | None
    memory: Callable[[], list[Remembered]] | None
    tick: tuple[int, int]
    # Only beside a real game:
    real_note: str = ""
    real_strip: str = ""
    table: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    difference: bool = False
    codes: tuple[Ints, Ints] | None = None
    says: list[str] = field(default_factory=list)  # of each code in words, to be shown
    timeline: Timeline | None = None
    # What the loop adds:
    toast: str = ""
    caption: tuple[str, str] | None = None
    recording: bool = False
    help: list[tuple[str, str]] | None = None


@lru_cache
def key_names(keys: KeyMap, command: str) -> tuple[str, ...]:
    """The keys of a command in words, the usual one first; ("",) if there is none."""
    words = []
    for key in keys.keys_of(command):
        bare = key.removeprefix(SHIFT)
        word = _NAMES.get(bare, bare.upper() if len(bare) == 1 or bare[1:].isdigit() else bare.capitalize())
        words += [("Shift+" if bare != key else "") + word] if word else []
    return tuple(words) or ("",)


def help_lines(keys: KeyMap, alone: bool) -> list[tuple[str, str]]:
    """Every command that does something here, with its keys: (keys, what they do). `alone`: without an emulator."""
    shown = [name for name in keys.help if not (alone and name in NEEDS_REALITY)]
    return [(" or ".join(key_names(keys, name)), keys.help[name]) for name in shown]


def bottom_line(keys: KeyMap, alone: bool) -> str:
    """The few keys that everybody needs, for the foot of the window."""
    wanted = {"fire": "serves", "dream": "dreams", "autopilot": "machine plays", "help": "keys"}
    shown = [(key_names(keys, name)[0], what) for name, what in wanted.items() if not (alone and name in NEEDS_REALITY)]
    return "   ".join(map(" ".join, shown))


def make_view(session: Session, clock: Clock, choices: Choices, keys: KeyMap, ahead: Ahead | None = None) -> View:
    """The picture of this moment; the loop adds what it alone knows (messages, who plays, records)."""
    moment, message = session.moment, None
    if choices.paused:
        message = "paused", f"{key_names(keys, 'pause')[0]} plays on"
    elif session.over:
        message = "game over", f"{key_names(keys, 'restart')[0]} starts a new one"
    serve = f"no ball: {key_names(keys, 'fire')[0]} serves" if message is None else ""
    speed = "" if clock.speed == 1 else f" (speed {clock.speed:g})"
    pace = [f"key {Action(moment.action).name.lower()}", f"{clock.target:.0f} steps/s{speed}"]
    if clock.measured:  # while time stands still there is nothing to measure
        pace[1:] = [f"{clock.measured:.1f} of {pace[1]}", f"{clock.cost * 1e3:.1f} ms"]
    on = [key_names(keys, name)[0] for name in ("futures", "difference", "grid") if getattr(choices, name)]
    smaller = f"make the window smaller, or {key_names(keys, 'slower')[0]} for a slower pace"
    hint = f"switch off {' and '.join(on)}" if on else smaller
    view = View(
        *heading(session),
        *(moment.twin, moment.real, moment.action),
        twin_note=board(*session.twin_board),
        footer="   ".join(pace),
        hints=bottom_line(keys, session.emulator is None),
        warning=f"this machine runs below true pace: {hint}" if clock.slow else "",
        strips=_strips(session, choices, keys, serve),
        message=message,
        grid=choices.grid,
        large=choices.large,
        futures=ahead if choices.futures else None,
        memory=partial(remembered, session) if choices.memory else None,
        tick=(session.taken if choices.paused else session.taken // session.steps(0.1), len(session.log)),
    )
    if session.objects is not None and moment.actual is not None:
        view.real_note = board(session.objects.score, session.objects.lives)
        view.real_strip = serve if session.objects.ball is None else ""
        view.table, view.facts = _table(session), _facts(session)
        view.difference, view.codes = choices.difference, (moment.predicted, moment.actual)
        view.says = session.engine.says if choices.grid > 1 else []
        span, now = session.steps(REMEMBERED_SECONDS), session.taken
        marks = [(step, what) for step, what in session.marks if now - step < span]
        view.timeline = span, now, session.tally, marks
    return view


def heading(session: Session) -> tuple[str, str, str]:
    """The twin's mode and accuracy in words, the few that even a small window shows, and the tone they are said in."""
    if not session.dreaming:
        rates = session.following.rates(in_play=True)
        accuracy = f"{_share(rates['exact_frames'])} exact{PART}codes {_share(rates['code_accuracy'])}"
        mode, tone = "follows reality, one step ahead", "step"
    else:
        wrong = session.moment.score.pixels_wrong if session.moment.score else 0
        dreamt = session.seconds(session.since_real)
        accuracy = f"{wrong} px wrong{PART}longest true {session.seconds(session.longest_true):.1f} s"
        mode, tone = f"dreams, true for {dreamt:.1f} s", "dream"
        if session.emulator is None:
            mode, accuracy = f"dreams alone, {dreamt:.1f} s", ""
        elif session.parted_at is not None:
            mode, tone = f"dreams, parted from reality after {session.parted_at:.1f} s", "parted"
    return mode + (f"{PART}from the key alone" if session.controller == "action" else ""), accuracy, tone


def board(score: int, lives: int) -> str:
    """A score and lives in words."""
    return f"score {score}{PART}{lives} {'life' if lives == 1 else 'lives'}"


def _strips(session: Session, choices: Choices, keys: KeyMap, serve: str) -> tuple[str, ...]:
    lines = [serve] if serve and session.waiting >= session.steps(_NO_BALL_SECONDS) else []
    if session.parted_at is not None:
        back, again = key_names(keys, "dream")[0], key_names(keys, "resync")[0]
        lines.append(f"not the real game any more: {back} goes back, {again} dreams anew")
    if choices.difference and session.moment.score is not None and session.moment.score.exact:
        lines.append("nothing is wrong: all 33,600 pixels are the real game's")
    return tuple(lines)


def _share(value: float | None, count: bool = False) -> str:
    return _DASH if value is None else f"{value:.1f}" if count else f"{value:.1%}" if value < 1 else "100%"


def _table(session: Session) -> list[tuple[str, str, str, str, str]]:
    """Rows of (what, now, last seconds, since start, what comes for free); the head first. Steps with a ball only, and
    of those the comparable ones: dreamt ones in a dream, others else."""
    tally: Tally = session.dreams if session.dreaming else session.following
    total, now = tally.rates(in_play=True), session.moment.score
    recent = tally.rates(session.steps(RECENT_SECONDS), in_play=True)
    present = [_DASH] * 4 if now is None else [
        f"{now.codes_right}/{CELLS}", f"{now.changed_cells_right}/{now.cells_changed}",
        "yes" if now.exact else "no", str(now.pixels_wrong),
    ]  # fmt: skip
    kind = "dreaming" if session.dreaming else "one step ahead"
    table = [(kind, "now", f"last {RECENT_SECONDS} s", "all", "for free")]
    for this, name, key, free, why in (
        (present[0], "codes right", "code_accuracy", "majority_code_accuracy", "majority code"),
        (present[1], "changed cells", "dynamic_code_accuracy", "majority_dynamic_code_accuracy", "majority code"),
        (present[2], "exact frames", "exact_frames", "copy_last_exact_frames", "last frame"),
        (present[3], "wrong pixels", "wrong_pixels", "copy_last_wrong_pixels", "last frame"),
    ):
        shown = [_share(value, key == "wrong_pixels") for value in (recent[key], total[key], total[free])]
        table.append((name, this, shown[0], shown[1], f"{shown[2]} {why}"))
    return table


def _facts(session: Session) -> list[str]:
    streak = f"exact in a row {session.exact_now}, longest {session.exact_longest}"
    if session.longest_true:
        streak += f"{PART}longest true dream {session.seconds(session.longest_true):.1f} s"
    without = session.tally.steps - session.played
    apart = f"; apart: {without} without" if without else ""
    return [streak, f"counted: {session.played} steps with a ball in play{apart}"]


def ram_says(ram: Frame) -> dict[str, str]:
    """The emulator's RAM (128,) uint8 in the words of `model.state.VARIABLES`: name -> text, of what it tells. The knob
    is not all in RAM, and what is due is what the next frame shows."""
    from collect.ram import hidden, read

    now = read(ram[None])
    classes = hidden(now, now.board(), np.array([-1]))[0].tolist()
    told = {variable.name: variable.classes[at] for variable, at in zip(VARIABLES, classes, strict=True) if at >= 0}
    del told["points_due"], told["life_due"]
    return told


def remembered(session: Session) -> list[Remembered]:
    """What the twin on show remembers that no frame shows, beside the truth."""
    real = ram_says(session.emulator.ram()) if session.emulator else {}
    lines = []
    for variable, number, sure in zip(VARIABLES, session.twin.memory[0], session.twin.certainty[0], strict=True):
        name, value, truth = variable.name.replace("_", " "), variable.classes[number], real.get(variable.name, "")
        possible = value.split("|")  # some are known to be one of several
        value = value if len(possible) <= 2 else f"one of {len(possible)}"
        lines.append(Remembered(name, value, float(sure), truth, not truth or truth in possible))
    return lines
