"""Save and load models as safetensors files, which contain no pickle and so cannot run code."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError, listing
from pipeline.models.ensembles import EnsembleOf
from pipeline.models.headers import Shape, has_own_code, header_of, network_of, params_of
from pipeline.models.layers import Normalise
from pipeline.models.params import Model
from pipeline.models.thresholds import Thresholds
from pipeline.names import is_utf8
from pipeline.problem.framing import UNRELATED, AnyFraming, Framing, Outputs, outputs_of
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.stages.ingest.params import IngestParams
from pipeline.store.checksums import BLANK, find, is_right, with_checksum
from pipeline.yaml_values import quoted, shortened

FRAMING: TypeAdapter[Framing] = TypeAdapter(AnyFraming)
# The key of the thresholds of labels, where an image may have several.
THRESHOLDS = "thresholds"
# What a file of another version, or one that somebody made to mislead, may raise.
UNLIKE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,  # RecursionError, too: a header that nests too deep
    IndexError,
    OverflowError,
    SafetensorError,
    ParamsError,
)


@dataclass(frozen=True)
class TrainedModel:
    """A network with everything needed to use it: class names in output order, and how files become pictures.

    params: None of an ONNX file whose network a function of a project built. framing: how the classes relate.
    thresholds: where an image may have several labels, from which probability on each is predicted; classes are then
    label_sets.LabelNames. Of a model that measures a number classes are the quantities.Quantity.
    """

    network: nn.Module
    classes: tuple[str, ...]
    ingest: IngestParams
    params: Model | EnsembleOf | None
    framing: Framing = UNRELATED
    thresholds: Thresholds | None = None

    @property
    def several(self) -> bool:
        """Whether an image may have several labels; classes are their names then."""
        return self.thresholds is not None

    @property
    def outputs(self) -> Outputs:
        """What the network's outputs stand for."""
        return outputs_of(self.classes)

    @property
    def size(self) -> int:
        """Width and height of the pictures that the network takes, in pixels."""
        return self.ingest.size


def save_model(model: TrainedModel) -> bytes:
    """A safetensors file whose header names classes, params, normalisation, how pictures are made, and a checksum."""
    about = {
        "checksum": BLANK.decode(),
        "classes": model.classes,
        "ingest": model.ingest.model_dump(),
        "normalisation": _normalisation(model.network),
        "model": header_of(model.params, model.network),
        **({} if model.thresholds is None else {THRESHOLDS: model.thresholds.as_header()}),
    }
    if model.framing != UNRELATED:
        about["framing"] = model.framing.model_dump()
    # Copies, because layers of one's own may share tensors, which the format does not know.
    tensors = {name: tensor.cpu().contiguous().clone() for name, tensor in model.network.state_dict().items()}
    # One entry, because safetensors writes several in random order, and equal models must be equal files.
    data = save_tensors(tensors, metadata={"pipeline": json.dumps(about, sort_keys=True)})
    place = _place(data)
    assert place is not None  # noqa: S101
    return with_checksum(data, place)


def load_model(data: bytes, own: Model | None = None) -> TrainedModel:
    """Load the model in a file of `save_model`, ready to predict.

    Args:
        own: train.model of the project; for a network that a function of the project built, because a file never
            names code to be run.

    Raises:
        DataError: the file is damaged, or was not made by this pipeline, or by another function than `own`'s.
        ParamsError: the function of `own` fails.
    """
    try:
        about = _about(data)
        classes, thresholds = classes_of_header(about)
        ingest = IngestParams.model_validate(about["ingest"])
        framing = framing_of_header(about, classes)
        tensors = load_tensors(data)
        made_of = about["model"]
        own_code = has_own_code(made_of)
        # Before code of the project runs, whose errors are its own.
        params = None if own_code else params_of(made_of, own)
        network = (
            None if params is None else network_of(params, made_of, Shape(len(classes), ingest.size, framing), tensors)
        )
    except UNLIKE as error:
        raise _unlike(error) from error
    if params is None or network is None:
        params, network = _with_own_code(made_of, own, Shape(len(classes), ingest.size, framing), tensors)
    return TrainedModel(network.eval(), classes, ingest, params, framing, thresholds)


