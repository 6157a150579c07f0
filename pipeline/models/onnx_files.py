"""ONNX files that `pipeline export-model` wrote -> models that are used as any other."""

import json

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.models.export import INPUT, METADATA, check_onnx, onnx_session, output_name
from pipeline.models.files import TrainedModel, classes_of_header, framing_of_header
from pipeline.models.headers import has_own_code, params_of
from pipeline.problem.framing import Outputs
from pipeline.stages.ingest.params import IngestParams
from pipeline.yaml_values import shortened

SUFFIX = ".onnx"


class OnnxNetwork(nn.Module):
    """Pixels (n, 3, size, size) uint8 -> logits (n, k), which softmax turns back into the file's probabilities.

    Where an image may have several labels, the sigmoid does so; numbers are as they are. `outputs` says which.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.session = onnx_session(data)
        self.outputs: Outputs = "classes"

    def forward(self, pixels: Tensor) -> Tensor:
        found = self.session.run(None, {INPUT: np.ascontiguousarray(pixels.cpu().numpy())})[0]
        probabilities = torch.from_numpy(found)
        if self.outputs == "numbers":
            return probabilities.to(pixels.device)
        logits = probabilities.double().logit() if self.outputs == "labels" else probabilities.log()
        return logits.to(pixels.device)


def load_onnx(data: bytes) -> TrainedModel:
    """The model in an ONNX file.

    Raises:
        MissingInputError: the extra `onnx` is not installed.
        DataError: it is no ONNX file, or `pipeline export-model` did not write it.
    """
    check_onnx()
    try:
        network = OnnxNetwork(data)
    except Exception as error:
        raise DataError(
            f"it is not an ONNX file, or it is damaged ({shortened(str(error).strip())}): "
            "export the model again with `pipeline export-model`"
        ) from error
    texts = network.session.get_modelmeta().custom_metadata_map
    try:
        about = json.loads(texts[METADATA])
        classes, thresholds = classes_of_header(about)
        ingest = IngestParams.model_validate(about["ingest"])
        framing = framing_of_header(about, classes)
        params = None if has_own_code(about["model"]) else params_of(about["model"], None)
        model = TrainedModel(network.eval(), classes, ingest, params, framing, thresholds)
        network.outputs = model.outputs
        wanted = {INPUT: [3, ingest.size, ingest.size], output_name(network): [len(classes)]}
        found = {each.name: each.shape[1:] for each in (*network.session.get_inputs(), *network.session.get_outputs())}
        if found != wanted:
            raise ValueError(f"it takes and gives {shortened(str(found))}, and its metadata say {wanted}")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"it does not say what its classes are and how a file becomes a picture ({shortened(str(error))}): "
            "name an ONNX file that `pipeline export-model` wrote"
        ) from error
    return model
