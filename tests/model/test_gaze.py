"""The gaze: ball and paddle found in pixels, checked against RAM, and windows that see what is there."""

import numpy as np
import pytest
import torch

from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from model.breakout import KNOB_END, NO_KNOB, UNKNOWN_HITS
from model.gaze import (
    BALL_FRAMES,
    BALL_TRAIL,
    UP,
    WEST,
    ball_trail,
    ball_window,
    balls,
    paddle_strip,
    paddle_trail,
    paddle_trail_size,
    places,
    places_of,
)
from model.memory import with_memory


@pytest.fixture(scope="module")
def game() -> tuple[torch.Tensor, np.ndarray]:
    """(400, 210, 160) successive screens of play, and what RAM says: ball row and column (-1: none), paddle."""
    emulator, rng = Emulator(2), np.random.default_rng(2)
    start_episode(emulator, "people", rng)
    policy = make_policy("people", rng, 2)
    frames, objects = [], []
    for _ in range(400):
        emulator.step(policy.act(emulator.objects()))
        seen = emulator.objects()
        frames.append(emulator.frame)
        objects.append((*(seen.ball or (-1, -1)), seen.paddle))
    return torch.from_numpy(np.stack(frames)), np.array(objects)


def test_ball_and_paddle_are_where_ram_says(game: tuple[torch.Tensor, np.ndarray]) -> None:
    frames, objects = game
    found = places(frames[:-1], frames[1:]).numpy()
    real = objects[1:]
    in_field = (real[:, 0] >= 93) & (real[:, 0] <= 185)
    assert in_field.sum() > 100
    assert (found[in_field, :2] == real[in_field, :2]).all(1).mean() > 0.97
    whole = (real[:, 2] >= 8) & (real[:, 2] <= 136)  # the right wall hides a part of it beyond
    assert (found[whole, 2] == real[whole, 2]).mean() > 0.97
    assert (found[real[:, 0] < 0, 0] < 0).mean() > 0.9


@pytest.mark.parametrize("frameskip", [1, 2])
def test_the_ball_is_found_behind_the_paddle(frameskip: int) -> None:
    emulator, rng = Emulator(frameskip), np.random.default_rng(1)
    start_episode(emulator, "mixed", rng)
    policy = make_policy("mixed", rng, frameskip)
    before = emulator.frame
    near = []
    for _ in range(2400 // frameskip):
        emulator.step(policy.act(emulator.objects()))
        frame, ball = emulator.frame, emulator.objects().ball
        if ball is not None and 180 <= ball[0] < 189 and not emulator.ram()[107] & 16:
            found = places(torch.from_numpy(before)[None], torch.from_numpy(frame)[None])[0, :2]
            near.append(found.tolist() == list(ball))
        before = frame
    assert len(near) > 20
    assert np.mean(near) > 0.85


def test_a_history_is_looked_at_as_its_frames_are(game: tuple[torch.Tensor, np.ndarray]) -> None:
    frames, _ = game
    history = frames[200:210][None]
    seen = places_of(history)[0]
    one_by_one = places(frames[199:209], frames[200:210])
    assert torch.equal(seen[-BALL_FRAMES + 1 :], one_by_one[-BALL_FRAMES + 1 :])
    assert torch.equal(seen[:, 2], one_by_one[:, 2])
    assert places_of(history[:, :1]).shape == (1, 1, 3)


def test_a_ball_that_is_hidden_is_where_it_was_last() -> None:
    path = torch.tensor([[-1, -1], [-1, -1], [-1, -1], [100, 40], [103, 42], [-1, -1], [-1, -1], [112, 48]])
    seen = torch.cat((path, torch.full((8, 1), 60)), 1)[None]
    ball, visible = balls(seen)
    assert ball[0].tolist() == 4 * [[100, 40]] + 3 * [[103, 42]] + [[112, 48]]
    assert visible[0].tolist() == [*3 * [False], True, True, False, False, True]
    none, visible = balls(torch.full((1, 2, 3), -1))
    assert (none == -1).all()
    assert not visible.any()


def test_trails_stay_in_their_range_and_tell_moments_apart() -> None:
    torch.manual_seed(0)
    seen = torch.randint(-1, 160, (500, 16, 3))
    seen[..., 2] = seen[..., 2].clamp(min=0)
    hits, knob = torch.randint(0, UNKNOWN_HITS + 1, (500,)), torch.randint(0, KNOB_END + 1, (500,))
    knob[:50] = NO_KNOB
    remembered = with_memory(seen, torch.randint(0, 5, (500, 16)), torch.stack((hits, knob), 1))
    known = paddle_trail(remembered)
    for numbers, size in (
        (ball_trail(seen), BALL_TRAIL),
        (ball_trail(remembered), BALL_TRAIL),
        (known, paddle_trail_size(16)),
    ):
        assert numbers.min() >= 0
        assert numbers.max() < size
        # Each column has numbers of its own.
        assert (numbers.amax(0)[:-1] < numbers.amin(0)[1:]).all()


def test_windows_see_what_is_there_and_nothing_beyond_the_screen() -> None:
    frame = torch.zeros(1, 210, 160, dtype=torch.uint8)
    frame[0, 50, 3], frame[0, 189, 90:106] = 5, 5
    window = ball_window(frame, torch.tensor([[48, 2]]))[0]
    assert window.nonzero().tolist() == [[UP + 2, WEST + 1]]
    assert paddle_strip(frame, torch.tensor([90]))[0].nonzero().flatten().tolist() == list(range(28, 44))
