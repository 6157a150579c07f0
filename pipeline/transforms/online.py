"""Variants made while training, anew in each epoch."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pipeline.images.pixels import Pixels
from pipeline.transforms.params import AnyTransform
from pipeline.transforms.transforms import build_transform, make_variant


def online_variants(transforms: Sequence[AnyTransform], seed: int) -> Callable[[Pixels, str, int, int], Pixels]:
    """(pixels, image id, copy number, epoch) -> a variant, a function of them and the seed; it can be pickled.

    Raises:
        ParamsError: names or arguments that albumentations does not have; all are in the message.
    """
    return partial(_variant, transform=build_transform(transforms), seed=seed)


def _variant(pixels: Pixels, image_id: str, copy: int, epoch: int, transform: Any, seed: int) -> Pixels:
    return make_variant(pixels, transform, seed, image_id, copy, epoch)
