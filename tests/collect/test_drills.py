"""Drills: many short scenes in one episode, repeatable, true to the game's rules, never a pair across two of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from collect import ram
from collect.dataset import CUT, TransitionDataset
from collect.drills import KINDS, speed
from collect.frames import GAMES_EVERY, CollectSettings, collect_frames, play_episode
from model.breakout import SHORT_PADDLE

pytestmark = pytest.mark.slow

SETTINGS = CollectSettings(900, "drill", 2, 3, episode_seconds=10.0)


@pytest.fixture(scope="module")
def drills() -> TransitionDataset:
    """12,000 transitions of drills at frame skip 1."""
    settings = CollectSettings(0, "drill", 1, 3)
    return TransitionDataset([play_episode(settings, number) for number in range(1, 6)], {"frameskip": 1})


def test_the_same_seed_gives_the_same_bytes_and_some_episodes_are_games() -> None:
    episodes = [play_episode(SETTINGS, number) for number in (0, 1, 2, 1, GAMES_EVERY)]
    cuts = [int((episode.actions == CUT).sum()) for episode in episodes]
    assert cuts[0] == cuts[-1] == 0
    assert min(cuts[1:-1]) > 10
    assert episodes[1].to_bytes() == episodes[3].to_bytes() != episodes[2].to_bytes()
    assert all(len(episode) == 300 for episode in episodes[:-1])


def test_no_pair_spans_two_scenes_and_no_file_is_parted(tmp_path: Path) -> None:
    manifest = collect_frames(SETTINGS, tmp_path / "data", workers=1)
    assert sum(entry["transitions"] for entry in manifest["episodes"]) == 900
    dataset = TransitionDataset.load(tmp_path / "data")
    assert len(dataset) == len(dataset.transitions()) == 900
    raw = [play_episode(SETTINGS, number) for number in range(3)]
    actions = np.concatenate([np.append(episode.actions, 0) for episode in raw])
    assert not np.isin(np.flatnonzero(actions == CUT), dataset.transitions()).any()
    assert dataset.actions.max() < CUT
    assert dataset.episodes == 3 + (actions == CUT).sum()
    file = np.searchsorted(np.cumsum([len(episode.index) for episode in raw]), dataset.first[:-1], side="right")
    held = np.isin(np.arange(dataset.episodes), dataset.split()[1])
    assert all(len(set(held[file == number])) == 1 for number in range(3))


def test_no_scene_begins_after_the_games_end() -> None:
    """At the longest steps the ball may be lost while the edit settles."""
    settings = CollectSettings(0, "drill", 16, 0)
    for episode in (play_episode(settings, number) for number in range(1, 16)):
        assert (ram.read(episode.ram[:-1]).lives[episode.actions != CUT] > 0).all()


def test_shares_and_lengths(drills: TransitionDataset) -> None:
    assert sum(share for share, _ in KINDS.values()) == pytest.approx(1)
    lengths = np.diff(drills.first) - 1
    assert 12 <= np.median(lengths) <= 20
    assert lengths.max() <= 60


def test_every_state_keeps_the_games_rules(drills: TransitionDataset) -> None:
    state = ram.read(drills.ram)
    live = state.ball_row > 0
    keys = (state.hits, state.fast, state.steep, abs(state.row_speed) / 256, abs(state.column_speed) / 256)
    for hits, fast, steep, rows, columns in set(zip(*(key[live].tolist() for key in keys), strict=True)):
        assert speed(hits, fast, steep) == (rows, columns)
    assert not state.hits[live & state.fast].any()
    untouched = live & (state.hits == 0) & ~state.fast  # since the serve
    assert (state.contact[untouched] == 0).all()
    assert (state.row_speed[untouched] > 0).all()
    assert (state.ball_row[live] >= 30).all()
    points = (state.wall.sum(axis=-1) * np.array(ram.POINTS)).sum(axis=-1)
    assert np.isin(points + state.score, (432, 864)).mean() > 0.8, "wall and score mostly agree"


def test_edits_have_settled_when_a_scene_begins(drills: TransitionDataset) -> None:
    """The scoreboard of a scene's start is the one that its score and lives have in the middle of scenes."""
    state, starts = ram.read(drills.ram), drills.first[:-1]
    keys = list(zip(state.score.tolist(), state.lives.tolist(), strict=True))
    shown: dict[tuple[int, int], bytes] = {}
    for t in np.setdiff1d(drills.transitions(skip=3), starts[:, None] + np.arange(4)):
        if keys[t] == keys[t - 1] == keys[t - 2]:
            shown.setdefault(keys[t], drills.frame(t)[:17].tobytes())
    known = [t for t in starts if keys[t] in shown]
    assert len(known) > 100
    assert np.mean([drills.frame(t)[:17].tobytes() == shown[keys[t]] for t in known]) > 0.95  # else a brick just went
    assert all(drills.frame(t + 1)[:17].tobytes() == shown[keys[t]] for t in known if keys[t] == keys[t + 1])


def test_a_brick_goes_whenever_there_are_points(drills: TransitionDataset) -> None:
    t = drills.transitions()
    state = ram.read(drills.ram)
    bricks = state.wall.sum(axis=(1, 2))
    gone = bricks[t + 1] < bricks[t]
    assert np.array_equal(gone, drills.rewards[t] > 0)
    assert set(drills.rewards[t].tolist()) == {0, 1, 4, 7}


def test_drills_are_full_of_what_is_rare(drills: TransitionDataset) -> None:
    """Counts in a hundred transitions; the least of each that 100,000 should hold."""
    t = drills.transitions()
    before, after = ram.read(drills.ram[t]), ram.read(drills.ram[t + 1])
    fell, rises = before.row_speed > 0, after.row_speed < 0
    bounce = fell & rises & (after.contact == 1)
    brick = drills.rewards[t] > 0
    both = (before.ball_row > 0) & (after.ball_row > 0)
    events = {
        "bounce": (bounce, 2.0),
        "brick": (brick, 3.0),
        "brick from above": (brick & fell, 0.4),
        "side": (both & (np.sign(before.column_speed) != np.sign(after.column_speed)) & ~bounce & ~brick, 1.5),
        "top": (both & ~fell & ~rises & (after.contact == 0), 0.5),
        "serve": ((before.ball_row == 0) & (after.ball_row > 0), 0.3),
        "lost": ((before.ball_row > 0) & (after.ball_row == 0), 0.2),
        "game over": ((before.lives == 1) & (after.lives == 0), 0.02),
        "new wall": (after.wall.sum(axis=(1, 2)) > before.wall.sum(axis=(1, 2)) + 20, 0.02),
        "tens turn over": (before.score // 10 != after.score // 10, 0.5),
        "hundreds turn over": (before.score // 100 != after.score // 100, 0.1),
    }
    for name, (happened, least) in events.items():
        assert 100 * happened.mean() > 0.8 * least, name  # a sample of 12,000 is not 100,000
    assert set(before.hits[bounce].tolist()) == set(range(13))
    assert set((before.clock[events["serve"][0]] % 4).tolist()) == {0, 1, 2, 3}
    assert {1, 2, 3, 4, 5} == set(before.lives[events["lost"][0]].tolist())
    assert 0.1 < (before.paddle_width[bounce] == SHORT_PADDLE).mean() < 0.6
