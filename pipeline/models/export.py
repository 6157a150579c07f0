"""Models as files for other programs: a table of formats, each with what writes it and what runs it.

Such a file takes pixels of 0 to 255, as they are, and gives probabilities: normalisation and softmax (or the
sigmoid of each label, where an image may have several) are in its graph. Of a model that measures it gives numbers.
Its metadata say under `pipeline` the classes, how a file becomes a picture, normalisation and params, as JSON.
"""

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.errors import MissingInputError
from pipeline.models.baseline_layers import Pixels
from pipeline.models.exportable import Exportable
from pipeline.models.files import TrainedModel, save_model
from pipeline.registry import Registry

INPUT, OUTPUT, NUMBERS = "images", "probabilities", "numbers"
METADATA = "pipeline"
INSTALL_ONNX = "pip install 'image-data-pipeline[onnx]'"

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ModelFormat:
    """A format.

    write: (graph, pixels per side, metadata) -> the file's bytes: the same for the same model.
    run: these bytes -> what their own runtime makes of pixels (n, 3, size, size): probabilities (n, k).
    check: raises MissingInputError where a library is missing, before any work.
    as_they_are: layers that its runtime computes to the last bit as training does.
    """

    name: str
    suffix: str
    write: Callable[[nn.Module, int, Mapping[str, str]], bytes]
    run: Callable[[bytes], Run]
    check: Callable[[], None]
    as_they_are: Collection[type[nn.Module]] = ()


def export_model(model: TrainedModel, chosen: ModelFormat) -> bytes:
    """The model's file in a format.

    Raises:
        MissingInputError: a library that writes it is missing.
    """
    chosen.check()
    about = metadata_of(model)
    graph = Exportable(model.network.cpu(), model.size, chosen.as_they_are, model.outputs)
    texts = {
        METADATA: json.dumps(about, sort_keys=True),
        "classes": json.dumps(about["classes"]),
        "size": json.dumps(model.size),
        "normalisation": json.dumps(about["normalisation"], sort_keys=True),
    }
    with torch.inference_mode(False), _quiet():
        return chosen.write(graph, model.size, texts)


def metadata_of(model: TrainedModel) -> dict[str, Any]:
    """Classes, ingest, normalisation and params of a model, as its own file's header has them."""
    data = save_model(model)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about: dict[str, Any] = json.loads(header["__metadata__"][METADATA])
    del about["checksum"]
    return about


def output_name(graph: nn.Module) -> str:
    """What the output of a file is called."""
    return NUMBERS if getattr(graph, "outputs", "") == "numbers" else OUTPUT


def check_onnx() -> None:
    """Raise MissingInputError unless what writes and runs ONNX files is installed."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not _is_there(name)]
    if missing:
        raise MissingInputError(f"ONNX files need {' and '.join(missing)}: run `{INSTALL_ONNX}`")


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # a module that was barred
        return False


def _check_torch() -> None:
    """torch is always there."""


def _write_onnx(graph: nn.Module, size: int, texts: Mapping[str, str]) -> bytes:
    program = torch.onnx.export(
        graph,
        (_example(size),),
        dynamo=True,
        dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
        input_names=[INPUT],
        output_names=[output_name(graph)],
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch's exporter returned nothing")
    proto = program.model_proto
    # Where each operation stands in the code, with this machine's paths: no part of the model.
    for part in (proto.graph, *proto.functions):
        for entry in (*part.node, *part.value_info):
            del entry.metadata_props[:]
            entry.doc_string = ""
        del part.metadata_props[:]
    for entry in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del entry.metadata_props[:]
    del proto.metadata_props[:]
    for name, text in sorted(texts.items()):
        proto.metadata_props.add(key=name, value=text)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def onnx_session(data: bytes) -> Any:
    """What onnxruntime makes of an ONNX file, on one core; it raises errors of many types."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    # Sums are split by threads.
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])


def run_onnx(data: bytes) -> Run:
    """The probabilities that an ONNX file gives pixels."""
    session = onnx_session(data)

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run(None, {INPUT: np.ascontiguousarray(pixels)})[0]
        return found

    return run


def _write_torch(graph: nn.Module, size: int, texts: Mapping[str, str]) -> bytes:
    program = torch.export.export(
        graph, (_example(size),), dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}}, strict=False
    )
    for node in program.graph.nodes:
        node.meta = {name: value for name, value in node.meta.items() if name not in ("stack_trace", "nn_module_stack")}
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(texts))
    return buffer.getvalue()


def _run_torch(data: bytes) -> Run:
    with _quiet():
        graph = torch.export.load(io.BytesIO(data)).module()

    def run(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found: Tensor = graph(torch.from_numpy(pixels))
        return found.numpy()

    return run


def _example(size: int) -> Tensor:
    # Two, because exporters take a batch of one for a number that never changes.
    return torch.zeros(2, 3, size, size, dtype=torch.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of libraries that are missing and of their own future."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


MODEL_FORMATS: Registry[ModelFormat] = Registry(
    (
        ModelFormat("onnx", ".onnx", _write_onnx, run_onnx, check_onnx),
        ModelFormat("torch", ".pt2", _write_torch, _run_torch, _check_torch, as_they_are=(Pixels,)),
    )
)
