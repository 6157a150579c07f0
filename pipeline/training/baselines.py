"""Fit baselines to rows, and evaluate them like an epoch of training."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from pipeline.metrics.metric import Metric, Tally
from pipeline.models.baseline_fits import Rows
from pipeline.models.baselines import BASELINES, Baseline, baseline_of, features_of
from pipeline.models.prediction import probabilities_of
from pipeline.problem.framing import Outputs
from pipeline.randomness import keyed_seed
from pipeline.stages.train.params import TrainParams
from pipeline.training.loss_functions import SquaredError, row_losses
from pipeline.training.losses import entropies, weighted_mean
from pipeline.training.training import Fit

# Rows that are judged at once; a thousand trees take a few megabytes for them.
PART = 256


@dataclass(frozen=True)
class TrainRows:
    """Rows of train: batches of pixels and class numbers, in row order, and what each of the n rows weighs.

    weights, first: shape (n,): what a row weighs in the loss, and whether it repeats no other.
    """

    batches: Iterable[tuple[Tensor, Tensor]]
    weights: npt.NDArray[np.float32]
    first: npt.NDArray[np.bool_]


def fit_baseline(
    model: Baseline,
    train: TrainRows,
    dev: Iterable[tuple[Tensor, Tensor]],
    params: TrainParams,
    metric: Metric,
    classes: int,
    advance: Callable[[int], None],
) -> Fit:
    """Fit a baseline to train; its loss and metric on train and dev are its only epoch.

    Args:
        dev: pixels and class numbers, in row order.
        advance: called with 1 after each batch of train.
    """
    seen, labels = features_and_labels(model, train.batches, params.threads, advance)
    network = fitted(model, Rows(seen, labels, train.weights, train.first), classes, params.seed, params.threads)
    in_dev, dev_labels = features_and_labels(model, dev, params.threads, lambda _: None)
    sets = {"train": (seen, labels, train.weights), "dev": (in_dev, dev_labels, np.ones(len(dev_labels), np.float32))}
    epoch: dict[str, float] = {}
    for name, (values, truth, weight) in sets.items():
        epoch[f"{name}/loss"], epoch[f"{name}/optimizing"] = _judge(network, values, truth, weight, metric, classes)
    return Fit(network, 0, [epoch])


@torch.inference_mode()
def features_and_labels(
    model: Baseline, batches: Iterable[tuple[Tensor, Tensor]], threads: int, advance: Callable[[int], None]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The model's features of pictures, (n, f), and class numbers, (n,), in the order of batches.

    Args:
        batches: pixels (b, 3, size, size), or their features (b, f) where they are known, and class numbers (b,).
    """
    torch.set_num_threads(threads)
    features = features_of(model)
    values, labels = [], []
    for pixels, numbers in batches:
        values.append((pixels if pixels.ndim == 2 else features(pixels)).numpy())
        labels.append(numbers.numpy())
        advance(1)
    return np.concatenate(values), np.concatenate(labels)


def fitted(model: Baseline, rows: Rows, classes: int, seed: int, threads: int) -> nn.Module:
    """The model fitted to rows; every class has one. Numbers in place of class numbers make one of numbers."""
    # Sums are split by threads here, too.
    with threadpool_limits(threads):
        row, key = BASELINES.of(model), keyed_seed(seed, "baseline")
        if np.issubdtype(rows.labels.dtype, np.floating):
            assert row.fit_numbers is not None  # noqa: S101
            return baseline_of(model, row.fit_numbers(model, rows, key))
        assert row.fit is not None  # noqa: S101
        return baseline_of(model, row.fit(model, rows, classes, key))


@torch.inference_mode()
def class_probabilities(network: nn.Module, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """A fitted model's probabilities for features (n, f), shape (n, k)."""
    parts = [features[start : start + PART] for start in range(0, len(features), PART)]
    found = [network[1](torch.from_numpy(part)).softmax(dim=1).numpy() for part in parts]  # type: ignore[index]
    return np.concatenate(found).astype(np.float64)


@torch.inference_mode()
def _judge(
    network: nn.Module,
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    metric: Metric,
    classes: int,
) -> tuple[float, float]:
    """Mean loss and metric of rows."""
    tally, loss = Tally(metric, classes), 0.0
    outputs: Outputs = "numbers" if metric.judges_numbers else "classes"
    losses = row_losses(SquaredError(name="squared_error"), 0.0, metric) if metric.judges_numbers else entropies
    for start in range(0, len(labels), PART):
        part = slice(start, start + PART)
        logits = network[1](torch.from_numpy(features[part]))  # type: ignore[index]
        truth = torch.from_numpy(labels[part])
        loss += float(weighted_mean(losses(logits, truth), torch.from_numpy(weights[part]))) * len(truth)
        tally.add(labels[part], probabilities_of(logits, outputs).numpy())
    return loss / len(labels), tally.value
