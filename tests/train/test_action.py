"""The seed design's controller: its data, its split, its training, its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect.pairs import load_pairs, stats_path
from model.breakout import CELLS
from model.checkpoint import load_tensors
from model.controllers import ActionToLatentMLP
from model.files import FileError, checksum
from train.action import (
    accuracies,
    get_action_latent_dataloaders,
    majority_by_action,
    report,
    split_episodes,
    train_action,
)
from train.loop import Run, Settings
from train.weights import build, fill, load_part

pytestmark = pytest.mark.slow

SETTINGS = Settings(batch=64, rate=3e-3, epochs=8, warmup=5, decay=0.0, log_every=1)
LENGTHS = [100, 40, 60, 80, 20, 70, 90, 50, 30, 60]


def write_pairs(path: Path, stats: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """600 pairs of ten episodes. Code 0 almost everywhere; cell 3 tells the action, cell 5 the episode."""
    rng = np.random.default_rng(0)
    actions = rng.integers(4, size=sum(LENGTHS))
    codes = np.zeros((len(actions), CELLS), np.int64)
    codes[:, 3] = np.where(rng.random(len(actions)) < 0.9, 10 + actions, 200)
    codes[:, 5] = 1 + np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    items = [{"action": int(a), "latent_code": c.tolist()} for a, c in zip(actions, codes, strict=True)]
    path.write_text(json.dumps(items))
    if stats:
        about = {"schema": 1, "frameskip": 2, "codes_sha256": "0" * 64, "pairs_sha256": checksum(path)}
        stats_path(path).write_text(json.dumps({**about, "episode_lengths": LENGTHS}))
    return actions, codes


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A pairs file with statistics."""
    write_pairs(tmp_path / "pairs.json")
    return tmp_path / "pairs.json"


def test_loaders_hand_out_every_pair_once_and_split_by_episode(tmp_path: Path) -> None:
    actions, codes = write_pairs(tmp_path / "pairs.json")
    training, validation = get_action_latent_dataloaders(tmp_path / "pairs.json", batch=64, seed=1)
    seen: list[list[int]] = []
    episodes: list[set[int]] = []
    for loader in (training, validation):
        found = [(one_hot, code) for one_hot, code in loader]
        one_hot, code = (torch.cat(parts) for parts in zip(*found, strict=True))
        assert one_hot.dtype == torch.float32
        assert one_hot.shape[1:] == (4,)
        assert code.dtype == torch.int64
        assert code.shape[1:] == (CELLS,)
        assert (one_hot.sum(1) == 1).all()
        seen += [[int(a), *c] for a, c in zip(one_hot.argmax(1), code.tolist(), strict=True)]
        episodes.append(set(code[:, 5].tolist()))
        assert [len(part) for part, _ in found[:-1]] == [64] * (len(found) - 1)
    assert sorted(seen) == sorted([int(a), *c] for a, c in zip(actions, codes.tolist(), strict=True))
    assert episodes[0].isdisjoint(episodes[1])
    assert len(episodes[1]) == 2


def test_epochs_are_shuffled_and_repeatable(pairs: Path) -> None:
    def epoch(seed: int) -> list[list[int]]:
        loader, _ = get_action_latent_dataloaders(pairs, batch=64, seed=seed)
        return [code[:, 3].tolist() for _, code in loader]

    assert epoch(0) == epoch(0)
    loader, _ = get_action_latent_dataloaders(pairs, batch=64)
    first, second = ([code[:, 3].tolist() for _, code in loader] for _ in range(2))
    assert first != second


