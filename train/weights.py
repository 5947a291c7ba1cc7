"""Between PyTorch and checkpoints: tensors as arrays and back, and the parts of a twin by name."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.appearance import Appearance
from model.checkpoint import check_fit, load_tensors, rounded
from model.files import FileError
from model.vqvae import VQVAE

Arrays = dict[str, npt.NDArray[Any]]


def arrays(tensors: Mapping[str, Tensor]) -> Arrays:
    """Tensors of any device as arrays, by the same names; a number alone becomes an array of one."""
    return {name: np.atleast_1d(tensor.detach().cpu().numpy()) for name, tensor in tensors.items()}


@torch.no_grad()
def fill(own: Mapping[str, Tensor], found: Arrays, path: Path) -> None:
    """Copy arrays into tensors of the same names. FileError if one is missing, misshapen or left over."""
    check_fit({name: tuple(tensor.shape) for name, tensor in own.items()}, found, path)  # before any is changed
    for name, tensor in own.items():
        tensor.copy_(torch.from_numpy(found[name]))  # in place, and onto its device


def load_part(path: Path, command: str) -> tuple[Arrays, dict[str, Any]]:
    """A checkpoint's tensors and what is known of them. FileError if it is missing (it names the `command` that makes
    such) or damaged."""
    if not path.exists():
        raise FileError(f"weights {path} do not exist; make them with: python main.py {command} --out {path.parent}")
    tensors, meta = load_tensors(path)
    if not isinstance(meta.get("model"), dict) or not isinstance(meta.get("frameskip"), int):  # a player's lacks both
        raise FileError(f"weights {path} do not say of what model and frame skip they are")
    return tensors, meta


def build(kind: type[nn.Module], meta: dict[str, Any], name: str, path: Path, found: Arrays) -> Any:
    """A network of the sizes that a checkpoint gives for it, still without its weights. FileError if `found`, the
    checkpoint's tensors, are not of these sizes."""
    sizes = meta["model"].get(name)  # as its `settings` were: what its class is called with
    try:
        # On "meta" a network takes no memory: a small file may speak of a huge one, or of an empty one, which warns.
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            shapes = {f"{name}.{own}": tuple(tensor.shape) for own, tensor in kind(**sizes).state_dict().items()}
    except (TypeError, ValueError, RuntimeError):  # no mapping, other names, text, numbers below 0
        raise FileError(f"weights {path}: {name} cannot have the sizes {sizes}") from None
    check_fit(shapes, {own: array for own, array in found.items() if own.startswith(f"{name}.")}, path)
    return kind(**sizes)  # no larger than the file: its tensors fill it


def load_vqvae(directory: Path) -> tuple[VQVAE, dict[str, Any]]:
    """The VQ-VAE of a directory, rounded as it will be shipped, so that its codes mean then what they mean now; and its
    settings. FileError if it is missing or damaged."""
    path = directory / "vqvae.safetensors"
    tensors, meta = load_part(path, "train vqvae")
    model = build(VQVAE, meta, "vqvae", path, tensors)
    both = nn.ModuleDict({"vqvae": model, "appearance": Appearance()})  # they are in one file
    fill(both.state_dict(), rounded(tensors), path)
    return model.eval(), meta
