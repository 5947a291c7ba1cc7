"""The context controller: from the key and the recent frames to the 35 codes of what will change.

It is the twin's physics. Patches of 6 x 4 pixels carry the newest frame and, of the frames before it, where
anything was; a few convolutions find contact. Each of the 35 cells becomes one token, to which
the codes of the last steps are added: in free flight the next code is the last one again. The tokens attend to each
other, because a ball crosses cells and a brick hit in the middle changes the score at the top.

Where a step can go two ways (a serve, left or right) the cells must not choose each for itself: half a ball here and
another there. So the controller also takes codes that are settled already, and answers for the others given them, as in
masked generation (Chang et al. 2022, https://arxiv.org/abs/2202.04200); see `settle`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import (
    ACTIONS,
    BACKGROUND,
    CELL_COLUMNS,
    CELL_ROWS,
    CELLS,
    CODES,
    GREY_CLASS,
    GRID_COLUMNS,
    GRID_ROWS,
    RED_CLASS,
)
from model.latent_action_model import sample_codes
from model.pixels import patches
from model.vqvae import ResidualBlock

ROWS_A_PATCH, COLUMNS_A_PATCH = 6, 4
OPEN = CODES
"""In place of a settled code: this cell is open."""
SURE = 0.8
"""A cell whose likeliest code is at least so likely needs no settling."""
ROUNDS = 2
"""At most so many codes are settled in a step."""
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
    """Key, `context` recent frames and the codes of the last `past` steps -> logits over the codes of every cell."""

    def __init__(
        self, context: int = 8, past: int = 3, width: int = 64, dim: int = 256, depth: int = 3, heads: int = 4
    ) -> None:
        super().__init__()
        self.settings = {
            "context": context, "past": past, "width": width, "dim": dim, "depth": depth, "heads": heads
        }  # fmt: skip
        if context <= past:
            raise ValueError(f"{past} steps lie between {past + 1} frames, not {context}")
        if dim % heads:
            raise ValueError(f"{dim} numbers cannot be shared out among {heads} heads")
        self.context, self.past = context, past
        channels = 2 + context
        self.stem = nn.Conv2d(ROWS_A_PATCH * COLUMNS_A_PATCH * channels, width, 1)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(2))
        self.to_token = nn.Linear(PATCHES_A_CELL * width, dim)
        self.cell = nn.Parameter(torch.randn(CELLS, dim) * 0.02)
        self.action = nn.Embedding(ACTIONS, dim)
        self.codes = nn.ModuleList(nn.Embedding(CODES, dim) for _ in range(past))
        self.settled = nn.Embedding(CODES + 1, dim)
        self.mixer = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, CODES))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, history: Tensor, codes: Tensor, action: Tensor, settled: Tensor | None = None) -> Tensor:
        """(B, context, 210, 160) uint8 classes and (B, past, 35) int64 codes of the steps between the last of them,
        both oldest first, (B,) int64 actions, and codes (B, 35) int64 that are settled, `OPEN` where none is
        -> (B, 35, 256) logits."""
        return self.answer(self.ask(self.look(history), codes, action), settled)

    def look(self, history: Tensor) -> Tensor:
        """What does not depend on the key, for `ask`; most of the work: (B, context, 210, 160) -> (B, 35, dim)."""
        now = history[:, -1]
        # Colours follow from the scanline, so the picture is in the bits of what is there; the other two only help.
        bits = torch.stack((now == RED_CLASS, now == GREY_CLASS, *(history != BACKGROUND).unbind(1)), -1)
        x = self.stem(patches(bits, ROWS_A_PATCH, COLUMNS_A_PATCH).to(_compute_dtype(self.cell)))
        for block in self.blocks:
            x = block(x)
        return self.to_token(_by_cell(F.relu(x)))

    def ask(self, looked: Tensor, codes: Tensor, action: Tensor) -> Tensor:
        """What does not depend on settled codes: one token a cell (B, 35, dim), for `answer`."""
        tokens = looked + self.cell + self.action(action)[:, None]
        for lag, embed in enumerate(self.codes):
            tokens = tokens + embed(codes[:, lag])
        return tokens

    def answer(self, tokens: Tensor, settled: Tensor | None = None) -> Tensor:
        """The rest of `forward`."""
        if settled is None:
            settled = torch.full(tokens.shape[:2], OPEN, device=tokens.device)
        tokens = tokens + self.settled(settled)
        for block in self.mixer:
            tokens = block(tokens)
        return self.head(tokens).float()

    def settle(
        self, tokens: Tensor, logits: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes (B, 35) that go together, from the tokens of `ask` and the first `answer`.

        While a cell is unsure, the least sure one is settled (its likeliest code, or above temperature 0 a drawn one),
        and the others are asked again, given that.
        """
        logits = logits.clone()
        settled = torch.full(logits.shape[:2], OPEN, device=logits.device)
        for _ in range(ROUNDS):
            sure = torch.softmax(logits, -1).amax(-1).masked_fill(settled != OPEN, 1.0)
            unsure = (sure.amin(1) < SURE).nonzero().flatten()
            if not len(unsure):
                break
            cell = sure[unsure].argmin(1)
            settled[unsure, cell] = sample_codes(logits[unsure, cell], temperature, generator)
            logits[unsure] = self.answer(tokens[unsure], settled[unsure])
        codes = sample_codes(logits, temperature, generator)
        return torch.where(settled == OPEN, codes, settled)


def _compute_dtype(parameter: Tensor) -> torch.dtype:
    device = parameter.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else parameter.dtype


def _by_cell(x: Tensor) -> Tensor:
    """Patches (B, W, 35, 40) -> one row per cell (B, 35, 40 * W), flat order `column * 7 + row`."""
    batch, width, rows, columns = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, GRID_ROWS, rows // GRID_ROWS, GRID_COLUMNS, columns // GRID_COLUMNS, width)
    return x.permute(0, 3, 1, 2, 4, 5).reshape(batch, CELLS, -1)
