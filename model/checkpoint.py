"""Checkpoints: one safetensors file each, tensors with their settings in its header. No pickle is ever loaded.

Torch-free: training hands over numpy arrays, and what plays reads the same file. Packed weights take a byte a number.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.files import SCHEMA, FileError, check_schema, read_bytes, write_atomic

Array = npt.NDArray[Any]
SCALE = ".scale"
_LIMIT = 1 << 28
_TYPES = ("float32", "float16", "int8", "uint8", "int16", "int64")


def save_tensors(path: Path, tensors: dict[str, Array], meta: dict[str, Any]) -> None:
    """Write tensors and what is to be known of them, `meta` (JSON), as one safetensors file, atomically."""
    about = json.dumps({"schema": SCHEMA, **meta}, allow_nan=False)
    data = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {"about": about})
    write_atomic(path, lambda file: file.write(data))


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save_tensors` wrote, packed or not: tensors and `meta`, with the file's SHA-256 as `meta["sha256"]`.
    FileError if it is missing, damaged, foreign, or holds NaN or infinity."""
    data = read_bytes(path, "weights", _LIMIT)
    header = int.from_bytes(data[:8], "little")
    if header > min(1 << 20, len(data)):  # each tensor that a header names takes memory
        raise FileError(f"weights {path} are damaged or not safetensors: the header is too long")
    try:
        about = json.loads(data[8 : 8 + header])["__metadata__"]["about"]
        meta = json.loads(about)
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise FileError(f"weights {path} are damaged, or not a checkpoint of this program: {error}") from None
    if not isinstance(meta, dict):
        raise FileError(f"weights {path} do not say what they are")
    check_schema(meta.get("schema"), "weights", path, "python main.py train --help")
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _TYPES or tensor.ndim > 8:
            raise FileError(f"weights {path}: {name} has {tensor.ndim} dimensions of {tensor.dtype}: no weights have")
    return _unpack(tensors, path), {**meta, "sha256": hashlib.sha256(data).hexdigest()}


def pack(tensors: dict[str, Array]) -> dict[str, Array]:
    """A byte a weight: matrices of float as int8 with a float32 scale a row, other floats in half precision."""
    packed: dict[str, Array] = {}
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            packed[name] = tensor
        elif tensor.ndim < 2:
            packed[name] = tensor.astype(np.float16)
        else:
            rows = np.maximum(np.abs(tensor).max(axis=tuple(range(1, tensor.ndim)), keepdims=True), 1e-12) / 127
            packed[name] = np.round(tensor / rows).astype(np.int8)
            packed[name + SCALE] = rows.astype(np.float32).reshape(-1)
    return packed


def _unpack(tensors: dict[str, Array], path: Path) -> dict[str, Array]:
    unpacked = {}
    for name, tensor in tensors.items():
        if name.endswith(SCALE):
            continue
        if (scale := tensors.get(name + SCALE)) is not None:
            if scale.shape != tensor.shape[:1]:
                raise FileError(f"weights {path}: the scale of {name} does not fit it")
            with np.errstate(all="ignore"):  # a scale may make infinity of what was none
                tensor = tensor.astype(np.float32) * scale.astype(np.float32).reshape(-1, *[1] * (tensor.ndim - 1))
        if not np.isfinite(tensor).all():
            raise FileError(f"weights {path}: {name} holds NaN or infinity")
        unpacked[name] = tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor
    return unpacked


def rounded(tensors: dict[str, Array]) -> dict[str, Array]:
    """The tensors as `pack` stores them: what is measured is what will be shipped."""
    return _unpack(pack(tensors), Path("weights"))


def check_fit(wanted: dict[str, tuple[int, ...]], tensors: dict[str, Array], path: Path) -> None:
    """FileError names the first of the `wanted` tensors (by shape) that is missing or misshapen, or one left over."""
    for name, shape in wanted.items():
        if name not in tensors:
            raise FileError(f"weights {path} lack {name}: they are of another model")
        if tensors[name].shape != shape:
            raise FileError(f"weights {path}: {name} has shape {tensors[name].shape}, this model wants {shape}")
    for name in tensors:
        if name not in wanted:
            raise FileError(f"weights {path} hold {name}, which this model does not have")