def test_without_statistics_blocks_in_a_row_are_split(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.json", stats=False)
    loaded = load_pairs(tmp_path / "pairs.json")
    assert loaded.stats is None
    assert sum(loaded.lengths) == len(loaded.actions) == 600
    with pytest.raises(FileError, match="cannot be split"):
        split_episodes(loaded.lengths)
    training, validation = split_episodes([1000] * 10)
    assert len(validation) == 2000
    assert set(validation.tolist()).isdisjoint(training.tolist())


def log(out: Path) -> list[dict[str, Any]]:
    """The log without what depends on the clock."""
    lines = [json.loads(line) for line in (out / "action_to_latent_best_log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


def trained(out: Path) -> tuple[ActionToLatentMLP, dict[str, Any]]:
    """The best weights of a run, and what is known of them."""
    path = out / "action_to_latent_best.safetensors"
    tensors, meta = load_part(path, "train action")
    model = build(ActionToLatentMLP, meta, "action", path, tensors)
    fill(torch.nn.ModuleDict({"action": model}).state_dict(), tensors, path)
    return model.eval(), meta


def test_training_learns_what_the_action_tells(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_action(pairs, Run(out, SETTINGS))
    losses = [line["loss"] for line in log(out) if "loss" in line]
    assert losses[-1] < losses[0] / 4
    module, meta = trained(out)
    found = meta["validation"]
    assert found["majority"]["accuracy"] < found["accuracy"] <= found["majority_by_action"]["accuracy"] + 1e-9
    assert found["accuracy"] > (33 + 0.8) / CELLS
    assert found["per_action"]["LEFT"]["accuracy"] > 0.9
    assert meta["frameskip"] == 2
    with torch.no_grad():
        codes = module(torch.eye(4)).argmax(2)
    assert codes[:, 3].tolist() == [10, 11, 12, 13]
    assert (codes[:, 10] == 0).all()
    assert "RIGHT" in "\n".join(report(found))
    assert "worse" not in "\n".join(report(found))


def test_a_run_that_is_too_short_says_so(pairs: Path, tmp_path: Path) -> None:
    figures = train_action(pairs, Run(tmp_path, replace(SETTINGS, epochs=1, rate=1e-5)))
    assert "worse than always giving the majority code" in report(figures)[-1]


def test_missing_pairs_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="collect pairs --out"):
        train_action(tmp_path / "pairs.json", Run(tmp_path, SETTINGS))


def test_a_resumed_run_gives_the_losses_of_one_that_never_stopped(pairs: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if share > 0.6:  # in the middle of an epoch
            raise Stop

    whole, halves = (Run(tmp_path / name, replace(SETTINGS, epochs=4)) for name in ("whole", "halves"))
    train_action(pairs, whole)
    with pytest.raises(Stop):
        train_action(pairs, replace(halves, show=stop))
    train_action(pairs, replace(halves, resume=True))
    by_step = {(line["step"], "loss" in line): line for line in log(halves.out)}  # what comes after a checkpoint: twice
    assert sorted(map(str, by_step.values())) == sorted(map(str, log(whole.out)))
    for name in ("action_to_latent_best", "action_to_latent_last"):
        a, b = (load_tensors(run.out / f"{name}.safetensors")[0] for run in (whole, halves))
        assert all(np.array_equal(a[key], b[key]) for key in a | b)


def test_figures_by_hand() -> None:
    actions = torch.tensor([0, 0, 0, 2])
    codes = torch.zeros(4, CELLS, dtype=torch.int64)
    codes[:, 0] = torch.tensor([7, 7, 9, 9])
    overall, by_action = majority_by_action(actions, codes)
    assert overall[0] == 7  # of a tie, the lower
    assert by_action[:, 0].tolist() == [7, 7, 9, 7]
    found = accuracies(by_action, actions, codes)
    assert found["accuracy"] == pytest.approx(1 - 1 / (4 * CELLS))
    assert found["dynamic_accuracy"] == pytest.approx(3 / 4)
    assert found["per_action"]["NOOP"]["dynamic_accuracy"] == pytest.approx(2 / 3)
    assert found["per_action"]["LEFT"] == {"accuracy": None, "dynamic_accuracy": None}
    figures = {**found, "majority": found, "majority_by_action": found}
    assert "none" in report(figures)[-1]


GOOD = {"action": 1, "latent_code": [0] * CELLS}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("[" * 5000, "cannot be read"),
        ("{}", "not a JSON list"),
        ("[]", "empty"),
        ("[3]", "entry 0 has no action"),
        (json.dumps([GOOD, {**GOOD, "action": 7}]), "entry 1 has no action"),
        (json.dumps([{**GOOD, "action": True}]), "no action"),
        (json.dumps([{**GOOD, "latent_code": [0] * 34}]), "no latent code"),
        (json.dumps([{**GOOD, "latent_code": [256] * CELLS}]), "no latent code"),
        (json.dumps([{**GOOD, "latent_code": [0.5] * CELLS}]), "no latent code"),
        (json.dumps([GOOD] * 3)[:-40], "cannot be read"),
    ],
)
def test_foreign_pairs(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "pairs.json").write_text(text)
    with pytest.raises(FileError, match=says):
        load_pairs(tmp_path / "pairs.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 9}, "newer"),
        ({"pairs_sha256": "1"}, "another pairs file"),
        ({"episode_lengths": [600, 1]}, "add up"),
        ({"episode_lengths": [601, -1]}, "add up"),
        ({"frameskip": None}, "frame skip"),
    ],
)
def test_foreign_statistics(pairs: Path, changes: dict[str, object], says: str) -> None:
    stats = json.loads(stats_path(pairs).read_text())
    stats_path(pairs).write_text(json.dumps({**stats, **changes}))
    with pytest.raises(FileError, match=says):
        load_pairs(pairs)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["action", "latent_code"]), inner),
    max_leaves=6,
)


@settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(value=values, key=st.sampled_from(["action", "latent_code"]), binary=st.binary(max_size=12))
def test_any_pairs_are_read_or_refused_cleanly(tmp_path: Path, value: object, key: str, binary: bytes) -> None:
    path = tmp_path / "pairs.json"
    for content in (json.dumps([GOOD, {**GOOD, key: value}]), json.dumps(value), json.dumps([value])):
        path.write_bytes(content.encode() + binary * (key == "action"))
        try:
            found = load_pairs(path)
        except FileError:
            continue
        assert found.codes.shape == (len(found.actions), CELLS)
