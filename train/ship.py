"""`ship`: gather trained weights into one directory that `play` can use, small enough to keep in the repository.

The VQ-VAE is stored in half precision, the controllers in a byte a weight. What the evaluation measures are the weights
that come out of here.
"""

from __future__ import annotations

from pathlib import Path

import torch

from collect.dataset import MANIFEST, read_manifest
from model.checkpoint import load_tensors, pack, save_tensors
from model.files import FileError, write_atomic
from model.world_model import ACTION_NAME, CONTEXT_NAME, VQVAE_NAME, WorldModel, load_vqvae


def ship(weights: Path, action: Path, frames: Path, out: Path) -> WorldModel:
    """Copy `weights`/vqvae and context, `action`/action_to_latent_best and the manifest of `frames` into `out`.

    FileError if one is missing or the controllers are of another VQ-VAE. Returns the twin, loaded from `out`.
    """
    read_manifest(frames)
    vqvae, _ = load_vqvae(weights)
    tensors, meta = load_tensors(weights / VQVAE_NAME)
    parts = {VQVAE_NAME: ({name: tensor.to(torch.float16) for name, tensor in tensors.items()}, meta)}
    for directory, name in ((weights, CONTEXT_NAME), (action, ACTION_NAME)):
        tensors, meta = load_tensors(directory / name)
        if meta.get("codes_sha256") != vqvae.codes_sha256():
            raise FileError(f"{directory / name} was trained for the codes of another VQ-VAE than {weights}")
        parts[name] = pack(tensors), meta
    for name, (tensors, meta) in parts.items():
        save_tensors(out / name, tensors, meta)
    manifest = (frames / MANIFEST).read_bytes()
    write_atomic(out / MANIFEST, lambda file: file.write(manifest))
    return WorldModel.load(out, device="cpu")
