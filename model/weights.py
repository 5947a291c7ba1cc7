"""A directory of weights: which files it holds, and how one network is read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.breakout import EMULATOR_HZ
from model.checkpoint import check_fit, fill, load_tensors, meta_path
from model.context_controller import ContextController
from model.files import FileError
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
