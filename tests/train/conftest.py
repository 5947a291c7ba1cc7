"""A tiny dataset, and networks that were trained on it for a moment: made once for all tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from collect.frames import CollectSettings, collect_frames
from collect.pairs import collect_pairs
from model.engine import Engine
from model.vqvae import VQVAE
from train.action import train_action
from train.export import ship_checkpoints
from train.loop import Run, Settings
from train.steps import train_context, train_memory
from train.vqvae import train_vqvae
from train.weights import load_vqvae

SETTINGS = Settings(batch=32, rate=3e-3, epochs=1.5, warmup=5, validate_every=20, log_every=1)
SAMPLE, WIDTH = 700, 48
"""Steps that the VQ-VAE looks at, and the width of its networks."""
MEMORY, CONTEXT = {"width": 48, "knob_width": 16}, {"width": 48, "paddle_width": 16}


class Trained(NamedTuple):
    """Where everything of a trained twin is."""

    world: Path
    action: Path
    weights: Path


class Encoder:
    """PyTorch's encoder, for `collect_pairs`: to export one takes seconds."""

    frameskip = 1

    def __init__(self, model: VQVAE) -> None:
        self._model = model

    @torch.no_grad()
    def encode(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Frames (B, 210, 160) uint8 and those after them -> codes (B, 35)."""
        return self._model.encode(torch.from_numpy(before), torch.from_numpy(after)).numpy()


def losses(directory: Path, name: str) -> dict[int, float]:
    """The loss of each step in a log; of a step that a resumed run repeated, the later one."""
    lines = [json.loads(line) for line in (directory / f"{name}_log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def begin(name: str, frames: Path, world: Path, run: Run) -> dict[str, Any]:
    """Train one of the networks at tiny size; `world` is where its VQ-VAE is."""
    if name == "vqvae":
        return train_vqvae([frames], run, SAMPLE, WIDTH)
    if name == "memory":
        return train_memory([frames], run, MEMORY)
    return train_context([frames], world, run, CONTEXT)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 2,000 transitions: six files of whole games and drills."""
    out = tmp_path_factory.mktemp("frames") / "drill"
    collect_frames(CollectSettings(2000, "drill", 1, 0, episode_seconds=6.0), out, workers=1)
    return out


@pytest.fixture(scope="session")
def trained(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """All four networks, and what is shipped of them."""
    home = tmp_path_factory.mktemp("trained")
    found = Trained(home / "world", home / "action", home / "weights")
    begin("vqvae", frames, found.world, Run(found.world, replace(SETTINGS, epochs=25)))
    for name in ("memory", "context"):
        begin(name, frames, found.world, Run(found.world, replace(SETTINGS, epochs=4)))
    model, meta = load_vqvae(found.world)
    encode = Encoder(model).encode
    collect_pairs(encode, 1, home / "pairs.json", 1200, frames=frames, codes_sha256=meta["sha256"])
    train_action(home / "pairs.json", Run(found.action, replace(SETTINGS, batch=256, epochs=20, decay=0.0)))
    ship_checkpoints(found.world, found.action, frames, found.weights, lambda text: None)
    return found


@pytest.fixture(scope="session")
def engine(trained: Trained) -> Engine:
    """The engine that plays the tiny twin."""
    return Engine.load(trained.weights)
