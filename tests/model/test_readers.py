"""Ball, paddle, bricks and digits read from pixels agree with the emulator's RAM."""

import numpy as np

from collect import ram
from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from model.readers import find_balls, find_bricks, find_paddles, read_digits


def test_ball_paddle_bricks_and_digits_agree_with_ram_over_real_games() -> None:
    rng = np.random.default_rng(3)
    emulator = Emulator(2)
    frames, rams = [], []
    for policy in ("mixed", "people"):
        start_episode(emulator, policy, rng)
        player = make_policy(policy, rng, 2)
        for _ in range(600):
            emulator.step(player.act(emulator.objects()))
            frames.append(emulator.frame)
            rams.append(emulator.ram())
    shown, truth = np.stack(frames), ram.read(np.stack(rams))
    balls = find_balls(shown)
    row, column = truth.ball_row, truth.ball_column
    assert np.isnan(balls[row == 0]).all()
    inside = (row >= 93) & (row <= 185) & (column >= 8) & (column <= 150)
    assert inside.sum() > 400
    assert (balls[inside] == np.stack((row, column), 1)[inside]).all()
    half = (row >= 93) & (row <= 185) & ~inside & ~np.isnan(balls[:, 0])  # under a side wall
    assert np.abs(balls[half] - np.stack((row, column), 1)[half]).max(initial=0) <= 2
    right = find_paddles(shown) == truth.paddle_column
    assert right.mean() > 0.99  # beside the paddle the ball may lengthen its run of red
    # Bricks, score and lives are drawn as RAM had them a frame before.
    settled = (rams == np.roll(rams, -1, 0))[:, :36].all(1) & (rams == np.roll(rams, 1, 0))[:, :36].all(1)
    assert (find_bricks(shown) == truth.wall)[settled].all()
    score = read_digits(shown, 0)[:, :3] @ (100, 10, 1)
    assert (score == truth.score)[settled].mean() > 0.99
    assert (read_digits(shown)[:, 3] == truth.lives).mean() > 0.99


def test_nothing_is_found_on_an_empty_screen() -> None:
    blank = np.zeros((2, 210, 160), np.uint8)
    assert np.isnan(find_balls(blank)).all()
    assert np.isnan(find_paddles(blank)).all()
    assert not find_bricks(blank).any()
    assert (read_digits(blank) == -1).all()


def test_a_digit_may_have_a_few_wrong_pixels() -> None:
    frame = Emulator(1).frame[None].copy()
    assert read_digits(frame)[0].tolist() == [0, 0, 0, 5, 1]
    frame[0, 5, 100:103] = 0
    assert read_digits(frame)[0, 3] == 5
    assert read_digits(frame, 0)[0, 3] == -1
