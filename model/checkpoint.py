"""Checkpoints: tensors as `NAME.safetensors`, everything else as `NAME.json` beside it. No pickle is ever loaded.

The two are written as one: the settings hold the tensors' checksum, and a kill in between leaves what was there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from model.files import SCHEMA, FileError, check_schema, read_bytes, read_description, settle, write_described

TENSORS_SHA256 = "tensors_sha256"
_LIMIT = 1 << 28
_HEADER_LIMIT = 1 << 20
_MOST_DIMENSIONS = 8
# Whole numbers: packed weights, and the frames and codes of dreams that a resumed training goes on with.
_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int64)
SCALE = ".scale"
_LEFT, _RIGHT = ".left", ".right"
_MOST_NUMBERS = 1 << 26


def tensor_path(path: Path) -> Path:
    """`NAME` -> `NAME.safetensors`."""
    return path.with_name(path.name + ".safetensors")


def meta_path(path: Path) -> Path:
    """`NAME` -> `NAME.json`."""
    return path.with_name(path.name + ".json")


def save_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `path`.safetensors and `path`.json as one. `meta` gets the schema version and the tensors' checksum."""
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    about = {"schema": SCHEMA, **meta}
    write_described(tensor_path(path), lambda file: file.write(data), meta_path(path), lambda: about, TENSORS_SHA256)


def settle_tensors(path: Path) -> None:
    """Finish a `save_tensors` that was killed between its two renames."""
    settle(tensor_path(path), meta_path(path), TENSORS_SHA256)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, packed or not. FileError if a file is missing, damaged, foreign, or holds NaN or
    infinity."""
    file, beside = tensor_path(path), meta_path(path)
    data = read_bytes(file, "weights", _LIMIT)
    digest = hashlib.sha256(data).hexdigest()
    meta = read_description(beside, "settings of the weights", TENSORS_SHA256, digest, limit=1 << 24)
    if not isinstance(meta, dict):
        raise FileError(f"{beside} is not a JSON object")
    check_schema(meta.get("schema"), "settings of the weights", beside, f"python main.py train {meta.get('kind', '')}")
    if int.from_bytes(data[:8], "little") > _HEADER_LIMIT:  # each tensor that a header names takes memory
        raise FileError(f"weights {file} are damaged or not safetensors: the header is too long")
    try:
        tensors = load(data)
    except KeyError as error:
        raise FileError(f"weights {file} hold {error.args[0]!r}, a type that no weights of this program have") from None
    except (SafetensorError, ValueError, TypeError, RuntimeError) as error:
        why = str(error).partition("\n")[0]  # PyTorch's goes on with its own stack
        raise FileError(f"weights {file} are damaged or not safetensors: {why}") from None
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES or tensor.dim() > _MOST_DIMENSIONS:
            about = f"{tensor.dim()} dimensions of {tensor.dtype}"
            raise FileError(f"weights {file}: {name} has {about}, which no weights of this program have")
        if not torch.isfinite(tensor).all():
            raise FileError(f"weights {file}: {name} holds NaN or infinity")
    if meta.get(TENSORS_SHA256, digest) != digest:
        raise FileError(f"weights {file} are damaged, or are not those that {beside.name} describes")
    try:
        return _unpack(tensors), meta
    except (RuntimeError, IndexError):
        raise FileError(f"weights {file}: a scale or a factor does not fit its weights") from None


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
        packed[name + SCALE] = scale
    return packed


def factor(name: str, weight: Tensor, inputs: Tensor) -> dict[str, Tensor]:
    """A matrix (O, I) that is only ever multiplied with the columns of `inputs` (I, n), as two thin ones.

    Their product is the smallest matrix that does the same to these inputs; what it does to others is lost.
    """
    return {name + _LEFT: weight.float() @ inputs, name + _RIGHT: torch.linalg.pinv(inputs)}


def _unpack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    unpacked = dict(tensors)
    for name in tensors:
        if name + SCALE in tensors:
            rows, scale = tensors[name].float().flatten(1), unpacked.pop(name + SCALE)
            unpacked[name] = (rows * scale.float()[:, None]).reshape(tensors[name].shape)
    for name in tensors:
        whole = name.removesuffix(_LEFT)
        if name.endswith(_LEFT) and whole + _RIGHT in tensors:
            left, right = unpacked.pop(name).float(), unpacked.pop(whole + _RIGHT).float()
            if left.dim() != 2 or right.dim() != 2 or left.shape[0] * right.shape[1] > _MOST_NUMBERS:
                raise IndexError(f"{whole} would be too large")
            unpacked[whole] = left @ right
    return unpacked


def rounded(module: nn.Module) -> nn.Module:
    """The same module, with its weights as `pack` stores them: what is measured is what will be shipped."""
    module.load_state_dict(_unpack(pack(module.state_dict())))
    return module


def check_fit(wanted: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    """FileError names the first tensor of `wanted` that is missing or misshapen, or the first that is left over."""
    for name, tensor in wanted.items():
        if name not in tensors:
            raise FileError(f"weights {tensor_path(path)} lack {name}: they are of another model")
        if tensors[name].shape != tensor.shape:
            found, want = tuple(tensors[name].shape), tuple(tensor.shape)
            raise FileError(f"weights {tensor_path(path)}: {name} has shape {found}, this model wants {want}")
    for name in tensors:
        if name not in wanted:
            raise FileError(f"weights {tensor_path(path)} hold {name}, which this model does not have")


def fill(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Put loaded tensors into a module. FileError as `check_fit`."""
    wanted = module.state_dict()
    check_fit(wanted, tensors, path)
    module.load_state_dict({name: tensors[name].to(wanted[name].dtype) for name in wanted})
