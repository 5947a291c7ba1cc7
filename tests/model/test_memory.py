"""What no frame tells: the hits that the game counts and the knob that the keys turn, checked against the emulator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from collect.emulator import Emulator
from collect.policies import make_policy, start_episode
from model import WorldModel
from model.breakout import KNOB_CENTRE, KNOB_END, MOST_HITS, NO_ACTION, NO_KNOB, UNKNOWN_HITS, Action, turned
from model.gaze import BALL_FRAMES
from model.memory import Unseen, Watcher, push, turned_knobs, with_memory


def held_keys(rng: np.random.Generator, steps: int, frameskip: int) -> list[int]:
    """Keys that are held for up to 0.7 s each, so long that the paddle often stands at a wall."""
    keys: list[int] = []
    while len(keys) < steps:
        key = rng.choice([Action.NOOP, Action.FIRE, Action.RIGHT, Action.LEFT], p=[0.2, 0.1, 0.35, 0.35])
        keys += [int(key)] * int(rng.integers(1, 45 // frameskip))
    return keys[:steps]


@pytest.mark.parametrize("frameskip", [1, 2])
def test_the_hits_are_those_that_the_game_counts(frameskip: int) -> None:
    """RAM 107 counts in its low four bits; bit 4 is set, and the count gone, once the ball has met the upper rows."""
    emulator, rng = Emulator(frameskip), np.random.default_rng(1)
    start_episode(emulator, "mixed", rng)
    policy = make_policy("mixed", rng, frameskip)
    before = emulator.frame
    watcher = Watcher(before[None], [NO_ACTION], frameskip)
    counted = []
    for _ in range(2400 // frameskip):
        action = policy.act(emulator.objects())
        emulator.step(action)
        watcher.see(before, emulator.frame, action)
        before, ram = emulator.frame, emulator.ram()
        if emulator.objects().ball is not None and not ram[107] & 16:
            counted.append(watcher.unseen.hits == ram[107] & 15)
    assert len(counted) > 500
    assert np.mean(counted) > 0.95


@pytest.mark.parametrize("frameskip", [1, 2])
def test_the_knob_is_where_the_emulator_has_it_at_both_walls_too(frameskip: int) -> None:
    emulator, rng = Emulator(frameskip), np.random.default_rng(5)
    for action in held_keys(rng, 50, frameskip):
        emulator.step(action)
    before, known = emulator.frame, Unseen(knob=emulator.knob)
    watcher, wm = Watcher(before[None], [NO_ACTION], frameskip, known), WorldModel.untrained(frameskip)
    wm.reset_classes(before[None], unseen=known)
    columns, knobs = set(), set()
    for action in held_keys(rng, 600, frameskip):
        now = emulator.step(action).frame
        watcher.see(before, now, action)
        wm.observe_classes(now, action)
        assert watcher.unseen.knob == wm.unseen.knob == emulator.knob
        before = now
        columns.add(emulator.objects().paddle)
        knobs.add(emulator.knob)
    assert {8, 144} <= columns
    assert {0, KNOB_END} <= knobs


def test_a_dream_turns_the_knob_as_the_game_does() -> None:
    emulator, wm = Emulator(2), WorldModel.untrained(2)
    wm.reset_classes(emulator.frame[None], unseen=Unseen(knob=emulator.knob))
    for action in held_keys(np.random.default_rng(1), 60, 2):
        emulator.step(action)
        wm.step_classes(action)
        assert wm.unseen.knob == emulator.knob


@pytest.mark.parametrize("frameskip", [1, 2])
def test_a_knob_that_nobody_has_watched_shows_where_the_paddle_rests(frameskip: int) -> None:
    """And not before it rests, nor where a wall may hold it."""
    emulator = Emulator(frameskip)
    shown = 0
    for presses in range(0, 34 // frameskip):
        for key in (Action.LEFT, Action.RIGHT):
            emulator.reset()
            for action in [Action.RIGHT] * (40 * (presses % 2)) + [key] * presses:
                emulator.step(action)
            frames = [emulator.frame]
            for _ in range(30):
                frames.append(emulator.step(Action.NOOP).frame)
            early = Watcher(np.stack(frames[:3]), [NO_ACTION, 0, 0], frameskip).unseen.knob
            if not np.array_equal(frames[1][189:193], frames[2][189:193]):
                assert early == NO_KNOB
            found = Watcher(np.stack(frames), [NO_ACTION] + [0] * 30, frameskip).unseen.knob
            if 10 <= emulator.objects().paddle <= 142:
                shown += 1
                assert abs(found - emulator.knob) <= 2
            else:
                assert found == NO_KNOB
    assert shown >= 12


def test_keys_turn_the_knob_up_to_its_ends_and_an_unknown_key_loses_it() -> None:
    moving = torch.zeros(1, BALL_FRAMES, 3, dtype=torch.int64)
    moving[0, :, 2] = 60 + torch.arange(BALL_FRAMES)
    for knob, key, later in (
        (KNOB_CENTRE, Action.RIGHT, KNOB_CENTRE + 14),
        (KNOB_CENTRE, Action.LEFT, KNOB_CENTRE - 14),
        (KNOB_CENTRE, Action.FIRE, KNOB_CENTRE),
        (KNOB_END - 3, Action.RIGHT, KNOB_END),
        (3, Action.LEFT, 0),
        (KNOB_CENTRE, NO_ACTION, NO_KNOB),
        (NO_KNOB, Action.RIGHT, NO_KNOB),
    ):
        assert turned_knobs(torch.tensor([knob]), torch.tensor([int(key)]), moving, 2).tolist() == [later]
        if key != NO_ACTION:
            assert turned(knob, key, 2) == later
    at_wall = torch.full((1, BALL_FRAMES, 3), 8)
    assert turned_knobs(torch.tensor([NO_KNOB]), torch.tensor([0]), at_wall, 2).tolist() == [NO_KNOB]
    resting = torch.full((1, BALL_FRAMES, 3), 99)
    assert turned_knobs(torch.tensor([NO_KNOB]), torch.tensor([2]), resting, 2).tolist() == [KNOB_CENTRE + 14]
    assert turned_knobs(torch.tensor([90]), torch.tensor([0]), resting, 2).tolist() == [90], "what is known is kept"


def test_what_nobody_has_counted_is_not_known_until_the_next_serve() -> None:
    seen = torch.full((1, 8, 3), 60)
    seen[0, :, 0] = torch.tensor([150, 155, 160, 165, 170, 175, 180, 185])
    known = with_memory(seen, unseen=torch.tensor([[MOST_HITS - 1, 80]]))
    unknown = with_memory(seen)
    up, key = torch.tensor([[180, 62, 61]]), torch.tensor([3])
    assert push(known, up, key, 1)[0, -1].tolist() == [180, 62, 61, 3, MOST_HITS, 73]
    assert push(push(known, up, key, 1), torch.tensor([[175, 64, 60]]), key, 1)[0, -1, 4:].tolist() == [MOST_HITS, 66]
    assert push(unknown, up, key, 1)[0, -1, 4:].tolist() == [UNKNOWN_HITS, NO_KNOB]
    gone = torch.tensor([[-1, -1, 60]])
    for _ in range(BALL_FRAMES):
        assert unknown[0, -1, 4] == UNKNOWN_HITS
        unknown = push(unknown, gone, key, 1)
    assert unknown[0, -1, 4] == 0


def test_many_moments_at_once_go_on_as_one_does() -> None:
    """`next_unseen` of histories, against a twin that watches the game."""
    emulator, rng, wm = Emulator(2), np.random.default_rng(3), WorldModel.untrained(2)
    start_episode(emulator, "mixed", rng)
    policy = make_policy("mixed", rng, 2)
    wm.reset_classes(emulator.frame[None], unseen=Unseen(knob=emulator.knob))
    histories, keys, before, after = [], [], [], []
    for _ in range(300):
        before.append(wm.unseen)
        keys.append(policy.act(emulator.objects()))
        wm.observe_classes(emulator.step(keys[-1]).frame, keys[-1])
        after.append(wm.unseen)
        histories.append(wm.history)
    assert max(hits for hits, _, _ in after if hits != UNKNOWN_HITS) >= 1
    late = slice(wm.context, None)  # the first histories repeat a frame
    found = wm.next_unseen(np.stack(histories[late]), keys[late], before[late])
    assert np.array_equal(found, np.array(after[late]))
    assert len(np.unique(found[:, 1])) > 20


def test_a_life_is_due_from_the_serve_until_it_is_taken() -> None:
    """Told by watching, and by the batch, against the emulator's lives: once a ball, long after it was last seen."""
    emulator, rng, wm = Emulator(1), np.random.default_rng(5), WorldModel.untrained(1)
    emulator.reset()
    wm.reset_classes(emulator.frame[None], unseen=Unseen(knob=emulator.knob))
    watcher = Watcher(emulator.frame[None], [NO_ACTION], 1)
    assert wm.unseen.due == watcher.unseen.due == 0, "a new game waits for its first serve"
    lost, waits = 0, 0
    for _ in range(1500):
        lives, before = emulator.objects().lives, emulator.frame
        known = wm.unseen
        key = int(rng.choice([1, 2, 3]))
        step = emulator.step(key)
        wm.observe_classes(step.frame, key)
        watcher.see(before, step.frame, key)
        assert watcher.unseen.due == wm.unseen.due
        assert wm.next_unseen(wm.history[None], [key], [known])[0, 2] == wm.unseen.due
        unseen = ~(wm._places[:, 0] >= 0).any()
        waits += int(known.due and unseen)
        if emulator.objects().lives < lives:
            lost += 1
            assert known.due, "the ball was in play"
        if unseen and not known.due:
            assert wm.unseen.due == 0
            assert not wm.predict_classes(key).codes[::7].any(), "no second life is taken"
    assert lost >= 2
    assert waits >= 5 * lost
