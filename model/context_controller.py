"""The context controller: from the key and the recent frames to the 35 codes of what will change.

It is the twin's physics. Patches of 6 x 4 pixels carry the newest frame in full and, of the frames before it, where
the red things were (ball and paddle); a few convolutions find motion and contact; then each of the 35 cells becomes
one token that attends to all others, because a brick hit in the middle changes the score at the top.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import (
    ACTIONS,
    BACKGROUND,
    BALL_CLASS,
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CODES,
    GREY_CLASS,
    GRID_COLUMNS,
    GRID_ROWS,
)
from model.pixels import patches
from model.vqvae import ResidualBlock

ROWS_A_PATCH, COLUMNS_A_PATCH = 6, 4
PATCHES_A_CELL = CELL_ROWS // ROWS_A_PATCH * (CELL_COLUMNS // COLUMNS_A_PATCH)


class Block(nn.Module):
    """A pre-norm transformer block over the 35 cells (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 35, dim) -> the same shape."""
        batch, tokens, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Written out: on so few tokens it trains faster on a CPU than the fused kernel.
        seen = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(batch, tokens, dim))
        return x + self.mlp(self.norm2(x))


class ContextController(nn.Module):
    """Key and `context` recent frames -> logits over the codes of every cell."""

    def __init__(self, context: int = 8, width: int = 80, dim: int = 256, depth: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.settings = {"context": context, "width": width, "dim": dim, "depth": depth, "heads": heads}
        self.context = context
        channels = 2 + context
        self.stem = nn.Conv2d(ROWS_A_PATCH * COLUMNS_A_PATCH * channels, width, 1)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(2))
        self.to_token = nn.Linear(PATCHES_A_CELL * width, dim)
        self.cell = nn.Parameter(torch.randn(CELLS, dim) * 0.02)
        self.action = nn.Embedding(ACTIONS, dim)
        self.mixer = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, CODES))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, history: Tensor, action: Tensor) -> Tensor:
        """(B, context, 210, 160) uint8 classes, oldest first, and (B,) int64 actions -> (B, 35, 256) logits."""
        now = history[:, -1]
        # Where a brick is, its colour follows from its row: three bits a pixel say all of the newest frame.
        bits = torch.stack((now != BACKGROUND, now == GREY_CLASS, *(history == BALL_CLASS).unbind(1)), -1)
        x = self.stem(patches(bits, ROWS_A_PATCH, COLUMNS_A_PATCH).to(_compute_dtype(self.cell)))
        for block in self.blocks:
            x = block(x)
        tokens = self.to_token(_by_cell(F.relu(x))) + self.cell + self.action(action)[:, None]
        for block in self.mixer:
            tokens = block(tokens)
        return self.head(tokens).float()


def _compute_dtype(parameter: Tensor) -> torch.dtype:
    device = parameter.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else parameter.dtype


def _by_cell(x: Tensor) -> Tensor:
    """Patches (B, W, 35, 40) -> one row per cell (B, 35, 40 * W), flat order `column * 7 + row`."""
    batch, width, rows, columns = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, GRID_ROWS, rows // GRID_ROWS, GRID_COLUMNS, columns // GRID_COLUMNS, width)
    return x.permute(0, 3, 1, 2, 4, 5).reshape(batch, CELLS, -1)
