"""A directory of weights: which files it holds, and how one network is read from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from model.breakout import CELLS, CODES, EMULATOR_HZ
from model.checkpoint import check_fit, fill, load_tensors, meta_path, tensor_path
from model.context_controller import ContextController
from model.files import FileError, checksum
from model.latent_action_model import ActionToLatentMLP
from model.vqvae import VQVAE

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "weights"
VQVAE_NAME, CONTEXT_NAME, ACTION_NAME = "vqvae", "context", "action_to_latent_best"
CONTROLLERS = {"context": CONTEXT_NAME, "action": ACTION_NAME}
_MODELS: dict[str, type[nn.Module]] = {
    VQVAE_NAME: VQVAE,
    CONTEXT_NAME: ContextController,
    ACTION_NAME: ActionToLatentMLP,
}
_KINDS = {VQVAE_NAME: "vqvae", CONTEXT_NAME: "context", ACTION_NAME: "action"}
_LARGEST = {"context": 64}
_WIDEST = 4096


def load_module(directory: Path, name: str) -> tuple[nn.Module, dict[str, Any]]:
    """One network of a weights directory, by file name, with its settings. FileError if it cannot be used."""
    path = directory / name
    tensors, meta = load_tensors(path)
    if meta.get("kind") != _KINDS[name] or not isinstance(meta.get("model"), dict):
        raise FileError(f"{meta_path(path)} does not describe a {_KINDS[name]} of this program")
    if not all(_fits(size, value) for size, value in meta["model"].items()):
        raise FileError(f"{meta_path(path)} gives sizes that no model of this program has")
    try:
        with torch.device("meta"):  # shapes alone: a model that the tensors do not fill takes no memory
            check_fit(_MODELS[name](**meta["model"]).state_dict(), tensors, path)
    except FileError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise FileError(f"{meta_path(path)} describes another model: {error}") from None
    module = _MODELS[name](**meta["model"])
    fill(module, tensors, path)
    return module.eval(), meta


def _fits(size: str, value: Any) -> bool:
    """Whether a model of this program may have this setting."""
    if size == "dropout":
        return type(value) in (int, float) and 0 <= value < 1
    return type(value) is int and 1 <= value <= _LARGEST.get(size, _WIDEST)


def load_vqvae(directory: Path) -> tuple[VQVAE, dict[str, Any]]:
    """The VQ-VAE of a weights directory, with its settings, of which `frameskip` is sure to be there."""
    module, meta = load_module(directory, VQVAE_NAME)
    assert isinstance(module, VQVAE)
    if type(meta.get("frameskip")) is not int or not 1 <= meta["frameskip"] <= EMULATOR_HZ:
        raise FileError(f"{meta_path(directory / VQVAE_NAME)} lacks its frame skip")
    return module, meta


class Held(NamedTuple):
    """What a weights directory holds: the networks, the settings of each by name, the majority codes (35,) int64 if
    they are there, and one SHA-256 over all tensors' files."""

    vqvae: VQVAE
    controllers: dict[str, nn.Module]
    meta: dict[str, dict[str, Any]]
    majority: npt.NDArray[np.int64] | None
    checksum: str


def load_directory(directory: Path) -> Held:
    """Everything in a weights directory. FileError if a file is missing, damaged or does not belong to the others."""
    if not directory.is_dir():
        raise FileError(f"weights directory {directory} does not exist")
    vqvae, meta = load_vqvae(directory)
    metas = {VQVAE_NAME: meta}
    controllers: dict[str, nn.Module] = {}
    files = [directory / VQVAE_NAME]
    for name, file in CONTROLLERS.items():
        if not meta_path(directory / file).exists() and not tensor_path(directory / file).exists():
            continue
        controllers[name], metas[name] = load_module(directory, file)
        if metas[name].get("frameskip") != meta["frameskip"]:
            raise FileError(f"{directory}: the {name} controller is of another frame skip than the VQ-VAE")
        if metas[name].get("codes_sha256") != vqvae.codes_sha256():
            raise FileError(f"{directory}: the {name} controller was trained for the codes of another VQ-VAE")
        files.append(directory / file)
    digest = hashlib.sha256("".join(checksum(tensor_path(file)) for file in files).encode()).hexdigest()
    majority = next((m["majority"] for m in metas.values() if "majority" in m), None)
    return Held(vqvae, controllers, metas, None if majority is None else _majority(majority, directory), digest)


def _majority(codes: Any, directory: Path) -> npt.NDArray[np.int64]:
    if not isinstance(codes, list) or not all(type(code) is int and 0 <= code < CODES for code in codes):
        raise FileError(f"{directory}: the majority codes are not codes")
    if len(codes) != CELLS:
        raise FileError(f"{directory}: the majority codes are not {CELLS} codes")
    return np.array(codes, np.int64)
