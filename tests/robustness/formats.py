"""The files that strangers may hand to the program: tiny sound ones, how to damage them, and what reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from app.keys import DEFAULT_KEYS, load_keys
from app.players import read_actions
from app.session_file import KIND, load_session
from collect.dataset import MANIFEST, TransitionDataset, read_manifest
from collect.episode import EpisodeWriter, load_episode
from collect.frames import SETTINGS, CollectSettings, check_settings
from collect.pairs import stats_path
from model.checkpoint import load_tensors, meta_path, save_tensors, tensor_path
from model.context_controller import ContextController
from model.files import checksum
from model.latent_action_model import ActionToLatentMLP
from model.vqvae import VQVAE
from model.weights import ACTION_NAME, CONTEXT_NAME, VQVAE_NAME, load_module
from tests.robustness.mutate import damaged_bytes, damaged_json, damaged_npz, damaged_safetensors, damaged_toml
from train.latent_action_data import load_pairs
from train.loop import Loop, LoopSettings

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


def weights(home: Path) -> list[Target]:
    """Tensors, settings of all three networks, and a checkpoint to go on training from."""
    tiny = {"a.weight": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.float16), "c": torch.zeros(())}
    save_tensors(home / "tiny", tiny, {"kind": "vqvae"})
    bare = json.loads(meta_path(home / "tiny").read_text())
    del bare["tensors_sha256"]  # so that damage is found by what it is, and not by the checksum alone
    meta_path(home / "tiny").write_bytes(_json(bare))
    targets = [
        Target(
            "tensors",
            [save(tiny), save({}), save({"x": torch.zeros(0, 3)}, {"note": "x"})],
            damaged_safetensors,
            _file(tensor_path(home / "tiny"), lambda: load_tensors(home / "tiny")),
            12,
        )
    ]
    controller = ContextController(context=8, width=1, paddle_width=1, token=1)
    for name, module in (
        (VQVAE_NAME, VQVAE(1, 1, 1)),
        (CONTEXT_NAME, controller),
        (ACTION_NAME, ActionToLatentMLP()),
    ):
        whole = name != ACTION_NAME  # whose ten million bytes would take all the time
        kind = {"kind": name if whole else "action", "frameskip": 2, "model": module.settings}
        save_tensors(home / name, module.state_dict() if whole else tiny, kind)
        about = _json({"schema": 1, **kind})
        read = _file(meta_path(home / name), lambda name=name: load_module(home, name))  # type: ignore[misc]
        targets.append(Target(f"settings of {name}", [about], damaged_json, read, 1))
    return [*targets, *_checkpoints(home / "run")]


class _Task(SimpleNamespace):
    """A task that never trains: what `Loop.resume` asks of one."""

    def __init__(self) -> None:
        super().__init__(module=nn.Linear(2, 2), samples=10, meta={"kind": "x"}, extra={"priority": torch.ones(3)})


def _checkpoints(out: Path) -> list[Target]:
    settings = LoopSettings(batch=1, rate=1e-3, epochs=1)
    path = out / "x_last"

    def loop() -> Loop:
        return Loop(_Task(), settings, out, "x", torch.device("cpu"), SimpleNamespace())  # type: ignore[arg-type]

    first = loop()
    first.task.module(torch.ones(1, 2)).sum().backward()
    first.optimiser.step()
    first._save_last()
    about = json.loads(meta_path(path).read_text())
    del about["tensors_sha256"]
    bare, tensors = _json(about), tensor_path(path).read_bytes()
    meta_path(path).write_bytes(bare)

    def resume_settings(data: bytes) -> object:
        tensor_path(path).write_bytes(tensors)
        meta_path(path).write_bytes(data)
        return loop().resume(lambda text: None)

    def resume_tensors(data: bytes) -> object:
        tensor_path(path).write_bytes(data)
        meta_path(path).write_bytes(bare)
        return loop().resume(lambda text: None)

    return [
        Target("settings of a checkpoint", [bare], damaged_json, resume_settings, 2),
        Target("tensors of a checkpoint", [tensors], damaged_safetensors, resume_tensors, 2),
    ]


def _episode(steps: int) -> bytes:
    screen = np.zeros((210, 160), np.uint8)
    writer = EpisodeWriter(screen, 5, knob=116)
    for step in range(steps):
        screen = screen.copy()
        screen[40 * step : 40 * step + 4, 10:14] = 6
        writer.add(step % 4, screen, step % 2, 5)
    if steps > 3:
        writer.cut(screen, 5, 3, 232)
    return writer.to_bytes(over=True)


def datasets(home: Path) -> list[Target]:
    """An episode file, and a whole dataset by its manifest."""
    (home / "episode-00000.npz").write_bytes(_episode(3))
    (home / "episode-00001.npz").write_bytes(_episode(1))
    names = sorted(path.name for path in home.glob("episode*"))
    entries = [{"file": name, "transitions": 3, "sha256": checksum(home / name)} for name in names]
    manifest = {"schema": 1, **asdict(CollectSettings(4, "mixed", 2, 0)), "episodes": entries}
    (home / MANIFEST).write_bytes(_json(manifest))

    def episode() -> object:
        return TransitionDataset([load_episode(home / "e.npz")], manifest).frame(0)

    return [
        Target("episode", [_episode(0), _episode(1), _episode(4)], damaged_npz, _file(home / "e.npz", episode), 4),
        Target(
            "dataset", [_json(manifest)], damaged_json, _file(home / MANIFEST, lambda: TransitionDataset.load(home))
        ),
    ]


def pairs(home: Path) -> list[Target]:
    """Pairs, and the statistics beside them."""
    items = [{"action": n, "latent_code": [(35 * n + c) % 256 for c in range(35)]} for n in range(3)]
    described = home / "described.json"
    described.write_bytes(_json(items))
    stats = {"schema": 1, "pairs": 3, "pairs_sha256": checksum(described), "codes_sha256": "0" * 64, "frameskip": 2}
    return [
        Target(
            "pairs",
            [_json(items), _json(items[:1])],
            damaged_json,
            _file(home / "pairs.json", lambda: load_pairs(home / "pairs.json")),
            2,
        ),
        Target(
            "statistics",
            [_json({**stats, "episode_lengths": [1, 2]})],
            damaged_json,
            _file(stats_path(described), lambda: load_pairs(described)),
        ),
    ]


def sessions(home: Path) -> list[Target]:
    """A saved session."""
    session = {
        "kind": KIND, "schema": 1, "seed": 3, "frameskip": 2, "controller": "context", "dream": False,
        "dream_only": False, "weights": "0" * 64, "actions": "01230123", "commands": [[0, "dream"], [3, "rewind"]],
        "digests": ["0" * 64, "1" * 64],
    }  # fmt: skip
    path = home / "session.json"
    return [Target("session", [_json(session)], damaged_json, _file(path, lambda: load_session(path)))]


def keys(home: Path) -> list[Target]:
    """A key map."""
    mine = b'schema = 1\n[play]\nleft = ["j", "a"]\n[command]\nquit = ["f10"]\npause = [".", "p"]\n'
    path = home / "keys.toml"
    sound = [mine, DEFAULT_KEYS.read_bytes(), b""]
    return [Target("key map", sound, damaged_toml, _file(path, lambda: load_keys(path)))]


def settings(home: Path) -> list[Target]:
    """What lies beside the data: settings and manifest of a dataset, and a list of actions."""
    wanted = {"schema": 1, **asdict(CollectSettings(4, "mixed", 2, 0))}
    entry = {"file": "episode-00000.npz", "transitions": 4, "sha256": "0" * 64}
    path = home / SETTINGS
    return [
        Target("settings", [_json(wanted)], damaged_json, _file(path, lambda: check_settings(path, wanted)), 2),
        Target(
            "manifest",
            [_json({**wanted, "episodes": [entry]})],
            damaged_json,
            _file(home / MANIFEST, lambda: read_manifest(home)),
            2,
        ),
        Target(
            "actions",
            [b"0123", b"0 1, 2\n3\n"],
            damaged_bytes,
            _file(home / "actions.txt", lambda: read_actions(home / "actions.txt")),
        ),
    ]


FORMATS: dict[str, Callable[[Path], list[Target]]] = {
    "weights": weights,
    "datasets": datasets,
    "pairs": pairs,
    "sessions": sessions,
    "keys": keys,
    "settings": settings,
}


def honest_size(data: bytes) -> int:
    """What a file may take in memory: its bytes, and those that an archive really holds, up to the program's limit."""
    import zipfile

    total = len(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            total += min(sum(info.file_size for info in archive.infolist()), 1 << 25)
    except Exception:
        pass
    return total
