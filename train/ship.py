"""`ship`: gather trained weights into one directory that `play` can use, small enough to keep in the repository.

The VQ-VAE stays as it is, since a rounded encoder could choose other codes than the controllers learned; the
controllers are stored in half precision, half the size.
"""

from __future__ import annotations

from pathlib import Path

import torch

from collect.dataset import MANIFEST, read_manifest
from model.checkpoint import load_tensors, save_tensors
from model.files import FileError, write_atomic
from model.world_model import ACTION_NAME, CONTEXT_NAME, VQVAE_NAME, WorldModel, load_vqvae


def ship(weights: Path, action: Path, frames: Path, out: Path) -> WorldModel:
    """Copy `weights`/vqvae and context, `action`/action_to_latent_best and the manifest of `frames` into `out`.

    FileError if one is missing or the controllers are of another VQ-VAE. Returns the twin, loaded from `out`.
    """
    read_manifest(frames)
    vqvae, _ = load_vqvae(weights)
    parts = {VQVAE_NAME: load_tensors(weights / VQVAE_NAME)}
    for directory, name in ((weights, CONTEXT_NAME), (action, ACTION_NAME)):
        tensors, meta = load_tensors(directory / name)
        if meta.get("codes_sha256") != vqvae.codes_sha256():
            raise FileError(f"{directory / name} was trained for the codes of another VQ-VAE than {weights}")
        parts[name] = {key: tensor.to(torch.float16) for key, tensor in tensors.items()}, meta
    for name, (tensors, meta) in parts.items():
        save_tensors(out / name, tensors, meta)
    manifest = (frames / MANIFEST).read_bytes()
    write_atomic(out / MANIFEST, lambda file: file.write(manifest))
    return WorldModel.load(out, device="cpu")
