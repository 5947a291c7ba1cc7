"""A small dataset, what things look like in it, and a twin of random weights that draws with that: made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from collect.dataset import TransitionDataset
from collect.frames import CollectSettings, play_episode
from model.appearance import Appearance
from model.breakout import CELLS, CODE_DIM, CODES
from model.controllers import ContextController
from model.engine import Engine
from model.memory import Memory
from model.twin import Twin
from model.vqvae import VQVAE
from train.appearance import learn
from train.data import Data
from train.export import ship

SETTINGS = CollectSettings(1, "drill", 1, 0, episode_seconds=8.0)
GAME, DRILLS = 0, (1, 2, 3, 4)
"""Episodes of `collect.frames.play_episode`: a whole game, and drills."""


@pytest.fixture(scope="session")
def dataset() -> TransitionDataset:
    """Five episodes of eight seconds, with the emulator's RAM."""
    torch.set_num_threads(1)
    return TransitionDataset([play_episode(SETTINGS, number) for number in (GAME, *DRILLS)], {"frameskip": 1})


@pytest.fixture(scope="session")
def data(dataset: TransitionDataset) -> Data:
    """The dataset as the networks see it."""
    return Data.of(dataset)


@pytest.fixture(scope="session")
def look(dataset: TransitionDataset, data: Data) -> Appearance:
    """What things look like, learned from the dataset."""
    appearance = Appearance()
    learn(appearance, dataset, data)
    return appearance


@pytest.fixture(scope="session")
def twin(look: Appearance) -> Twin:
    """A twin of small networks with random weights, loud enough that its memory is often sure."""
    torch.manual_seed(0)
    found = Twin()
    found.appearance, found.vqvae = look, VQVAE(32)
    found.memory, found.context = Memory(32, 16), ContextController(32, 16, 16)
    with torch.no_grad():
        context = found.context
        for loud in (
            found.memory.out, found.memory.keys[-1], found.vqvae.decoder.heads, context.ball, context.digits[-1],
            context.keys[-1], context.wall[-1],
        ):  # fmt: skip
            assert isinstance(loud, torch.nn.Linear)
            loud.weight *= 20
        found.vqvae.quantizer.codebook[1:] = torch.randn(CODES - 1, CODE_DIM)
    return found.eval()


@pytest.fixture(scope="session")
def weights(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random twin, shipped. (`ship` rounds the twin's own weights too, so both are the same afterwards.)"""
    out = tmp_path_factory.mktemp("weights")
    ship(twin, out, 1, np.zeros(CELLS, np.int64).tolist(), {})
    return out


@pytest.fixture(scope="session")
def engine(weights: Path) -> Engine:
    """The engine of the random twin."""
    return Engine.load(weights)
