"""Pairs: the seed design's format, true to the games, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from collect.dataset import load_episode, read_manifest
from collect.frames import CollectSettings, play_episode
from collect.pairs import code_statistics, collect_pairs, read_pairs, stats_path
from main import app
from model.breakout import CELLS, CODES, Frame, changed_cells, to_cells
from model.files import FileError, checksum


def encode(before: Frame, after: Frame) -> np.ndarray:
    """Stands in for a trained encoder: 0 where nothing changes, else a number from the cell's new pixels."""
    numbers = 1 + to_cells(after).astype(np.int64).sum(axis=(2, 3)) % (CODES - 1)
    return np.where([changed_cells(b, a) for b, a in zip(before, after, strict=True)], numbers, 0)


def test_pairs_are_those_of_the_games_played(tmp_path: Path) -> None:
    out = tmp_path / "actions" / "pairs.json"
    told: list[str] = []
    stats = collect_pairs(encode, 2, out, 700, 3, show=lambda share, text: told.append(text), codes_sha256="0" * 64)
    items = json.loads(out.read_text())
    assert len(items) == stats["pairs"] == sum(stats["episode_lengths"]) == 700
    assert told[-1] == "700 of 700"
    assert all(set(item) == {"action", "latent_code"} for item in items)
    start = 0
    for number, length in enumerate(stats["episode_lengths"]):
        episode = play_episode(CollectSettings(0, "random", 2, 3), number)
        for t in (0, length // 2, length - 1):  # never a pair of frames of two episodes
            item = items[start + t]
            assert item["action"] == episode.actions[t]
            assert item["latent_code"] == encode(episode.frame([t]), episode.frame([t + 1]))[0].tolist()
        start += length
    assert json.loads(stats_path(out).read_text()) == stats
    assert stats["codes_sha256"] == "0" * 64


def test_statistics_agree_with_the_pairs(tmp_path: Path) -> None:
    stats = collect_pairs(encode, 2, tmp_path / "pairs.json", 400, 3)
    items = json.loads((tmp_path / "pairs.json").read_text())
    codes = np.array([item["latent_code"] for item in items])
    counts = np.bincount([item["action"] for item in items], minlength=4)
    assert [part["count"] for part in stats["actions"].values()] == counts.tolist()
    assert stats["codes"]["used"] == len(np.unique(codes))
    assert stats["codes"]["counts"] == np.bincount(codes.ravel(), minlength=CODES).tolist()
    for position, column in zip(stats["codes"]["positions"], codes.T, strict=True):
        values, n = np.unique(column, return_counts=True)
        assert position["top"][0]["code"] in values[n == n.max()]
        assert position["top"][0]["share"] == pytest.approx(n.max() / 400)
        assert position["entropy"] == pytest.approx(-(n / 400 * np.log2(n / 400)).sum(), abs=1e-9)
    assert stats["pairs_sha256"] == checksum(tmp_path / "pairs.json")


def test_statistics_of_what_never_occurs() -> None:
    counts = np.zeros((4, CELLS, CODES), np.int64)
    counts[0, :, 0] = 10
    stats = code_statistics(counts)
    assert stats["perplexity"] == 1
    assert stats["positions"][0]["top_by_action"]["LEFT"] == []
    assert len(stats["never_used"]) == CODES - 1


def test_no_more_pairs_are_made_than_can_be_read(tmp_path: Path) -> None:
    out = tmp_path / "pairs.json"
    command = ["collect", "pairs", "--out", str(out), "--weights", str(tmp_path), "--transitions"]
    assert CliRunner().invoke(app, [*command, "2500001"]).exit_code == 2
    assert CliRunner().invoke(app, [*command, "2500000"]).exit_code == 1, "there are no weights"
    collect_pairs(lambda before, after: np.full((len(after), CELLS), 255), 2, out, 300)  # as long as they can be
    assert out.stat().st_size / 300 * 2_500_000 < 1 << 29  # the limit of `read_pairs`


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        collect_pairs(encode, 2, tmp_path / f"{name}.json", 300, 3)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    collect_pairs(encode, 2, tmp_path / "c.json", 300, 4)
    assert (tmp_path / "c.json").read_bytes() != (tmp_path / "a.json").read_bytes()


def test_pairs_of_a_dataset(frames_dir: Path, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    show = lambda *where: told.append(where)  # noqa: E731
    stats = collect_pairs(encode, 2, tmp_path / "pairs.json", 10**6, frames=frames_dir, show=show)
    assert told[-1] == (1.0, f"{stats['pairs']} of {stats['pairs']}")
    manifest = read_manifest(frames_dir)
    assert stats["episode_lengths"] == [entry["transitions"] for entry in manifest["episodes"]]
    assert (stats["policy"], stats["seed"]) == ("mixed", manifest["seed"])
    last = load_episode(frames_dir / manifest["episodes"][-1]["file"])
    assert json.loads((tmp_path / "pairs.json").read_text())[-1]["action"] == last.actions[-1]


def test_a_failure_leaves_what_was_there(frames_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.json"
    collect_pairs(encode, 2, out, 50, 3)
    before = out.read_bytes(), stats_path(out).read_bytes()

    def broken(before: Frame, after: Frame) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_pairs(broken, 2, out, 90, 3)
    with pytest.raises(FileError, match="frame skip 2, the weights are of 4"):
        collect_pairs(encode, 4, out, 90, frames=frames_dir)
    assert (out.read_bytes(), stats_path(out).read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "are empty"),
        ("{}", "are not a JSON list"),
        ("[3]", "entry 0 has no action of 0..3"),
        ('[{"action": 4, "latent_code": []}]', "entry 0 has no action of 0..3"),
        ('[{"action": 0}]', "entry 0 has no latent code of 35 integers 0..255"),
    ],
)
def test_pairs_that_are_none_are_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(FileError, match=why):
        read_pairs(path)
