"""Backbones of params as networks, and a picture's vector.

Pictures are embedded in batches of one size, a short one filled up, by one thread: the last digits of a vector depend
on how large its batch is and how many threads there are, not on what else is in the batch. So any number of workers
gives the same bytes on processors with the same instructions. Others round differently: nothing rests on last digits.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import assert_never

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.errors import WorkerError
from pipeline.images.pixels import Pixels
from pipeline.models import efficientnet, mobilenet
from pipeline.models.efficientnet import EfficientNetLite0, fuse_norms, load_imagenet_weights
from pipeline.models.layers import Normalise
from pipeline.stages.embed.params import EfficientNetLite0Backbone, MobileNetV2Backbone
from pipeline.store.reading import hashed_file
from pipeline.workers.libraries import keep_freed_tensors

Vector = npt.NDArray[np.float16]
DIMENSIONS = 1280
# Pictures of a batch. Measured: one by one takes a quarter more time, 16 no less.
BATCH = 4
# What shapes a vector beside the picture and the params.
LIBRARIES = ("torch", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Embedder:
    """Pixels -> vector; it travels to worker processes as its params."""

    backbone: EfficientNetLite0Backbone | MobileNetV2Backbone

    def __call__(self, pixels: Pixels) -> Vector:
        """The vector of one picture; see `many`."""
        return next(self.many([pixels]))

    def many(self, pictures: Iterable[Pixels]) -> Iterator[Vector]:
        """The features of each picture (height, width, 3) uint8: shape (DIMENSIONS,), finite if the weights are.

        The whole picture is scaled to a square.

        Raises:
            WorkerError: the network needs more memory than there is.
        """
        for batch in _batches(pictures):
            squares = [self._square(pixels) for pixels in batch]
            yield from self._vectors(np.stack(squares + squares[-1:] * (BATCH - len(squares))))[: len(squares)]

    def _square(self, pixels: Pixels) -> Pixels:
        side = self.backbone.side
        method = cv2.INTER_AREA if min(pixels.shape[:2]) > side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(pixels, (side, side), interpolation=method), np.uint8)

    def _vectors(self, squares: Pixels) -> Vector:
        with one_thread(), torch.inference_mode(), _memory_refusals(self.backbone.side):
            batch = torch.from_numpy(squares).permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
            found = self.network(batch).numpy()
        with np.errstate(over="ignore"):
            vectors: Vector = found.astype(np.float16)
        return vectors

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights, as fast as it is for single pictures.

        Raises:
            MissingInputError: there are no weights.
            DataError: they are others than params name.
        """
        keep_freed_tensors()
        return network_of(self.backbone)

    def __reduce__(self) -> tuple[Callable[..., "Embedder"], tuple[object, ...]]:
        return Embedder, (self.backbone,)


def network_of(backbone: EfficientNetLite0Backbone | MobileNetV2Backbone) -> nn.Module:
    """Pixels (n, 3, side, side) in [0, 255] -> features (n, DIMENSIONS), with the weights that params name.

    Raises:
        MissingInputError: there are no weights.
        DataError: they are others than params name, or damaged.
    """
    network: nn.Module
    match backbone:
        case EfficientNetLite0Backbone():
            network = EfficientNetLite0()
            load_imagenet_weights(network)
            fuse_norms(network.eval())
        case MobileNetV2Backbone(weights=weights, sha256=sha256):
            network = nn.Sequential(Normalise(mobilenet.MEAN, mobilenet.STD), mobilenet.Backbone(frozen=True))
            mobilenet.load_backbone(network, hashed_file(Path(weights), sha256), weights)
        case unknown:
            assert_never(unknown)
    placed: nn.Module = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def weights_of(backbone: EfficientNetLite0Backbone | MobileNetV2Backbone) -> str:
    """The SHA-256 of the weights, which shapes every vector."""
    return efficientnet.WEIGHTS_SHA256 if backbone.name == "efficientnet_lite0" else backbone.sha256


def _batches(pictures: Iterable[Pixels]) -> Iterator[list[Pixels]]:
    left = iter(pictures)
    while batch := [*islice(left, BATCH)]:
        yield batch


@contextmanager
def one_thread() -> Iterator[None]:
    """For torch's and OpenCV's sums; what the process had before comes back."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    if before != (1, 1):
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if before != (1, 1):
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])


@contextmanager
def _memory_refusals(side: int) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise WorkerError(
            f"embed.backbone needs more memory for a picture of {side} x {side} pixels than there is: lower "
            "embed.backbone.side, or run with fewer workers (--workers); finished work is kept"
        ) from error
