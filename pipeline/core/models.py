"""Params -> a network, and a network <-> bytes (safetensors: no pickle, so no code in a weights file)."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from pipeline.errors import DataError, ParamsError
from pipeline.params import Cnn, IngestParams

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
# Pixels a side that the last feature map is averaged down to.
POOLED_SIDE = 4


@dataclass(frozen=True)
class TrainedModel:
    """A network with what is needed to use it: class names in output order, and how a file becomes a picture."""

    network: nn.Module
    classes: tuple[str, ...]
    ingest: IngestParams
    params: Cnn

    @property
    def size(self) -> int:
        """Pixels a side of the square pictures that the network takes."""
        return self.ingest.size


class Normalise(nn.Module):
    """uint8 pixels (n, 3, height, width) -> floats of mean 0 and deviation 1 over the training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        # A channel that never varies carries nothing; dividing by its 0 would give NaN.
        self.register_buffer("std", torch.tensor(np.maximum(std, 1e-3), dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Shape stays; values in units of standard deviations."""
        return (pixels.float() / 255 - self.mean) / self.std


def build_model(
    params: Cnn,
    classes: int,
    size: int,
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    seed: int,
) -> nn.Module:
    """A network from uint8 pixels (n, 3, size, size) to logits (n, classes), weights drawn from the seed.

    Args:
        mean, std: shape (3,), of the training pixels in [0, 1].

    Raises:
        ParamsError: the depth halves a picture of this size to nothing.
    """
    if size >> params.depth < 1:
        raise ParamsError(
            f"train.model.depth {params.depth} halves pictures of {size} pixels (ingest.size) to nothing: "
            f"at most {size.bit_length() - 1}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [Normalise(mean, std), *_blocks(params), *_head(params, classes, size >> params.depth)]
        # The loader hands over pixels with the channels last; convolutions on CPU are faster so.
        network: nn.Module = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network


def _blocks(params: Cnn) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for level in range(params.depth):
        width = params.width * 2**level
        layers.append(nn.Conv2d(channels, width, params.kernel, padding="same", bias=not params.batch_norm))
        if params.batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers += [ACTIVATIONS[params.activation](), nn.MaxPool2d(2)]
        if params.dropout:
            # Whole channels: neighbouring pixels carry the same information (Tompson et al., 2015).
            layers.append(nn.Dropout2d(params.dropout))
        channels = width
    return layers


def _head(params: Cnn, classes: int, side: int) -> list[nn.Module]:
    # Adaptive pooling has no deterministic gradient on CUDA; pooling by a fixed window has.
    window = max(1, side // POOLED_SIDE)
    features = params.width * 2 ** (params.depth - 1) * (side // window) ** 2
    return [nn.AvgPool2d(window), nn.Flatten(), nn.Linear(features, classes)]


@torch.inference_mode()
def predict(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], threads: int, advance: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Class probabilities, shape (n, classes), in the order of the batches.

    Args:
        batches: pixels (n, 3, size, size) uint8 and class numbers, which are not looked at.
        advance: called with the number of images after each batch.

    Raises:
        DataError: a probability is NaN.
    """
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    found = []
    for pixels, _ in batches:
        found.append(network(pixels.to(device)).softmax(dim=1).cpu().numpy())
        advance(len(pixels))
    probabilities = np.concatenate(found)
    if not np.isfinite(probabilities).all():
        raise DataError(
            "the model predicts NaN: its weights are damaged; run `dvc repro train` with a smaller learning_rate"
        )
    return probabilities


def save_model(model: TrainedModel) -> bytes:
    """A safetensors file whose header names classes, params, and how pictures are made."""
    about = {
        "classes": model.classes,
        "ingest": model.ingest.model_dump(),
        "model": model.params.model_dump(),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    # One entry, because safetensors writes several in random order, and equal models must be equal files.
    return save_tensors(tensors, metadata={"pipeline": json.dumps(about, sort_keys=True)})


def load_model(data: bytes) -> TrainedModel:
    """The model in a file of `save_model`, ready to predict.

    Raises:
        DataError: the file is damaged, or was not made by this pipeline.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"]["pipeline"])
        classes = _distinct_texts(about["classes"])
        params = Cnn.model_validate(about["model"])
        ingest = IngestParams.model_validate(about["ingest"])
        network = build_model(params, len(classes), ingest.size, np.zeros(3), np.ones(3), seed=0)
        network.load_state_dict(load_tensors(data))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError, ParamsError) as error:
        raise DataError(f"the model file is damaged or of another version ({error}): run `dvc repro train`") from error
    return TrainedModel(network.eval(), classes, ingest, params)


def _distinct_texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("its classes are no list of texts")
    if len(set(values)) < len(values):
        raise ValueError("a class stands twice in it")
    return tuple(values)
