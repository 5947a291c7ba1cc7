"""One step of the twin: a pure function, for any number of games and any state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collect.dataset import TransitionDataset
from model.appearance import Appearance
from model.breakout import ACTIONS, CELLS, CODES, UNCHANGED, changed_cells
from model.controllers import EVENTS, ActionToLatentMLP
from model.state import HISTORY, SIZES, State
from model.twin import Twin, no_noise
from tests.model.random_states import between, random_frames, random_state
from train.data import Data

GAMES = 8


@pytest.fixture(scope="module")
def state(dataset: TransitionDataset, data: Data) -> State:
    """Eight moments of real games."""
    t = data.steps[:: len(data.steps) // GAMES][:GAMES]
    return data.state(t)._replace(frame=torch.from_numpy(dataset.frame(t.numpy())))


@pytest.fixture(scope="module")
def keys() -> Tensor:
    """An action for each of them."""
    return torch.arange(GAMES) % ACTIONS


def gumbel(seed: int) -> Tensor:
    """Noise that draws codes at a temperature of 5."""
    share = torch.rand(GAMES, EVENTS, CODES, generator=torch.Generator().manual_seed(seed))
    return -5 * (-share.log()).log()


@torch.no_grad()
def test_a_choice_without_noise_is_always_the_same(twin: Twin, state: State, keys: Tensor) -> None:
    codes, frame, _ = twin.choose(state, keys, no_noise(GAMES))
    again, drawn, _ = twin.choose(state, keys, no_noise(GAMES))
    assert torch.equal(codes, again)
    assert torch.equal(frame, drawn)
    assert torch.equal(twin.choose(state, keys, gumbel(0))[0], twin.choose(state, keys, gumbel(0))[0])
    assert not torch.equal(twin.choose(state, keys, gumbel(0))[0], twin.choose(state, keys, gumbel(1))[0])


@torch.no_grad()
def test_a_cell_that_the_drawing_leaves_as_it_was_has_code_zero(twin: Twin, state: State, keys: Tensor) -> None:
    codes, frame, _ = twin.choose(state, keys, gumbel(2))
    assert (codes != UNCHANGED).any()
    for code, *pair in zip(codes.numpy(), frame.numpy(), state.frame.numpy(), strict=True):
        assert (code[~changed_cells(*pair)] == UNCHANGED).all()


@torch.no_grad()
def test_eight_games_are_what_each_is_alone(twin: Twin, state: State, keys: Tensor) -> None:
    codes, frame, things = twin.choose(state, keys, no_noise(GAMES))
    expected = torch.cat((things.ball, things.paddle), 1)
    later = twin.advance(state, keys, frame, expected)
    for game in range(GAMES):
        one = slice(game, game + 1)
        alone = twin.choose(state.rows(one), keys[one], no_noise(1))
        assert torch.equal(alone[0], codes[one])
        assert torch.equal(alone[1], frame[one])
        after = twin.advance(state.rows(one), keys[one], frame[one], expected[one])
        for name, a, b in zip(State._fields, after, later.rows(one), strict=True):
            assert torch.allclose(a.float(), b.float(), atol=1e-4), name


@torch.no_grad()
def test_nothing_is_changed_in_place(twin: Twin, state: State, keys: Tensor) -> None:
    kept = [part.clone() for part in state]
    _, frame, things = twin.choose(state, keys, no_noise(GAMES))
    twin.advance(state, keys, frame, torch.cat((things.ball, things.paddle), 1))
    twin.draw(state, torch.zeros(GAMES, CELLS, dtype=torch.long))
    assert all(torch.equal(a, b) for a, b in zip(kept, state, strict=True))


@torch.no_grad()
def test_the_last_four_moments_are_kept(twin: Twin, state: State, keys: Tensor) -> None:
    _, frame, things = twin.choose(state, keys, no_noise(GAMES))
    later = twin.advance(state, keys, frame, torch.cat((things.ball, things.paddle), 1))
    assert torch.equal(later.objects[:, : HISTORY - 1], state.objects[:, 1:])
    assert torch.equal(later.objects[:, -1, :2], things.ball), "a drawn ball is where it was drawn"
    assert torch.equal(later.objects[:, -1, 2:], things.paddle)
    assert torch.equal(later.frame, frame)
    assert torch.equal(later.wall, things.wall)
    assert torch.equal(later.board, things.board)


@torch.no_grad()
def test_one_frame_says_where_all_is_and_nothing_else(twin: Twin, state: State, data: Data) -> None:
    found = twin.start(state.frame)
    assert not found.memory.any()
    assert not found.certainty.any()
    assert (found.objects == found.objects[:, :1]).all(), "all stands still"
    assert torch.equal(found.wall, state.wall)
    assert torch.equal(found.board, state.board)


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_any_state_has_a_next_one(twin: Twin, seed: int) -> None:
    """Ball and paddle far off the screen, frames of noise: no number is too large for a table, then or ever after."""
    games = 40
    state = random_state(games, seed)
    chance = torch.Generator().manual_seed(seed)
    noise = 30 * torch.randn(games, EVENTS, CODES, generator=chance)
    for step in range(6):
        action = between(0, ACTIONS, (games,), chance)
        codes, frame, things = twin.choose(state, action, noise)
        assert 0 <= int(codes.min()) <= int(codes.max()) < CODES
        assert int(frame.max()) <= 8
        expected = torch.cat((things.ball, things.paddle), 1)
        seen = random_frames(games, chance) if step == 3 else frame
        state = twin.advance(state, action, seen, expected)
        assert (state.memory >= 0).all()
        assert (state.memory < torch.tensor(SIZES)).all()
        assert ((state.board >= 0) & (state.board <= 9)).all()
    shown = twin.draw(state, between(0, CODES, (games, CELLS), chance))[0]
    twin.encode(random_frames(games, chance), shown)


@torch.no_grad()
def test_the_key_alone_decides_the_action_only_controllers_codes(twin: Twin) -> None:
    table = twin.action_logits()
    assert table.shape == (ACTIONS, CELLS, CODES)
    one_hot = torch.eye(ACTIONS)[[2]]
    assert torch.allclose(twin.action(one_hot)[0], table[2], atol=1e-5)
    shapes = [tuple(layer.weight.shape) for layer in ActionToLatentMLP().layers if isinstance(layer, torch.nn.Linear)]
    assert shapes == [(512, ACTIONS), (256, 512), (CELLS * CODES, 256)]


def test_the_appearance_is_part_of_the_twin(twin: Twin, look: Appearance) -> None:
    names = set(twin.state_dict())
    assert {f"appearance.{name}" for name in look.state_dict()} <= names
