"""Fits small networks to striped pictures, which a few epochs are enough to learn."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pipeline.data.order import KeyedOrder
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.predictions import Predictions
from pipeline.models.building import build_model
from pipeline.models.networks import Network
from pipeline.models.prediction import predict
from pipeline.stages.train.params import TrainParams
from pipeline.training.training import Fit, fit
from tests.examples import params, striped

CLASSES = 3
SIZE = 16
ADAMW = {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01}
SGD = {"name": "sgd", "momentum": 0.9, "nesterov": False}


def train_params(**changes: Any) -> TrainParams:
    """Small enough for tests: six epochs of a narrow cnn."""
    small = {"model.width": 4, "model.dropout.blocks": 0.25, "epochs": 6, "patience": 6, "batch_size": 16, "threads": 1}
    optimizer = {"optimizer": ADAMW, "learning_rate": 0.01}
    return params(**{f"train.{name}": value for name, value in {**small, **optimizer, **changes}.items()}).train


def images(each: int, seed: int) -> TensorDataset:
    """So many pictures of each class."""
    labels = np.arange(each * CLASSES) % CLASSES
    pixels = np.stack([striped(int(label), 1000 * seed + number) for number, label in enumerate(labels)])
    return TensorDataset(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels))


def weighted(rows: TensorDataset, weights: Tensor | None = None) -> TensorDataset:
    """The rows with weights, 1 each unless given."""
    return TensorDataset(*rows.tensors, torch.ones(len(rows)) if weights is None else weights)


TRAIN, DEV = weighted(images(30, seed=1)), images(20, seed=2)


def loader(rows: Dataset[Any], batch_size: int = 64, order: KeyedOrder | None = None) -> DataLoader[Any]:
    """Batches of the rows."""
    return DataLoader(rows, batch_size=batch_size, sampler=order)


def network_for(train: TrainParams) -> nn.Module:
    """The network of params, always from the same weights."""
    assert isinstance(train.model, Network)
    return build_model(train.model, CLASSES, SIZE, np.full(3, 0.2), np.full(3, 0.2), seed=1)


def fitted(
    train: TrainParams,
    network: nn.Module | None = None,
    dev: Dataset[Any] = DEV,
    optimizing: Any = "accuracy",
    rows: TensorDataset = TRAIN,
    **extra_columns: Any,
) -> Fit:
    """The network of params fitted; `state`, `keep` and `due` as `fit` has them."""
    state = extra_columns.get("state")
    begun = (len(state["epochs"]), state["batches"] * train.batch_size) if state else (0, 0)
    order = KeyedOrder(len(rows), train.seed, *begun)
    batches = loader(rows, train.batch_size, order)
    return fit(
        network or network_for(train),
        batches,
        loader(dev),
        train,
        metric_named(optimizing),
        CLASSES,
        lambda _: None,
        **extra_columns,
    )


def metric_named(choice: Any) -> Metric:
    """A metric as params.yaml names it, over three classes."""
    evaluate = params(**{"evaluate.optimizing": choice}).evaluate
    return metric_of(evaluate.optimizing, tuple(map(str, range(CLASSES))))


def measured(network: nn.Module, rows: TensorDataset, choice: Any = "accuracy") -> float:
    """A metric of what the network calls the rows."""
    found = predict(network, loader(rows), 1, lambda _: None).astype(np.float64)
    classes = tuple(map(str, range(CLASSES)))
    return metric_named(choice).value(Predictions(classes, rows.tensors[1].numpy(), found.argmax(axis=1), found))


def weights(network: nn.Module) -> dict[str, bytes]:
    """The bytes of all that a network holds."""
    return {name: tensor.cpu().numpy().tobytes() for name, tensor in network.state_dict().items()}
