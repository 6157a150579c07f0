"""Write the images to label next to an import file for Label Studio."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, ParamsError, listing
from pipeline.images.pixels import decode
from pipeline.manifest import NO_LABEL
from pipeline.metrics.predictions import PROBABILITY
from pipeline.project.params_file import Params
from pipeline.randomness import keyed_uniform
from pipeline.sources.files import open_files
from pipeline.sources.label_studio import import_file, labelling_interface
from pipeline.sources.labels import named_by_labels
from pipeline.sources.params import LabelStudioLabels
from pipeline.store.reading import read_bytes
from pipeline.store.shards import ShardReader
from pipeline.store.writing import write_files
from pipeline.tools.label_queue.ranking import by_margin, farthest_first, groups_in_turn, small_picture
from pipeline.workers.engine import Engine

# Images with a label that others are held against; more are drawn by keyed chance.
MAX_KNOWN = 1000
# Pictures that a worker looks at in one go.
CHUNK = 512
SPLIT_FOR_LABELS = "unlabelled"


@dataclass(frozen=True)
class Queue:
    """Tasks for Label Studio, the labelling interface, and a summary."""

    tasks: list[dict[str, Any]]
    interface: str
    summary: str


def label_queue(name: str, params: Params, count: int, by: str | None, engine: Engine) -> Queue:
    """The images of a source that are most worth labelling, the most valuable first.

    Of those without a label after curate, and without a task in the source's export.

    Args:
        by: uncertainty, diversity or random; None: uncertainty if there is a model, else diversity.

    Raises:
        ParamsError: there is no such source, or its labels do not come from Label Studio.
        MissingInputError: curate has not run; there is no model to be uncertain.
        DataError: no image is left to be labelled.
    """
    labels = _labels(name, params)
    path = Path(catalogue.CURATED.path)
    rows: pd.DataFrame = catalogue.CURATED.read(path)
    files = open_files(params.sources[name], params.ingest.max_expansion)
    known = named_by_labels(files, params.sources[name])
    open_rows = (rows["source"] == name) & (rows["label"] == NO_LABEL) & ~rows["path"].isin(known)
    wanted = rows[open_rows].reset_index(drop=True)
    if wanted.empty:
        raise DataError(f"no image of {name} is left to label: in {path} every image has a label or a task")
    labelled = rows[rows["label"] != NO_LABEL]
    has_model = Path(catalogue.MODEL.path).exists()
    by = by or ("uncertainty" if has_model else "diversity")
    match by:
        case "uncertainty":
            order, how = _uncertain(wanted, engine, params), "the least confident predictions first"
        case "diversity":
            order, how = _diverse(wanted, labelled, count, engine, params), "those least like labelled ones first"
        case _:
            order = np.argsort(keyed_uniform(params.split.seed, "label queue", wanted["id"]), kind="stable")
            how = "drawn at random, as images for measuring must be"
    turns = groups_in_turn(order, wanted["group"].tolist())[:count]
    chosen = wanted.iloc[turns]
    return Queue(
        tasks=import_file(chosen["path"].tolist(), chosen["id"].tolist(), labels),
        interface=labelling_interface(sorted(labelled["label"].astype(str).unique()), labels),
        summary=f"{len(chosen)} of {len(wanted)} images of {name} without a label, {how}",
    )


def write_queue(queue: Queue, output: Path) -> Path:
    """Put the tasks into a file and the labelling interface beside it, each whole; where the latter is.

    Raises:
        ParamsError: both would be one file.
    """
    beside = output.with_suffix(".xml")
    if beside == output:
        raise ParamsError(
            f"--output {output} is the file of the labelling interface: give the tasks' file a name that ends in .json"
        )
    tasks = json.dumps(queue.tasks, indent=1, ensure_ascii=False) + "\n"
    write_files({output: tasks.encode(), beside: queue.interface.encode()})
    return beside


def _labels(name: str, params: Params) -> LabelStudioLabels:
    if name not in params.sources:
        raise ParamsError(f"sources has no entry {name!r}: params.yaml names {', '.join(params.sources)}")
    source = params.sources[name]
    if not isinstance(source.labels, LabelStudioLabels) or source.role != "production":
        fit = [
            key
            for key, one in params.sources.items()
            if one.role == "production" and isinstance(one.labels, LabelStudioLabels)
        ]
        raise ParamsError(
            f"sources.{name}: only production images whose labels come from Label Studio can be queued; there are "
            f"{listing(fit) or 'none'}. Give it labels: {{name: label_studio, …}}, with an export of [] to begin with"
        )
    return source.labels


def _uncertain(wanted: pd.DataFrame, engine: Engine, params: Params) -> Any:
    from pipeline.data.loader import predict_rows
    from pipeline.models.files import load_model

    path = Path(catalogue.MODEL.path)
    if not path.exists():
        raise MissingInputError(f"{path} is missing: run `dvc repro train`, or use --by diversity or random")
    model = load_model(read_bytes(path), params.train.model)
    # Any class that the model knows: it is not looked at.
    rows = wanted.assign(label=model.classes[0], split=SPLIT_FOR_LABELS)
    reader = ShardReader(Path(catalogue.ORIGINALS.path))
    predicted = predict_rows(model, rows, reader, params.train.threads, engine, "label-queue")
    return by_margin(predicted[[f"{PROBABILITY}{name}" for name in model.classes]].to_numpy())


def _diverse(wanted: pd.DataFrame, labelled: pd.DataFrame, count: int, engine: Engine, params: Params) -> Any:
    drawn = np.argsort(keyed_uniform(params.split.seed, "label queue", labelled["id"]), kind="stable")[:MAX_KNOWN]
    pictures, known = (_pictures(rows, engine) for rows in (wanted, labelled.iloc[np.sort(drawn)]))
    # More than are asked for, because of near copies the first alone may be taken.
    first = farthest_first(pictures, known, 2 * count)
    rest = np.setdiff1d(np.arange(len(wanted)), first)
    return np.r_[first, rest]


def _pictures(rows: pd.DataFrame, engine: Engine) -> Any:
    places = list(rows[["shard", "row"]].itertuples(index=False, name=None))
    chunks = [places[begin : begin + CHUNK] for begin in range(0, len(places), CHUNK)]
    look = partial(_look, reader=ShardReader(Path(catalogue.ORIGINALS.path)))
    found = engine.map(look, chunks, "label-queue: pictures", size=len)
    return np.concatenate([np.empty((0, 192), np.int32), *found])


def _look(places: Sequence[tuple[str, int]], reader: ShardReader) -> Any:
    return np.stack([small_picture(decode(reader.image(shard, row))) for shard, row in places])
