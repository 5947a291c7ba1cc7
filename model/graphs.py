"""ONNX graphs without weights, and weights put into them: one file of weights serves training and play.

An ONNX file is a protobuf message, and protobuf merges messages that are written one after the other
(https://protobuf.dev/programming-guides/encoding/#last-one-wins). So weights are put into a graph by appending a
message that holds nothing but them (field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_FLOAT = 1
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9


def with_weights(graph: bytes, weights: dict[str, npt.NDArray[Any]]) -> bytes:
    """The bytes of an ONNX graph with float32 initializers put in by name."""
    tensors = b"".join(_field(_GRAPH_INITIALIZER, _tensor(name, value)) for name, value in weights.items())
    return graph + _field(_MODEL_GRAPH, tensors)


def _tensor(name: str, value: npt.NDArray[Any]) -> bytes:
    dims = b"".join(_key(_TENSOR_DIMS, 0) + _varint(size) for size in value.shape)
    kind = _key(_TENSOR_TYPE, 0) + _varint(_FLOAT)
    raw = np.ascontiguousarray(value, "<f4").tobytes()
    return dims + kind + _field(_TENSOR_NAME, name.encode()) + _field(_TENSOR_RAW, raw)


def _field(number: int, data: bytes) -> bytes:
    return _key(number, 2) + _varint(len(data)) + data


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
