"""A state is a value: it is batched, picked from and put together without being changed."""

from __future__ import annotations

import numpy as np

from model.state import (
    FRACTIONS,
    INDEX,
    NOT_KNOWN,
    SIGNED_SPEEDS,
    SIZES,
    VARIABLES,
    State,
    stack,
    where,
)


def numbered(games: int, start: int = 0) -> State:
    """A state whose games can be told apart."""
    number = np.arange(start, start + games)
    shapes = ((210, 160), (4, 4), (6, 18), (4,), (len(SIZES),), (len(SIZES),))
    types = (np.uint8, np.int64, np.uint8, np.int64, np.int64, np.float32)
    return State(
        *(
            np.broadcast_to(number.reshape(-1, *[1] * len(shape)), (games, *shape)).astype(kind)
            for shape, kind in zip(shapes, types, strict=True)
        )
    )


def numbers(state: State) -> list[int]:
    """Which games a state holds; all its parts must agree."""
    found = [part.reshape(len(part), -1) for part in state]
    assert all((part == part[:, :1]).all() for part in found)
    first = found[0][:, 0].tolist()
    assert all(part[:, 0].tolist() == first for part in found)
    return first


def test_every_variable_begins_with_not_known() -> None:
    assert [variable.classes[NOT_KNOWN] for variable in VARIABLES] == ["not known"] * len(VARIABLES)
    assert list(SIZES) == [len(variable.classes) for variable in VARIABLES]
    assert [VARIABLES[number].name for number in INDEX.values()] == list(INDEX)
    for variable in VARIABLES:
        assert len(set(variable.classes)) == len(variable.classes), variable.name


def test_the_words_of_classes() -> None:
    fractions = VARIABLES[INDEX["half_row"]].classes
    assert len(fractions) == 1 << FRACTIONS
    assert fractions[1] == "0/8"
    assert fractions[0b10010] == "1/8|4/8"
    speeds = VARIABLES[INDEX["speed"]].classes
    assert len(speeds) == len(SIGNED_SPEEDS) + 1
    assert speeds[1] == "no ball"
    assert speeds[1 + SIGNED_SPEEDS.index((-3.375, 2.0))] == "-3.375 +2"


def test_rows_are_picked_by_slice_number_and_mask() -> None:
    state = numbered(4)
    assert numbers(state.rows(slice(1, 3))) == [1, 2]
    assert numbers(state.rows(np.array([3, 3, 0]))) == [3, 3, 0]
    assert numbers(state.rows(np.array([True, False, False, True]))) == [0, 3]


def test_stack_and_rows_are_inverse() -> None:
    assert numbers(stack([numbered(2), numbered(3, 7)])) == [0, 1, 7, 8, 9]
    state = numbered(3)
    again = stack([state.rows(slice(game, game + 1)) for game in range(3)])
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(state, again, strict=True))


def test_where_takes_each_game_from_one_of_two() -> None:
    these, others = numbered(3), numbered(3, 10)
    kept = [part.copy() for part in these]
    found = where(np.array([True, False, True]), these, others)
    assert numbers(found) == [0, 11, 2]
    for part in found:
        part[...] = 99
    assert all(np.array_equal(a, b) for a, b in zip(kept, these, strict=True)), "what is given is not changed"
    assert all(a.dtype == b.dtype for a, b in zip(found, these, strict=True))
