"""What codes do: an exact twin's pictures and names are those of the real game."""

from types import SimpleNamespace

import numpy as np
import pytest

from evaluate.analysis.gallery import Example, collect_examples, describe, describe_codes, representative, way_text
from evaluate.analysis.pictures import before_after_difference, difference, rgb_of
from evaluate.analysis.style import APPEARS, OTHER_COLOUR, VANISHES
from evaluate.objects import find_balls, find_paddles
from model.breakout import PALETTE, to_cells


def example(ball=None, paddle=None, others=()) -> Example:
    blank = np.zeros((30, 32), np.uint8)
    return Example(7, 3, blank, blank, ball, paddle, others)


def test_ways_in_words() -> None:
    assert way_text(-3, 2) == "2 right, 3 up"
    assert way_text(4, 0) == "4 down"
    assert way_text(0, -7.5) == "7.5 left"
    assert way_text(0, 0) == "still"


def test_a_code_is_named_by_the_median_of_its_commonest_kind() -> None:
    found = describe([example((-3.0, 2.0)), example((-3.0, 2.0)), example((-3.0, 4.0)), example(paddle=8.0)])
    assert found["name"] == "ball 2 right, 3 up"
    assert found["same_kind"] == 0.75
    assert found["agree"] == pytest.approx(2 / 3)
    assert found["ball"] == [-3, 2]
    assert describe([example(paddle=-8.0)])["name"] == "paddle 8 left"
    assert describe([example((1.0, 0.0), 2.0)])["name"] == "ball 1 down; paddle 2 right"
    assert describe([example()])["name"] == "something else"
    assert describe([example((1.0, 0.0)), example(paddle=2.0)])["name"].startswith("mixed, often ball")
    assert representative([example((9.0, 9.0)), example((-3.0, 2.0)), example((-3.0, 2.0))]).ball == (-3.0, 2.0)


def test_an_exact_twins_examples_are_the_real_cells(twin, games) -> None:
    t = games.transitions()[40:140:2]
    codes = twin.encode_batch(games.frame(t), games.frame(t + 1))
    sample = SimpleNamespace(dataset=games, counted=t, codes=codes)
    # Every code is a cell's new content, so it may occur at several positions.
    pair = tuple(int(v) for v in (codes[codes > 0][0], np.argwhere(codes)[0][1]))
    examples = collect_examples(twin, sample, {pair})
    assert {e.code for e in examples} == set(np.unique(codes)) - {0}
    assert pair in {(e.code, e.cell) for e in examples}
    real = {(cell, to_cells(games.frame(n))[cell].tobytes(), to_cells(games.frame(n + 1))[cell].tobytes())
            for n, row in zip(t, codes, strict=True) for cell in np.flatnonzero(row)}  # fmt: skip
    assert {(e.cell, e.before.tobytes(), e.after.tobytes()) for e in examples} <= real
    frames, after = games.frame(t), games.frame(t + 1)
    ways = find_balls(after) - find_balls(frames)
    assert {e.ball for e in examples if e.ball} <= {tuple(way) for way in ways.tolist()}
    moves = find_paddles(after) - find_paddles(frames)
    assert {e.paddle for e in examples if e.paddle} <= set(moves.tolist())
    assert any(e.ball for e in examples)

    names = describe_codes(sample, examples)
    assert len(names) == 256
    assert names["0"]["name"] == "nothing changes"
    assert names["255"] == {"seen": 0, "name": None, "examples": 0, "same_kind": None, "agree": None, "ball": None,
                            "paddle": None}  # fmt: skip
    assert sum(about["seen"] for about in names.values()) == codes.size


def test_a_difference_tells_what_appears_vanishes_and_changes_colour() -> None:
    before, after = np.array([[0, 5, 5, 1]], np.uint8), np.array([[5, 0, 2, 1]], np.uint8)
    shown = difference(before, after)[0]
    assert [tuple(pixel) for pixel in shown[:3].tolist()] == [rgb_of(c) for c in (APPEARS, VANISHES, OTHER_COLOUR)]
    assert shown[3].tolist() != PALETTE[1].tolist()
    assert before_after_difference(before, after).startswith(b"\x89PNG")
