"""What each code does to a frame: drawn on held-out examples, and named by what was measured on them.

An example is a step in which the encoder gave a cell this code. The decoder redraws the frame from the codes of the
real pair; a cell's own code alone decides what becomes of that cell. Ball and paddle are found in the frame before and
in the drawn one, and the name is the median way they went: "ball 2 right, 3 up", "paddle 8 left".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluate.analysis.events import DIGIT_ROWS
from evaluate.analysis.sample import Sample
from evaluate.objects import (
    BALL_COLUMNS,
    BALL_ROWS,
    BRICK_HEIGHT,
    BRICK_ROWS,
    BRICK_TOP,
    BRICK_WIDTH,
    FIELD_COLUMNS,
    PADDLE_ROWS,
    find_balls,
    find_bricks,
    find_paddles,
)
from model import WorldModel
from model.breakout import CELL_COLUMNS, CELL_ROWS, CODES, GRID_ROWS, Frame, to_cells
from model.quantizer import UNCHANGED

EXAMPLES = 6
"""Examples that a code's name is measured on, fewer for a rare code."""
AGREE = 1.0
"""Pixels within which an example's way is that of the name."""
BATCH = 64
_PADDLE_WIDTH = 16
UNCHANGED_NAME = "nothing changes"


@dataclass(frozen=True)
class Example:
    """One cell (30, 32) uint8 classes before and after its code was drawn, and what moved there.

    `ball` and `paddle` are (rows, columns) gone, None if there was none here; `others` says what else happened.
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


def collect_examples(
    wm: WorldModel,
    sample: Sample,
    wanted: Iterable[tuple[int, int]],
    show: Callable[[float], None] = lambda share: None,
) -> list[Example]:
    """Examples of every code that occurs: `EXAMPLES` of each, and one of each `wanted` (code, cell) that occurs."""
    rows, cells = np.nonzero(sample.codes != UNCHANGED)
    codes = sample.codes[rows, cells]
    order = np.random.default_rng(0).permutation(len(codes))
    seen: Counter[int] = Counter()
    missing = set(wanted)
    chosen = []
    for number in order:
        code, pair = int(codes[number]), (int(codes[number]), int(cells[number]))
        if seen[code] < EXAMPLES or pair in missing:
            seen[code] += 1
            missing.discard(pair)
            chosen.append(number)
    steps, which = np.unique(rows[chosen], return_inverse=True)
    by_step: dict[int, list[int]] = {}
    for number, step in zip(chosen, which, strict=True):
        by_step.setdefault(int(step), []).append(int(cells[number]))
    found = []
    for start in range(0, len(steps), BATCH):
        some = steps[start : start + BATCH]
        history = sample.dataset.frame(sample.dataset.history(sample.counted[some], 2))
        drawn = wm.decode_batch(history, sample.codes[some])
        batch = [by_step[start + n] for n in range(len(some))]
        found += _examples(history[:, -1], drawn, sample.codes[some], batch)
        show((start + len(some)) / len(steps))
    return found


def _examples(before: Frame, after: Frame, codes: npt.NDArray[np.int64], cells: list[list[int]]) -> list[Example]:
    """One batch: frames (B, 210, 160), codes (B, 35), and the cells of each frame that are wanted."""
    balls, paddles = (find_balls(before), find_balls(after)), (find_paddles(before), find_paddles(after))
    gone = find_bricks(before) & ~find_bricks(after)
    parts = to_cells(before), to_cells(after)
    digits = (before[:, :DIGIT_ROWS] != after[:, :DIGIT_ROWS]).any(1)
    found = []
    for b, wanted in enumerate(cells):
        for cell in wanted:
            rows, columns = _extent(cell)
            ball = paddle = None
            others = []
            here = [_touches(found_ball[b], rows, columns) for found_ball in balls]
            if any(here):
                if np.isnan(balls[0][b, 0]):
                    others.append("ball appears")
                elif np.isnan(balls[1][b, 0]):
                    others.append("ball goes out of sight")
                else:
                    way = balls[1][b] - balls[0][b]
                    ball = float(way[0]), float(way[1])
            if rows.stop > PADDLE_ROWS.start and any(_overlaps(p[b], _PADDLE_WIDTH, columns) for p in paddles):
                way = paddles[1][b] - paddles[0][b]
                if way and not np.isnan(way):
                    paddle = float(way)
            if gone[b][_bricks_in(rows, columns)].any():
                others.append("brick goes")
            elif ball is None and not others and _at_bricks(rows):
                others.append("ball at the bricks")
            if rows.start == 0 and digits[b, columns].any():
                others.append("digits")
            code = int(codes[b, cell])
            found.append(Example(code, cell, parts[0][b, cell], parts[1][b, cell], ball, paddle, tuple(others)))
    return found


def _extent(cell: int) -> tuple[slice, slice]:
    """The rows and columns of the screen that a cell takes."""
    column, row = divmod(cell, GRID_ROWS)
    return (
        slice(row * CELL_ROWS, (row + 1) * CELL_ROWS),
        slice(column * CELL_COLUMNS, (column + 1) * CELL_COLUMNS),
    )


def _overlaps(start: float, length: int, span: slice) -> bool:
    """Whether `length` pixels from `start` on reach into a span; NaN reaches nowhere."""
    return bool(start + length > span.start and start < span.stop)


def _touches(ball: npt.NDArray[np.float32], rows: slice, columns: slice) -> bool:
    return _overlaps(ball[0], BALL_ROWS, rows) and _overlaps(ball[1], BALL_COLUMNS, columns)


def _bricks_in(rows: slice, columns: slice) -> tuple[slice, slice]:
    """The bricks that lie, at least in part, within these rows and columns of the screen."""
    top, bottom = (rows.start - BRICK_TOP) // BRICK_HEIGHT, -((BRICK_TOP - rows.stop) // BRICK_HEIGHT)
    left = (columns.start - FIELD_COLUMNS.start) // BRICK_WIDTH
    right = -((FIELD_COLUMNS.start - columns.stop) // BRICK_WIDTH)
    return slice(max(0, top), max(0, bottom)), slice(max(0, left), max(0, right))


def _at_bricks(rows: slice) -> bool:
    return rows.start < BRICK_TOP + BRICK_ROWS * BRICK_HEIGHT and rows.stop > CELL_ROWS


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
    agrees = np.ones(len(same), bool)
    parts = []
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
    parts += [other for other in kind if other not in ("ball", "paddle")]
    name = "; ".join(parts)
    return {
        "name": name if 2 * len(same) > len(examples) else f"mixed, often {name}",
        "examples": len(examples),
        "same_kind": len(same) / len(examples),
        "agree": float(agrees.mean()),
        "ball": None if ball is None else ball.tolist(),
        "paddle": paddle,
    }


def representative(examples: list[Example]) -> Example:
    """The example that shows a code best: of the commonest kind, with something to see, nearest to the median way."""
    about = describe(examples)
    goal = np.array([*(about["ball"] or (0, 0)), about["paddle"] or 0])

    def off(example: Example) -> tuple[bool, bool, float, int]:
        way = np.array([*(example.ball or (0, 0)), example.paddle or 0])
        changed = int((example.before != example.after).sum())
        # Of a thing that crosses a border a cell may show next to nothing, so more to see is better.
        return example.kind != _commonest(examples), changed == 0, float(np.abs(way - goal).sum()), -changed

    return min(examples, key=off)


def describe_codes(sample: Sample, examples: list[Example]) -> dict[str, dict[str, Any]]:
    """`describe` for each code, by its number as text, with how often it was `seen`; a code never seen has no name."""
    counts = np.bincount(sample.codes.ravel(), minlength=CODES)
    by_code: dict[int, list[Example]] = {}
    for example in examples:
        by_code.setdefault(example.code, []).append(example)
    nothing = {"examples": 0, "same_kind": None, "agree": None, "ball": None, "paddle": None}
    found = {str(UNCHANGED): {"seen": int(counts[UNCHANGED]), "name": UNCHANGED_NAME, **nothing}}
    for code in range(UNCHANGED + 1, CODES):
        about = describe(by_code[code]) if code in by_code else {"name": None, **nothing}
        found[str(code)] = {"seen": int(counts[code]), **about}
    return found
