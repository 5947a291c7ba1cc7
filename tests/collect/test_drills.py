"""Drills: many short scenes in one episode, repeatable, and never a pair across two of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from collect.dataset import TransitionDataset
from collect.episode import CUT, load_episode
from collect.frames import CollectSettings, collect_frames, play_episode
from model.breakout import KNOB_END, MOST_HITS, turned
from train.material import Material
from train.places import all_places
from train.sampling import FIRST_STEPS, TransitionSampler

CPU = torch.device("cpu")
SETTINGS = CollectSettings(900, "drill", 2, 3, episode_seconds=10.0)


def test_the_same_seed_gives_the_same_bytes_and_every_third_episode_is_a_game(tmp_path: Path) -> None:
    writers = [play_episode(SETTINGS, number) for number in (0, 1, 2, 1)]
    cuts = [int((writer.to_episode(over).actions == CUT).sum()) for writer, over in writers]
    assert cuts[0] == 0
    assert min(cuts[1:]) > 5
    assert writers[1][0].to_bytes(False) == writers[3][0].to_bytes(False) != writers[2][0].to_bytes(False)
    assert all(len(writer) == 300 for writer, _ in writers)


def test_no_pair_and_no_history_spans_two_scenes(tmp_path: Path) -> None:
    manifest = collect_frames(SETTINGS, tmp_path / "data", workers=1)
    assert sum(entry["transitions"] for entry in manifest["episodes"]) == 900
    dataset = TransitionDataset.load(tmp_path / "data")
    assert len(dataset) == len(dataset.transitions()) == 900
    raw = [load_episode(tmp_path / "data" / entry["file"]) for entry in manifest["episodes"]]
    actions = np.concatenate([np.append(episode.actions, 0) for episode in raw])
    assert not np.isin(np.flatnonzero(actions == CUT), dataset.transitions()).any()
    assert dataset.actions.max() < CUT
    assert dataset.episodes == len(raw) + (actions == CUT).sum()
    t = dataset.transitions()
    scene = np.searchsorted(dataset.first, np.arange(len(actions)), side="right")
    assert (scene[dataset.history(t, 8)] == scene[t][:, None]).all()


def test_a_scene_knows_what_no_frame_of_it_shows(tmp_path: Path) -> None:
    manifest = collect_frames(SETTINGS, tmp_path / "data", workers=1)
    dataset = TransitionDataset.load(tmp_path / "data")
    raw = [load_episode(tmp_path / "data" / entry["file"]) for entry in manifest["episodes"]]
    begins = np.concatenate([[True, *(episode.actions == CUT)] for episode in raw])
    first_of_file = np.cumsum([0, *((episode.actions == CUT).sum() + 1 for episode in raw)])[:-1]
    assert begins.sum() == dataset.episodes
    assert np.array_equal(dataset.unseen, np.concatenate([episode.unseen for episode in raw]))
    hits, knob = np.delete(dataset.unseen, first_of_file, 0).T
    assert hits.max() <= MOST_HITS
    assert len(set(hits)) > 1
    assert knob.max() <= KNOB_END
    assert len(set(knob)) > 5
    assert not dataset.rewards[dataset.first[1:] - 1].any()


def test_the_knob_of_a_scene_is_the_one_that_its_paddle_follows() -> None:
    """At frame skip 1 the knob and the paddle's column settle the next column: no scene says otherwise than a game."""
    fast = replace(SETTINGS, frameskip=1)
    dataset = TransitionDataset(
        [play_episode(fast, number)[0].to_episode(False) for number in range(3)], {"frameskip": 1}
    )
    assert dataset.episodes > 10
    column = all_places(dataset)[0, :, 2]
    next_columns: dict[tuple[int, int], Counter[int]] = {}
    for first, end, (_, knob) in zip(dataset.first[:-1], dataset.first[1:], dataset.unseen.tolist(), strict=True):
        for t in range(first, end - 1):
            next_columns.setdefault((knob, column[t]), Counter())[column[t + 1]] += 1
            knob = turned(knob, int(dataset.actions[t]), 1)
    others = sum(found.total() - found.most_common(1)[0][1] for found in next_columns.values())
    assert others / len(dataset) < 0.005  # the gaze may take a ball for an end of the paddle


def test_what_one_file_holds_is_never_parted(tmp_path: Path) -> None:
    manifest = collect_frames(SETTINGS, tmp_path / "data", workers=1)
    dataset = TransitionDataset.load(tmp_path / "data")
    training, validation = dataset.split()
    held = np.isin(np.arange(dataset.episodes), validation)
    assert sorted([*training, *validation]) == list(range(dataset.episodes))
    assert len(manifest["episodes"]) == 3
    ends = np.cumsum([len(load_episode(tmp_path / "data" / e["file"]).index) for e in manifest["episodes"]])
    file = np.searchsorted(ends, dataset.first[:-1], side="right")
    assert all(len(set(held[file == number])) == 1 for number in range(3))


def test_drills_are_about_bounces(tmp_path: Path) -> None:
    """The ball turns above the paddle several times as often as in games, once its motion is to be seen."""
    shares = []
    for policy in ("mixed", "drill"):
        out = tmp_path / policy
        collect_frames(CollectSettings(3600, policy, 2, 5, episode_seconds=20.0), out, workers=1)
        dataset = TransitionDataset.load(out)
        t = TransitionSampler(Material(dataset, CPU), np.arange(dataset.episodes), 0).transitions.numpy()
        row = all_places(dataset)[0, :, 0]
        first = dataset.first[np.searchsorted(dataset.first, t, side="right") - 1]
        t = t[t - first >= FIRST_STEPS]
        turns = (row[t] >= 170) & (row[t - 1] >= 0) & (row[t + 1] >= 0) & (row[t] > row[t - 1]) & (row[t] > row[t + 1])
        shares.append(turns.mean())
    assert shares[1] > 2 * shares[0]
