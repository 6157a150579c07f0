"""Models <-> bytes (safetensors: no pickle, so no code in a weights file)."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from pipeline.core.models.building import build_model
from pipeline.core.models.layers import Normalise
from pipeline.errors import DataError, ParamsError
from pipeline.params import AnyModel, IngestParams, Network

MODEL_PARAMS: TypeAdapter[Network] = TypeAdapter(AnyModel)


@dataclass(frozen=True)
class TrainedModel:
    """A network with what is needed to use it: class names in output order, and how a file becomes a picture."""

    network: nn.Module
    classes: tuple[str, ...]
    ingest: IngestParams
    params: Network

    @property
    def size(self) -> int:
        """Pixels a side of the square pictures that the network takes."""
        return self.ingest.size


def save_model(model: TrainedModel) -> bytes:
    """A safetensors file whose header names classes, params, normalisation, and how pictures are made."""
    about = {
        "classes": model.classes,
        "ingest": model.ingest.model_dump(),
        "normalisation": _normalisation(model.network),
        "model": model.params.model_dump(),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    # One entry, because safetensors writes several in random order, and equal models must be equal files.
    return save_tensors(tensors, metadata={"pipeline": json.dumps(about, sort_keys=True)})


def load_model(data: bytes) -> TrainedModel:
    """The model in a file of `save_model`, ready to predict.

    Raises:
        DataError: the file is damaged, or was not made by this pipeline.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"]["pipeline"])
        classes = _distinct_texts(about["classes"])
        params = MODEL_PARAMS.validate_python(about["model"])
        ingest = IngestParams.model_validate(about["ingest"])
        network = build_model(params, len(classes), ingest.size, np.zeros(3), np.ones(3), seed=0)
        network.load_state_dict(load_tensors(data))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError, ParamsError) as error:
        raise DataError(f"the model file is damaged or of another version ({error}): run `dvc repro train`") from error
    return TrainedModel(network.eval(), classes, ingest, params)


def _distinct_texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("its classes are no list of texts")
    if len(set(values)) < len(values):
        raise ValueError("a class stands twice in it")
    return tuple(values)


def _normalisation(network: nn.Module) -> dict[str, Any]:
    """Mean and deviation of each channel, of pixels in [0, 1]: for readers of the header; tensors hold them, too."""
    layer = next(layer for layer in network.modules() if isinstance(layer, Normalise))
    return {"mean": layer.mean.flatten().tolist(), "std": layer.std.flatten().tolist()}
