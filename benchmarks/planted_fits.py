"""Networks that are fitted to images with planted problems, in memory."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from diseases import Case
from torch.utils.data import DataLoader, TensorDataset

from pipeline.data.loader import WeightedBatch
from pipeline.data.order import KeyedOrder
from pipeline.images.pixels import Pixels
from pipeline.manifest import DEV
from pipeline.models.building import build_model
from pipeline.models.network import Network
from pipeline.models.prediction import predict
from pipeline.project.params_file import Params
from pipeline.randomness import keyed_generator
from pipeline.stages.train.params import TrainParams
from pipeline.transforms.online import online_variants


def network_of(pixels: Pixels, classes: int, params: Params) -> torch.nn.Module:
    spread = pixels.reshape(-1, 3) / 255
    assert isinstance(params.train.model, Network)
    return build_model(
        params.train.model, classes, pixels.shape[1], spread.mean(axis=0), spread.std(axis=0), params.train.seed
    )


def head_of(features: Pixels, classes: int, params: Params) -> torch.nn.Module:
    """A linear head on features, normalised as those of train are, with the dropout of params."""
    torch.manual_seed(params.train.seed)
    linear_layer = torch.nn.Linear(features.shape[1], classes)
    with torch.no_grad():
        mean, deviation = (torch.from_numpy(one) for one in (features.mean(axis=0), features.std(axis=0) + 1e-3))
    model = params.train.model
    return torch.nn.Sequential(Standardised(mean, deviation), torch.nn.Dropout(model.dropout.head), linear_layer)


class Standardised(torch.nn.Module):
    """Features less the mean of train's, over their deviation."""

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (features.float() - self.mean) / self.deviation  # type: ignore[operator]


class Epochs:
    """Batches of rows that lie in memory, in the order of each epoch."""

    def __init__(self, rows: TensorDataset, params: TrainParams) -> None:
        self.batch_size = params.batch_size
        self.order = KeyedOrder(len(rows), params.seed)
        self.loader = DataLoader(rows, batch_size=self.batch_size, sampler=self.order)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, first: int = 0) -> Iterator[WeightedBatch]:
        self.order.set_epoch(number, first * self.batch_size)
        return iter(self.loader)


def with_copies(pixels: Pixels, labels: npt.NDArray[np.int64], params: Params) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The training rows, with as many variants of each as params ask for; embeddings have none."""
    if pixels.ndim == 2:
        return pixels, labels
    count = getattr(params.augment.copies, "count", 0)
    variants = online_variants(params.augment.transforms, params.augment.seed)
    made = [variants(one, str(number), copy, 0) for copy in range(1, count + 1) for number, one in enumerate(pixels)]
    return np.concatenate([pixels, np.stack(made)]) if made else pixels, np.tile(labels, count + 1)


def balanced(pixels: Pixels, labels: npt.NDArray[np.int64], params: Params) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The training rows, those of small classes repeated if params say so."""
    if params.balance.strategy.name != "oversample":
        return pixels, labels
    counts = np.bincount(labels)
    rows = [np.resize(np.flatnonzero(labels == label), counts.max()) for label in np.flatnonzero(counts)]
    order = keyed_generator(params.balance.seed, "balanced").permutation(np.concatenate(rows))
    return pixels[order], labels[order]


def best_on_dev(
    probabilities: Mapping[str, npt.NDArray[np.float64]], case: Case, seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """The predictions of that of many models which is best on dev: the model's own with noise of each on the logits."""
    truth, best = case.labels[DEV], (-1.0, 0)
    noisy = {}
    for number in range(case.candidates):
        generator = keyed_generator(seed, "candidate", number)
        own = disturbed(probabilities[DEV], generator)
        right = float((own.argmax(axis=1) == truth).mean())
        if right > best[0]:
            best, noisy = (right, number), {DEV: own}
    for split, values in probabilities.items():
        noisy.setdefault(split, disturbed(values, keyed_generator(seed, "elsewhere", best[1], split)))
    return noisy


def disturbed(probabilities: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    logits = np.log(probabilities + 1e-9)
    noisy = np.exp(logits / max(float(logits.std()), 1e-9) + generator.normal(0, 2.0, logits.shape))
    return np.asarray(noisy / noisy.sum(axis=1, keepdims=True))


def predicted(network: torch.nn.Module, pixels: Pixels) -> npt.NDArray[np.float64]:
    rows = TensorDataset(as_tensor(pixels), torch.zeros(len(pixels), dtype=torch.int64))
    return predict(network, DataLoader(rows, batch_size=512), 1, lambda _: None).astype(np.float64)


def as_tensor(pixels: Pixels) -> torch.Tensor:
    values = torch.from_numpy(np.ascontiguousarray(pixels))
    return values if values.ndim == 2 else values.permute(0, 3, 1, 2)
