"""Weights made to do harm: tensors, headers, manifests and graphs. Each is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import load_tensors, save_tensors
from model.engine import MANIFEST as WEIGHTS_MANIFEST
from model.engine import NAMES, WEIGHTS, WEIGHTS_SCHEMA, Engine, read_weights
from model.files import FileError, checksum, read_json, write_json
from model.state import SIZES
from tests.robustness.harm import CLAIMS, memory_of
from tools.robustness.formats import graph


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (np.array([np.nan], np.float32), "NaN or infinity"),
        (np.array([-np.inf], np.float16), "NaN or infinity"),
        (np.array([1e300]), "float64"),  # infinity as soon as it is a float32
        (np.zeros(1, np.int32), "int32"),
        (np.zeros(1, np.bool_), "bool"),
        (np.zeros([1] * 9, np.float32), "9 dimensions"),
    ],
)
def test_tensors_that_no_weights_have(tmp_path: Path, tensor: np.ndarray, says: str) -> None:
    save_tensors(tmp_path / "w", {"x": tensor}, {})
    with pytest.raises(FileError, match=says):
        load_tensors(tmp_path / "w")


def test_a_scale_that_does_not_fit(tmp_path: Path) -> None:
    save_tensors(tmp_path / "w", {"x": np.zeros((2, 3), np.int8), "x.scale": np.ones(3, np.float32)}, {})
    with pytest.raises(FileError, match="scale"):
        load_tensors(tmp_path / "w")


@pytest.mark.parametrize("scale", [3e38, np.inf, np.nan])
def test_a_scale_that_makes_infinity_of_numbers(tmp_path: Path, scale: float) -> None:
    tensors = {"x": np.full((2, 3), 127, np.int8), "x.scale": np.full(2, scale, np.float32)}
    save_tensors(tmp_path / "w", tensors, {})
    with pytest.raises(FileError, match="NaN or infinity"):
        load_tensors(tmp_path / "w")


@pytest.mark.parametrize("data", CLAIMS)
def test_safetensors_that_claim_what_they_do_not_hold(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    assert memory_of(lambda: load_tensors(tmp_path / "w")) < 16 << 20


def weights_in(home: Path, data: bytes) -> None:
    """A directory of weights whose graphs are all this one, described as a stranger would describe it."""
    save_tensors(home / WEIGHTS, {"table": np.zeros((4, 3), np.float32)}, {})
    for name in NAMES:
        (home / f"{name}.onnx").write_bytes(data)
    files = {path.name: checksum(path) for path in home.iterdir() if path.name != WEIGHTS_MANIFEST}
    manifest = {
        "schema": WEIGHTS_SCHEMA,
        "frameskip": 1,
        "checksum": "",
        "majority": [0] * 35,
        "fresh": [0] * len(SIZES),
        "files": files,
    }
    write_json(home / WEIGHTS_MANIFEST, {**manifest, "wants": {}})


def test_weights_changed_behind_their_manifest(tmp_path: Path) -> None:
    weights_in(tmp_path, graph())
    Engine.load(tmp_path)
    for name in (WEIGHTS, "predict.onnx"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(FileError, match="not those that"):
            read_weights(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(FileError, match="does not exist"):
            read_weights(tmp_path)
        (tmp_path / name).write_bytes(before)


@pytest.mark.parametrize("wants", [{"predict": 3}, {"predict": [[]]}, {"predict": "x"}, {"predict": [1]}, [], None])
def test_a_manifest_that_wants_what_is_no_name(tmp_path: Path, wants: object) -> None:
    weights_in(tmp_path, graph())
    manifest = read_json(tmp_path / WEIGHTS_MANIFEST, "manifest")
    write_json(tmp_path / WEIGHTS_MANIFEST, {**manifest, "wants": wants})
    with pytest.raises(FileError):
        read_weights(tmp_path)


def test_a_graph_takes_nothing_from_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX may name a file that holds a tensor, counted from where the program runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.bin").write_bytes(bytes(48))
    outside = {"location": "mine.bin", "offset": "0", "length": "48"}
    (tmp_path / "w").mkdir()
    weights_in(tmp_path / "w", graph(outside))
    with pytest.raises(FileError, match="another file"):
        Engine.load(tmp_path / "w")


def test_a_graph_of_operators_that_are_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weights_in(tmp_path, graph().replace(b"Gather", b"Gathed"))
    with pytest.raises(FileError, match="onnx"):
        Engine.load(tmp_path)
    weights_in(tmp_path, graph().replace(b"Gather", b"\xff\xff\xff\xff\xff\xff"))
    with pytest.raises(FileError, match="onnx"):
        Engine.load(tmp_path)
    assert capfd.readouterr() == ("", ""), "onnxruntime's own words are no error line"
