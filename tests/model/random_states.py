"""States that no game is ever in: places off the screen, and memory of any kind."""

from __future__ import annotations

import torch
from torch import Tensor

from model.breakout import CLASSES, COLUMNS, ROWS
from model.state import HISTORY, SIZES, State

LOWEST, HIGHEST = (-20, -20, -40), (240, 180, 260)
"""Of ball row, ball column and paddle column: beyond the screen on every side."""


def between(low: int, high: int, shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    """Whole numbers from `low` to below `high`."""
    return torch.randint(low, high, shape, generator=chance)


def random_frames(games: int, chance: torch.Generator) -> Tensor:
    """Frames of noise: (B, 210, 160) uint8."""
    return between(0, CLASSES, (games, ROWS, COLUMNS), chance).to(torch.uint8)


def random_state(games: int, seed: int) -> State:
    """Any state that is of the right shape and whose memory is one that the networks may have."""
    chance = torch.Generator().manual_seed(seed)
    places = [between(low, high, (games, HISTORY), chance) for low, high in zip(LOWEST, HIGHEST, strict=True)]
    width = 12 + 4 * between(0, 2, (games, HISTORY), chance)
    memory = torch.stack([between(0, size, (games,), chance) for size in SIZES], 1)
    return State(
        random_frames(games, chance),
        torch.stack([*places, width], 2),
        between(0, 2, (games, 6, 18), chance).to(torch.uint8),
        between(0, 10, (games, 4), chance),
        memory,
        torch.rand(memory.shape, generator=chance),
    )
