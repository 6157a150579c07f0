"""Backbones of params as networks, and a picture's vector.

Each picture is embedded alone, by one thread: in a batch, the last digits of its vector would depend on how many
others there are, and with several threads on how many there are of these. So any number of workers gives the same bytes
on processors with the same instructions. Others round differently, so nothing may rest on last digits.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import assert_never

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import WorkerError
from pipeline.images.pixels import Pixels
from pipeline.models import efficientnet, mobilenet
from pipeline.models.efficientnet import ConvolutionNorm, EfficientNetLite0, load_imagenet_weights
from pipeline.models.layers import Normalise
from pipeline.stages.embed.params import EfficientNetLite0Backbone, MobileNetV2Backbone
from pipeline.store.artifacts import hashed_file
from pipeline.workers.libraries import keep_freed_tensors

Vector = npt.NDArray[np.float16]
DIMENSIONS = 1280
# What shapes a vector beside the picture and the params.
CODE = (efficientnet, mobilenet)
LIBRARIES = ("torch", "numpy", "opencv-python-headless")


@dataclass(frozen=True)
class Embedder:
    """Pixels -> vector; it travels to worker processes as its params."""

    backbone: EfficientNetLite0Backbone | MobileNetV2Backbone

    def __call__(self, pixels: Pixels) -> Vector:
        """The features of a picture (height, width, 3) uint8; shape (DIMENSIONS,), not finite if the weights are not.

        The whole picture is scaled to a square.

        Raises:
            WorkerError: the network needs more memory than there is.
        """
        side = self.backbone.side
        method = cv2.INTER_AREA if min(pixels.shape[:2]) > side else cv2.INTER_LINEAR
        square = cv2.resize(pixels, (side, side), interpolation=method)
        batch = torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1)[None]
        with one_thread(), torch.inference_mode(), _memory_refusals(side):
            found = self.network(batch.float().contiguous(memory_format=torch.channels_last))
        with np.errstate(over="ignore"):
            vector: Vector = found[0].numpy().astype(np.float16)
        return vector

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
            _fuse_norms(network.eval())
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


def _fuse_norms(network: nn.Module) -> None:
    """Fold each norm into its convolution, which saves a third of the time."""
    for layer in network.modules():
        if isinstance(layer, ConvolutionNorm):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.norm)
            layer.norm = nn.Identity()  # type: ignore[assignment]
