"""Codes: 0 exactly where nothing changes, and whatever else they say, what they draw is a picture of the game."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model.appearance import Appearance
from model.breakout import (
    BRICK_HEIGHT,
    BRICK_WIDTH,
    CELLS,
    CODES,
    FIELD_LEFT,
    FIELD_RIGHT,
    GRID_ROWS,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
    SHORT_PADDLE,
    UNCHANGED,
    WALL_TOP,
    changed_cells,
)
from model.context import BALL_STEP, NEAR_BRICKS, PADDLE_STEP
from model.readers import BRICK_CLASSES, read_digits
from model.state import LIVES, ONES, PADDLE, TENS, State, Things
from model.tracker import look_at
from model.twin import Twin
from model.vqvae import HEADS, NONE, SAME_DIGIT, SERVE, STEP, TO_SHORT, Events
from tests.model.random_states import between
from train.data import Data

PAIRS, GRIDS = 300, 300


@pytest.fixture(scope="module")
def pairs(dataset: TransitionDataset, data: Data) -> tuple[Tensor, Tensor]:
    """Real frames and those after them."""
    t = data.steps[:: len(data.steps) // PAIRS].numpy()
    return torch.from_numpy(dataset.frame(t)), torch.from_numpy(dataset.frame(t + 1))


@torch.no_grad()
def test_code_zero_is_exactly_where_nothing_changes(twin: Twin, pairs: tuple[Tensor, Tensor]) -> None:
    codes = twin.encode(*pairs)
    changed = np.stack([changed_cells(a, b) for a, b in zip(*(part.numpy() for part in pairs), strict=True)])
    assert np.array_equal(codes.numpy() != UNCHANGED, changed)
    assert codes.shape == (len(changed), CELLS)
    assert codes.dtype == torch.int64
    assert int(codes.min()) >= 0
    assert int(codes.max()) < CODES
    assert changed.any(0).sum() > 15


@torch.no_grad()
def test_same_frames_are_all_zero(twin: Twin, pairs: tuple[Tensor, Tensor]) -> None:
    assert not twin.encode(pairs[0][:20], pairs[0][:20]).any()


@torch.no_grad()
def test_cells_are_in_order_column_by_column(twin: Twin, look: Appearance) -> None:
    before = things(ball=(120, 60))
    for after, cells in (
        (before._replace(ball=torch.tensor([[122, 61]])), [1 * GRID_ROWS + 4]),
        (before._replace(paddle=torch.tensor([[73, LONG_PADDLE]])), [2 * GRID_ROWS + 6]),
        (before._replace(board=torch.tensor([[0, 0, 0, 4]])), [3 * GRID_ROWS]),
        (before._replace(board=torch.tensor([[0, 1, 0, 5]])), [1 * GRID_ROWS]),
    ):
        codes = twin.encode(look.paint(before), look.paint(after))
        assert torch.nonzero(codes[0]).flatten().tolist() == cells


@torch.no_grad()
def test_all_cells_that_one_event_touches_have_its_code(twin: Twin, pairs: tuple[Tensor, Tensor]) -> None:
    """So a step has few codes: the ball's, the paddle's, a new wall's, and those of the score's cells."""
    for grid in twin.encode(*pairs).reshape(-1, 5, GRID_ROWS)[:, :, 1:].flatten(1).tolist():
        assert len(set(grid) - {UNCHANGED}) <= 3


def things(ball: tuple[int, int], paddle: int = 70) -> Things:
    """One moment of a new game."""
    wall = torch.ones(1, 6, 18, dtype=torch.uint8)
    return Things(torch.tensor([ball]), torch.tensor([[paddle, LONG_PADDLE]]), wall, torch.tensor([[0, 0, 0, 5]]))


def still(now: Things) -> State:
    """A state in which nothing moves and nothing is known."""
    objects = torch.cat((now.ball, now.paddle), 1)[:, None].expand(-1, 4, -1)
    memory = torch.zeros(len(objects), 11, dtype=torch.long)
    return State(None, objects, now.wall, now.board, memory, memory.float())


def say(**events: dict[str, int]) -> Events:
    """A codebook in which code 1, 2, ... says what is given for it, by its heads' names, and all others nothing."""
    said = {name: torch.zeros(CODES, dtype=torch.long) for name in HEADS}
    said["left_digit"] += SAME_DIGIT
    said["right_digit"] += SAME_DIGIT
    bricks = torch.zeros(CODES, NEAR_BRICKS, dtype=torch.long)
    for code, event in enumerate(events.values(), 1):
        for name, value in event.items():
            if name == "brick":
                bricks[code, value] = 1
            else:
                said[name][code] = value
    return Events(said, bricks)


BOOK = say(
    ball={"ball": STEP, "ball_row_step": BALL_STEP - 2, "ball_column_step": BALL_STEP + 1, "brick": 3},
    paddle={"paddle": 1, "paddle_step": PADDLE_STEP + 4, "paddle_width": TO_SHORT},
    serve={"ball": SERVE, "serve_row": 122, "serve_column": 80},
    points={"left_digit": 3, "right_digit": SAME_DIGIT},
    wall={"new_wall": 1},
)
BALL, SLIDE, SERVED, DIGIT, WALL = range(1, 6)


def grid(**codes: int) -> Tensor:
    """A grid of codes (1, 35), by the names of cells: c2r4 is column 2, row 4."""
    found = torch.zeros(1, CELLS, dtype=torch.long)
    for name, code in codes.items():
        column, row = map(int, name[1:].split("r"))
        found[0, column * GRID_ROWS + row] = code
    return found


