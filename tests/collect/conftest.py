"""Small datasets, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from collect.dataset import Episode, load_episode
from collect.frames import CollectSettings, collect_frames, play_episode

SMALL = CollectSettings(transitions=700, policy="mixed", frameskip=2, seed=5, episode_seconds=5.0)


@pytest.fixture(scope="session")
def frames_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset of 700 transitions; never to be changed."""
    out = tmp_path_factory.mktemp("frames") / "mixed"
    collect_frames(SMALL, out, workers=1)
    return out


@pytest.fixture
def played(tmp_path: Path) -> Callable[[CollectSettings, int], Episode]:
    """A function that plays an episode by number and gives it as it comes back from its file."""

    def play(settings: CollectSettings, number: int) -> Episode:
        play_episode(settings, number).save(tmp_path / "played.safetensors")
        return load_episode(tmp_path / "played.safetensors")

    return play
