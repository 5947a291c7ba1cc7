"""The world model: networks, the step, and the interface to play it.

Importing it registers the environment `NeuralBreakout-v0`; onnxruntime is loaded when one is made.
"""

from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

if TYPE_CHECKING:
    from model.world_model import WorldModel as WorldModel

register(
    "NeuralBreakout-v0",
    entry_point="model.env:NeuralBreakout",
    vector_entry_point="model.env:NeuralBreakoutVector",
)


def __getattr__(name: str) -> Any:
    """`WorldModel` is imported when it is asked for: it brings onnxruntime along, which collecting does not need."""
    if name == "WorldModel":
        from model.world_model import WorldModel

        return WorldModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