def _with_own_code(
    about: Mapping[str, Any], own: Model | None, shape: Shape, tensors: Mapping[str, Tensor]
) -> tuple[Model | EnsembleOf, nn.Module]:
    params = params_of(about, own)
    try:
        return params, network_of(params, about, shape, tensors)
    except ParamsError:
        raise
    except UNLIKE as error:
        raise _unlike(error) from error


def classes_of_header(about: Mapping[str, Any]) -> tuple[tuple[str, ...], Thresholds | None]:
    """The classes, the labels and their thresholds, or what is measured, that a model's header names.

    Raises:
        KeyError, TypeError, ValueError: it does not do so as `save_model` does.
    """
    classes = _distinct_texts(about["classes"])
    if about.get("framing", {}).get("name") == "numeric":
        return Quantity(classes), None
    if THRESHOLDS not in about:
        return classes, None
    return LabelNames(classes), Thresholds.of_header(about[THRESHOLDS], len(classes))


def needs_own_code(data: bytes) -> bool:
    """Whether a model file holds a network that a function of a project built.

    Raises:
        DataError: the file is damaged, or was not made by this pipeline.
    """
    try:
        return has_own_code(_about(data)["model"])
    except UNLIKE as error:
        raise _unlike(error) from error


def _unlike(error: Exception) -> DataError:
    return DataError(
        f"the model file is damaged or of another version ({shortened(str(error))}): run `dvc repro train`"
    )


def _about(data: bytes) -> dict[str, Any]:
    """What the header says, once its checksum is right."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about: dict[str, Any] = json.loads(header["__metadata__"]["pipeline"])
    _check_content(data, about)
    return about


def _place(data: bytes) -> int | None:
    """Where the header has the digits of the checksum, which stands in front of all names."""
    return find(data, 8, 8 + int.from_bytes(data[:8], "little"))


def _check_content(data: bytes, about: dict[str, Any]) -> None:
    """Nothing, if the checksum is right, or the file is older than checksums.

    Raises:
        ValueError: it is not, or one flipped bit may have hidden it.
    """
    if unknown := about.keys() - {"checksum", "classes", "framing", "ingest", "model", "normalisation", THRESHOLDS}:
        raise ValueError(f"its header has {len(unknown)} entries of unknown names")
    place = _place(data)
    if "checksum" in about and (place is None or not is_right(data, place)):
        raise ValueError("its content does not match its checksum")


def _distinct_texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("its classes are not a list of texts")
    if not values:
        raise ValueError("it lists no classes")
    if len(set(values)) < len(values):
        raise ValueError("it lists a class twice")
    if odd := [value for value in values if not _is_text(value)]:
        raise ValueError(f"the names of {len(odd)} classes are not text: {listing(map(quoted, odd), 3)}")
    return tuple(values)


def framing_of_header(about: Mapping[str, Any], classes: Sequence[str]) -> Framing:
    """How the classes relate, as the header of a model says.

    Raises:
        ValueError: it does not fit the classes.
    """
    framing = FRAMING.validate_python(about.get("framing", UNRELATED.model_dump())).of_classes(classes)
    framing.check(classes)
    return framing


def _is_text(value: str) -> bool:
    return bool(value) and "\0" not in value and is_utf8(value)


def _normalisation(network: nn.Module) -> dict[str, Any] | None:
    """Mean and deviation of each channel, of pixels in [0, 1]: for readers of the header; tensors hold them, too."""
    layer = next((layer for layer in network.modules() if isinstance(layer, Normalise)), None)
    if layer is None:
        return None
    return {"mean": layer.mean.flatten().tolist(), "std": layer.std.flatten().tolist()}
