"""Predict images in files, folders and lists of names with only a model's file.

The header of the file has the classes and how a file becomes a picture: so an image is read under the same
limits, and becomes the same pixels, as in training.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.data.predictions import SHOWN_DIGITS
from pipeline.errors import DataError, MissingInputError
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.models.files import TrainedModel, load_model, needs_own_code
from pipeline.models.onnx_files import SUFFIX, load_onnx
from pipeline.models.prediction import predict
from pipeline.problem.framing import Decide, decision, likeliest
from pipeline.problem.label_sets import NONE
from pipeline.project.params_file import PARAMS_FILE, load_params
from pipeline.sources.dvc_hazards import shown
from pipeline.store.reading import read_bytes
from pipeline.store.refusals import refusals
from pipeline.tools.image_files import pictures
from pipeline.workers.engine import Engine

# Files whose pictures are in memory at one time.
PART = 2048
BATCH = 64


@dataclass(frozen=True)
class Answer:
    """The predicted class of an image, and then the likeliest others, with probabilities; or why there is none.

    number: what is measured, and how much of it, where images have a number instead.

    labels: where an image may have several, those that are predicted; `likeliest` then has all of them and, up to as
    many as were asked for, others.
    """

    path: str
    likeliest: tuple[tuple[str, float], ...]
    refused: Rejection | None = None
    labels: tuple[str, ...] | None = None
    number: tuple[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as values for JSON."""
        if self.refused is not None:
            return {"path": self.path, "refused": self.refused.reason, "detail": self.refused.detail}
        if self.number is not None:
            return {"path": self.path, self.number[0]: float(f"{self.number[1]:.{SHOWN_DIGITS}g}")}
        if self.labels is not None:
            probabilities = {name: round(probability, 6) for name, probability in self.likeliest}
            return {"path": self.path, "labels": [*self.labels], "probabilities": probabilities}
        top = [{"class": name, "probability": round(probability, 6)} for name, probability in self.likeliest]
        return {"path": self.path, **top[0], "top": top}

    def as_line(self, width: int) -> str:
        """The same as a line of a table, the path in `width` columns."""
        if self.refused is not None:
            return f"{self.path:{width}}  refused: {self.refused.reason} {self.refused.detail}".rstrip()
        if self.number is not None:
            return f"{self.path:{width}}  {shown(Path(self.number[0]))} {self.number[1]:.{SHOWN_DIGITS}g}"
        if self.labels is not None:
            parts = [f"{shown(Path(name))} {part:.4f}" for name, part in self.likeliest if name in self.labels]
            return "  ".join([f"{self.path:{width}}", *(parts or [NONE])])
        return "  ".join(
            [f"{self.path:{width}}", *(f"{shown(Path(name))} {part:.4f}" for name, part in self.likeliest)]
        )


def read_model(path: Path) -> TrainedModel:
    """The model in a file of this pipeline, or in an ONNX file (*.onnx) that it exported.

    Raises:
        MissingInputError: there is no such file, or the extra `onnx` is missing.
        DataError: it is no model of this pipeline, or a function of another project built it.
        ParamsError: a function of this project built it, and fails now.
    """
    with refusals(path):
        if not path.exists():
            raise MissingInputError(f"{path} is missing: name a model, such as data/train/model.safetensors")
        if not path.is_file():
            raise DataError(f"{path} is not a file: name a model, such as data/train/model.safetensors")
    try:
        data = read_bytes(path)
        if path.suffix.lower() == SUFFIX:
            return load_onnx(data)
        # No other model needs a project.
        own = needs_own_code(data) and PARAMS_FILE.is_file()
        return load_model(data, load_params().train.model if own else None)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def answers(
    model: TrainedModel, files: Sequence[tuple[str, Rejection | None]], top: int, engine: Engine
) -> Iterator[Answer]:
    """Predict each file, in order; files are decoded in worker processes, which a hostile file may end."""
    decide = likeliest if model.outputs == "numbers" else decision(model.framing, len(model.classes))
    for start in range(0, len(files), PART):
        part = files[start : start + PART]
        readable = [path for path, refused in part if refused is None]
        title = f"predict, from {start + 1} of {len(files)}"
        read = iter(pictures(readable, model.ingest, engine, title))
        made = [refused if refused is not None else next(read) for _, refused in part]
        probabilities = iter(_probabilities(model, [item for item in made if not isinstance(item, Rejection)]))
        for (path, _), item in zip(part, made, strict=True):
            name = shown(Path(path))
            if isinstance(item, Rejection):
                yield Answer(name, (), item)
            else:
                yield _answer(name, next(probabilities), model, decide, top)


def _answer(path: str, probabilities: npt.NDArray[np.float32], model: TrainedModel, decide: Decide, top: int) -> Answer:
    if model.outputs == "numbers":
        return Answer(path, (), number=(model.classes[0], float(probabilities[0])))
    if model.thresholds is None:
        return Answer(path, _likeliest(probabilities, model.classes, decide, top))
    chosen = model.thresholds.sets(probabilities[None].astype(np.float64))[0]
    labels = tuple(name for name, there in zip(model.classes, chosen, strict=True) if there)
    likeliest = _likeliest(probabilities, model.classes, decide, len(model.classes))
    shown_of_it = tuple(pair for place, pair in enumerate(likeliest) if place < top or pair[0] in labels)
    return Answer(path, shown_of_it, labels=labels)


def _probabilities(model: TrainedModel, made: Sequence[Pixels]) -> npt.NDArray[np.float32]:
    if not made:
        return np.empty((0, len(model.classes)), np.float32)
    stacked = (np.stack(made[start : start + BATCH]) for start in range(0, len(made), BATCH))
    batches = ((torch.from_numpy(part).permute(0, 3, 1, 2), torch.zeros(len(part))) for part in stacked)
    return predict(model.network, batches, torch.get_num_threads(), lambda _: None, outputs=model.outputs)


def _likeliest(
    probabilities: npt.NDArray[np.float32], classes: tuple[str, ...], decide: Decide, top: int
) -> tuple[tuple[str, float], ...]:
    [predicted] = decide(probabilities[None])
    order = [predicted, *(number for number in np.argsort(-probabilities, kind="stable") if number != predicted)][:top]
    return tuple((classes[number], float(probabilities[number])) for number in order)
