"""What the tracker reads off real frames is what the emulator's RAM says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model.appearance import CLEAR, Appearance, shows
from model.breakout import (
    BALL_WIDTH,
    BRICK_COLUMNS,
    BRICK_ROWS,
    FIELD_RIGHT,
    LONG_PADDLE,
    PADDLE_BOTTOM,
    PADDLE_TOP,
)
from model.state import PADDLE, WIDTH, Things
from model.tracker import edges, look_at
from train.data import Data

FRAMES = 500


@pytest.fixture(scope="module")
def moments(dataset: TransitionDataset, data: Data, look: Appearance) -> tuple[Tensor, Tensor]:
    """Numbers of frames that show what RAM says, and the frames."""
    t = torch.from_numpy(np.unique(np.linspace(1, len(dataset.index) - 1, FRAMES).astype(int)))
    t = t[t > data.first[t]]  # a scene's first frame shows what was edited
    frames = torch.from_numpy(dataset.frame(t.numpy()))
    sound = (look.paint(data.things(t)) == frames).flatten(1).all(1)
    assert sound.float().mean() > 0.99
    return t[sound], frames[sound]


def told_by_pixels(things: Things, look: Appearance) -> Tensor:
    """Whether every pixel of the ball makes a difference, and no lower ball begins on its scanline, (B,) bool."""
    differs = look.paint(things) != look.paint(things._replace(ball=torch.zeros_like(things.ball)))
    row = things.ball[:, 0]
    stamp = look.balls[row] != CLEAR
    pixels = stamp.sum(1) * BALL_WIDTH
    alone = look.tables().edges[0][stamp.int().argmax(1)] == row
    return (differs.flatten(1).sum(1) == pixels) & (pixels > 0) & alone


def test_with_the_true_expectation_all_is_right(moments: tuple[Tensor, Tensor], data: Data, look: Appearance) -> None:
    t, frames = moments
    found, truth = look_at(frames, data.objects[t - 1, WIDTH].long(), data.objects[t].long(), look), data.things(t)
    for name, part, true in zip(Things._fields, found, truth, strict=True):
        assert torch.equal(part.long(), true.long()), name


def test_without_one_only_what_is_hidden_is_wrong(moments: tuple[Tensor, Tensor], data: Data, look: Appearance) -> None:
    t, frames = moments
    nothing = torch.zeros(len(t), 4, dtype=torch.long)
    found, truth = look_at(frames, data.objects[t - 1, WIDTH].long(), nothing, look), data.things(t)
    assert torch.equal(found.wall, truth.wall)
    assert torch.equal(found.board, truth.board)
    wrong = (found.ball != truth.ball).any(1)
    assert not (wrong & told_by_pixels(truth, look)).any()
    assert (found.ball[~shows(truth, look)] == 0).all(), "a ball that is not seen is not made up"
    assert (~wrong).float().mean() > 0.8
    row = truth.ball[:, 0]
    at_paddle = (row > PADDLE_TOP - 8) & (row < PADDLE_BOTTOM + 2)
    at_wall = data.objects[t, PADDLE] + LONG_PADDLE > FIELD_RIGHT
    assert not ((found.paddle != truth.paddle).any(1) & ~at_paddle & ~at_wall).any()


def test_a_wrong_expectation_is_not_believed(moments: tuple[Tensor, Tensor], data: Data, look: Appearance) -> None:
    t, frames = moments
    truth = data.things(t)
    seen = told_by_pixels(truth, look)
    assert seen.float().mean() > 0.5
    wrong = data.objects[t].long() + torch.tensor([1, 0, 0, 0])
    found = look_at(frames, data.objects[t - 1, WIDTH].long(), wrong, look)
    assert torch.equal(found.ball[seen], truth.ball[seen])


def test_a_hidden_ball_is_where_it_is_expected(moments: tuple[Tensor, Tensor], data: Data, look: Appearance) -> None:
    """Anywhere where it would not be seen: the frame cannot tell, the twin's own step can."""
    t, frames = moments
    truth = data.things(t)
    none = truth.ball[:, 0] == 0
    assert none.any()
    expected = torch.cat((torch.tensor([[120, 4]]).expand(len(t), -1), truth.paddle), 1)
    found = look_at(frames, data.objects[t - 1, WIDTH].long(), expected, look)
    assert (found.ball[none] == torch.tensor([120, 4])).all()


def test_a_ball_that_a_brick_hides_in_part_is_read_by_the_rest(look: Appearance) -> None:
    """At all rows among bricks, of which every other one stands: what is read draws the frame that was read."""
    row, column = (
        part.flatten() for part in torch.meshgrid(torch.arange(60, 100), torch.arange(30, 50), indexing="ij")
    )
    wall = torch.zeros(len(row), BRICK_ROWS, BRICK_COLUMNS, dtype=torch.uint8)
    wall[:, ::2, ::2] = wall[:, 1::2, 1::2] = 1
    paddle, board = torch.tensor([[70, LONG_PADDLE]]), torch.tensor([[1, 2, 3, 4]])
    things = Things(torch.stack((row, column), 1), paddle.expand(len(row), -1), wall, board.expand(len(row), -1))
    frames, nothing = look.paint(things), torch.zeros(len(row), 4, dtype=torch.long)
    found = look_at(frames, things.paddle[:, 1], nothing, look)
    assert torch.equal(look.paint(found), frames)
    seen = shows(things, look)
    assert (found.ball == things.ball)[seen].all(1).float().mean() > 0.95, "else two places look the same"


def test_a_batch_is_read_as_one_by_one(moments: tuple[Tensor, Tensor], data: Data, look: Appearance) -> None:
    t, frames = (part[::40] for part in moments)
    width, expected = data.objects[t - 1, WIDTH].long(), data.objects[t - 1].long()
    together = look_at(frames, width, expected, look)
    for number in range(len(t)):
        one = slice(number, number + 1)
        alone = look_at(frames[one], width[one], expected[one], look)
        assert all(torch.equal(a, b[one]) for a, b in zip(alone, together, strict=True))


def test_the_first_and_the_last_of_some_counts() -> None:
    first, last = edges(torch.tensor([[0.0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [3, 0, 0, 0, 0]]))
    assert (first.tolist(), last.tolist()) == ([1, 0, 0], [3, 0, 0])
