"""FixMatch (Sohn et al., 2020): a network agrees with itself on weak and strong variants of images that have no label.

What it says of the weak variant is the label of the strong one, where it is sure. The weak variants are predicted
without a gradient, by the running statistics of batch norm; the strong ones share a pass with the labelled rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import Loader, pictures_in_order
from pipeline.data.order import KeyedOrder
from pipeline.images.pixels import Pixels
from pipeline.randomness import keyed_generator
from pipeline.stages.train.params import TrainParams
from pipeline.training.loop import TrainBatches
from pipeline.training.unlabelled import Consistency, JoinedForward
from pipeline.transforms.params import AnyTransform
from pipeline.workers.engine import Engine

# The copy numbers of the two variants of an image.
WEAK, STRONG = 1, 2


def weak_and_strong(
    weak: Sequence[AnyTransform], strong: Sequence[AnyTransform], seed: int
) -> Callable[[Pixels, str, int, int], Pixels]:
    """(pixels, image id, WEAK or STRONG, epoch) -> the variant; it can be pickled.

    Raises:
        ParamsError: names or arguments that albumentations does not have; all are in the message.
    """
    # albumentations takes a second to import.
    from pipeline.transforms.online import online_variants

    return partial(_variant, weak=online_variants(weak, seed), strong=online_variants(strong, seed))


def _variant(pixels: Pixels, image_id: str, copy: int, epoch: int, weak: Any, strong: Any) -> Pixels:
    made: Pixels = (weak if copy == WEAK else strong)(pixels, image_id, copy, epoch)
    return made


def pair_loader(
    rows: pd.DataFrame, train: RowDataset, params: TrainParams, batches: int, engine: Engine
) -> Loader[Tensor]:
    """Pictures of images without a label: of each batch of training, so many weak variants and then the strong ones.

    Args:
        rows: the images. train: the labelled rows, whose shards have their pictures, too. batches: of an epoch.
    """
    way = params.unlabelled
    assert isinstance(way, Consistency)  # noqa: S101
    copies = [rows.assign(copy=np.int32(copy), label="") for copy in (WEAK, STRONG)]
    variants = weak_and_strong(way.weak, way.strong, params.seed)
    both = RowDataset(pd.concat(copies, ignore_index=True), train.images, ("",), train.size, variants)
    both.keep_pixels()
    each = min(way.ratio * params.batch_size, len(rows))
    order = PairOrder(len(rows), each, batches, params.seed)
    return pictures_in_order(both, 2 * each, order, engine, params.epochs)


class PairOrder(KeyedOrder):
    """The images of each batch, its weak variants first, then the strong ones, as rows of a set that has both.

    Row i is the weak variant of image i, row `images` + i the strong one. All images have had a turn before any has its
    next, whatever epochs and batches they fall into; each turn has an order of its own.

    Args:
        images: how many there are. each: how many a batch has. batches: of an epoch.
    """

    def __init__(self, images: int, each: int, batches: int, seed: int) -> None:
        super().__init__(2 * each * batches, seed)
        self.images, self.each, self.batches = images, each, batches

    def __iter__(self) -> Iterator[int]:
        for batch in range(self._start // (2 * self.each), self.batches):
            begin = (self.epoch * self.batches + batch) * self.each
            chosen = self._turns(begin, begin + self.each)
            yield from chosen
            yield from (self.images + image for image in chosen)

    def _turns(self, begin: int, end: int) -> list[int]:
        found: list[int] = []
        while begin < end:
            turn, place = divmod(begin, self.images)
            order = keyed_generator(self.seed, "unlabelled order", turn).permutation(self.images)
            part = order[place : place + end - begin].tolist()
            found += part
            begin += len(part)
        return found


@dataclass
class FixMatch(JoinedForward):
    """A network's pass over labelled pictures that takes images without a label along.

    Args:
        unlabelled: pixels (2 m, 3, size, size), the weak variants before the strong ones.
        threshold: the least probability of a class that counts as sure. weight: of the loss.
    """

    network: nn.Module
    unlabelled: Tensor
    threshold: float
    weight: float

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (n, k); then `loss` is known: equation 4 times the weight, a mean over all m images.

        It is zero for those of which the network is not sure.
        """
        weak, strong = self.unlabelled.chunk(2)
        targets, sure = self._labels(weak)
        # Mixed pictures are no bytes any more.
        found: Tensor = self.network(torch.cat([pixels, strong.to(pixels.dtype)]))
        logits, of_strong = found[: len(pixels)], found[len(pixels) :]
        self.loss = self.weight * (nn.functional.cross_entropy(of_strong, targets, reduction="none") * sure).mean()
        self.used = sure.mean()
        return logits

    @torch.no_grad()
    def _labels(self, weak: Tensor) -> tuple[Tensor, Tensor]:
        was_training = self.network.training
        self.network.eval()
        highest = self.network(weak).float().softmax(dim=1).max(dim=1)
        self.network.train(was_training)
        return highest.indices, (highest.values >= self.threshold).float()


class PairedBatches:
    """The batches of labelled rows, each with images without a label behind it."""

    def __init__(self, rows: TrainBatches, pairs: Loader[Tensor]) -> None:
        self._rows, self._pairs = rows, pairs

    def __len__(self) -> int:
        return len(self._rows)

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Those of an epoch, counted from 0, from a batch on: as of the rows, then the pixels of the others."""
        rows, pairs = self._rows.epoch(number, first), self._pairs.epoch(number, first)
        for batch, unlabelled in zip(rows, pairs, strict=True):
            pixels, labels, weights = batch[:3]
            yield pixels, labels, weights, unlabelled
