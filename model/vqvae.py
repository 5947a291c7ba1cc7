"""The latent action VQ-VAE: what changes between two frames, as a 5 x 7 grid of codes.

Only cells that change are encoded and drawn; an unchanged cell is code 0 by definition and is copied. In a step of
play that is 2 or 3 cells of 35, so both networks have a tenth of the work.

- The encoder sees a window around a changed cell in both frames and pools what changed in the cell over its patches:
  a code says how a thing moves, not where in the cell it is, which makes it predictable.
- The decoder sees the same window of the last frame alone and redraws the cell as the code says. That it sees one
  frame only keeps all motion in the codes: a wrong code is a wrong picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import CELL_COLUMNS, CELL_ROWS, CELLS, CLASSES, CODE_DIM
from model.pixels import (
    FEATURES,
    MARGIN,
    PATCH_COLUMNS,
    PATCH_PIXELS,
    PATCH_ROWS,
    changed,
    features,
    join_cells,
    patches,
    split_cells,
    unpatch,
    windows,
)
from model.quantizer import UNCHANGED, Quantizer

CELL_PATCHES = slice(MARGIN, MARGIN + CELL_ROWS // PATCH_ROWS), slice(MARGIN, MARGIN + CELL_COLUMNS // PATCH_COLUMNS)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a skip; `condition` (B, W) scales and shifts what lies between (FiLM)."""

    def __init__(self, width: int, condition: int = 0, activation: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        self.film = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, width, R, C) -> the same shape."""
        inner = self.first(self.activation(x))
        if self.film is not None and condition is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        return x + self.second(self.activation(inner))


class Encoder(nn.Module):
    """Windows of both frames -> one vector for each changed cell."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2 * FEATURES * PATCH_PIXELS, width, 3, padding=1)
        self.block = ResidualBlock(width)
        self.head = nn.Sequential(
            nn.Linear(2 * width + CELLS, 256), nn.GELU(), nn.Linear(256, CODE_DIM), nn.LayerNorm(CODE_DIM, bias=False)
        )

    def forward(self, before: Tensor, after: Tensor, cells: Tensor) -> Tensor:
        """(M, 42, 48) uint8 windows of frame t and t + 1, (M,) cells 0..34 -> (M, 128)."""
        old, new = features(before), features(after)
        x = patches(torch.cat((old, new - old), -1), PATCH_ROWS, PATCH_COLUMNS)
        moved = patches((before != after)[..., None], PATCH_ROWS, PATCH_COLUMNS).any(1, keepdim=True)
        x = self.block(self.stem(x))[:, :, *CELL_PATCHES]
        moved = moved[:, :, *CELL_PATCHES]
        # Only patches that changed count, and the mean is over them: a small change is no small vector.
        mean = (x * moved).sum((2, 3)) / moved.sum((2, 3)).clamp(min=1)
        peak = x.masked_fill(~moved, -1e4).amax((2, 3))
        return self.head(torch.cat((mean, peak, F.one_hot(cells, CELLS).to(mean.dtype)), 1))


class Decoder(nn.Module):
    """The window of the last frame and a code vector -> the classes of the cell one step later."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.stem = nn.Conv2d(FEATURES * PATCH_PIXELS, width, 3, padding=1)
        self.condition = nn.Sequential(nn.Linear(CODE_DIM + CELLS, width), nn.GELU())
        self.blocks = nn.ModuleList(ResidualBlock(width, width) for _ in range(2))
        self.head = nn.Conv2d(width, PATCH_PIXELS * CLASSES, 1)
        self.keep = nn.Parameter(torch.tensor(3.0))

    def forward(self, before: Tensor, vectors: Tensor, cells: Tensor) -> Tensor:
        """(M, 42, 48) uint8 windows, (M, 128) vectors, (M,) cells -> (M, 30, 32, 9) logits over classes."""
        condition = self.condition(torch.cat((vectors, F.one_hot(cells, CELLS).to(vectors.dtype)), 1))
        x = self.stem(patches(features(before), PATCH_ROWS, PATCH_COLUMNS))
        for block in self.blocks:
            x = block(x, condition)
        logits = unpatch(self.head(F.gelu(x[:, :, *CELL_PATCHES])), CLASSES).float()
        rows, columns = MARGIN * PATCH_ROWS, MARGIN * PATCH_COLUMNS
        now = before[:, rows : rows + CELL_ROWS, columns : columns + CELL_COLUMNS]
        # Most pixels stay as they are: the network has to argue for a change only.
        return logits + self.keep * F.one_hot(now.long(), CLASSES)


class VQVAE(nn.Module):
    """Encoder, quantiser and decoder, and the grid of codes they share."""

    def __init__(self, encoder_width: int = 96, decoder_width: int = 128) -> None:
        super().__init__()
        self.settings = {"encoder_width": encoder_width, "decoder_width": decoder_width}
        self.encoder = Encoder(encoder_width)
        self.quantizer = Quantizer()
        self.decoder = Decoder(decoder_width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def encode(self, before: Tensor, after: Tensor) -> Tensor:
        """Pairs of frames (B, 210, 160) uint8 classes -> codes (B, 35) int64; 0 exactly where a cell stays the same."""
        codes = torch.full((len(before), CELLS), UNCHANGED, dtype=torch.int64, device=before.device)
        which, cells = changed(before, after).nonzero(as_tuple=True)
        if len(which):
            vectors = self.encoder(windows(before, which, cells), windows(after, which, cells), cells)
            codes[which, cells] = self.quantizer(vectors)
        return codes

    @torch.no_grad()
    def decode(self, before: Tensor, codes: Tensor) -> Tensor:
        """Frames (B, 210, 160) uint8 classes and codes (B, 35) -> the next frames (B, 210, 160) uint8 classes."""
        which, cells = (codes != UNCHANGED).nonzero(as_tuple=True)
        if not len(which):
            return before.clone()
        vectors = self.quantizer.embed(codes[which, cells])
        logits = self.decoder(windows(before, which, cells), vectors, cells)
        drawn = split_cells(before).clone()
        drawn[which, cells] = logits.argmax(-1).to(torch.uint8)
        return join_cells(drawn)
