"""Write the images to label next to an import file for Label Studio."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline import catalogue
from pipeline.data.vectors import EMBEDDINGS, image_vectors, principal
from pipeline.errors import DataError, MissingInputError, ParamsError, listing
from pipeline.manifest import NO_LABEL, TRAIN
from pipeline.metrics.predictions import probability_columns
from pipeline.problem.label_sets import all_names
from pipeline.problem.params import MultiLabel, Problem
from pipeline.problem.problem import check_has_classes, is_multi_label
from pipeline.project.params_file import Params
from pipeline.randomness import keyed_uniform
from pipeline.sources.files import open_files
from pipeline.sources.label_studio import import_file, labelling_interface
from pipeline.sources.labels import named_by_labels
from pipeline.sources.params import LabelStudioLabels
from pipeline.store.reading import read_bytes
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings
from pipeline.store.writing import write_files
from pipeline.tools.label_queue.ranking import groups_in_turn, margins, representative, spread_out
from pipeline.training.embedded import EMBEDDED_MODELS, Rows, cross_fitted
from pipeline.workers.engine import Engine

# Images with a label that others are held against; more are drawn by keyed chance.
MAX_KNOWN = 1000
# Principal components of the vectors in which images are compared.
COMPONENTS = 64
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
        by: uncertainty, diversity or random; None: diversity.

    Raises:
        ParamsError: there is no such source, or its labels do not come from Label Studio.
        MissingInputError: curate has not run; there is no model to be uncertain.
        DataError: no image is left to be labelled.
    """
    check_has_classes(params.problem, "`pipeline label-queue`")
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
    if by == "random":
        order = np.argsort(keyed_uniform(params.split.seed, "label queue", wanted["id"]), kind="stable")
        how = "drawn at random, as images for measuring must be"
    else:
        order, how = _valuable(wanted, labelled, count, by, params, engine)
    turns = groups_in_turn(order, wanted["group"].tolist())[:count]
    chosen = wanted.iloc[turns]
    return Queue(
        tasks=import_file(chosen["path"].tolist(), chosen["id"].tolist(), labels),
        interface=labelling_interface(_choices(labelled, params.problem), labels),
        summary=f"{len(chosen)} of {len(wanted)} unlabelled images of {name}, {how}",
    )


def _choices(labelled: pd.DataFrame, problem: Problem) -> list[str]:
    """What people may choose: the classes; of labels each by itself, and what the sources call none of them."""
    texts = sorted(labelled["label"].astype(str).unique())
    if not isinstance(problem, MultiLabel):
        return texts
    return [*all_names(texts), *([] if problem.none is None else [problem.none])]


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


def _valuable(
    wanted: pd.DataFrame, labelled: pd.DataFrame, count: int, by: str | None, params: Params, engine: Engine
) -> tuple[Any, str]:
    """The order of images for training, and how it was chosen."""
    embeddings = catalogue.EMBEDDINGS.read(Path(catalogue.EMBEDDINGS.path))
    originals = catalogue.ORIGINALS.read(Path(catalogue.ORIGINALS.path))
    both = pd.concat([wanted, labelled])
    looks = image_vectors(both, embeddings, originals, engine)
    with threadpool_limits(1):
        shown = principal(looks.vectors, COMPONENTS)
    vectors, known = shown[: len(wanted)], shown[len(wanted) :]
    drawn = np.argsort(keyed_uniform(params.split.seed, "label queue", labelled["id"]), kind="stable")[:MAX_KNOWN]
    known = known[np.sort(drawn)]
    # More than are asked for, because of near copies the first alone may be taken.
    many, seed = 2 * count, params.split.seed
    if by == "uncertainty":
        found = _probabilities(wanted, looks.kind, embeddings, params, engine)
        # Of labels the one that is least sure counts.
        lead = np.abs(2 * found - 1).min(axis=1) if is_multi_label(params.problem) else margins(found)
        worth = (1 - lead) ** 2
        first, how = spread_out(vectors, known, worth, many, seed), "uncertain and different from one another"
    else:
        first, how = representative(vectors, known, many, wanted["id"], seed), "which represent all of them"
    order = np.r_[first, np.setdiff1d(np.arange(len(wanted)), first)]
    return order, f"{how}, by their {looks.kind}"


def _probabilities(wanted: pd.DataFrame, kind: str, embeddings: Embeddings, params: Params, engine: Engine) -> Any:
    """Of each class, shape (n, k): by a linear model on embeddings of train, else by the last model.

    Labels of dev and test choose nothing.

    Raises:
        MissingInputError: there is neither.
    """
    several = is_multi_label(params.problem)
    if kind == EMBEDDINGS and not several and Path(catalogue.SPLIT.path).exists():
        rows = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
        train = rows[rows["split"].astype(str) == TRAIN]
        names, codes = np.unique(train["label"].astype(str), return_inverse=True)
        if len(names) > 1 and train["group"].nunique() > 1:
            vectors, asked = (embeddings.of(part["sha256"].astype(str).tolist()) for part in (train, wanted))
            assert vectors is not None and asked is not None  # noqa: S101, PT018
            fitted_to = Rows(vectors, codes, np.ones(len(train), np.float32), train["group"].to_numpy(str), len(names))
            model = EMBEDDED_MODELS["linear"]
            return cross_fitted(model, fitted_to, asked, params.train.seed, params.train.threads).asked
    path = Path(catalogue.MODEL.path)
    if not path.exists():
        raise MissingInputError(f"{path} is missing: run `dvc repro train`, or use --by diversity or random")
    from pipeline.data.predictions import predict_rows
    from pipeline.models.files import load_model

    model_file = load_model(read_bytes(path))
    # Any class that the model knows: it is not looked at.
    rows = wanted.assign(label=model_file.classes[0], split=SPLIT_FOR_LABELS)
    reader = ShardReader(Path(catalogue.ORIGINALS.path))
    predicted = predict_rows(model_file, rows, reader, params.train.threads, engine, "label-queue")
    return predicted[probability_columns(model_file.classes)].to_numpy()
