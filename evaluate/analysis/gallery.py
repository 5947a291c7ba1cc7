"""What each code does to a frame, shown on held-out examples and named by them; and four futures of one moment.

An example is a step in which a cell got this code. What happened in the cell is read from the emulator's RAM, and a
code's name is the median way that ball or paddle went: "ball 2 right, 3 up", "paddle 8 left".
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from collect import ram
from collect.dataset import TransitionDataset
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from evaluate.heldout import SEED_OFFSET
from evaluate.rollouts import Mode, Rollout, Truth
from evaluate.summaries import ball_cells, ball_seen
from model.breakout import CODES, COLUMNS, EMULATOR_HZ, GRID_ROWS, UNCHANGED, Action, Frame, to_cells
from model.engine import Engine
from model.metrics import ball_error, paddle_error
from model.readers import Ints
from model.state import State

EXAMPLES = 6
"""Examples that a code's name is measured on, fewer for a rare code."""
SECONDS = 0.5
BALL_BETWEEN = 130, 165
"""Rows in which the ball rises at the moment whose futures are shown: room above the paddle and below the bricks."""
TRIES = 20_000


class Example(NamedTuple):
    """One cell before and after a step in which it got this code, and what happened there."""

    code: int
    cell: int
    before: Frame  # (30, 32) uint8 classes
    after: Frame
    ways: dict[str, tuple[float, float]]  # of "ball" and "paddle", if they are here: rows and columns gone
    others: tuple[str, ...]  # what else happened

    @property
    def kind(self) -> tuple[str, ...]:
        """What sort of thing it is, without how far it went."""
        return (*self.ways, *self.others) or ("something else",)


Examples = dict[int, list[Example]]
"""By code, in the order of the codes."""


def collect_examples(dataset: TransitionDataset, truth: Truth, wanted: Iterable[tuple[int, int]]) -> Examples:
    """Examples of every code that occurs: `EXAMPLES` of each, and one of each `wanted` (code, cell) that occurs."""
    rows, cells = np.nonzero(truth.codes != UNCHANGED)
    codes = truth.codes[rows, cells]
    missing, found = set(wanted), {int(code): list[Example]() for code in np.unique(codes)}
    now, after = ram.read(dataset.ram[truth.t]), ram.read(dataset.ram[truth.t + 1])
    here, was, there = ball_cells(now, after), ball_seen(dataset, truth.t), ball_seen(dataset, truth.t + 1)
    for number in np.random.default_rng(0).permutation(len(codes)):
        code, cell, n = int(codes[number]), int(cells[number]), int(rows[number])
        if len(found[code]) < EXAMPLES or (code, cell) in missing:
            missing.discard((code, cell))
            pair = to_cells(dataset.frame(truth.t[n] + np.arange(2)))[:, cell]
            seen = (bool(was[n]), bool(there[n])) if here[n, cell] else None
            found[code].append(Example(code, cell, pair[0], pair[1], *_what_happened(now, after, n, cell, seen)))
    return found


def _what_happened(
    now: ram.GameState, after: ram.GameState, n: int, cell: int, seen: tuple[bool, bool] | None
) -> tuple[dict[str, tuple[float, float]], tuple[str, ...]]:
    """Ways and all else that happened in a cell in step n. `seen`: whether the ball is seen before and after; None if
    it has no part in this cell."""
    if cell % GRID_ROWS == 0:
        return {}, ("digits",)
    ways, others = {}, []
    if seen is not None:
        if all(seen):
            rows, columns = after.ball_row - now.ball_row, after.ball_column - now.ball_column
            ways["ball"] = float(rows[n]), float(columns[n])
        elif any(seen):
            others.append("ball appears" if seen[1] else "ball goes out of sight")
        if (now.wall[n] & ~after.wall[n]).any():
            others.append("brick goes")
    moved = float(after.paddle_column[n] - now.paddle_column[n])
    if moved and cell % GRID_ROWS == GRID_ROWS - 1:
        ways["paddle"] = 0.0, moved
    return ways, tuple(others)


def way_text(rows: float, columns: float) -> str:
    """A way in words: "2 right, 3 up", "still"."""
    across = f"{abs(columns):g} {'right' if columns > 0 else 'left'}" if columns else ""
    along = f"{abs(rows):g} {'down' if rows > 0 else 'up'}" if rows else ""
    return ", ".join(part for part in (across, along) if part) or "still"


