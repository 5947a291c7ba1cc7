"""What each code does to a frame, shown on held-out examples and named by them; and four futures of one moment.

An example is a step in which a cell got this code. What happened in the cell is read from the emulator's RAM, and a
code's name is the median way that ball or paddle went: "ball 2 right, 3 up", "paddle 8 left".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from evaluate.heldout import SEED_OFFSET
from evaluate.rollouts import Truth
from evaluate.summaries import ball_cells, ball_seen
from model.breakout import CODES, COLUMNS, EMULATOR_HZ, GRID_ROWS, UNCHANGED, Action, Frame, to_cells
from model.metrics import ball_error, paddle_error

if TYPE_CHECKING:
    from model.engine import Engine

EXAMPLES = 6
"""Examples that a code's name is measured on, fewer for a rare code."""
AGREE = 1.0
"""Pixels within which an example's way is that of the name."""
SECONDS = 0.5
BALL_BETWEEN = 130, 165
"""Rows in which the ball rises at the moment whose futures are shown: room above the paddle and below the bricks."""
_TRIES = 20_000


@dataclass(frozen=True)
class Example:
    """One cell (30, 32) uint8 classes before and after a step in which it got this code, and what happened there.

    `ball` and `paddle` are (rows, columns) and columns gone, None if there was none here; `others` what else happened.
    """

    code: int
    cell: int
    before: Frame
    after: Frame
    ball: tuple[float, float] | None
    paddle: float | None
    others: tuple[str, ...]

    @property
    def kind(self) -> tuple[str, ...]:
        """What sort of thing it is, without how far it went."""
        moved = ("ball",) * (self.ball is not None) + ("paddle",) * (self.paddle is not None)
        return (*moved, *self.others) or ("something else",)


def collect_examples(dataset: TransitionDataset, truth: Truth, wanted: Iterable[tuple[int, int]]) -> list[Example]:
    """Examples of every code that occurs: `EXAMPLES` of each, and one of each `wanted` (code, cell) that occurs."""
    rows, cells = np.nonzero(truth.codes != UNCHANGED)
    codes = truth.codes[rows, cells]
    times: Counter[int] = Counter()
    missing, found = set(wanted), []
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    here, was, there = ball_cells(now, after), ball_seen(dataset, truth.t), ball_seen(dataset, truth.t + 1)
    for number in np.random.default_rng(0).permutation(len(codes)):
        code, cell, n = int(codes[number]), int(cells[number]), int(rows[number])
        if times[code] < EXAMPLES or (code, cell) in missing:
            times[code] += 1
            missing.discard((code, cell))
            pair = to_cells(dataset.frame(truth.t[n] + np.arange(2)))[:, cell]
            seen = (bool(was[n]), bool(there[n])) if here[n, cell] else None
            found.append(Example(code, cell, pair[0], pair[1], *_what_happened(now, after, n, cell, seen)))
    return found


def _what_happened(
    now: ram.GameState, after: ram.GameState, n: int, cell: int, seen: tuple[bool, bool] | None
) -> tuple[tuple[float, float] | None, float | None, tuple[str, ...]]:
    """Ball's way, paddle's way and all else that happened in a cell in step n. `seen`: whether the ball is seen before
    and after; None if it has no part in this cell."""
    if cell % GRID_ROWS == 0:
        return None, None, ("digits",)
    ball, others = None, []
    if seen is not None:
        if all(seen):
            rows, columns = after.ball_row - now.ball_row, after.ball_column - now.ball_column
            ball = float(rows[n]), float(columns[n])
        elif any(seen):
            others.append("ball appears" if seen[1] else "ball goes out of sight")
        if (now.wall[n] & ~after.wall[n]).any():
            others.append("brick goes")
    moved = float(after.paddle_column[n] - now.paddle_column[n])
    return ball, moved if moved and cell % GRID_ROWS == GRID_ROWS - 1 else None, tuple(others)


def way_text(rows: float, columns: float) -> str:
    """A way in words: "2 right, 3 up", "still"."""
    across = f"{abs(columns):g} {'right' if columns > 0 else 'left'}" if columns else ""
    along = f"{abs(rows):g} {'down' if rows > 0 else 'up'}" if rows else ""
    return ", ".join(part for part in (across, along) if part) or "still"


def _commonest(examples: list[Example]) -> tuple[str, ...]:
    kinds = Counter(example.kind for example in examples)
    return min(kinds, key=lambda kind: (-kinds[kind], kind))


