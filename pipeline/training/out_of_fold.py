"""Out-of-fold predictions: each row is predicted by a model that was fitted to other rows (cross-validation)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import batches, predict_rows
from pipeline.manifest import DEV
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import PROBABILITY, class_codes
from pipeline.models.baselines import Baseline, Rows
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.training.fitting import TrainingData, fit_model
from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress

Probabilities = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float16]
Folds = npt.NDArray[np.intp]
# Pictures that are looked at in one go.
PART = 256


@dataclass(frozen=True)
class FoldedRows:
    """Rows of train and dev as they were photographed, with `split`, and the fold of each.

    folds: shape (n,). classes: of all rows, in the order of their numbers.
    """

    rows: pd.DataFrame
    folds: Folds
    images: ShardReader
    classes: tuple[str, ...]
    ingest: IngestParams


def by_baseline(model: Baseline, data: FoldedRows, seed: int, threads: int, engine: Engine) -> Probabilities:
    """Probabilities (n, k) by a baseline; pictures are decoded once. NaN where no other fold has the class."""
    # scikit-learn takes a second to import, and networks do without.
    from pipeline.training.baselines import class_probabilities, features_and_labels, fitted

    folds, classes = data.folds, data.classes
    dataset = RowDataset(data.rows, data.images, classes, data.ingest.size)
    with batches(dataset, PART, engine) as loader, progress("suspects: pictures", len(loader)) as advance:
        features, labels = features_and_labels(model, loader, threads, advance)
    found = np.full((len(folds), len(classes)), np.nan)
    with progress("suspects: folds", int(folds.max()) + 1) as advance:
        for fold in np.unique(folds).tolist():
            others = folds != fold
            # The numbers of classes that these rows have: the others' would be columns of nothing.
            present, numbers = np.unique(labels[others], return_inverse=True)
            ones = np.ones(int(others.sum()), np.float32)
            training = Rows(features[others], numbers.astype(np.int64), ones, ones.astype(np.bool_))
            network = fitted(model, training, len(present), seed, threads)
            found[np.ix_(~others, present)] = class_probabilities(network, features[~others])
            advance(1)
    return found


def by_vectors(vectors: Vectors, data: FoldedRows, threads: int) -> Probabilities:
    """Probabilities (n, k) by logistic regression on vectors (n, d); NaN where no other fold has the class."""
    from pipeline.training.embedded import EMBEDDED_MODELS, Rows, best_out_of_fold

    labels = class_codes(data.rows["label"].to_numpy(), data.classes)
    ones = np.ones(len(labels), np.float32)
    rows = Rows(vectors, labels, ones, data.rows["group"].to_numpy(str), len(data.classes))
    found, _ = best_out_of_fold(EMBEDDED_MODELS["linear"], rows, data.folds, threads)
    for fold in np.unique(data.folds).tolist():
        others = np.bincount(labels[data.folds != fold], minlength=len(data.classes))
        found[np.ix_(data.folds == fold, others == 0)] = np.nan
    return found


def accuracy_out_of_fold(found: Probabilities, data: FoldedRows) -> float:
    """The share of labels that probabilities (n, k) agree with, of rows whose class was in another fold; 0 of none."""
    labels = class_codes(data.rows["label"].to_numpy(), data.classes)
    known = ~np.isnan(found[np.arange(len(labels)), labels])
    agreed = np.nan_to_num(found[known]).argmax(axis=1) == labels[known]
    return float(agreed.mean()) if known.any() else 0.0


def by_own_model(params: TrainParams, folded: FoldedRows, metric: AnyMetric, engine: Engine) -> Probabilities:
    """The same by the model of `train`, without balance and variants.

    Dev's rows in the other folds say which epoch was best.
    """
    rows, folds, images, classes = folded.rows, folded.folds, folded.images, folded.classes
    ingest = folded.ingest
    found = np.full((len(rows), len(classes)), np.nan)
    whole = rows.assign(copy=np.int32(0), weight=np.float32(1))
    for fold in np.unique(folds).tolist():
        others = whole[folds != fold]
        present = tuple(name for name in classes if (others["label"] == name).any())
        seen_dev = others[others["split"] == DEV]
        data = TrainingData(
            rows=others,
            dev_rows=seen_dev,
            classes=present,
            ingest=ingest,
            train=RowDataset(others, images, present, ingest.size),
            dev=RowDataset(seen_dev, images, present, ingest.size),
        )
        batch_size = min(params.batch_size, len(others))
        trained, _ = fit_model(
            data, params.model_copy(update={"batch_size": batch_size}), metric_of(metric, present), engine
        )
        # Labels do not matter here, and the model may not know some.
        asked = rows[folds == fold].assign(label=present[0])
        predicted = predict_rows(trained, asked, images, params.threads, engine, f"label_issues: fold {fold + 1}")
        columns = np.array([classes.index(name) for name in present])
        own = predicted[[f"{PROBABILITY}{name}" for name in present]].to_numpy(np.float64)
        found[np.ix_(np.flatnonzero(folds == fold), columns)] = own
    return found
