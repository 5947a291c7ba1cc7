"""`ship`: trained weights as what `play` plays: ONNX graphs, a manifest, and the tensors they were made from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from model.breakout import CELLS
from model.checkpoint import pack, rounded, save_tensors
from model.engine import MANIFEST, WEIGHTS, WEIGHTS_SCHEMA, Engine
from model.files import checksum, write_atomic, write_json
from model.twin import Twin
from train.export import export


def ship(twin: Twin, out: Path, frameskip: int, majority: torch.Tensor, about: dict[str, Any]) -> Engine:
    """Write a directory of weights. `majority` (35,) are the commonest codes of the training data, `about` says how the
    weights were made. Returns the engine that plays them."""
    # Of the action-only controller its graph holds all that it can say, so its many weights need not be shipped.
    state = {name: tensor for name, tensor in twin.state_dict().items() if not name.startswith("action.")}
    tensors = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    with torch.no_grad():
        for name, tensor in rounded(tensors).items():
            twin.state_dict()[name].copy_(torch.from_numpy(tensor))
    skeletons, wants = export(twin)
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(out / WEIGHTS, pack(tensors), {"kind": "twin", "frameskip": frameskip, "made": about})
    for name, data in skeletons.items():
        write_atomic(out / f"{name}.onnx", lambda to, data=data: to.write(data))
    files = {file.name: checksum(file) for file in (out / WEIGHTS, *(out / f"{name}.onnx" for name in skeletons))}
    manifest = {
        "schema": WEIGHTS_SCHEMA,
        "frameskip": frameskip,
        "majority": majority.tolist() if len(majority) == CELLS else [0] * CELLS,
        "checksum": hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest(),
        "files": files,
        "wants": wants,
        "made": about,
    }
    write_json(out / MANIFEST, manifest)
    return Engine.load(out)
