"""Out-of-fold predictions: each row is predicted by a model that was fitted to other rows (cross-validation)."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import batches
from pipeline.data.predictions import predict_rows
from pipeline.manifest import DEV
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import PROBABILITY, class_codes
from pipeline.models.baseline_fits import Rows
from pipeline.models.baselines import Baseline
from pipeline.models.layers import split_frozen
from pipeline.models.network import Network
from pipeline.problem.params import Problem
from pipeline.problem.problem import framed
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.training.features import RowFeatures, computed_features
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import features_stay, fit_model, fresh_network
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

    folds: shape (n,). classes: of all rows, in the order of their numbers. problem: what says how they relate.
    """

    rows: pd.DataFrame
    folds: Folds
    images: ShardReader
    classes: tuple[str, ...]
    ingest: IngestParams
    problem: Problem


def by_baseline(model: Baseline, data: FoldedRows, seed: int, threads: int, engine: Engine) -> Probabilities:
    """Probabilities (n, k) by a baseline; pictures are decoded once. NaN where no other fold has the class."""
    # scikit-learn takes a second to import, and networks do without.
    from pipeline.training.baselines import class_probabilities, features_and_labels, fitted

    folds, classes = data.folds, data.classes
    dataset = RowDataset(data.rows, data.images, classes, data.ingest.size)
    with batches(dataset, PART, engine) as loader, progress("label_issues: pictures", len(loader)) as advance:
        features, labels = features_and_labels(model, loader, threads, advance)
    found = np.full((len(folds), len(classes)), np.nan)
    with progress("label_issues: folds", int(folds.max()) + 1) as advance:
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
    """Probabilities (n, k) by logistic regression and nearest neighbours on vectors (n, d), their mean.

    NaN where no other fold has the class.
    """
    from pipeline.training.embedded import Rows, mean_out_of_fold

    labels = class_codes(data.rows["label"].to_numpy(), data.classes)
    ones = np.ones(len(labels), np.float32)
    rows = Rows(vectors, labels, ones, data.rows["group"].to_numpy(str), len(data.classes))
    found = mean_out_of_fold(rows, data.folds, threads)
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

    Dev's rows in the other folds say which epoch was best. What frozen layers make of the pictures is computed once.
    """
    folds, classes = folded.folds, folded.classes
    found = np.full((len(folds), len(classes)), np.nan)
    known: RowFeatures | None = None
    for fold in np.unique(folds).tolist():
        data = _others(folded, folds != fold)
        fold_params = params.model_copy(update={"batch_size": min(params.batch_size, len(data.rows))})
        # Others than frozen ones depend on the fold.
        model = fold_params.model
        if isinstance(model, Network) and not model.of_train and features_stay(data, fold_params):
            known = known if known is not None else _features(folded, data, fold_params, engine)
            in_dev = (folded.rows["split"] == DEV).to_numpy()
            data = replace(data, known=(known.part(folds != fold), known.part((folds != fold) & in_dev)))
        trained, _ = fit_model(data, fold_params, metric_of(metric, data.classes), engine)
        columns = np.array([classes.index(name) for name in data.classes])
        if data.known is not None and known is not None:
            own = _by_head(trained.network, known.part(folds == fold), params.threads)
        else:
            # Labels do not matter here, and the model may not know some.
            asked = folded.rows[folds == fold].assign(label=data.classes[0])
            title = f"label_issues: fold {fold + 1}"
            predicted = predict_rows(trained, asked, folded.images, params.threads, engine, title)
            own = predicted[[f"{PROBABILITY}{name}" for name in data.classes]].to_numpy(np.float64)
        found[np.ix_(np.flatnonzero(folds == fold), columns)] = own
    return found


def _others(folded: FoldedRows, inside: npt.NDArray[np.bool_]) -> TrainingData:
    """What a model is fitted to that is asked about the rest; inside: shape (n,)."""
    rows = folded.rows.assign(copy=np.int32(0), weight=np.float32(1))[inside]
    present, framing = framed(folded.problem, [name for name in folded.classes if (rows["label"] == name).any()])
    dev = rows[rows["split"] == DEV]
    size = folded.ingest.size
    return TrainingData(
        rows=rows,
        dev_rows=dev,
        classes=present,
        ingest=folded.ingest,
        train=RowDataset(rows, folded.images, present, size),
        dev=RowDataset(dev, folded.images, present, size),
        framing=framing,
    )


def _features(folded: FoldedRows, data: TrainingData, params: TrainParams, engine: Engine) -> RowFeatures:
    """What the frozen layers make of all rows; they are the same in every fold."""
    frozen, _ = split_frozen(fresh_network(params.model, data, params, engine))  # type: ignore[arg-type]
    whole = RowDataset(folded.rows, folded.images, folded.classes, folded.ingest.size)
    return computed_features(frozen, whole, params.threads, engine, "label_issues: features")


@torch.inference_mode()
def _by_head(network: nn.Module, known: RowFeatures, threads: int) -> Probabilities:
    """Probabilities (n, k) of rows whose features are known."""
    torch.set_num_threads(threads)
    _, head = split_frozen(network)
    numbers = list(range(len(known.positions)))
    parts = [head(known.of(numbers[start : start + PART])) for start in range(0, len(numbers), PART)]
    return torch.cat(parts).softmax(dim=1).numpy().astype(np.float64)
