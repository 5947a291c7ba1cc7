"""Packed weights: a byte each, and close to what they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import check_fit, load_tensors, pack, rounded, save_tensors
from model.files import FileError


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    """One of each kind that weights have."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(6, 4, 3)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    stamps = rng.integers(0, 255, (4, 5), dtype=np.uint8)
    return {"kernel": kernel, "bias": bias, "zeros": np.zeros((2, 5), np.float32), "stamps": stamps}


def test_tensors_and_what_is_known_of_them_come_back(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    save_tensors(tmp_path / "w", tensors, {"kind": "test", "sizes": [1, 2]})
    found, meta = load_tensors(tmp_path / "w")
    assert set(found) == set(tensors)
    assert all(np.array_equal(found[name], tensor) for name, tensor in tensors.items())
    assert (meta["kind"], meta["sizes"]) == ("test", [1, 2])
    assert len(meta["sha256"]) == 64


def test_packed_weights_come_back_within_half_a_step(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    packed = pack(tensors)
    assert packed["kernel"].dtype == np.int8
    assert packed["bias"].dtype == np.float16
    save_tensors(tmp_path / "w", packed, {})
    found, _ = load_tensors(tmp_path / "w")
    assert set(found) == set(tensors)
    step = np.abs(tensors["kernel"]).max((1, 2)) / 127
    assert (np.abs(found["kernel"] - tensors["kernel"]) <= 0.501 * step[:, None, None]).all()
    assert np.abs(found["bias"] - tensors["bias"]).max() < 2e-3
    assert not found["zeros"].any()
    assert np.array_equal(found["stamps"], tensors["stamps"])
    assert all(found[name].dtype == np.float32 for name in ("kernel", "bias", "zeros"))


def test_rounded_is_what_would_be_loaded_and_rounding_twice_changes_nothing(
    tensors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    save_tensors(tmp_path / "w", pack(tensors), {})
    found, _ = load_tensors(tmp_path / "w")
    once = rounded(tensors)
    assert all(np.array_equal(found[name], tensor) for name, tensor in once.items())
    assert all(np.allclose(tensor, once[name], rtol=0, atol=1e-6) for name, tensor in rounded(once).items())


def test_what_json_cannot_say_is_not_written(tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_tensors(tmp_path / "w", tensors, {"loss": float("nan")})
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bias": None}, "lack bias"),
        ({"bias": np.zeros(7, np.float32)}, r"bias has shape \(7,\), this model wants \(6,\)"),
        ({"other": np.zeros(1, np.float32)}, "hold other, which this model does not have"),
    ],
)
def test_weights_of_another_model(tensors: dict[str, np.ndarray], change: dict[str, np.ndarray], says: str) -> None:
    wanted = {name: tensor.shape for name, tensor in tensors.items()}
    check_fit(wanted, tensors, Path("w"))
    found = {name: tensor for name, tensor in {**tensors, **change}.items() if tensor is not None}
    with pytest.raises(FileError, match=says):
        check_fit(wanted, found, Path("w"))
