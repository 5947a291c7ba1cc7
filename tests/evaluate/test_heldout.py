"""Held-out games are the same for a seed, of no training seed, and dreams start with the ball in play."""

import numpy as np
import pytest

from collect.frames import CollectSettings, play_episode
from evaluate.heldout import SEED_OFFSET, dream_starts, memory_of, play_held_out, rallies, sample_transitions
from evaluate.objects import find_balls
from model import WorldModel
from model.breakout import NO_KNOB, turned
from model.memory import Unseen


def test_the_same_seed_gives_the_same_games_and_another_seed_others(games) -> None:
    again = play_held_out("people", 2, 0, 4, 12.0)
    assert np.array_equal(again.index, games.index)
    assert np.array_equal(again.actions, games.actions)
    assert not np.array_equal(play_held_out("people", 2, 1, 1, 12.0).actions[:100], games.actions[:100])


def test_no_training_seed_plays_a_held_out_game(games) -> None:
    trained, _ = play_episode(CollectSettings(0, "people", 2, 0, 12.0), 0)
    assert games.manifest["seed"] == SEED_OFFSET
    assert trained.to_bytes(False) != play_episode(CollectSettings(0, "people", 2, SEED_OFFSET, 12.0), 0)[0].to_bytes(0)


def test_rallies_hold_one_life_and_begin_with_a_ball(games) -> None:
    found = rallies(games)
    assert len(found) > 3
    for first, last in found:
        assert not np.isnan(find_balls(games.frame(np.array([first]))))[0, 0]
        assert len(set(games.lives[first : last + 1].tolist())) == 1
        assert first not in games.first[1:]
        at_end = last + 1 == games.first[np.searchsorted(games.first, first, side="right")]
        assert at_end or games.lives[last + 1] < games.lives[last]


def test_starts_leave_the_time_they_promise(games) -> None:
    starts = dream_starts(games, 50, 1.0, 2.0, np.random.default_rng(0))
    assert len(starts) == 50
    assert starts.steps.min() >= 30
    assert starts.steps.max() <= 60
    ends = {int(last) for _, last in rallies(games)}
    short = starts.steps < 60
    assert {int(end) for end in (starts.t + starts.steps)[short]} <= ends
    assert len(dream_starts(games, 5, 50.0, 60.0, np.random.default_rng(0))) == 0


def test_transitions_are_drawn_once_and_never_across_episodes(games) -> None:
    t = sample_transitions(games, 200, np.random.default_rng(0))
    assert len(np.unique(t)) == 200
    assert not np.isin(t + 1, games.first).any()
    assert len(sample_transitions(games, 10**6, np.random.default_rng(0))) == len(games)


def test_what_no_frame_shows_is_known_by_watching_from_the_beginning(games) -> None:
    """The knob is that of the same keys in the emulator, and the twin that watches knows the same."""
    wm, first = WorldModel.untrained(), int(games.first[1])
    t = np.arange(first, first + 120)
    keys, unseen = memory_of(games, t, wm.context)
    assert unseen.shape == (120, 3)
    wm.reset_classes(games.frame(t[:1]), unseen=Unseen(*games.unseen[1].tolist()))
    knob = int(games.unseen[1, 1])
    assert knob != NO_KNOB
    for number, at in enumerate(t):
        assert wm.unseen == tuple(unseen[number])
        assert unseen[number, 1] == knob
        action = int(games.actions[at])
        assert number == 0 or keys[number, -1] == games.actions[at - 1]
        wm.observe_classes(games.frame(at + 1), action)
        knob = turned(knob, action, games.frameskip)
    assert len(np.unique(unseen[:, 1])) > 5


@pytest.mark.parametrize("arguments", [("mixed", 2, 0, 0), ("mixed", 2, -1, 1), ("nobody", 2, 0, 1)])
def test_bad_input_is_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError):
        play_held_out(*arguments)
