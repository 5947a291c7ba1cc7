"""Packed weights: a byte each, and close to what they were."""

from pathlib import Path

import pytest
import torch

from model.checkpoint import factor, load_tensors, pack, rounded, save_tensors
from model.files import FileError


def test_packed_weights_come_back_within_half_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {"kernel": torch.randn(6, 4, 3, 3), "bias": torch.randn(6), "zeros": torch.zeros(2, 5)}
    save_tensors(tmp_path / "a", pack(tensors), {})
    loaded, _ = load_tensors(tmp_path / "a")
    assert set(loaded) == set(tensors)
    step = tensors["kernel"].flatten(1).abs().amax(1) / 127
    assert ((loaded["kernel"] - tensors["kernel"]).flatten(1).abs() <= 0.51 * step[:, None]).all()
    assert (loaded["bias"] - tensors["bias"]).abs().max() < 2e-3
    assert not loaded["zeros"].any()


def test_packing_twice_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_tensors(tmp_path / "a", pack({"kernel": torch.randn(6, 40)}), {})
    once, _ = load_tensors(tmp_path / "a")
    save_tensors(tmp_path / "b", pack(once), {})
    twice, _ = load_tensors(tmp_path / "b")
    assert torch.allclose(once["kernel"], twice["kernel"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [torch.ones(5), torch.ones(3, 2), torch.tensor([1.0, float("nan"), 1.0])])
def test_a_scale_that_does_not_fit_is_refused(tmp_path: Path, scale: torch.Tensor) -> None:
    save_tensors(tmp_path / "a", {"w": torch.ones(3, 4, dtype=torch.int8), "w.scale": scale}, {})
    with pytest.raises(FileError):
        load_tensors(tmp_path / "a")


def test_a_thin_matrix_does_the_same_to_the_inputs_it_was_made_for(tmp_path: Path) -> None:
    weight, inputs = torch.randn(30, 12), torch.randn(12, 4)
    save_tensors(tmp_path / "a", factor("w", weight, inputs), {})
    thin = load_tensors(tmp_path / "a")[0]["w"]
    assert thin.shape == weight.shape
    assert torch.allclose(thin @ inputs, weight @ inputs, atol=1e-4)
    assert not torch.allclose(thin, weight, atol=1e-1)


def test_factors_of_an_absurd_matrix_are_refused(tmp_path: Path) -> None:
    thin = {"w.left": torch.ones(100_000, 1), "w.right": torch.ones(1, 100_000)}
    save_tensors(tmp_path / "a", thin, {})
    with pytest.raises(FileError, match="factor"):
        load_tensors(tmp_path / "a")


def test_a_rounded_module_is_what_would_be_loaded(tmp_path: Path) -> None:
    module = torch.nn.Linear(7, 5)
    save_tensors(tmp_path / "a", pack(module.state_dict()), {})
    loaded = load_tensors(tmp_path / "a")[0]
    rounded(module)
    assert all(torch.equal(tensor, loaded[name].float()) for name, tensor in module.state_dict().items())
