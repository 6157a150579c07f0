"""Models <-> bytes (safetensors: no pickle, so no code in a weights file)."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError
from pipeline.models.baselines import baseline_of
from pipeline.models.building import build_model
from pipeline.models.layers import Normalise
from pipeline.models.params import AnyModel, Baseline, MobileNetV2, Model
from pipeline.renamed import model_params
from pipeline.stages.ingest.params import IngestParams

MODEL_PARAMS: TypeAdapter[Model] = TypeAdapter(AnyModel)


@dataclass(frozen=True)
class TrainedModel:
    """A network with what is needed to use it: class names in output order, and how a file becomes a picture."""

    network: nn.Module
    classes: tuple[str, ...]
    ingest: IngestParams
    params: Model

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
        "model": _params(model.params),
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
        params = MODEL_PARAMS.validate_python(model_params(about["model"]))
        ingest = IngestParams.model_validate(about["ingest"])
        network = _network(params, len(classes), ingest.size, load_tensors(data))
    except (ValueError, KeyError, TypeError, RuntimeError, IndexError, SafetensorError, ParamsError) as error:
        raise DataError(f"the model file is damaged or of another version ({error}): run `dvc repro train`") from error
    return TrainedModel(network.eval(), classes, ingest, params)


def _distinct_texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("its classes are no list of texts")
    if len(set(values)) < len(values):
        raise ValueError("a class stands twice in it")
    return tuple(values)


def _network(params: Model, classes: int, size: int, tensors: dict[str, Tensor]) -> nn.Module:
    if isinstance(params, Baseline):
        network = baseline_of(params, {name.removeprefix("1."): tensor for name, tensor in tensors.items()})
        outputs = network(torch.zeros(1, 3, size, size, dtype=torch.uint8)).shape[1]
        if outputs != classes:
            raise ValueError(f"it has {outputs} outputs for {classes} classes")
        return network
    network = build_model(params, classes, size, np.zeros(3), np.ones(3), seed=0)
    network.load_state_dict(tensors)
    return network


def _params(params: Model) -> dict[str, Any]:
    """Params for the header; of a file of weights its name alone, because folders differ by machine."""
    values = params.model_dump()
    if isinstance(params, MobileNetV2):
        values["weights"] = params.weights.replace("\\", "/").rpartition("/")[2] or params.weights
    return values


def _normalisation(network: nn.Module) -> dict[str, Any] | None:
    """Mean and deviation of each channel, of pixels in [0, 1]: for readers of the header; tensors hold them, too."""
    layer = next((layer for layer in network.modules() if isinstance(layer, Normalise)), None)
    if layer is None:
        return None
    return {"mean": layer.mean.flatten().tolist(), "std": layer.std.flatten().tolist()}
