"""Datasets: lossless, split by whole episode, and damage of any kind ends in one FileError."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from collect.dataset import MANIFEST, EpisodeWriter, TransitionDataset, load_episode, read_manifest
from collect.emulator import Emulator
from collect.ram import LIVES
from model.breakout import CELLS, changed_cells, to_cells
from model.files import FileError


@pytest.fixture
def copy(frames_dir: Path, tmp_path: Path) -> Path:
    """A dataset to be damaged."""
    return shutil.copytree(frames_dir, tmp_path / "copy")


def changed(directory: Path, **changes: object) -> None:
    """Replace entries of the manifest; None removes one."""
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest = {k: v for k, v in {**manifest, **changes}.items() if v is not None}
    (directory / MANIFEST).write_text(json.dumps(manifest))


def test_frames_and_ram_come_back_as_the_emulator_gave_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    emulator = Emulator(2)
    frames, memory, actions, rewards = [emulator.frame], [emulator.ram()], rng.integers(4, size=200).tolist(), []
    writer = EpisodeWriter(emulator.screen, emulator.ram())
    for action in actions:
        step = emulator.step(action)
        writer.add(action, emulator.screen, emulator.ram(), step.reward)
        frames.append(step.frame)
        memory.append(emulator.ram())
        rewards.append(step.reward)
    writer.to_episode(over=True).save(tmp_path / "e.safetensors")
    episode = load_episode(tmp_path / "e.safetensors")
    assert len(episode) == len(writer) == 200
    assert np.array_equal(episode.frame(slice(None)), np.stack(frames))
    assert np.array_equal(episode.frame(7), frames[7])
    assert np.array_equal(episode.ram, np.stack(memory))
    assert episode.actions.tolist() == actions
    assert episode.rewards.tolist() == rewards
    assert episode.ram[:, LIVES].tolist() == [state[57] for state in memory]
    assert episode.over


def test_scenes_of_an_episode_are_episodes_of_the_dataset() -> None:
    emulator = Emulator(2)
    writer = EpisodeWriter(emulator.screen, emulator.ram())
    for action in (2, 2, 3):
        writer.add(action, emulator.screen, emulator.ram(), emulator.advance(action))
    writer.cut(emulator.screen, emulator.ram())
    writer.add(1, emulator.screen, emulator.ram(), 1)
    writer.cut(emulator.screen, emulator.ram())
    episode = writer.to_episode(False)
    dataset = TransitionDataset([episode, episode], {"frameskip": 2})
    assert dataset.rewards.tolist() == 2 * [0, 0, 0, 0, 1, 0, 0]
    assert dataset.actions.tolist() == 2 * [2, 2, 3, 0, 1, 0, 0]
    assert dataset.first.tolist() == [0, 4, 6, 7, 11, 13, 14]
    assert dataset.transitions().tolist() == [0, 1, 2, 4, 7, 8, 9, 11]
    assert np.array_equal(dataset.ram, np.concatenate((episode.ram, episode.ram)))
    assert np.array_equal(dataset.frame(np.arange(14)), np.concatenate(2 * [episode.frame(slice(None))]))
    assert len(dataset.cells) == len(episode.cells), "what episodes share is held once"
    assert dataset.cells.flags.writeable, "PyTorch warns of arrays that are not"


def test_changed_cells_agree_with_a_plain_comparison() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        before = rng.integers(9, size=(210, 160)).astype(np.uint8)
        after = before.copy()
        for _ in range(int(rng.integers(0, 6))):
            after[rng.integers(210), rng.integers(160)] = 8 - after[rng.integers(210), rng.integers(160)]
        plain = (to_cells(before) != to_cells(after)).any(axis=(1, 2))
        assert np.array_equal(changed_cells(before, after), plain)
    for row in range(210):
        after = before.copy()
        after[row, row % 160] ^= 1
        assert np.flatnonzero(changed_cells(before, after)).tolist() == [row % 160 // 32 * 7 + row // 30]


def test_pairs_never_cross_an_episodes_end(frames_dir: Path) -> None:
    dataset = TransitionDataset.load(frames_dir)
    manifest = read_manifest(frames_dir)
    pairs = dataset.transitions()
    assert len(pairs) == len(dataset) == manifest["transitions"]
    ends = set((dataset.first[1:] - 1).tolist())
    assert ends.isdisjoint(pairs.tolist())
    for number, entry in enumerate(manifest["episodes"]):
        episode = load_episode(frames_dir / entry["file"])
        mine = dataset.transitions(np.array([number]))
        assert np.array_equal(dataset.frame(mine + 1), episode.frame(slice(1, None)))
        assert np.array_equal(dataset.actions[mine], episode.actions)
        assert np.array_equal(dataset.ram[mine + 1], episode.ram[1:])


def test_splits_are_by_whole_episode_and_repeatable(frames_dir: Path) -> None:
    dataset = TransitionDataset.load(frames_dir)
    training, validation = dataset.split(seed=3)
    assert sorted([*training, *validation]) == list(range(dataset.episodes))
    assert len(validation) == round(0.2 * dataset.episodes)
    assert np.array_equal(dataset.split(seed=3)[1], validation)
    a, b = set(dataset.transitions(training)), set(dataset.transitions(validation))
    assert a.isdisjoint(b)
    assert len(a | b) == len(dataset)


def test_one_episode_cannot_be_split(frames_dir: Path) -> None:
    manifest = read_manifest(frames_dir)
    alone = TransitionDataset([load_episode(frames_dir / manifest["episodes"][0]["file"])], manifest)
    with pytest.raises(FileError, match="cannot be split"):
        alone.split()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 3}, "update this program"),
        ({"schema": 1}, "collect it anew"),
        ({"schema": None}, "no schema"),
        ({"schema": True}, "no schema"),
        ({"frameskip": "2"}, "frame skip"),
        ({"frameskip": 0}, "frame skip"),
        ({"episodes": []}, "empty"),
        ({"episodes": 3}, "episodes"),
        ({"episodes": ["episode-00000.safetensors"]}, "entry"),
        ({"episodes": [{"file": "../../etc/passwd", "sha256": ""}]}, "entry"),
        ({"episodes": [{"file": "episode-00099.safetensors", "sha256": ""}]}, "lacks"),
        ({"episodes": [{"file": "episode-00000.safetensors", "sha256": "0"}]}, "checksum"),
    ],
)
def test_foreign_manifests(copy: Path, changes: dict[str, object], says: str) -> None:
    changed(copy, **changes)
    with pytest.raises(FileError, match=says):
        TransitionDataset.load(copy)


def test_damaged_datasets(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        TransitionDataset.load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="is not a dataset"):
        TransitionDataset.load(tmp_path / "empty")
    (tmp_path / "empty" / "settings.json").write_text("{}")
    with pytest.raises(FileError, match="was not finished"):
        TransitionDataset.load(tmp_path / "empty")
    episode = copy / "episode-00001.safetensors"
    whole = episode.read_bytes()
    episode.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="damaged"):
        TransitionDataset.load(copy)
    with pytest.raises(FileError, match="damaged"):
        load_episode(episode)
    episode.unlink()
    with pytest.raises(FileError, match="lacks episode-00001"):
        TransitionDataset.load(copy)
    for text in ("", "[]", "{", "\xff", "[" * 100000):
        (copy / MANIFEST).write_text(text, encoding="latin-1")
        with pytest.raises(FileError, match="manifest"):
            TransitionDataset.load(copy)


def test_a_byte_order_mark_is_read(copy: Path) -> None:
    text = (copy / MANIFEST).read_bytes()
    (copy / MANIFEST).write_bytes(b"\xef\xbb\xbf" + text)
    assert len(TransitionDataset.load(copy)) == 700


def arrays(frames_dir: Path) -> dict[str, np.ndarray]:
    """The raw arrays of an episode file."""
    return load_file(frames_dir / "episode-00000.safetensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("actions", np.array([4] * 20, np.uint8)),
        ("actions", np.zeros((2, 2), np.uint8)),
        ("actions", np.full(150, 5, np.uint8)),
        ("actions", np.zeros(3, np.int64)),
        ("cells", np.zeros((0, 480), np.uint8)),
        ("cells", np.full((500, 480), 0x9A, np.uint8)),
        ("cells", np.zeros((), np.uint8)),
        ("cells", np.zeros((35 * 151 + 1, 480), np.uint8)),  # more than its frames can show
        ("index", np.full((151, CELLS), 60000, np.uint32)),
        ("index", np.zeros((0, CELLS), np.uint32)),
        ("ram", np.zeros((150, 128), np.uint8)),
        ("ram", np.zeros((151, 127), np.uint8)),
        ("ram", np.zeros((151, 128), np.int8)),
        ("rewards", np.zeros(3, np.uint8)),
        ("over", np.array(True)),
        ("over", np.array([1], np.uint8)),
        ("other", np.zeros(1)),
    ],
)
def test_foreign_episodes(frames_dir: Path, tmp_path: Path, name: str, value: np.ndarray) -> None:
    save_file({**arrays(frames_dir), name: value}, tmp_path / "e.safetensors")
    with pytest.raises(FileError, match="episode") as error:
        load_episode(tmp_path / "e.safetensors")
    assert "\n" not in str(error.value)
