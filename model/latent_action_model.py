"""The controller of the seed design: from the key alone to the 35 codes.

It cannot know where the ball is, so all it can learn is the average change under each key. That is its honest limit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.breakout import ACTIONS, CELLS, CODES


class ActionToLatentMLP(nn.Module):
    """One-hot action (4) -> 512 -> 256 -> 35 x 256 logits, with ReLU and dropout."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.settings = {"dropout": dropout}
        self.layers = nn.Sequential(
            nn.Linear(ACTIONS, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, CELLS * CODES),
        )

    def forward(self, one_hot: Tensor) -> Tensor:
        """(B, 4) float one-hot actions -> (B, 35, 256) logits."""
        return self.layers(one_hot).reshape(-1, CELLS, CODES)

    def sample(self, action: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """(B,) int64 actions -> (B, 35) int64 codes; see `sample_codes` for the temperature."""
        return sample_codes(self(F.one_hot(action, ACTIONS).float()), temperature, generator)


def sample_codes(logits: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
    """Codes (..., ) from logits (..., 256): the most likely one at temperature 0, else drawn from softmax(logits / T).

    Raises ValueError if the temperature is negative or not a number.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature must be 0 or more, got {temperature}")
    if temperature == 0:
        return logits.argmax(-1)
    shares = torch.softmax(logits.float() / temperature, -1)
    return torch.multinomial(shares.flatten(0, -2), 1, generator=generator).reshape(logits.shape[:-1])
