"""The files that strangers may hand to the program: tiny sound ones, how to damage them, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tools.robustness.mutate import damaged_bytes, damaged_json, damaged_safetensors, damaged_toml

Damage = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Target:
    """One kind of file: `sound` contents of it, `damage` that knows its structure, and `read`, which writes the bytes
    to a file and reads it as the program does. `share` is how often it is chosen among those of its format."""

    name: str
    sound: list[bytes]
    damage: Damage
    read: Callable[[bytes], object]
    share: int = 1


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _file(path: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
    def written(data: bytes) -> object:
        path.write_bytes(data)
        return read()

    return written


# What reads a format is imported where the format is made: a target of one room needs no other.


def episode(steps: int) -> bytes:
    """A sound episode of so many steps, with a cut if there are more than three."""
    from collect.episode import EpisodeWriter

    screen, ram = np.zeros((210, 160), np.uint8), np.zeros(128, np.uint8)
    writer = EpisodeWriter(screen, ram)
    for step in range(steps):
        screen = screen.copy()
        screen[40 * step : 40 * step + 4, 10:14] = 6
        writer.add(step % 4, screen, ram + step, step % 2)
    if steps > 3:
        writer.cut(screen, ram)
    return writer.to_bytes(over=True)


def datasets(home: Path) -> list[Target]:
    """An episode file, a whole dataset by its manifest, and its settings."""
    from collect.dataset import DATASET_SCHEMA, MANIFEST, SETTINGS, TransitionDataset, read_manifest
    from collect.episode import load_episode
    from collect.frames import CollectSettings, check_settings
    from model.files import checksum

    names = [f"episode-{number:05d}.safetensors" for number in range(2)]
    for name, steps in zip(names, (3, 1), strict=True):
        (home / name).write_bytes(episode(steps))
    entries = [{"file": name, "transitions": 3, "sha256": checksum(home / name)} for name in names]
    wanted = {"schema": DATASET_SCHEMA, **asdict(CollectSettings(4, "mixed", 2, 0))}
    manifest = {**wanted, "episodes": entries}
    (home / MANIFEST).write_bytes(_json(manifest))
    one, settings = home / "e.safetensors", home / SETTINGS

    def read_one() -> object:
        return TransitionDataset([load_episode(one)], manifest).frame(0)

    sound = [episode(0), episode(1), episode(4)]
    whole = _file(home / MANIFEST, lambda: TransitionDataset.load(home))
    (home / "manifest").mkdir()
    listed = _file(home / "manifest" / MANIFEST, lambda: read_manifest(home / "manifest"))
    return [
        Target("episode", sound, damaged_safetensors, _file(one, read_one), 4),
        Target("dataset", [_json(manifest)], damaged_json, whole),
        Target("manifest", [_json(manifest)], damaged_json, listed),
        Target("settings", [_json(wanted)], damaged_json, _file(settings, lambda: check_settings(settings, wanted))),
    ]


def pairs(home: Path) -> list[Target]:
    """Pairs, and the statistics beside them."""
    from collect.pairs import stats_path
    from model.files import checksum
    from train.latent_action_data import load_pairs

    items = [{"action": n, "latent_code": [(35 * n + c) % 256 for c in range(35)]} for n in range(3)]
    described = home / "described.json"
    described.write_bytes(_json(items))
    stats = {"schema": 1, "pairs": 3, "pairs_sha256": checksum(described), "codes_sha256": "0" * 64, "frameskip": 2}
    alone = _file(home / "pairs.json", lambda: load_pairs(home / "pairs.json"))
    beside = _file(stats_path(described), lambda: load_pairs(described))
    return [
        Target("pairs", [_json(items), _json(items[:1])], damaged_json, alone, 2),
        Target("statistics", [_json({**stats, "episode_lengths": [1, 2]})], damaged_json, beside),
    ]


def sessions(home: Path) -> list[Target]:
    """A saved session."""
    from app.saved import KIND, load_session

    session = {
        "kind": KIND, "schema": 1, "seed": 3, "frameskip": 2, "controller": "context", "dream": False,
        "dream_only": False, "weights": "0" * 64, "actions": "01230123", "commands": [[0, "dream"], [3, "rewind"]],
        "digests": ["0" * 64, "1" * 64],
    }  # fmt: skip
    path = home / "session.json"
    return [Target("session", [_json(session)], damaged_json, _file(path, lambda: load_session(path)))]


def texts(home: Path) -> list[Target]:
    """What a person writes: a key map, and a list of actions."""
    from app.keys import DEFAULT_KEYS, load_keys
    from app.players import read_actions

    mine = b'schema = 1\n[play]\nleft = ["j", "a"]\n[command]\nquit = ["f10"]\npause = [".", "p"]\n'
    keys, actions = home / "keys.toml", home / "actions.txt"
    maps = [mine, DEFAULT_KEYS.read_bytes(), b"", b"\xef\xbb\xbf" + mine]
    lists = [b"0123", b"0 1, 2\n3\n", "0123\r\n".encode("utf-16")]
    return [
        Target("key map", maps, damaged_toml, _file(keys, lambda: load_keys(keys)), 3),
        Target("actions", lists, damaged_bytes, _file(actions, lambda: read_actions(actions))),
    ]


def checkpoints(home: Path) -> list[Target]:
    """Tensors and their settings, as training saves and resumes them."""
    import torch
    from safetensors.torch import save

    from model.checkpoint import load_tensors, meta_path, save_tensors, tensor_path

    tiny = {"a.weight": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.float16), "c": torch.zeros(())}
    path = home / "tiny"
    save_tensors(path, tiny, {"kind": "vqvae"})
    bare = json.loads(meta_path(path).read_text())
    del bare["tensors_sha256"]  # so that damage is found by what it is, and not by the checksum alone
    meta_path(path).write_bytes(_json(bare))
    sound = [save(tiny), save({}), save({"x": torch.zeros(0, 3)}, {"note": "x"})]
    save_tensors(home / "settings", tiny, {"kind": "vqvae", "frameskip": 2})
    about = _file(meta_path(home / "settings"), lambda: load_tensors(home / "settings"))
    return [
        Target("tensors", sound, damaged_safetensors, _file(tensor_path(path), lambda: load_tensors(path)), 4),
        Target("settings of tensors", [meta_path(home / "settings").read_bytes()], damaged_json, about),
    ]


FORMATS: dict[str, Callable[[Path], list[Target]]] = {
    "checkpoints": checkpoints,
    "datasets": datasets,
    "pairs": pairs,
    "sessions": sessions,
    "texts": texts,
}


def honest_size(data: bytes) -> int:
    """What a file may take in memory: its bytes. No format of this program is packed."""
    return len(data)
