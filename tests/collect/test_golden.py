"""Golden digests: games of a seed stay bit for bit what they were, whatever becomes of the code that plays them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from collect.frames import CollectSettings, play_episode
from collect.ram import LIVES

GOLDEN = {
    ("random", 1, 0): "c517712ccd7e136dbad2c80e3c423d85f09eb0499c8e896081814e63187d701e",
    ("random", 1, 1): "4076dcd54dd40d22b0c7786d46802a052190ea0fc1a4454017978bc7910f737a",
    ("mixed", 1, 0): "68e02697a85b9a4da56db3906a78f28a7b62399091403045611df1bf23701c77",
    ("mixed", 1, 1): "d157b14f5ad45d3fd8f4d03900b016c2bbb2af82555d140d11d493e3f0aacfda",
    ("people", 1, 0): "8f00b893c3f430337ec9c74d23a1cd66bdcfe011bc2c6617f8e5723f0e0ee37e",
    ("people", 1, 1): "019f62eea05be7d17ffdeeb952cd68b8430fa8e4405231dd6307d8b7ab68e663",
    ("mixed", 4, 0): "bf9f05c6e9eaa5d6ffce862426044b68101c3c0c0652eebaeeaf83a530c4f2ed",
    ("drill", 1, 1): "0412f1f64c953df355e3fbc65b930ecbb0b6cdb2dcac4c5c4516d78495839d00",
}
"""SHA-256 of frames, actions, rewards and lives, by policy, frame skip and number of the episode; seed 0."""


@pytest.mark.parametrize(("policy", "frameskip", "number"), list(GOLDEN))
def test_games_are_what_they_were(policy: str, frameskip: int, number: int) -> None:
    settings = CollectSettings(0, policy, frameskip, 0, episode_seconds=10.0 * frameskip)
    episode = play_episode(settings, number)
    digest = hashlib.sha256()
    for array in (episode.frame(slice(None)), episode.actions, episode.rewards, episode.ram[:, LIVES]):
        digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest() == GOLDEN[policy, frameskip, number]
