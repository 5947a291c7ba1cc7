"""The world model: networks, the step, and the interface to play it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.world_model import WorldModel

__all__ = ["WorldModel"]


def __getattr__(name: str) -> Any:
    """`WorldModel` is imported when it is asked for: it brings onnxruntime along, which collecting does not need."""
    if name == "WorldModel":
        from model.world_model import WorldModel

        return WorldModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