def _commonest(examples: list[Example]) -> tuple[str, ...]:
    kinds = Counter(example.kind for example in examples)
    return min(kinds, key=lambda kind: (-kinds[kind], kind))


def describe(examples: list[Example]) -> str:
    """The name of a code by the median ways of its examples of the commonest kind."""
    kind = _commonest(examples)
    same = [example for example in examples if example.kind == kind]
    ways = {thing: np.median([example.ways[thing] for example in same], 0) for thing in same[0].ways}
    name = "; ".join([f"{thing} {way_text(*way)}" for thing, way in ways.items()] + list(kind[len(ways) :]))
    return name if 2 * len(same) > len(examples) else f"mixed, often {name}"


def representative(examples: list[Example]) -> Example:
    """The example that shows a code best: of the commonest kind, with most to see."""
    kind = _commonest(examples)
    return min(examples, key=lambda one: (one.kind != kind, -int((one.before != one.after).sum())))


def describe_codes(codes: Ints, examples: Examples) -> dict[str, dict[str, Any]]:
    """Each code's name, and how often it was `seen` in codes (N, 35); one never seen has no name."""
    names = {code: describe(of) for code, of in examples.items()} | {UNCHANGED: "nothing changes"}
    counts = np.bincount(codes.ravel(), minlength=CODES)
    return {str(code): {"seen": int(counts[code]), "name": names.get(code)} for code in range(CODES)}


# --- four futures ---


class Futures(NamedTuple):
    """Screens of classes (210, 160) uint8: the moment, and by key the real end and every controller's."""

    start: Frame
    real: dict[str, Frame]
    dreamt: dict[str, dict[str, Frame]]


def four_futures(engine: Engine, policy: str, seed: int) -> tuple[Futures, dict[str, Any]]:
    """Each key held for a while from one moment, in the real game and in every controller's dream, and how far the
    dreams are off: wrong pixels, ball and paddle in pixels. ValueError without such a moment."""
    emulator = Emulator(engine.frameskip)
    state = find_moment(emulator, engine, policy, seed)
    snapshot, steps = emulator.snapshot(), max(1, round(SECONDS * emulator.steps_per_second))
    found, numbers = Futures(state.frame[0], {}, {name: {} for name in engine.controllers}), dict[str, Any]()
    for action in Action:
        key = action.name.lower()
        emulator.restore(snapshot)
        for _ in range(steps):
            emulator.step(action)
        found.real[key], numbers[key] = emulator.frame, {}
        for name in engine.controllers:
            roll = Rollout(engine, state, controller=name)
            for _ in range(steps):
                roll.step(np.array([action]))
            found.dreamt[name][key], pair = roll.state.frame[0], (emulator.frame[None], roll.state.frame)
            errors = {"ball_error": float(ball_error(*pair)[0]), "paddle_error": float(paddle_error(*pair)[0])}
            numbers[key][name] = {"wrong_pixels": int((pair[0] != pair[1]).sum()), **errors}
    return found, {"seconds": steps * engine.frameskip / EMULATOR_HZ, "keys": numbers}


def find_moment(emulator: Emulator, engine: Engine, policy: str, seed: int) -> State:
    """Play a held-out game to the first moment with the ball rising below the bricks and the paddle near the middle.

    The emulator is then there; returns the state of the twin that has watched.
    """
    rng, over, row = np.random.default_rng([SEED_OFFSET + seed, 1 << 20]), True, 0
    for _ in range(TRIES):
        if over:
            start_episode(emulator, policy, rng)
            player = make_policy(policy, rng, emulator.frameskip)
            roll = Rollout(engine, engine.begin(emulator.frame[None, None], fresh=True), Mode.real)
        action = player.act(emulator.objects())
        over = emulator.step(action).over
        roll.step(np.array([action]), emulator.frame[None])
        objects = emulator.objects()
        last, row = row, objects.ball[0] if objects.ball else 0
        middle = COLUMNS * 0.3 < objects.paddle < COLUMNS * 0.6
        if row < last and BALL_BETWEEN[0] < row < BALL_BETWEEN[1] and middle:
            return roll.state
    raise ValueError(f"the {policy} policy never had the ball in free flight; choose another --policy or --seed")
