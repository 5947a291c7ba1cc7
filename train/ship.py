"""`ship`: trained weights as what `play` plays: ONNX graphs, a manifest, and the tensors they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from collect.dataset import TransitionDataset, read_episodes, read_manifest
from model.breakout import CELLS, CODES
from model.checkpoint import pack, rounded, save_tensors
from model.controllers import ActionToLatentMLP, ContextController
from model.engine import MANIFEST, WEIGHTS, WEIGHTS_SCHEMA, Engine
from model.files import FileError, checksum, make_directory, write_atomic, write_json
from model.memory import Memory
from model.twin import Twin
from model.vqvae import VQVAE
from train.action import ACTION_NAME
from train.data import fresh_memory
from train.export import export
from train.weights import Arrays, arrays, build, fill, load_part

PARTS: dict[str, type[nn.Module]] = {"vqvae": VQVAE, "memory": Memory, "context": ContextController}
COUNTED, FILES = 4000, 16
"""Majority codes are counted over so many steps, of a dataset's first files."""
SURE = 10.0
"""The logit of the majority codes where they stand in for an action-only controller."""


def gather(world: Path, action: Path, say: Callable[[str], None]) -> tuple[Twin, dict[str, Any]]:
    """The twin of the checkpoints in two directories, and how its parts were made; the action-only controller's may be
    missing. FileError if they do not belong together."""
    twin = Twin()
    made: dict[str, dict[str, Any]] = {}
    tensors: Arrays = {}
    for name, kind in PARTS.items():
        path = world / f"{name}.safetensors"
        found, meta = load_part(path, f"train {name}")
        setattr(twin, name, build(kind, meta, name, path, found))
        tensors |= found
        made[name] = meta
    if made["context"].get("codes_sha256") != made["vqvae"]["sha256"]:
        raise FileError(f"{world}: the context controller was trained on codes of another VQ-VAE: train it anew")
    path = action / f"{ACTION_NAME}.safetensors"
    if path.exists():
        found, meta = load_part(path, "train action")
        if meta.get("codes_sha256") == made["vqvae"]["sha256"]:
            twin.action = build(ActionToLatentMLP, meta, "action", path, found)
            tensors |= found
            made["action"] = meta
        else:
            say(f"note: {path} was trained on codes of another VQ-VAE, and is left out")
    skips = {name: meta["frameskip"] for name, meta in made.items()}
    if len(set(skips.values())) > 1:
        raise FileError(f"{world}: the parts are of different frame skips: {skips}")
    own = {name: tensor for name, tensor in twin.state_dict().items() if "action" in made or not _of_action(name)}
    fill(own, tensors, world)
    return twin.eval(), made


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, atomically."""
    write_atomic(path, lambda file: file.write(data))


def _of_action(name: str) -> bool:
    return name.startswith("action.")


@torch.no_grad()
def majority_codes(twin: Twin, frames: Path) -> Tensor:
    """The commonest code at each position, (35,) int64, over steps drawn from the first files of a dataset."""
    manifest = read_manifest(frames)
    dataset = TransitionDataset(islice(read_episodes(frames, manifest), FILES), manifest)
    t = np.random.default_rng(0).permutation(dataset.transitions())[:COUNTED]
    counts = torch.zeros(CELLS, CODES, dtype=torch.long)
    for part in np.array_split(t, max(1, len(t) // 256)):
        codes = twin.encode(*(torch.from_numpy(dataset.frame(part + later)) for later in (0, 1)))  # (B, 35)
        counts += torch.nn.functional.one_hot(codes, CODES).sum(0)
    return counts.argmax(1)


@torch.no_grad()
def say_always(controller: ActionToLatentMLP, codes: Tensor) -> None:
    """Let the action-only controller give the same codes (35,) whatever the key: what it is before it is trained."""
    last = controller.layers[-1]
    assert isinstance(last, nn.Linear)
    last.weight.zero_()
    last.bias.copy_(SURE * torch.nn.functional.one_hot(codes, CODES).flatten())


def ship_checkpoints(world: Path, action: Path, frames: Path, out: Path, say: Callable[[str], None]) -> Engine:
    """Gather what was trained, and write it to `out` as a directory of weights. Returns the engine that plays them.

    FileError if a part is missing, the parts do not belong together, or `frames` is no dataset of their frame skip.
    """
    twin, made = gather(world, action, say)
    frameskip = made["vqvae"]["frameskip"]
    if (found := read_manifest(frames)["frameskip"]) != frameskip:
        raise FileError(f"dataset {frames} is of frame skip {found}, the weights are of {frameskip}")
    majority = majority_codes(twin, frames)
    if "action" not in made:
        say("note: there is no action-only controller yet: in its place the majority codes are given")
        say_always(twin.action, majority)
    about = {name: {k: v for k, v in meta.items() if k not in ("schema", "palette")} for name, meta in made.items()}
    return ship(twin, out, frameskip, majority, {"codes_sha256": made["vqvae"]["sha256"], **about})


def ship(twin: Twin, out: Path, frameskip: int, majority: Tensor | Sequence[int], about: dict[str, Any]) -> Engine:
    """Write a directory of weights. `majority` (35,) are the commonest codes of the training data, `about` says how the
    weights were made. Returns the engine that plays them."""
    # Of the action-only controller its graph holds all that it can say, so its many weights need not be shipped.
    tensors = arrays({name: tensor for name, tensor in twin.state_dict().items() if not _of_action(name)})
    with torch.no_grad():
        for name, tensor in rounded(tensors).items():
            twin.state_dict()[name].copy_(torch.from_numpy(tensor))
    skeletons, wants = export(twin)
    make_directory(out, "folder of weights")
    save_tensors(out / WEIGHTS, pack(tensors), {"kind": "twin", "frameskip": frameskip, "made": about})
    for name, data in skeletons.items():
        write_bytes(out / f"{name}.onnx", data)
    files = {file.name: checksum(file) for file in (out / WEIGHTS, *(out / f"{name}.onnx" for name in skeletons))}
    manifest = {
        "schema": WEIGHTS_SCHEMA,
        "frameskip": frameskip,
        "majority": [int(code) for code in majority],
        "checksum": hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest(),
        "fresh": fresh_memory(frameskip),
        "files": files,
        "wants": wants,
        "made": about,
    }
    write_json(out / MANIFEST, manifest)  # last: it is what makes the rest valid
    return Engine.load(out)
