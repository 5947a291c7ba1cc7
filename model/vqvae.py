"""The latent action VQ-VAE: what changes between two frames, as a 5 x 7 grid of codes.

Only cells that change are encoded and drawn; an unchanged cell is code 0 by definition and is copied. In a step of
play that is 2 or 3 cells of 35, so both networks have a tenth of the work.

- The encoder sees a window around a changed cell in both frames and pools what changed in the cell over its patches:
  a code says how a thing moves, not where in the cell it is, which makes it predictable.
- The decoder sees the same window of the last frame and redraws the cell as the code says. Of the frame before it sees
  only where anything was, for what 256 codes cannot say: a ball and a paddle that move at once in one cell. Codes are
  learned without that, so all motion is in them as far as it fits: a wrong code is a wrong picture.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import BACKGROUND, CELL_COLUMNS, CELL_ROWS, CELLS, CLASSES, CODE_DIM, GRID_ROWS, ROWS
from model.motion import CORRELATION, KERNEL, correlation, move
from model.pixels import (
    FEATURES,
    MARGIN,
    PATCH_COLUMNS,
    PATCH_PIXELS,
    PATCH_ROWS,
    changed,
    features,
    join_cells,
    middle,
    patches,
    split_cells,
    unpatch,
    windows,
)
from model.quantizer import UNCHANGED, Quantizer

CELL_PATCHES = slice(MARGIN, MARGIN + CELL_ROWS // PATCH_ROWS), slice(MARGIN, MARGIN + CELL_COLUMNS // PATCH_COLUMNS)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a skip; `condition` (B, W) scales and shifts what lies between (FiLM)."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        self.film = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, width, R, C) -> the same shape."""
        return self.finish(x, self.begin(x), condition)

    def begin(self, x: Tensor) -> Tensor:
        """What needs no condition."""
        return self.first(F.relu(x))

    def finish(self, x: Tensor, inner: Tensor, condition: Tensor | None = None) -> Tensor:
        """The rest, given what `begin` made of the same x."""
        if self.film is not None and condition is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
            inner = inner * (1 + scale) + shift
        return x + self.second(F.relu(inner))


