"""What the networks are told: numbers below their sizes whatever the state, and bricks seen from the ball."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.breakout import ACTIONS, BRICK_COLUMNS, BRICK_HEIGHT, BRICK_ROWS, BRICK_WIDTH, FIELD_LEFT, WALL_TOP
from model.context import (
    AROUND_BALL,
    BALL_STEP,
    CROP_LEFT,
    CROP_RIGHT,
    CROP_UP,
    CROPPED,
    NEAR,
    NEAR_BRICKS,
    PADDLE_STEP,
    STEPS,
    Embedding,
    Place,
    around_ball,
    paddle_step,
    press,
    read,
    sets,
    step_number,
)
from model.memory import OUTCOME, outcome
from model.state import FRACTIONS, INDEX, NOT_KNOWN, SIZES, Things
from model.vqvae import break_bricks
from tests.model.random_states import random_state


def below(numbers: Tensor, sizes: tuple[int, ...]) -> None:
    """Every column is 0 or more and below its size."""
    assert numbers.shape[1] == len(sizes)
    assert (numbers >= 0).all()
    assert (numbers < torch.tensor(sizes)).all()


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_below_their_sizes_whatever_the_state(seed: int) -> None:
    state, later = random_state(400, seed), random_state(400, seed + 100)
    told = around_ball(state).told
    below(told, AROUND_BALL)
    below(press(told, torch.arange(400) % ACTIONS), AROUND_BALL)
    now = later.objects[:, -1]
    below(outcome(state, Things(now[:, :2], now[:, 2:], later.wall, later.board)), OUTCOME)


def test_what_cannot_count_is_not_told() -> None:
    """Beside a flying ball: digits, knob, clock, key, and where the paddle is. With no ball: the hits. And so on."""
    state = random_state(1, 0)
    state.wall[:], state.objects[:, :, :2] = 1, torch.tensor([120, 80])
    state.memory[:, INDEX["speed"]] = 5

    def told(ball: tuple[int, int], action: int, changed: bool, names: tuple[str, ...], speed: int = 5) -> Tensor:
        objects, memory, board = state.objects.clone(), state.memory.clone(), state.board.clone()
        objects[:, -1, :2] = torch.tensor(ball)
        for name in names:
            memory[:, INDEX[name]] = 1 + changed
        if changed:
            board, objects[:, :, 2] = (board + 1) % 10, 100 - objects[:, :, 2] // 2
        memory[:, INDEX["speed"]] = speed
        moment = state._replace(objects=objects, memory=memory, board=board)
        return press(around_ball(moment).told, torch.tensor([action]))

    flight = "knob", "clock", "hits", "fast", "steep"
    assert torch.equal(told((120, 80), 0, False, flight), told((120, 80), 3, True, flight))
    assert not torch.equal(told((120, 80), 0, False, ("contact",)), told((120, 80), 0, True, ("contact",)))
    for name in ("hits", "fast", "steep"):
        assert not torch.equal(told((185, 80), 0, False, (name,)), told((185, 80), 0, True, (name,)))
    assert not torch.equal(told((0, 0), 0, False, ("clock",)), told((0, 0), 0, True, ("clock",)))
    assert not torch.equal(told((0, 0), 0, False, ()), told((0, 0), 1, False, ()))
    state.objects[:, -2, :2] = torch.tensor([118, 80])
    moved = told((120, 80), 0, False, ()), told((120, 80), 0, False, (), speed=NOT_KNOWN)
    assert (moved[0] != moved[1]).sum() == 1, "the last step is told where the speed is not known"


def test_the_set_of_eighths_is_no_number_but_a_belief() -> None:
    state = random_state(1, 0)
    known = state.memory.clone()
    known[:, INDEX["half_row"]] = (known[:, INDEX["half_row"]] + 1) % SIZES[INDEX["half_row"]]
    told = [around_ball(state._replace(memory=memory)).told for memory in (state.memory, known)]
    assert torch.equal(*told)
    place = Place(8)
    assert not torch.equal(place(state.memory), place(known))


def test_beliefs_are_shares() -> None:
    table = sets()
    assert torch.allclose(table.sum(1), torch.ones(1 << FRACTIONS))
    assert table[NOT_KNOWN].tolist() == [1 / FRACTIONS] * FRACTIONS
    assert table[0b101].tolist() == [0.5, 0, 0.5, 0, 0, 0, 0, 0]


def place(*ball: int) -> Tensor:
    """A ball's place, or several."""
    return torch.tensor(ball).reshape(-1, 2)


