"""Held-out games are new, the same for the same seed, and what happened in them is what RAM says."""

import numpy as np
import pytest

from collect import ram
from collect.frames import CollectSettings, play_episode
from evaluate.heldout import (
    Event,
    Zone,
    classify,
    dream_starts,
    episode_of,
    play_held_out,
    sample_transitions,
    true_memory,
    zones,
)
from evaluate.summaries import summarise_memory
from model.readers import find_bricks
from model.state import INDEX, SIGNED_SPEEDS, VARIABLES


def test_the_same_seed_gives_the_same_games(games) -> None:
    again = play_held_out("people", games.frameskip, 0, 3, 12.0)
    assert np.array_equal(again.actions, games.actions)
    assert np.array_equal(again.ram, games.ram)
    assert not np.array_equal(play_held_out("people", games.frameskip, 1, 3, 12.0).actions, games.actions)


def test_no_held_out_game_is_one_that_training_collects() -> None:
    """NumPy fills seeds up with zeros, so (2**40 + s, 0) is (s, 256): the seed of a game of training."""
    held = play_held_out("mixed", 1, 0, 2, 2.0)
    for number in (0, 1, 255, 256, 257):
        trained = play_episode(CollectSettings(0, "mixed", 1, 0, 2.0), number).actions
        for game in range(2):
            mine = held.actions[held.first[game] : held.first[game + 1] - 1]
            assert not np.array_equal(mine[: len(trained)], trained[: len(mine)])


def test_a_dream_starts_with_the_ball_in_play_and_ends_with_the_recording(games) -> None:
    starts = dream_starts(games, 20, 2.0, 5.0, np.random.default_rng(0))
    assert len(starts.t) == 20
    assert (np.diff(starts.t) > 0).all()
    assert (ram.read(games.ram[starts.t]).ball_row > 0).all()
    assert (episode_of(games, starts.t) == episode_of(games, starts.t + starts.steps)).all()
    assert (starts.steps >= 60).all()
    assert starts.steps.max() == 150
    assert len(dream_starts(games, 20, 50.0, 60.0, np.random.default_rng(0)).t) == 0


def test_transitions_are_drawn_without_repeats(games) -> None:
    t = sample_transitions(games, 50, np.random.default_rng(0))
    assert len(set(t.tolist())) == 50
    assert not np.isin(t, games.first[1:] - 1).any()
    assert len(sample_transitions(games, 10**6, np.random.default_rng(0))) == len(games)


def test_events_are_what_ram_says(games) -> None:
    events, truth = classify(games), ram.read(games.ram)
    assert (events[games.first[1:] - 1] == Event.NOTHING).all()
    for event in (Event.LIFE_LOST, Event.SERVE, Event.BRICK, Event.PADDLE, Event.SIDE_WALL):
        assert (events == event).any(), event
    t = np.flatnonzero(events == Event.SERVE)
    assert (truth.ball_row[t] == 0).all()
    assert (truth.ball_row[t + 1] > 0).all()
    t = np.flatnonzero(events == Event.PADDLE)
    assert (truth.contact[t + 1] == 1).all()
    assert (truth.ball_row[t] > 150).all()
    t = np.flatnonzero(events == Event.BRICK)
    gone = find_bricks(games.frame(t)).sum((1, 2)) > find_bricks(games.frame(np.minimum(t + 2, len(events) - 1))).sum(
        (1, 2)
    )
    assert gone.all()
    t = np.flatnonzero(events == Event.SIDE_WALL)
    assert np.minimum(truth.ball_column[t] - 6, 152 - truth.ball_column[t]).max() < 10
    where = zones(games)
    assert ((where == Zone.NO_BALL) == (truth.ball_row == 0)).all()


def test_every_class_of_the_memory_is_what_ram_says(games) -> None:
    memory, truth = true_memory(games), ram.read(games.ram)
    assert memory.shape == (len(games.index), len(VARIABLES))
    sizes = np.array([len(variable.classes) for variable in VARIABLES])
    assert (memory != 0).all()
    assert (memory < sizes).all()
    assert (memory[:, INDEX["clock"]] == truth.clock % 4 + 1).all()
    played = truth.ball_row > 0
    speeds = np.array(SIGNED_SPEEDS)[memory[:, INDEX["speed"]] - 1]
    assert (speeds[played] * 256 == np.stack((truth.row_speed, truth.column_speed), 1)[played]).all()
    assert (speeds[~played] == 0).all()
    # From a reset or a settled start the knob is in its centre, and the keys turn it.
    assert (memory[games.first[:-1], INDEX["knob"]] == 117).all()
    assert len(np.unique(memory[:, INDEX["knob"]])) > 10
    due = memory[:, INDEX["life_due"]] == 2
    assert 0 < due.sum() <= (classify(games) == Event.LIFE_LOST).sum()


def test_what_is_known_and_right_is_counted_by_hand() -> None:
    truth = np.full((4, len(VARIABLES)), 1)
    memory = truth.copy()
    memory[:, 0] = 1, 2, 0, 0
    truth[3, 0] = -1  # not told by RAM
    found = summarise_memory(memory, truth, np.arange(4))[VARIABLES[0].name]
    assert found["known"].value == pytest.approx(2 / 3)
    assert found["right_when_known"].value == 0.5
    assert found["right"].value == pytest.approx(1 / 3)
