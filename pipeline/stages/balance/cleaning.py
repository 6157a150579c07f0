"""Choose which rows stay by comparing pictures, with the samplers of imbalanced-learn in strategies.py."""

import warnings
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.errors import DataError, ParamsError, listing
from pipeline.images.pixels import Pixels
from pipeline.stages.balance.strategies import STRATEGIES, Strategy

# Every picture is compared with every other: minutes at this many rows, a hundred times that at ten times as many.
MAX_PICTURES = 100_000
FEATURE_SIDE = 8


def clean(
    codes: npt.NDArray[np.int32],
    names: list[str],
    strategy: Strategy,
    features: Callable[[], npt.NDArray[np.uint8]],
) -> npt.NDArray[np.bool_]:
    """Which rows stay, shape (n,). The smallest classes are never cleaned.

    Args:
        codes: shape (n,), each row's class, a position among the k names; rows sorted by id.
        features: gives those of the rows' pictures, shape (n, f), whole numbers.

    Raises:
        ParamsError: there are more pictures than can be compared.
        DataError: a class has too few rows for the neighbours, or would lose all.
    """
    sizes = np.bincount(codes)
    row = STRATEGIES.of(strategy)
    keeps = row.keeps(strategy, sizes)
    wanted = {int(number): int(keeps[number]) for number in np.flatnonzero(sizes > keeps)}
    kept = np.zeros(len(codes), dtype=bool)
    if not wanted or row.sampler is None:
        return ~kept
    _check_cleanable(names, sizes, strategy)
    sampler = row.sampler(strategy, wanted, sizes)
    # One thread: which of two equal neighbours comes first would depend on how threads share the rows.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="openmp"):
        warnings.simplefilter("ignore", UserWarning)  # NearMiss-3 may find fewer rows than are wanted
        sampler.fit_resample(features().astype(np.float32), codes)
    kept[sampler.sample_indices_] = True
    lost = np.flatnonzero(np.bincount(codes[kept], minlength=len(sizes)) == 0)
    if len(lost):
        raise DataError(
            f"balance.strategy {strategy.name} would drop every row of "
            f"{listing(f'class {names[number]} ({sizes[number]} rows)' for number in lost)}, because all "
            "their pictures are close to pictures of other classes: use tomek_links or weights, or check the "
            "labels"
        )
    return kept


def _check_cleanable(names: list[str], sizes: npt.NDArray[np.int64], strategy: Strategy) -> None:
    name = f"balance.strategy {strategy.name}"
    if sizes.sum() > MAX_PICTURES:
        raise ParamsError(
            f"{name} compares every picture with every other, so train may have at most {MAX_PICTURES:,}, but "
            f"it has {sizes.sum():,}: use undersample or weights"
        )
    neighbours = getattr(strategy, "neighbours", 0)
    small = np.flatnonzero(sizes <= neighbours)
    if len(small):
        raise DataError(
            f"{name} compares {neighbours} neighbours, and each class needs more rows than that: "
            f"{listing(f'class {names[number]} has {sizes[number]}' for number in small)}. "
            f"{_fewer_neighbours(int(sizes.min()))}add images to these classes, or use a strategy without "
            "neighbours (oversample, undersample, weights)"
        )


def _fewer_neighbours(smallest: int) -> str:
    """What to do about the number of neighbours, if any number is small enough: at least one is looked at."""
    return (
        f"Set balance.strategy.neighbours to {smallest - 1} or less, "
        if smallest > 1
        else "No number is small enough: "
    )


def picture_features(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The picture as 8 x 8 mean colours, shape (192,): what the cleaners compare.

    Left in [0, 255], one unit for all: scaled by their spread, corners that never change would count
    as much as the object. Whole numbers have exact distances on every machine.
    """
    means = cv2.resize(pixels, (FEATURE_SIDE, FEATURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.uint8).reshape(-1)