def test_steps_by_number() -> None:
    every = [
        int(step_number(place(100, 80), place(100 + row, 80 + column)))
        for row in range(-BALL_STEP, BALL_STEP + 1)
        for column in range(-BALL_STEP, BALL_STEP + 1)
    ]
    assert every == list(range(STEPS - 1))
    assert int(step_number(place(100, 80), place(0, 0))) == STEPS - 1
    assert int(step_number(place(0, 0), place(100, 80))) == STEPS - 1
    assert int(step_number(place(10, 0), place(220, 159))) == STEPS - 2, "farther than the longest is the longest"
    column = torch.tensor([100])
    assert int(paddle_step(column, column)) == PADDLE_STEP
    assert int(paddle_step(column, column + 50)) == 2 * PADDLE_STEP
    assert int(paddle_step(column, column - 50)) == 0


def test_the_bricks_near_the_ball() -> None:
    wall = torch.arange(1, BRICK_ROWS * BRICK_COLUMNS + 1).reshape(1, BRICK_ROWS, BRICK_COLUMNS).expand(3, -1, -1)
    corners = place(WALL_TOP, FIELD_LEFT, WALL_TOP + BRICK_HEIGHT, FIELD_LEFT + BRICK_WIDTH, WALL_TOP - 1, 7)
    near = read(wall, corners, NEAR).reshape(3, 3, 7)
    assert near[:, 1, 3].tolist() == [1, 20, 0], "the one at the ball's top left corner is in the middle"
    assert near[:, 2, 4].tolist() == [20, 39, 1]
    assert not near[0, 0].any(), "beyond the wall there is nothing"
    assert not near[0, :, :3].any()


def test_breaking_the_near_bricks_leaves_none_near_and_all_others() -> None:
    chance = torch.Generator().manual_seed(0)
    wall = torch.randint(0, 2, (300, 6, 18), generator=chance).to(torch.uint8)
    ball = torch.stack([torch.randint(*span, (300,), generator=chance) for span in ((40, 110), (-10, 170))], 1)
    near = read(wall, ball, NEAR)
    assert near.shape == (300, NEAR_BRICKS)
    assert near.any()
    broken = break_bricks(wall, ball, near.long())
    assert not read(broken, ball, NEAR).any()
    assert torch.equal(wall.flatten(1).sum(1) - broken.flatten(1).sum(1), near.sum(1))
    assert torch.equal(break_bricks(wall, ball, torch.zeros_like(near).long()), wall)
    one = torch.nn.functional.one_hot(torch.arange(300) % NEAR_BRICKS, NEAR_BRICKS)
    assert torch.equal(read(break_bricks(wall, ball, one), ball, NEAR).long(), near.long() * (1 - one))


def test_the_crop_is_what_a_slow_loop_finds() -> None:
    chance = torch.Generator().manual_seed(1)
    wall = torch.randint(0, 2, (6, 6, 18), generator=chance).to(torch.uint8)
    ball = place(60, 80, 57, 8, 95, 150, 150, 70, 0, 0, 50, 158)
    found = read(wall, ball, CROPPED).reshape(6, -1, CROP_LEFT + CROP_RIGHT)
    for game, (row, column) in enumerate(ball.tolist()):
        for at, pixels in enumerate(found[game].tolist()):
            for beside, pixel in enumerate(pixels):
                y, x = row - CROP_UP + at - WALL_TOP, column - CROP_LEFT + beside - FIELD_LEFT
                brick = y // BRICK_HEIGHT, x // BRICK_WIDTH
                inside = 0 <= brick[0] < 6 and 0 <= brick[1] < 18
                assert pixel == (float(wall[game, *brick]) if inside else 0.0), (game, at, beside)


def test_an_embedding_adds_a_vector_for_each_number() -> None:
    torch.manual_seed(0)
    layer = Embedding((3, 2), 4)
    found = layer(torch.tensor([[2, 0], [0, 1]]))
    assert torch.allclose(found, torch.stack((layer.table[2] + layer.table[3], layer.table[0] + layer.table[4])))
