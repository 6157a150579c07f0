"""Models: from params to a network, to its predictions, and to bytes and back."""

from pipeline.core.train.models.building import build_model
from pipeline.core.train.models.files import TrainedModel, load_model, save_model
from pipeline.core.train.models.layers import ACTIVATIONS, Normalise
from pipeline.core.train.models.mobilenet import load_backbone
from pipeline.core.train.models.prediction import predict

__all__ = [
    "ACTIVATIONS",
    "Normalise",
    "TrainedModel",
    "build_model",
    "load_backbone",
    "load_model",
    "predict",
    "save_model",
]