class Encoder(nn.Module):
    """Windows of both frames -> one vector for each changed cell."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2 * FEATURES * PATCH_PIXELS, width, 3, padding=1)
        self.block = ResidualBlock(width)
        self.motion = nn.Linear(CORRELATION, 128)
        self.head = nn.Sequential(
            nn.Linear(2 * width + 128, 256), nn.ReLU(), nn.Linear(256, CODE_DIM), nn.LayerNorm(CODE_DIM, bias=False)
        )

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """(M, 48, 56) uint8 windows of frame t and t + 1 -> (M, 128)."""
        old, new = features(before), features(after)
        x = patches(torch.cat((old, new - old), -1), PATCH_ROWS, PATCH_COLUMNS)
        differs = before != after
        moved = patches(differs[..., None], PATCH_ROWS, PATCH_COLUMNS).any(1, keepdim=True)[:, :, *CELL_PATCHES]
        x = self.block(self.stem(x))[:, :, *CELL_PATCHES]
        # Only patches that changed count, and the mean is over them: a small change is no small vector.
        mean = (x * moved).sum((2, 3)) / moved.sum((2, 3)).clamp(min=1)
        peak = x.masked_fill(~moved, -1e4).amax((2, 3))
        motion = correlation(differs & (before != BACKGROUND), differs & (after != BACKGROUND))
        return self.head(torch.cat((mean, peak, self.motion(motion)), 1))


class Decoder(nn.Module):
    """The window of the last frame and a code vector -> the classes of the cell one step later.

    Patches say which pixels are of a thing that moves; kernels made from the code carry them to where they go; a few
    convolutions on pixels draw the result. A scanline has its own bias, since the Atari picks colours by scanline: the
    ball is grey above the wall, and has the colour of the brick row that it crosses.
    """

    KERNELS, PIXEL_WIDTH, DRAW_WIDTH = 2, 6, 32

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.stem = nn.Conv2d((FEATURES + 1) * PATCH_PIXELS, width, 3, padding=1)
        self.condition = nn.Sequential(nn.Linear(CODE_DIM, width), nn.ReLU())
        self.block = ResidualBlock(width, width)
        self.cell = nn.Embedding(CELLS, width)
        self.kernels = nn.Sequential(
            nn.Linear(CODE_DIM, 128), nn.ReLU(), nn.Linear(128, self.KERNELS * KERNEL), nn.Unflatten(1, (-1, KERNEL))
        )
        self.to_pixels = nn.Conv2d(width, PATCH_PIXELS * (self.KERNELS + self.PIXEL_WIDTH), 1)
        self.mix = nn.Conv2d(self.PIXEL_WIDTH + 2 * self.KERNELS + FEATURES, self.DRAW_WIDTH, 3, padding=1)
        self.scanline = nn.Embedding(ROWS, self.DRAW_WIDTH)
        self.draw = nn.Conv2d(self.DRAW_WIDTH, CLASSES, 1)
        self.keep = nn.Parameter(torch.tensor(3.0))

    def forward(self, before: Tensor, vectors: Tensor, cells: Tensor, earlier: Tensor | None = None) -> Tensor:
        """(M, 48, 56) uint8 windows, (M, 128) vectors, (M,) cells -> (M, 9, 30, 32) logits over classes.

        `earlier` are the windows one step before; without them the past is taken to have stood still.
        """
        return self.paint(before, vectors, cells, self.look(before, cells, earlier))

    def look(self, before: Tensor, cells: Tensor, earlier: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What does not depend on the code, for `paint`; windows and cells as in `forward`."""
        was = (before if earlier is None else earlier) != BACKGROUND
        seen = torch.cat((features(before), was[..., None].float()), -1)
        x = self.stem(patches(seen, PATCH_ROWS, PATCH_COLUMNS)) + self.cell(cells)[:, :, None, None]
        return x, self.block.begin(x)

    def paint(self, before: Tensor, vectors: Tensor, cells: Tensor, looked: tuple[Tensor, Tensor]) -> Tensor:
        """The rest of `forward`, for one of several codes that the same cells may have."""
        x = self.block.finish(*looked, self.condition(vectors))
        pixels = unpatch(self.to_pixels(F.relu(x)), self.KERNELS + self.PIXEL_WIDTH)
        movers = torch.sigmoid(pixels[..., : self.KERNELS].float()) * (before != BACKGROUND)[..., None]
        movers = movers.permute(0, 3, 1, 2)
        moved = move(movers, torch.softmax(self.kernels(vectors).float(), -1))
        now = middle(before)
        seen = torch.cat((middle(pixels[..., self.KERNELS :]), features(now, pixels.dtype)), -1).permute(0, 3, 1, 2)
        mixed = self.mix(torch.cat((seen, middle(movers.flatten(0, 1)).unflatten(0, movers.shape[:2]), moved), 1))
        rows = CELL_ROWS * (cells % GRID_ROWS)[:, None] + torch.arange(CELL_ROWS, device=cells.device)
        mixed = F.relu(mixed + self.scanline(rows).transpose(1, 2)[..., None])
        # Most pixels stay as they are: the network has to argue for a change only.
        stay = F.one_hot(now.long(), CLASSES).permute(0, 3, 1, 2)
        return self.draw(mixed).float() + self.keep * stay


class VQVAE(nn.Module):
    """Encoder, quantiser and decoder, and the grid of codes they share."""

    def __init__(self, encoder_width: int = 96, decoder_width: int = 96) -> None:
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
            vectors = self.encoder(windows(before, which, cells), windows(after, which, cells))
            codes[which, cells] = self.quantizer(vectors)
        return codes

    @torch.no_grad()
    def decode(self, history: Tensor, codes: Tensor) -> Tensor:
        """Frames (B, n, 210, 160) uint8 classes, oldest first, n >= 1, and codes (B, 35) -> the next frames
        (B, 210, 160) uint8 classes. Of the history the last two frames count; a single one has stood still.
        """
        before = history[:, -1]
        which, cells = (codes != UNCHANGED).nonzero(as_tuple=True)
        if not len(which):
            return before.clone()
        vectors = self.quantizer.embed(codes[which, cells])
        earlier = windows(history[:, -2], which, cells) if history.shape[1] > 1 else None
        logits = self.decoder(windows(before, which, cells), vectors, cells, earlier)
        drawn = split_cells(before).clone()
        drawn[which, cells] = logits.argmax(1).to(torch.uint8)
        return join_cells(drawn)

    def codes_sha256(self) -> str:
        """What gives the codes their meaning: SHA-256 of the encoder and the codebook, in the half precision in which
        they are shipped, but not of the decoder."""
        digest = hashlib.sha256()
        for name, tensor in sorted((*self.encoder.state_dict().items(), ("codebook", self.quantizer.codebook))):
            digest.update(name.encode() + tensor.detach().cpu().half().contiguous().numpy().tobytes())
        return digest.hexdigest()
