"""What is shipped plays as what was trained: PyTorch's twin and the engine agree, and the engine sees no RAM."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, collect_frames
from model.breakout import ACTIONS, CELLS
from model.checkpoint import load_tensors, rounded, save_tensors
from model.engine import Engine, read_weights
from model.files import FileError, write_atomic
from model.state import State
from model.twin import Twin, no_noise
from tests.train.conftest import Trained
from tools.robustness.operations import at_every_operation
from train import export
from train.export import PARTS, gather, ship, ship_checkpoints
from train.weights import arrays, fill

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GAMES, STEPS = 4, 60


def quiet(text: str) -> None:
    """Hears what `ship` says."""


@pytest.fixture(scope="module")
def twin(trained: Trained) -> Twin:
    """PyTorch's twin, with weights as rounded as the shipped ones; those of the action-only controller are not."""
    found, _ = gather(trained.world, trained.action, quiet)
    own = {name: tensor for name, tensor in found.state_dict().items() if not name.startswith("action.")}
    fill(own, rounded(arrays(own)), trained.world)
    return found


@pytest.fixture(scope="module")
def games(frames: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames (4, 61, 210, 160) of scenes as one, and the actions (4, 60) between them."""
    dataset = TransitionDataset.load(frames)
    t = np.linspace(0, len(dataset.index) - STEPS - 1, GAMES).astype(int)[:, None] + np.arange(STEPS + 1)
    return dataset.frame(t), dataset.actions[t[:, :-1]].astype(np.int64)


def same(torches: State, numpys: State) -> None:
    """All parts of two states agree: numbers exactly, the certainty nearly."""
    for name, a, b in zip(State._fields, torches, numpys, strict=True):
        if name == "certainty":
            assert np.allclose(a.numpy(), b, atol=1e-4)
        else:
            assert np.array_equal(a.numpy(), b), name


@torch.no_grad()
def test_the_twin_and_the_engine_agree(twin: Twin, engine: Engine, games: tuple[np.ndarray, np.ndarray]) -> None:
    """In codes, pixels and memory, along real frames, and then along drawn ones."""
    frames, actions = games
    theirs, ours = twin.start(torch.from_numpy(frames[:, 0])), engine.begin(frames[:, :1])
    same(theirs, ours)
    for step in range(2 * STEPS):
        real, action = step < STEPS, actions[:, step % STEPS]
        key = torch.from_numpy(action)
        codes, drawn, things = twin.choose(theirs, key, no_noise(GAMES))
        found = engine.predict(ours, action)
        assert np.array_equal(codes.numpy(), found.codes), step
        assert np.array_equal(drawn.numpy(), found.frame), step
        following = frames[:, step + 1] if real else found.frame
        expected = torch.cat((things.ball, things.paddle), 1)
        theirs = twin.advance(theirs, key, torch.from_numpy(following), expected)
        ours = engine.advance(ours, action, following, found)
        same(theirs, ours)
    assert len(np.unique(found.frame)) > 3


@torch.no_grad()
def test_codes_of_pairs_and_of_keys_agree(twin: Twin, engine: Engine, games: tuple[np.ndarray, np.ndarray]) -> None:
    frames = games[0].reshape(-1, *games[0].shape[2:])[:200]
    codes = engine.encode(frames[:-1], frames[1:])
    assert np.array_equal(twin.encode(*(torch.from_numpy(part) for part in (frames[:-1], frames[1:]))).numpy(), codes)
    assert (codes > 0).any()
    state = engine.begin(np.repeat(frames[:1, None], ACTIONS, 0))
    logits = engine.logits(state, np.arange(ACTIONS), "action")
    assert np.allclose(logits, twin.action_logits().numpy(), atol=1e-4)
    assert np.array_equal(engine.predict(state, np.arange(ACTIONS), "action").codes, logits.argmax(2))


def test_one_game_alone_and_among_others_is_the_same(engine: Engine, games: tuple[np.ndarray, np.ndarray]) -> None:
    frames, actions = games
    together = engine.begin(frames[:, :20], actions[:, :19])
    for game in range(GAMES):
        alone = engine.begin(frames[game : game + 1, :20], actions[game : game + 1, :19])
        for name, part in zip(State._fields, alone, strict=True):
            assert np.allclose(part[0], getattr(together, name)[game], atol=1e-4), name


WITHOUT_RAM = """
import sys
for name in ("torch", "collect", "ale_py"):
    sys.modules[name] = None
import numpy as np
from pathlib import Path
from model.engine import Engine
given = np.load(sys.argv[2])
state = Engine.load(Path(sys.argv[1])).begin(given["frames"], given["actions"])
np.savez(sys.argv[3], memory=state.memory, certainty=state.certainty)
"""


def test_the_memory_sees_pixels_and_keys_only(
    engine: Engine, trained: Trained, games: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """In a process without emulator, datasets and PyTorch, from frames and actions alone: the same memory."""
    frames, actions = games
    np.savez(tmp_path / "given.npz", frames=frames, actions=actions)
    words = [trained.weights, tmp_path / "given.npz", tmp_path / "found.npz"]
    command = [sys.executable, "-c", WITHOUT_RAM, *map(str, words)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    state, found = engine.begin(frames, actions), np.load(tmp_path / "found.npz")
    assert np.array_equal(found["memory"], state.memory)
    assert np.array_equal(found["certainty"], state.certainty)
    assert len(np.unique(state.certainty)) > 10


def test_what_was_trained_says_how_it_was_made(engine: Engine, trained: Trained) -> None:
    made = engine.meta["made"]
    assert set(made) == {"codes_sha256", *PARTS, "action"}
    for name in PARTS:
        assert made[name]["dataset"]["transitions"] == 2000
        assert made[name]["training"]["batch"] == 32
        assert made[name]["sha256"] == load_tensors(trained.world / f"{name}.safetensors")[1]["sha256"]
    assert engine.frameskip == 1
    assert engine.majority.shape == (CELLS,)


def test_parts_that_do_not_belong_together_are_refused(frames: Path, trained: Trained, tmp_path: Path) -> None:
    world = tmp_path / "world"
    shutil.copytree(trained.world, world)
    tensors, meta = load_tensors(world / "context.safetensors")
    save_tensors(world / "context.safetensors", tensors, {**meta, "codes_sha256": "0"})
    with pytest.raises(FileError, match=r"another VQ-VAE: remove .*context_\*.safetensors, and train it anew"):
        ship_checkpoints(world, trained.action, frames, tmp_path / "out", quiet)
    save_tensors(world / "context.safetensors", tensors, {**meta, "frameskip": 4})
    with pytest.raises(FileError, match="different frame skips"):
        ship_checkpoints(world, trained.action, frames, tmp_path / "out", quiet)
    (world / "memory.safetensors").unlink()
    with pytest.raises(FileError, match="train memory"):
        ship_checkpoints(world, trained.action, frames, tmp_path / "out", quiet)
    collect_frames(CollectSettings(20, "random", 4, 0, episode_seconds=1.0), tmp_path / "other", workers=1)
    with pytest.raises(FileError, match="frame skip 4"):
        ship_checkpoints(trained.world, trained.action, tmp_path / "other", tmp_path / "out", quiet)


def test_an_action_controller_of_other_codes_is_left_out(frames: Path, trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.action, tmp_path / "action")
    path = tmp_path / "action" / "action_to_latent_best.safetensors"
    tensors, meta = load_tensors(path)
    # Pairs without statistics, as the seed design's, say neither whose codes they are nor of which frame skip.
    for about in ({"codes_sha256": "0"}, {"codes_sha256": None, "frameskip": None}):
        save_tensors(path, tensors, {**meta, **about})
        said: list[str] = []
        _, made = gather(trained.world, tmp_path / "action", said.append)
        assert "action" not in made
        assert "left out" in said[0]


def test_weights_over_older_ones_are_the_old_or_the_new_at_any_moment(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every file operation, and on a disk that is full half-way."""
    graphs, number = export.export(twin), 0
    monkeypatch.setattr(export, "export", lambda twin: graphs)
    monkeypatch.setattr(export, "in_words", lambda model: [""] * 256)
    monkeypatch.setattr(Engine, "load", lambda out: None)

    def again() -> None:
        nonlocal number
        number += 1
        ship(twin, tmp_path, 1, [0] * CELLS, {"number": number})

    def found() -> int:
        return read_weights(tmp_path)[0]["made"]["number"]

    def check(done: bool) -> None:
        assert found() == number if done else found() <= number

    again()
    assert at_every_operation(tmp_path, again, check) > 20
    assert not list(tmp_path.glob(".*")), "what kills left was not removed"

    def full(path: Path, write: object) -> None:
        if "encode" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_atomic(path, write)  # type: ignore[arg-type]

    def broken(tensors: object) -> None:
        raise KeyboardInterrupt

    before = number
    monkeypatch.setattr(export, "write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        again()
    assert found() == before
    monkeypatch.setattr(export, "write_atomic", write_atomic)
    monkeypatch.setattr(export, "pack", broken)
    with pytest.raises(KeyboardInterrupt):
        again()
    assert not list(tmp_path.glob(".*")), "what the full disk left takes room that is wanted"
    assert found() == before
