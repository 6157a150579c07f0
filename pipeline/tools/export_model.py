"""Writes a model's file for other programs, once it agrees with the model on images of dev."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.dataset import RowDataset
from pipeline.data.predictions import predict_rows
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import DEV
from pipeline.metrics.predictions import probability_columns
from pipeline.models.export import MODEL_FORMATS, ModelFormat, Run, export_model
from pipeline.models.files import TrainedModel
from pipeline.problem.framing import Numeric
from pipeline.store.shards import ShardReader
from pipeline.store.writing import write_files
from pipeline.tools.predict import read_model
from pipeline.workers.engine import Engine

# Of probabilities; a network's own differ by 1e-7 between machines.
TOLERANCE = 1e-5
# Images of dev that are compared: enough to meet a threshold of a tree that rounding crosses.
MAX_COMPARED = 1000
BATCH = 64


@dataclass(frozen=True)
class Agreement:
    """How far the probabilities of a file and of the model are apart at most, over so many images."""

    largest: float
    images: int


def write_model(output: Path, format_name: str | None, model_file: Path | None = None) -> str:
    """Write the file, replacing what is there; what was written, in a line.

    Args:
        format_name: of MODEL_FORMATS; None: by the suffix of `output`.
        model_file: None: the model of the last run.

    Raises:
        ParamsError: the name of the file does not end as those of its format do.
        DataError: its probabilities differ from the model's on an image of dev; nothing was written.
    """
    chosen = chosen_format(output, format_name)
    chosen.check()
    model = read_model(model_file or Path(catalogue.MODEL.path))
    manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    images = catalogue.ORIGINALS.read(Path(catalogue.ORIGINALS.path))
    data = export_model(model, chosen)
    dev = manifest[manifest["split"] == DEV]
    found = agreement(model, chosen.run(data), dev[:: -(-len(dev) // MAX_COMPARED) or 1], images, chosen.name)
    write_files({output: data})
    return (
        f"{output}: {chosen.name}, {_what(model)}, {len(data) / 1e6:.2f} MB; {_agreeing(model)} agree within "
        f"{found.largest:.1e}{_of(model)} on {found.images} images of dev"
    )


def _what(model: TrainedModel) -> str:
    return f"the number {model.classes[0]}" if model.outputs == "numbers" else f"{len(model.classes)} classes"


def _agreeing(model: TrainedModel) -> str:
    return "numbers" if model.outputs == "numbers" else "probabilities"


def _of(model: TrainedModel) -> str:
    return " standard deviations" if model.outputs == "numbers" else ""


def chosen_format(output: Path, format_name: str | None) -> ModelFormat:
    """The format by its name, or by the suffix of the file.

    Raises:
        ParamsError: the name of the file does not end as those of a format do, or it names a folder.
    """
    ends = ", ".join(f"{each.suffix} ({each.name})" for each in MODEL_FORMATS.values())
    by_suffix = next((each for each in MODEL_FORMATS.values() if each.suffix == output.suffix.lower()), None)
    chosen = MODEL_FORMATS[format_name] if format_name is not None else by_suffix
    if chosen is None or chosen is not by_suffix:
        asked = f"a file of the format {chosen.name} ends in {chosen.suffix}" if chosen else f"the endings are {ends}"
        raise ParamsError(f"{output}: {asked}; rename it, or name another --format")
    if output.is_dir():
        raise ParamsError(f"{output} is a folder: name a file")
    return chosen


def agreement(model: TrainedModel, run: Run, rows: pd.DataFrame, images: ShardReader, name: str) -> Agreement:
    """Compare what a file gives with what the model gives, from the stored bytes of each image to its probabilities.

    Raises:
        DataError: there is no image, or one differs by more than TOLERANCE; the message names it.
    """
    if rows.empty:
        raise DataError("dev has no images to compare the file with its model on: run `dvc repro split`")
    dataset = RowDataset(rows, images, model.classes, model.size)
    expected = predict_rows(model, rows, images, 1, Engine(1), "compare")
    # Numbers in standard deviations of train's: in their unit a rounding may be of any size.
    scale = model.framing.deviation if isinstance(model.framing, Numeric) else 1.0
    wanted = expected[probability_columns(model.classes)].to_numpy(np.float64) / scale
    # One image first: a graph may have frozen the number of images that it was made with.
    parts = [range(1), *(range(start, min(start + BATCH, len(rows))) for start in range(0, len(rows), BATCH))]
    largest = 0.0
    for part in parts:
        given = run(dataset.batch(part).transpose(0, 3, 1, 2)).astype(np.float64) / scale
        largest = max(largest, _largest(given, wanted[part.start : part.stop], rows["id"].iloc[part.start :], name))
    return Agreement(largest, len(rows))


def _largest(
    given: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], ids: "pd.Series[str]", name: str
) -> float:
    if given.shape != wanted.shape:
        raise DataError(
            f"the {name} file gives probabilities of shape {given.shape}, not {wanted.shape}: nothing was written"
        )
    apart = np.abs(given - wanted).max(axis=1)
    worst = int(np.argmax(np.where(np.isfinite(apart), apart, np.inf)))
    if not apart[worst] <= TOLERANCE:
        raise DataError(
            f"{ids.iloc[worst]}: the {name} file gives probabilities that differ from the model's by "
            f"{apart[worst]:.2g}, more than {TOLERANCE:g}: nothing was written. A tree whose threshold lies within a "
            "rounding error of a feature does that: train with another train.seed, or export another format"
        )
    return float(apart[worst])
