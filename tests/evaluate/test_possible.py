"""On real frames nothing impossible is found; each impossible thing is."""

import numpy as np
import pytest

from collect import ram
from collect.drills import NO_WALL
from collect.emulator import Emulator
from collect.policies import lay_wall, make_policy, start_episode
from evaluate.possible import Chaser, Possible, Reason, live_alone
from model.breakout import Action, Frame
from model.readers import find_balls, find_bricks, read_digits

pytestmark = pytest.mark.slow


def play(policy: str, frameskip: int, seed: int, steps: int) -> tuple[Frame, np.ndarray]:
    """Frames of a real game and the actions that led to them."""
    emulator, rng = Emulator(frameskip), np.random.default_rng(seed)
    start_episode(emulator, policy, rng)
    player = make_policy(policy, rng, frameskip)
    if policy == "random":
        for _ in range(60 // frameskip):
            emulator.step(0)
    frames, actions = [], []
    for _ in range(steps):
        actions.append(player.act(emulator.objects()))
        if emulator.step(actions[-1]).over:
            break
        frames.append(emulator.frame)
    return np.stack(frames), np.array(actions[: len(frames)])


def watched(frames: Frame, actions: np.ndarray, frameskip: int) -> Possible:
    """The books after all frames, opened at the first."""
    watch = Possible.begin(frames[:1])
    for frame, action in zip(frames[1:], actions[1:], strict=True):
        watch = watch.add(frame[None], np.array([action]), frameskip)
    return watch


@pytest.mark.parametrize(
    ("policy", "frameskip", "seed"), [("people", 1, 109), ("mixed", 1, 101), ("random", 4, 102), ("mixed", 4, 5)]
)
def test_nothing_is_found_on_real_frames(policy: str, frameskip: int, seed: int) -> None:
    frames, actions = play(policy, frameskip, seed, 2400 // frameskip)
    watch = watched(frames, actions, frameskip)
    assert Reason(watch.reason[0]) == Reason.NOTHING
    assert watch.horizon[0] == len(frames) - 1


@pytest.fixture(scope="module")
def flight() -> Frame:
    """A frame with the ball in the open field."""
    frames, _ = play("people", 1, 3, 400)
    inside = np.flatnonzero((find_balls(frames)[:, 0] > 110) & (find_balls(frames)[:, 0] < 160))
    return frames[inside[0]]


def judged(first: Frame, later: list[Frame], action: int = 0) -> Possible:
    return watched(np.stack([first, *later]), np.full(len(later) + 1, action), 1)


def edited(frame: Frame, rows: slice, columns: slice, value: int) -> Frame:
    changed = frame.copy()
    changed[rows, columns] = value
    return changed


@pytest.mark.parametrize(
    ("reason", "rows", "columns", "value"),
    [
        (Reason.SCAR, slice(57, 60), slice(8, 11), 0),  # a corner of a brick
        (Reason.SCAR, slice(100, 104), slice(20, 22), 5),  # a second ball
        (Reason.PADDLE, slice(189, 193), slice(8, 152), 0),
        (Reason.PADDLE, slice(189, 190), slice(8, 152), 0),
        (Reason.DIGIT, slice(5, 7), slice(36, 48), 0),
    ],
)
def test_what_breakout_never_shows_is_found_in_three_frames(flight, reason, rows, columns, value) -> None:
    broken = edited(flight, rows, columns, value)
    if reason == Reason.SCAR and value == 0:
        assert (flight[rows, columns] > 0).all()
    assert judged(flight, [flight, broken, broken, flight, broken]).reason[0] == Reason.NOTHING
    watch = judged(flight, [flight, broken, broken, broken, flight])
    assert Reason(watch.reason[0]) == reason
    assert watch.horizon[0] == 1


def test_half_a_ball_is_none(flight) -> None:
    row, column = find_balls(flight[None])[0].astype(int)
    half = edited(flight, slice(row, row + 2), slice(column, column + 2), 0)
    assert Reason(judged(flight, [half] * 3).reason[0]) == Reason.BALL


def test_no_ball_in_spite_of_fire(flight) -> None:
    row, column = find_balls(flight[None])[0].astype(int)
    empty = edited(flight, slice(row, row + 4), slice(column, column + 2), 0)
    assert judged(flight, [empty] * 300).reason[0] == Reason.NOTHING
    watch = judged(flight, [empty] * 300, Action.FIRE)
    assert Reason(watch.reason[0]) == Reason.NO_BALL


def test_the_books() -> None:
    frames, actions = play("people", 1, 109, 2000)
    lost = next(n for n in range(1, len(frames)) if (frames[n, 5:15, 100:112] != frames[n - 1, 5:15, 100:112]).any())
    kept = np.repeat(frames[lost - 1 : lost], 70, 0)  # the ball has fallen, and no life is taken
    watch = watched(np.concatenate((frames[:lost], kept)), np.append(actions[:lost], [0] * 70), 1)
    assert Reason(watch.reason[0]) == Reason.FALL
    seen = frames[100]
    taken = seen.copy()
    taken[5:15, 100:112] = frames[lost, 5:15, 100:112]
    assert Reason(judged(seen, [seen, taken]).reason[0]) == Reason.LIFE
    # A brick goes without its points, and comes back.
    brick = int(np.flatnonzero(seen[60, 8:152:8])[0]) * 8 + 8
    gone = edited(seen, slice(57, 63), slice(brick, brick + 8), 0)
    assert Reason(judged(seen, [gone] * 4).reason[0]) == Reason.POINTS
    assert Reason(judged(gone, [gone, seen]).reason[0]) == Reason.WALL
    assert judged(seen, [gone, seen, seen]).reason[0] == Reason.WALL


def test_the_books_may_be_opened_while_the_ball_falls_or_points_are_due() -> None:
    frames, actions = play("people", 1, 109, 2000)
    bricks, lives = find_bricks(frames).sum((1, 2)), read_digits(frames)[:, 3]
    hit, lost = (int(np.flatnonzero(np.diff(of) < 0)[0]) + 1 for of in (bricks, lives))
    for start in (hit, lost - 15, lost - 1):
        watch = watched(frames[start : start + 60], actions[start : start + 60], 1)
        assert Reason(watch.reason[0]) == Reason.NOTHING


@pytest.mark.parametrize(("points", "reason"), [(432, Reason.NOTHING), (433, Reason.WALL), (864, Reason.WALL)])
def test_a_second_wall_is_laid_at_432_points_and_no_third(points: int, reason: Reason) -> None:
    game = Emulator(1)
    lay_wall(game)
    full = game.frame[57:93, 8:152]
    game.poke(ram.wall_and_score(ram.wall_bytes(NO_WALL), points))
    lay_wall(game)
    laid = game.frame.copy()
    laid[57:93, 8:152] = full
    assert Reason(judged(game.frame, [game.frame, laid, laid]).reason[0]) == reason


def test_the_last_life_ends_the_game_and_is_possible() -> None:
    frames, actions = play("random", 4, 102, 2000)
    after = np.repeat(frames[-1:], 40, 0)  # as a dream goes on after the emulator has ended
    watch = watched(np.concatenate((frames, after)), np.append(actions, [0] * 40), 4)
    assert watch.over[0]
    assert watch.reason[0] == Reason.NOTHING
    seen = next(frame for frame in frames[::-1] if np.isfinite(find_balls(frame[None])).all())
    back = watched(np.concatenate((frames, after[:5], seen[None])), np.append(actions, [0] * 6), 4)
    assert Reason(back.reason[0]) == Reason.FALL


def test_a_perfect_twin_left_alone_plays_on_and_hits_the_ball(perfect, games) -> None:
    states = perfect.begin(games.frame(games.first[:-1, None]))
    watch = live_alone(perfect, states, 12.0, 0)
    assert (watch.reason == 0).all()
    assert (watch.horizon == 360).all()
    assert np.array_equal(live_alone(perfect, states, 2.0, 0).horizon, [60, 60, 60])


def test_the_chaser_goes_to_the_ball_and_fires_without_one(perfect, games) -> None:
    states = perfect.begin(games.frame(games.first[:1, None]))
    chaser, taken = Chaser(1, 2, 0), set()
    for _ in range(60):
        taken.add(int(chaser.act(states)[0]))
    assert taken == {Action.NOOP, Action.FIRE}
    for ball, key in ((140, Action.RIGHT), (8, Action.LEFT)):
        objects = states.objects.copy()
        objects[:, -1] = 150, ball, 70, 16
        assert Chaser(1, 2, 0).act(states._replace(objects=objects))[0] == key