@torch.no_grad()
def test_a_code_does_what_it_says(twin: Twin) -> None:
    before = things(ball=(110, 60))
    seen = torch.tensor([False])
    after = twin.vqvae.follow(still(before), grid(c1r3=BALL, c2r6=SLIDE, c2r0=DIGIT), BOOK, seen)
    assert after.ball.tolist() == [[108, 61]]
    assert after.paddle.tolist() == [[74, SHORT_PADDLE]]
    assert int(after.board[0, ONES]) == 3
    assert after.board[0, [TENS, LIVES]].tolist() == [0, 5]
    assert torch.equal(after.wall, before.wall), "a brick that is near the ball only where no brick is"
    at_wall = things(ball=(97, 60))
    after = twin.vqvae.follow(still(at_wall), grid(c1r3=BALL), BOOK, seen)
    assert torch.nonzero(after.wall[0] == 0).tolist() == [[5, 6]], "the brick above the ball's new place, whole"
    none = things(ball=(0, 0))
    assert twin.vqvae.follow(still(none), grid(c2r4=SERVED), BOOK, ~seen).ball.tolist() == [[122, 80]]
    assert twin.vqvae.follow(still(none), grid(c2r4=BALL), BOOK, ~seen).ball.tolist() == [[0, 0]], "no ball to move"
    bare = before._replace(wall=torch.zeros_like(before.wall))
    assert twin.vqvae.follow(still(bare), grid(c0r2=WALL, c4r2=WALL), BOOK, seen).wall.all()


@torch.no_grad()
def test_nothing_said_is_nothing_done(twin: Twin) -> None:
    before = things(ball=(100, 60))
    after = twin.vqvae.follow(still(before), grid(), BOOK, torch.tensor([False]))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@torch.no_grad()
def test_of_codes_that_contradict_each_other_the_nearest_count(twin: Twin) -> None:
    before = things(ball=(100, 60))
    after = twin.vqvae.follow(still(before), grid(c1r3=BALL, c4r5=SERVED), BOOK, torch.tensor([False]))
    assert after.ball.tolist() == [[98, 61]]
    after = twin.vqvae.follow(still(before), grid(c4r2=BALL, c1r3=SERVED), BOOK, torch.tensor([False]))
    assert after.ball.tolist() == [[122, 80]]


def legal(frame: np.ndarray, shown: Things) -> None:
    """Whole bricks, at most one ball and one paddle, whole digits: found in the pixels without the painter."""
    assert (read_digits(frame[None], wrong=0)[0] >= 0).all()
    row, column = shown.ball[0].tolist()
    elsewhere = np.ones(frame.shape, np.bool_)
    elsewhere[max(0, row - 2) : row + 7, max(0, column) : max(0, column + 2)] = False
    for number, colour in enumerate(BRICK_CLASSES):
        for brick in range(18):
            y, x = WALL_TOP + number * BRICK_HEIGHT, FIELD_LEFT + brick * BRICK_WIDTH
            box = slice(y, y + BRICK_HEIGHT), slice(x, x + BRICK_WIDTH)
            assert set(frame[box][elsewhere[box]].tolist()) in ({0}, {colour}), (number, brick)
    field = (frame != 0) & elsewhere
    field[: WALL_TOP + 6 * BRICK_HEIGHT] = False
    strip = field[PADDLE_TOP:PADDLE_BOTTOM, FIELD_LEFT:FIELD_RIGHT]
    edges = np.diff(strip.any(0).astype(int), prepend=0, append=0)
    assert (edges == 1).sum() <= 1 + int(not elsewhere[PADDLE_TOP:PADDLE_BOTTOM].all()), "one paddle"
    assert strip.any(0).sum() <= LONG_PADDLE
    field[PADDLE_TOP:PADDLE_BOTTOM] = False
    assert not field[:PADDLE_BOTTOM, FIELD_LEFT:FIELD_RIGHT].any(), "nothing but one ball"


@torch.no_grad()
def test_a_decoder_that_cannot_scar(dataset: TransitionDataset, data: Data, twin: Twin) -> None:
    """Whatever codes are drawn in whatever real state: the picture is one of the game, and is read as what it shows."""
    chance = torch.Generator().manual_seed(0)
    t = data.steps[between(0, len(data.steps), (GRIDS,), chance)]
    codes = between(0, CODES, (GRIDS, CELLS), chance) * (torch.rand(GRIDS, CELLS, generator=chance) < 0.3)
    for part, said in zip(t.split(100), codes.split(100), strict=True):
        state = data.state(part)._replace(frame=torch.from_numpy(dataset.frame(part.numpy())))
        frames, shown = twin.draw(state, said)
        read = look_at(frames, state.objects[:, -1, 3], torch.cat((shown.ball, shown.paddle), 1), twin.appearance)
        assert torch.equal(twin.appearance.paint(read), frames)
        assert torch.equal(read.wall, shown.wall)
        assert torch.equal(read.board, shown.board)
        for number in range(len(part)):
            legal(frames[number].numpy(), Things(*(each[number : number + 1] for each in shown)))
    assert int((shown.paddle[:, 0] - state.objects[:, -1, PADDLE]).abs().max()) <= PADDLE_STEP
    assert (read.ball[:, 0] != data.things(part).ball[:, 0]).any()
    assert NONE == 0
