"""Checks of what callers hand to the twin: ValueError names what was wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from model.breakout import ACTIONS, CLASSES, COLUMNS, ROWS, Frame


def checked_rgb(frames: Any, name: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """RGB frames as they are: uint8 with `dimensions` dimensions, the last three (210, 160, 3)."""
    shape = ("n", ROWS, COLUMNS, 3)[-dimensions:]
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise ValueError(f"{name} must be a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
    if frames.ndim != dimensions or frames.shape[-3:] != (ROWS, COLUMNS, 3) or len(frames) == 0:
        raise ValueError(f"{name} must have shape {shape}, got {frames.shape}".replace("'", ""))
    return frames


def checked_classes(frames: Any, name: str, dimensions: int) -> Frame:
    """Frames of classes as they are: uint8 0..8 with `dimensions` dimensions, the last two (210, 160)."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
        raise ValueError(f"{name} must be a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
    if frames.ndim != dimensions or frames.shape[-2:] != (ROWS, COLUMNS) or len(frames) == 0:
        raise ValueError(f"{name} must end in shape ({ROWS}, {COLUMNS}), got {frames.shape}")
    if frames.max() >= CLASSES:
        raise ValueError(f"{name} must hold classes 0..{CLASSES - 1}, got {frames.max()}")
    return frames


def checked_action(action: Any) -> int:
    """An action as an int 0..3."""
    if isinstance(action, bool) or not isinstance(action, (int, np.integer)):
        raise ValueError(f"action must be an integer, got {type(action).__name__}")
    if not 0 <= action < ACTIONS:
        raise ValueError(f"action must be 0..{ACTIONS - 1}, got {action}")
    return int(action)
