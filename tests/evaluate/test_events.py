"""What happened in the game, read from frames, agrees with the emulator's RAM."""

import numpy as np
import pytest

from collect.dataset import TransitionDataset
from collect.emulator import Emulator, Objects
from collect.episode import EpisodeWriter
from collect.policies import make_policy, start_episode
from evaluate.analysis.events import Event, Place, classify, find_all_balls, first_seen, places
from evaluate.objects import find_bricks


@pytest.fixture(scope="module")
def played() -> tuple[TransitionDataset, list[Objects]]:
    """Two games as a dataset, and what RAM said at each of their frames."""
    emulator, rng = Emulator(2), np.random.default_rng(5)
    episodes, said = [], []
    for policy in ("mixed", "people"):
        start_episode(emulator, policy, rng)
        player = make_policy(policy, rng, 2)
        writer = EpisodeWriter(emulator.screen, emulator.objects().lives)
        said.append(emulator.objects())
        for _ in range(900):
            step = emulator.step(player.act(emulator.objects()))
            writer.add(0, emulator.screen, step.reward, step.lives)
            said.append(emulator.objects())
        episodes.append(writer.to_episode(False))
    return TransitionDataset(episodes, {"frameskip": 2}), said


@pytest.fixture(scope="module")
def events(played) -> np.ndarray:
    dataset, _ = played
    return classify(dataset, find_all_balls(dataset))


def test_every_group_occurs_and_lives_points_and_bricks_are_where_they_must_be(played, events) -> None:
    dataset, said = played
    t = dataset.transitions()
    assert {int(event) for event in events} >= set(Event) - {Event.SCORE_CHANGE}
    lost = np.array([said[n + 1].lives < said[n].lives for n in t])
    assert np.array_equal(events[t] == Event.LIFE_LOST, lost)
    scored = np.array([said[n + 1].score > said[n].score for n in t])
    assert (events[t][scored] == Event.BRICK_HIT).mean() > 0.9  # the others lost a life or were served at once
    for n in t[events[t] == Event.BRICK_HIT]:
        before, after = find_bricks(dataset.frame(np.array([n, n + 1])))
        assert (before & ~after).any()


def turns(said, around, axis) -> bool:
    """Whether RAM's ball turns round somewhere in these frames, or is not known there."""
    places = [said[n].ball for n in around]
    ways = np.diff([place[axis] for place in places if place is not None])
    return None in places or ways.min() <= 0 <= ways.max()


def test_bounces_are_turns_of_the_ball_in_ram(played, events) -> None:
    dataset, said = played
    for event, axis in ((Event.PADDLE_BOUNCE, 0), (Event.WALL_BOUNCE, 1)):
        found = np.flatnonzero(events == event)
        assert len(found) >= 10
        assert all(turns(said, range(t - 2, t + 3), axis) for t in found)
    # And the other way round: where RAM's ball turns at the paddle, a bounce is found, at most a step away.
    other_than_nothing = events != Event.NOTHING
    seen = 0
    for t in dataset.transitions()[2:-2]:
        rows = [said[n].ball[0] if said[n].ball else None for n in (t - 1, t, t + 1)]
        if None not in rows and 165 < rows[1] < 192 and rows[1] > rows[0] and rows[2] <= rows[1]:
            seen += 1
            assert other_than_nothing[t - 1 : t + 2].any()
    assert seen >= 10


def test_a_serve_is_the_first_sight_of_a_lifes_ball(played, events) -> None:
    dataset, _ = played
    balls = find_all_balls(dataset)
    first = np.flatnonzero(first_seen(dataset, balls))
    assert len(first) == len(np.unique([(dataset.lives[n], n >= dataset.first[1]) for n in first], axis=0))
    served = np.flatnonzero(events == Event.SERVE) + 1
    assert set(served) <= set(first)
    where = places(dataset, balls)
    assert (where[served] == Place.OPEN_FIELD).all()
    assert (where[served - 1] == Place.NOT_SERVED).all()
    assert (np.isnan(balls[:, 0]) == (where != Place.OPEN_FIELD)).all()


def test_no_event_spans_two_games(played, events) -> None:
    dataset, _ = played
    assert (events[dataset.first[1:] - 1] == Event.NOTHING).all()
