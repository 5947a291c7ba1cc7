"""Learned stamps draw real frames, and what is hidden is not drawn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from model.appearance import CLEAR, Appearance, shows
from model.breakout import BALL_CLASS, BALL_ROWS, COLUMNS, FIELD_BOTTOM, FIELD_RIGHT, LONG_PADDLE, PADDLE_TOP
from model.state import Things
from tests.model.random_states import random_state
from train.appearance import _until
from train.data import Data

pytestmark = pytest.mark.slow


def things_of(ball: tuple[int, int], paddle: tuple[int, int] = (70, LONG_PADDLE), wall: int = 0) -> Things:
    """One moment with score 0 and five lives; all bricks stand, or none."""
    walls = torch.full((1, 6, 18), wall, dtype=torch.uint8)
    return Things(torch.tensor([ball]), torch.tensor([paddle]), walls, torch.tensor([[0, 0, 0, 5]]))


def without_ball(things: Things) -> Things:
    """The same things, and no ball."""
    return things._replace(ball=torch.zeros_like(things.ball))


def test_learned_stamps_draw_real_frames(dataset: TransitionDataset, data: Data, look: Appearance) -> None:
    """All but the first frames of scenes, which show what was edited."""
    t = np.arange(0, len(dataset.index), 6)
    frames = torch.from_numpy(dataset.frame(t))
    differs = look.paint(data.things(torch.from_numpy(t))) != frames
    wrong = differs.flatten(1).any(1)
    assert wrong.float().mean() <= 0.01
    for number in torch.nonzero(wrong).flatten().tolist():
        assert t[number] == data.first[t[number]], t[number]


def test_a_ball_is_drawn_once_and_whole(look: Appearance) -> None:
    """In the open field: four rows and two columns of the ball's class, at its place."""
    things = things_of((120, 60))
    frame, empty = look.paint(things)[0], look.paint(without_ball(things))[0]
    rows, columns = torch.nonzero(frame != empty, as_tuple=True)
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (120, 123, 60, 61)
    assert (frame[120:124, 60:62] == BALL_CLASS).all()


@pytest.mark.parametrize(
    ("things", "why"),
    [
        (things_of((0, 60)), "there is no ball"),
        (things_of((120, 6)), "under the left wall"),
        (things_of((120, FIELD_RIGHT)), "under the right wall"),
        (things_of((215, 60)), "below the screen"),
        (things_of((58, 60), wall=1), "in a brick of its own colour"),
        (things_of((PADDLE_TOP, 74)), "in the paddle"),
    ],
)
def test_what_is_hidden_is_not_drawn(look: Appearance, things: Things, why: str) -> None:
    assert torch.equal(look.paint(things), look.paint(without_ball(things))), why
    assert not shows(things, look)


def test_half_of_a_ball_at_a_wall_shows(look: Appearance) -> None:
    things = things_of((120, 7))
    frame, empty = look.paint(things)[0], look.paint(without_ball(things))[0]
    assert set(torch.nonzero(frame != empty)[:, 1].tolist()) == {8}
    assert shows(things, look)
    assert not shows(things, look, whole=True)
    assert shows(things_of((120, 8)), look, whole=True)


def test_the_right_wall_hides_the_end_of_the_paddle(look: Appearance) -> None:
    frame = look.paint(things_of((0, 0), (FIELD_RIGHT - 6, LONG_PADDLE)))[0, PADDLE_TOP]
    bare = look.paint(things_of((0, 0), (-50, LONG_PADDLE)))[0, PADDLE_TOP]
    assert torch.nonzero(frame != bare).flatten().tolist() == list(range(FIELD_RIGHT - 6, FIELD_RIGHT))


@pytest.mark.parametrize("seed", range(3))
def test_a_ball_shows_if_drawing_it_makes_a_difference(look: Appearance, seed: int) -> None:
    """Anywhere, also off the screen, among any bricks and over the paddle."""
    state = random_state(300, seed)
    chance = torch.Generator().manual_seed(seed)
    now = state.objects[:, -1]
    for low, high in ((-20, 240), (50, 96), (185, 200)):  # everywhere, among the bricks, around the paddle
        row = torch.randint(low, high, (300, 1), generator=chance)
        column = torch.cat((now[:200, 1:2], now[200:, 2:3] + torch.randint(-2, 17, (100, 1), generator=chance)))
        things = Things(torch.cat((row, column), 1), now[:, 2:], state.wall, state.board)
        differs = (look.paint(things) != look.paint(without_ball(things))).flatten(1).any(1)
        assert torch.equal(differs, shows(things, look))


def test_each_ball_is_found_by_its_first_row(look: Appearance) -> None:
    of_top = look.tables().edges[0]
    found = 0
    for row in range(1, BALL_ROWS):
        drawn = torch.nonzero(look.balls[row] != CLEAR).flatten()
        if len(drawn) and int(drawn[0]) < FIELD_BOTTOM - 1:
            assert int(of_top[drawn[0]]) >= row, "of two balls that begin there it is the lower one"
            found += int(of_top[drawn[0]]) == row
    assert found > 100
    assert of_top.shape == look.plate.shape[:1]
    assert look.last.shape == (BALL_ROWS,)


def test_on_the_last_scanline_a_ball_ends_at_a_column_of_its_row(look: Appearance) -> None:
    look = copy.deepcopy(look)
    look.balls[192:196, FIELD_BOTTOM - 1] = BALL_CLASS
    look.last[192:194] = torch.tensor([46, 56])
    columns = torch.arange(40, 60)
    for row, end in ((192, 46), (193, 56)):
        things = Things(*(part.expand(len(columns), *part.shape[1:]) for part in things_of((row, 0))))
        things = things._replace(ball=torch.stack((torch.full_like(columns, row), columns), 1))
        line = look.paint(things)[:, FIELD_BOTTOM - 1] != look.paint(without_ball(things))[:, FIELD_BOTTOM - 1]
        shown = [[at for at in (int(column), int(column) + 1) if at < end] for column in columns]
        assert [torch.nonzero(each).flatten().tolist() for each in line] == shown


def test_where_a_ball_ends_on_the_last_scanline_is_counted() -> None:
    counts = torch.zeros(3, COLUMNS, 2)
    counts[0, 10:30, 1], counts[0, 30:60, 0], counts[0, 12, 0] = 5, 5, 1  # on until column 30, but for a mistake
    counts[1, :, 0] = 1  # always off
    assert _until(counts).tolist() == [30, 0, COLUMNS]
