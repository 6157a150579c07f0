"""Fits small networks to striped pictures, which a few epochs are enough to learn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pipeline.data.loader import WeightedBatch
from pipeline.data.order import KeyedOrder
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.predictions import Predictions
from pipeline.models.building import build_model
from pipeline.models.network import Network
from pipeline.models.prediction import predict
from pipeline.stages.train.params import TrainParams
from pipeline.training.training import Checkpoints, Fit, fit
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


def loader(rows: Dataset[Any], batch_size: int = 64) -> DataLoader[Any]:
    """Batches of the rows, in their order."""
    return DataLoader(rows, batch_size=batch_size)


class Epochs:
    """Batches of the rows, in the order of each epoch."""

    def __init__(self, rows: Any, batch_size: int, seed: int) -> None:
        self.order = KeyedOrder(len(rows), seed)
        self.loader: DataLoader[Any] = DataLoader(rows, batch_size=batch_size, sampler=self.order)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, first: int = 0) -> Iterator[WeightedBatch]:
        self.order.set_epoch(number, first * (self.loader.batch_size or 1))
        return iter(self.loader)


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
    **checkpoints: Any,
) -> Fit:
    """The network of params fitted; `state`, `save`, `due` and `stopping` as Checkpoints has them."""
    return fit(
        network or network_for(train),
        Epochs(rows, train.batch_size, train.seed),
        loader(dev),
        train,
        metric_named(optimizing),
        CLASSES,
        lambda _: None,
        Checkpoints(**checkpoints),
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
