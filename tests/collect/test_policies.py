"""Policies: repeatable, of the right mix, and they reach the deep wall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from collect.dataset import Episode
from collect.frames import CollectSettings
from collect.policies import POLICIES, make_policy, random_wall
from collect.ram import LIVES, read_wall
from model.breakout import Action

pytestmark = pytest.mark.slow

Play = Callable[[CollectSettings, int], Episode]
WALL = (57, 93)
BRICKS = 108


def bricks(frame: np.ndarray) -> int:
    """How many of the 108 bricks (6 rows of 6 pixels, 18 of 8) a screen shows."""
    wall = frame[WALL[0] : WALL[1], 8:152].reshape(6, 6, 18, 8)
    return int((wall != 0).all(axis=(1, 3)).sum())


def test_names() -> None:
    for name in POLICIES:
        make_policy(name, np.random.default_rng(0), 2)
    with pytest.raises(ValueError, match="policy must be one of"):
        make_policy("nobody", np.random.default_rng(0), 2)


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "drill"])  # whose scenes are cut
def test_every_action_occurs_and_every_life_is_served(name: str, played: Play) -> None:
    settings = CollectSettings(0, name, 2, 1, episode_seconds=20)
    episodes = [played(settings, number) for number in range(3)]
    counts = sum(np.bincount(episode.actions, minlength=4) for episode in episodes)
    assert (counts > 0).all()
    assert name == "random" or sum(int(episode.rewards.sum()) for episode in episodes) > 20
    for episode in episodes:
        lost = np.flatnonzero(np.diff(episode.ram[:, LIVES].astype(int)) < 0) + 1
        for t in lost[:-1]:
            assert (episode.actions[t : t + 60] == Action.FIRE).any()


def test_mixed_games_meet_every_stage_of_the_wall(played: Play) -> None:
    settings = CollectSettings(0, "mixed", 2, 3, episode_seconds=15)
    left = []
    for number in range(10):
        episode = played(settings, number)
        left += [bricks(episode.frame(0)), bricks(episode.frame(len(episode)))]
    assert max(left) == BRICKS
    assert min(left) < BRICKS / 4
    assert any(BRICKS / 3 < n < 2 * BRICKS / 3 for n in left)


def test_edited_walls_never_appear_inside_an_episode(played: Play) -> None:
    """Between two frames of an episode bricks only go one by one (or the wall is built anew when it is empty)."""
    for number in range(6):
        episode = played(CollectSettings(0, "mixed", 2, 9, episode_seconds=8), number)
        counts = [bricks(frame) for frame in episode.frame(slice(None))]
        for before, after, reward in zip(counts[:-1], counts[1:], episode.rewards, strict=True):
            assert 0 <= before - after <= 2
            assert reward > 0 or before - after == 0 or before <= 1


def test_random_walls_only_lose_bricks() -> None:
    rng = np.random.default_rng(0)
    kept = [read_wall(np.frombuffer(random_wall(rng), np.uint8)).mean() for _ in range(200)]
    assert max(kept) > 0.9
    assert min(kept) < 0.2
