"""Networks and the inference pipeline. Imports none of the other packages and knows no screen."""

from model.world_model import Prediction, WorldModel

__all__ = ["Prediction", "WorldModel"]
