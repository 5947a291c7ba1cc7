"""Checkpoints: tensors as `NAME.safetensors`, everything else as `NAME.json` beside it. No pickle is ever loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from model.files import SCHEMA, FileError, check_schema, read_json, write_atomic, write_json

_LIMIT = 1 << 28
_SCALE = ".scale"


def tensor_path(path: Path) -> Path:
    """`NAME` -> `NAME.safetensors`."""
    return path.with_name(path.name + ".safetensors")


def meta_path(path: Path) -> Path:
    """`NAME` -> `NAME.json`."""
    return path.with_name(path.name + ".json")


def save_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `path`.safetensors and then `path`.json, each atomically. `meta` gets the schema version."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_atomic(tensor_path(path), lambda file: file.write(data))
    write_json(meta_path(path), {"schema": SCHEMA, **meta})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, packed or not. FileError if a file is missing, damaged, foreign, or holds NaN or
    infinity."""
    meta = read_json(meta_path(path), "settings of the weights", limit=1 << 24)
    if not isinstance(meta, dict):
        raise FileError(f"{meta_path(path)} is not a JSON object")
    check_schema(meta.get("schema"), "settings of the weights", meta_path(path))
    file = tensor_path(path)
    try:
        if file.stat().st_size > _LIMIT:
            raise FileError(f"weights {file} are larger than {_LIMIT >> 20} MB: not a file of this program")
        tensors = load(file.read_bytes())
    except FileNotFoundError:
        raise FileError(f"weights {file} do not exist") from None
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"weights {file} are damaged or not safetensors: {error}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise FileError(f"weights {file}: {name} holds NaN or infinity")
    try:
        return _unpack(tensors), meta
    except RuntimeError as error:
        raise FileError(f"weights {file}: a scale does not fit its weights: {error}") from None


def pack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A byte a weight: matrices and kernels as int8, with a float32 scale a row; the rest in half precision."""
    packed = {}
    for name, tensor in tensors.items():
        if tensor.dim() < 2:
            packed[name] = tensor.to(torch.float16)
            continue
        rows = tensor.float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / 127
        packed[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape)
        packed[name + _SCALE] = scale
    return packed


def _unpack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    unpacked = dict(tensors)
    for name in tensors:
        if name + _SCALE in tensors:
            rows, scale = tensors[name].float().flatten(1), unpacked.pop(name + _SCALE)
            unpacked[name] = (rows * scale.float()[:, None]).reshape(tensors[name].shape)
    return unpacked


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Put loaded tensors into a module. FileError names the first tensor that is missing, left over or misshapen."""
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            raise FileError(f"weights {tensor_path(path)} lack {name}: they are of another model")
        if tensors[name].shape != tensor.shape:
            found, want = tuple(tensors[name].shape), tuple(tensor.shape)
            raise FileError(f"weights {tensor_path(path)}: {name} has shape {found}, this model wants {want}")
    for name in tensors:
        if name not in wanted:
            raise FileError(f"weights {tensor_path(path)} hold {name}, which this model does not have")
    module.load_state_dict({name: tensors[name].to(wanted[name].dtype) for name in wanted})
