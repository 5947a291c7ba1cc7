"""`ship`: gather trained weights into one directory that `play` can use, small enough to keep in the repository.

The VQ-VAE and the context controller are stored in a byte a weight. What the evaluation measures are the weights that
come out of here.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from collect.dataset import MANIFEST, read_manifest
from model.breakout import ACTIONS
from model.checkpoint import factor, load_tensors, pack, save_tensors
from model.files import FileError, checksum, write_json
from model.latent_action_model import ActionToLatentMLP
from model.weights import ACTION_NAME, CONTEXT_NAME, VQVAE_NAME, load_module, load_vqvae
from model.world_model import WorldModel


def ship(weights: Path, action: Path, frames: Path, out: Path) -> WorldModel:
    """Copy `weights`/vqvae and context, `action`/action_to_latent_best and the manifest of `frames` into `out`.

    FileError if one is missing or the controllers are of another VQ-VAE. Returns the twin, loaded from `out`.
    """
    manifest = read_manifest(frames)
    vqvae, _ = load_vqvae(weights)
    tensors, meta = load_tensors(weights / VQVAE_NAME)
    parts = {VQVAE_NAME: (pack(tensors), meta)}
    for directory, name in ((weights, CONTEXT_NAME), (action, ACTION_NAME)):
        module, meta = load_module(directory, name)
        if meta.get("codes_sha256") != vqvae.codes_sha256():
            raise FileError(f"{directory / name} was trained for the codes of another VQ-VAE than {weights}")
        parts[name] = (_thin(module) if isinstance(module, ActionToLatentMLP) else pack(module.state_dict())), meta
    for name, (tensors, meta) in parts.items():
        save_tensors(out / name, tensors, meta)
    about = {**manifest, "episodes": len(manifest["episodes"]), "manifest_sha256": checksum(frames / MANIFEST)}
    write_json(out / MANIFEST, about)
    return WorldModel.load(out, device="cpu")


def _thin(mlp: ActionToLatentMLP) -> dict[str, Tensor]:
    """The tensors of the action-only controller: a layer only ever sees four inputs, those of the four actions, so it
    is stored as two thin matrices that do the same to these four."""
    tensors = dict(mlp.state_dict())
    inputs = torch.eye(ACTIONS)
    for number, layer in enumerate(mlp.layers):
        name = f"layers.{number}.weight"
        if isinstance(layer, nn.Linear) and layer.in_features > ACTIONS:
            tensors |= factor(name, tensors.pop(name), inputs.T)
        with torch.no_grad():
            inputs = layer(inputs)
    return {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
