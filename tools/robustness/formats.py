"""The files that strangers may hand to the program: tiny sound ones, how to damage them, and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np

from model.state import SIZES
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
    from collect.dataset import EpisodeWriter

    screen, ram = np.zeros((210, 160), np.uint8), np.zeros(128, np.uint8)
    writer = EpisodeWriter(screen, ram)
    for step in range(steps):
        screen = screen.copy()
        screen[40 * step : 40 * step + 4, 10:14] = 6
        writer.add(step % 4, screen, ram + step, step % 2)
    if steps > 3:
        writer.cut(screen, ram)
    return writer.to_episode(over=True).to_bytes()


def datasets(home: Path) -> list[Target]:
    """An episode file, a whole dataset by its manifest, and its settings."""
    from collect.dataset import DATASET_SCHEMA, MANIFEST, SETTINGS, TransitionDataset, load_episode, read_manifest
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
    from collect.pairs import load_pairs, stats_path
    from model.files import checksum

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
    from app.players import KIND, load_session

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
    """Tensors with their settings in the header, packed and not."""
    from safetensors.numpy import save

    from model.checkpoint import load_tensors, pack, save_tensors

    tiny: dict[str, np.ndarray] = {
        "a.weight": np.zeros((2, 3), np.float32),
        "b": np.ones(4, np.float16),
        "c": np.zeros((), np.int64),
    }
    path = home / "tiny.safetensors"
    sound = []
    for tensors in (tiny, pack(tiny), {}):
        save_tensors(path, tensors, {"kind": "vqvae", "step": 3})
        sound.append(path.read_bytes())
    read = _file(path, lambda: load_tensors(path))

    def about(data: bytes) -> object:
        return read(save(tiny, {"about": data.decode("utf-8", "replace")}))

    return [
        Target("tensors", sound, damaged_safetensors, read, 4),
        Target("settings in the header", [_json({"schema": 1, "kind": "vqvae", "step": 3})], damaged_json, about),
        *_runs(home / "run"),
    ]


def _runs(out: Path) -> list[Target]:
    """A checkpoint that a run goes on from, and its settings."""
    import torch
    from safetensors.numpy import save

    from model.checkpoint import load_tensors
    from train.loop import Loop, Run, Settings

    def loop() -> Loop:
        task = SimpleNamespace(module=torch.nn.Linear(2, 2), samples=10, meta={"kind": "x"}, extra={"e": torch.ones(3)})
        return Loop(task, "x", Run(out, Settings(batch=1, rate=1e-3, epochs=1)), lambda line: None)  # type: ignore[arg-type]

    first = loop()
    first.task.module(torch.ones(1, 2)).sum().backward()
    first.optimiser.step()
    first.save_last()
    tensors, meta = load_tensors(first.last_path)
    resume = _file(first.last_path, lambda: loop().resume())

    def about(data: bytes) -> object:
        return resume(save(tensors, {"about": data.decode("utf-8", "replace")}))

    return [
        Target("checkpoint of a run", [first.last_path.read_bytes()], damaged_safetensors, resume, 2),
        Target("settings of a run", [_json(meta)], damaged_json, about, 2),
    ]


def graph(outside: dict[str, str] | None = None) -> bytes:
    """A sound ONNX graph: rows of a table by number. `outside` says where the table is, if it is in another file."""
    from onnx import TensorProto, helper, numpy_helper

    table = numpy_helper.from_array(np.zeros((4, 3), np.float32), "table")
    if outside:
        table.ClearField("raw_data")
        table.data_location = TensorProto.EXTERNAL
        for key, value in outside.items():
            table.external_data.add(key=key, value=value)
    takes = [helper.make_tensor_value_info("action", TensorProto.INT64, ["games"])]
    gives = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["games", 3])]
    node = helper.make_node("Gather", ["table", "action"], ["logits"], axis=0)
    made = helper.make_graph([node], "graph", takes, gives, [table])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def weights(home: Path) -> list[Target]:
    """A directory of weights by its manifest, and a graph behind its checksum."""
    from model.checkpoint import save_tensors
    from model.engine import MANIFEST, NAMES, WEIGHTS, WEIGHTS_SCHEMA, _session, read_weights
    from model.files import checksum

    save_tensors(home / WEIGHTS, {"table": np.zeros((4, 3), np.float32)}, {"kind": "twin"})
    for name in NAMES:
        (home / f"{name}.onnx").write_bytes(graph())
    files = {path.name: checksum(path) for path in home.iterdir()}
    manifest = {
        "schema": WEIGHTS_SCHEMA, "frameskip": 1, "checksum": "0" * 64, "majority": [0] * 35,
        "fresh": [0] * len(SIZES), "files": files,
        "wants": {"action": ["table"]},
    }  # fmt: skip
    read = _file(home / MANIFEST, lambda: read_weights(home))
    read(_json(manifest))

    def damaged_file(data: bytes) -> object:
        """Any other file of the directory: the manifest knows what it was."""
        path = home / f"{NAMES[len(data) % len(NAMES)]}.onnx"
        before = path.read_bytes()
        try:
            path.write_bytes(data)
            return read_weights(home)
        finally:
            path.write_bytes(before)

    return [
        Target("manifest of weights", [_json(manifest)], damaged_json, read, 4),
        Target("graph", [graph()], damaged_bytes, lambda data: _session(data, "graph"), 4),
        Target("graph of a directory", [graph()], damaged_bytes, damaged_file),
    ]


FORMATS: dict[str, Callable[[Path], list[Target]]] = {
    "checkpoints": checkpoints,
    "datasets": datasets,
    "pairs": pairs,
    "sessions": sessions,
    "texts": texts,
    "weights": weights,
}