def describe(examples: list[Example]) -> dict[str, Any]:
    """The name of a code from its examples, and how far they agree.

    `same_kind` is the share of examples of the commonest kind, which gives the name; `agree` the share of those that
    went the median way, within a pixel in rows and columns. `ball` [rows, columns] and `paddle` are that way.
    """
    kind = _commonest(examples)
    same = [example for example in examples if example.kind == kind]
    ball = paddle = None
    agrees, parts = np.ones(len(same), bool), []
    if "ball" in kind:
        ways = np.array([example.ball for example in same])
        ball = np.median(ways, 0)
        agrees &= (np.abs(ways - ball) <= AGREE).all(1)
        parts.append(f"ball {way_text(*ball)}")
    if "paddle" in kind:
        moves = np.array([example.paddle for example in same])
        paddle = float(np.median(moves))
        agrees &= np.abs(moves - paddle) <= AGREE
        parts.append(f"paddle {way_text(0, paddle)}")
    name = "; ".join(parts + [other for other in kind if other not in ("ball", "paddle")])
    return {
        "name": name if 2 * len(same) > len(examples) else f"mixed, often {name}",
        "examples": len(examples),
        "same_kind": len(same) / len(examples),
        "agree": float(agrees.mean()),
        "ball": None if ball is None else ball.tolist(),
        "paddle": paddle,
    }


def representative(examples: list[Example]) -> Example:
    """The example that shows a code best: of the commonest kind, with most to see."""
    kind = _commonest(examples)
    return min(examples, key=lambda one: (one.kind != kind, -int((one.before != one.after).sum())))


def by_code(examples: list[Example]) -> dict[int, list[Example]]:
    """The examples of each code, in the order of the codes."""
    found: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda one: one.code):
        found.setdefault(example.code, []).append(example)
    return found


def describe_codes(codes: Any, examples: list[Example]) -> dict[str, dict[str, Any]]:
    """`describe` for each code, by its number as text, with how often it was `seen` in codes (N, 35); a code never seen
    has no name."""
    counts, of = np.bincount(codes.ravel(), minlength=CODES), by_code(examples)
    nothing = {"name": None, "examples": 0, "same_kind": None, "agree": None, "ball": None, "paddle": None}
    found = {
        str(code): {"seen": int(counts[code]), **(describe(of[code]) if code in of else nothing)}
        for code in range(CODES)
    }
    found[str(UNCHANGED)]["name"] = "nothing changes"
    return found


@dataclass(frozen=True)
class Futures:
    """Screens of classes (210, 160) uint8: the moment, and by key the real end and every controller's."""

    start: Frame
    real: dict[str, Frame]
    dreamt: dict[str, dict[str, Frame]]


def four_futures(engine: Engine, policy: str, seed: int, seconds: float = SECONDS) -> tuple[Futures, dict[str, Any]]:
    """Each key held for a while from one moment, in the real game and in every controller's dream, and how far the
    dreams are off: wrong pixels, ball and paddle in pixels. ValueError without such a moment."""
    emulator = Emulator(engine.frameskip)
    state = find_moment(emulator, engine, policy, seed)
    snapshot, steps = emulator.snapshot(), max(1, round(seconds * emulator.steps_per_second))
    real: dict[str, Frame] = {}
    numbers: dict[str, Any] = {}
    dreamt: dict[str, dict[str, Frame]] = {name: {} for name in engine.controllers}
    for action in Action:
        key, held = action.name.lower(), np.array([action])
        emulator.restore(snapshot)
        for _ in range(steps):
            emulator.step(action)
        real[key] = emulator.frame
        numbers[key] = {}
        for name in engine.controllers:
            dream = state
            for _ in range(steps):
                prediction = engine.predict(dream, held, name)
                dream = engine.advance(dream, held, prediction.frame, prediction)
            dreamt[name][key], pair = dream.frame[0], (real[key][None], dream.frame)
            wrong = int((pair[0] != pair[1]).sum())
            errors = {"ball_error": float(ball_error(*pair)[0]), "paddle_error": float(paddle_error(*pair)[0])}
            numbers[key][name] = {"wrong_pixels": wrong, **errors}
    return Futures(state.frame[0], real, dreamt), {"seconds": steps * engine.frameskip / EMULATOR_HZ, "keys": numbers}


def find_moment(emulator: Emulator, engine: Engine, policy: str, seed: int) -> Any:
    """Play a held-out game to the first moment with the ball rising below the bricks and the paddle near the middle.

    The emulator is then there; returns the state of the twin that has watched.
    """
    rng = np.random.default_rng([SEED_OFFSET + seed, 1 << 20])
    over, row = True, 0
    for _ in range(_TRIES):
        if over:
            start_episode(emulator, policy, rng)
            player = make_policy(policy, rng, emulator.frameskip)
            state = engine.begin(emulator.frame[None, None], fresh=True)
        action = player.act(emulator.objects())
        over = emulator.step(action).over
        state = engine.advance(state, np.array([action]), emulator.frame[None])
        objects = emulator.objects()
        last, row = row, objects.ball[0] if objects.ball else 0
        middle = COLUMNS * 0.3 < objects.paddle < COLUMNS * 0.6
        if row < last and BALL_BETWEEN[0] < row < BALL_BETWEEN[1] and middle:
            return state
    raise ValueError(f"the {policy} policy never had the ball in free flight; choose another --policy or --seed")
