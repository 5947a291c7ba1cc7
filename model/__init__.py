"""Networks and the inference pipeline. Imports none of the other packages and knows no screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.world_model import Prediction, WorldModel

__all__ = ["Prediction", "WorldModel"]


def __getattr__(name: str) -> Any:
    """Load the pipeline when it is asked for: collecting and `--help` need the facts of the game, not PyTorch."""
    if name in __all__:
        from model import world_model

        return getattr(world_model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
