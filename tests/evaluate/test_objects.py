"""Objects read from pixels agree with the emulator's RAM."""

import numpy as np

from collect.emulator import WALL_BYTES, Emulator
from collect.policies import make_policy, start_episode
from evaluate.objects import ball_distance, find_balls, find_bricks, find_paddles


def test_ball_and_paddle_agree_with_ram_over_real_games() -> None:
    rng = np.random.default_rng(3)
    emulator = Emulator(2)
    inside = paddle_right = without = 0
    paddles = []
    for policy in ("mixed", "people"):
        start_episode(emulator, policy, rng)
        player = make_policy(policy, rng, 2)
        for _ in range(700):
            emulator.step(player.act(emulator.objects()))
            objects = emulator.objects()
            found = find_balls(emulator.frame[None])[0]
            paddles.append(find_paddles(emulator.frame[None])[0] - objects.paddle)
            paddle_right += paddles[-1] == 0
            if objects.ball is None:
                assert np.isnan(found).all()
                without += 1
            elif 93 <= objects.ball[0] <= 185 and 8 <= objects.ball[1] <= 150:
                assert tuple(found) == objects.ball
                inside += 1
            elif 93 <= objects.ball[0] <= 185 and not np.isnan(found[0]):  # half behind a side wall
                assert np.abs(found - objects.ball).max() <= 2
    assert inside > 500
    assert without > 10
    assert paddle_right / len(paddles) > 0.99  # beside the paddle the ball may lengthen its run of red


def test_bricks_agree_with_the_wall_in_ram() -> None:
    emulator = Emulator(1)
    for _ in range(60):
        emulator.step(0)
    assert find_bricks(emulator.frame[None]).all()
    wall = np.array(emulator.ram()[:WALL_BYTES])
    for address, bits in ((0, 0b11), (10, 0b1100), (35, 0b110000)):
        edited = wall.copy()
        edited[address] &= ~bits & 255
        emulator.edit(wall=bytes(edited.tolist()))
        for _ in range(4):
            emulator.step(0)
        missing = ~find_bricks(emulator.frame[None])
        assert missing.sum() == bin(int(wall[address]) & bits).count("1") // 2


def test_nothing_is_found_on_an_empty_screen() -> None:
    blank = np.zeros((2, 210, 160), np.uint8)
    assert np.isnan(find_balls(blank)).all()
    assert np.isnan(find_paddles(blank)).all()
    assert not find_bricks(blank).any()


def test_ball_distance_tells_a_lost_ball_from_no_ball() -> None:
    nowhere = [np.nan, np.nan]
    real = np.array([[100, 50], [100, 50], nowhere, nowhere], np.float32)
    drawn = np.array([[103, 54], nowhere, [100, 50], nowhere], np.float32)
    distance = ball_distance(real, drawn)
    assert distance[0] == 5
    assert np.isinf(distance[1])
    assert np.isnan(distance[2:]).all()
