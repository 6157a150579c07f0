"""Pictures -> which rows stay, through imbalanced-learn: Tomek links, edited nearest neighbours, NearMiss."""

import warnings
from collections.abc import Callable
from typing import Any, assert_never

import cv2
import numpy as np
import numpy.typing as npt
from imblearn import under_sampling
from threadpoolctl import threadpool_limits

from pipeline.errors import DataError, ParamsError, listing
from pipeline.images.pixels import Pixels
from pipeline.stages.balance.params import EditedNearestNeighbours, NearMiss, TomekLinks

# Every picture is compared with every other: minutes at this many rows, a hundred times that at ten times as many.
MAX_PICTURES = 100_000
# NearMiss-2 holds the distances between the largest and the smallest class: 16 bytes each.
MAX_DISTANCES = 100_000_000
FEATURE_SIDE = 8

Cleaner = TomekLinks | EditedNearestNeighbours | NearMiss


def clean(
    codes: npt.NDArray[np.int32],
    names: list[str],
    strategy: Cleaner,
    most: npt.NDArray[np.int64],
    features: Callable[[], npt.NDArray[np.uint8]],
) -> npt.NDArray[np.bool_]:
    """Which rows stay, shape (n,). The smallest classes are never cleaned.

    Args:
        codes: shape (n,), each row's class, a position among the k names; rows sorted by id.
        most: shape (k,), the rows of each class that NearMiss leaves.
        features: gives those of the rows' pictures, shape (n, f), whole numbers.

    Raises:
        ParamsError: there are more pictures than can be compared.
        DataError: a class has too few rows for the neighbours, or would lose all.
    """
    sizes = np.bincount(codes)
    if isinstance(strategy, NearMiss):
        wanted = {int(number): int(most[number]) for number in np.flatnonzero(sizes > most)}
    else:
        wanted = {int(number): 0 for number in np.flatnonzero(sizes > sizes.min())}
    kept = np.zeros(len(codes), dtype=bool)
    if not wanted:
        return ~kept
    _check_cleanable(names, sizes, strategy)
    sampler = _sampler(strategy, wanted)
    # One thread: which of two equal neighbours comes first would depend on how threads share the rows.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="openmp"):
        warnings.simplefilter("ignore", UserWarning)  # NearMiss-3 may find fewer rows than are wanted
        sampler.fit_resample(features().astype(np.float32), codes)
    kept[sampler.sample_indices_] = True
    lost = np.flatnonzero(np.bincount(codes[kept], minlength=len(sizes)) == 0)
    if len(lost):
        raise DataError(
            f"balance.strategy {strategy.name} would drop every row of "
            f"{listing(f'class {names[number]} ({sizes[number]} rows)' for number in lost)}, whose pictures "
            "all lie among others: use tomek_links or weights, or look at the labels"
        )
    return kept


def _sampler(strategy: Cleaner, wanted: dict[int, int]) -> Any:
    match strategy:
        case TomekLinks():
            return under_sampling.TomekLinks(sampling_strategy=list(wanted))
        case EditedNearestNeighbours(neighbours=neighbours, drop_if=drop_if):
            return under_sampling.EditedNearestNeighbours(
                sampling_strategy=list(wanted),
                n_neighbors=neighbours,
                kind_sel={"any": "all", "most": "mode"}[drop_if],
            )
        case NearMiss(version=version, neighbours=neighbours):
            return under_sampling.NearMiss(
                sampling_strategy=wanted, version=version, n_neighbors=neighbours, n_neighbors_ver3=neighbours
            )
        case unknown:
            assert_never(unknown)


def _check_cleanable(names: list[str], sizes: npt.NDArray[np.int64], strategy: Cleaner) -> None:
    name = f"balance.strategy {strategy.name}"
    if sizes.sum() > MAX_PICTURES:
        raise ParamsError(
            f"{name} compares every picture with every other, of {MAX_PICTURES:,} at most, and train has "
            f"{sizes.sum():,}: use undersample or weights"
        )
    neighbours = getattr(strategy, "neighbours", 0)
    small = np.flatnonzero(sizes <= neighbours)
    if len(small):
        raise DataError(
            f"{name} looks at {neighbours} neighbours, and each class needs more rows than that: "
            f"{listing(f'class {names[number]} has {sizes[number]}' for number in small)}. "
            f"{_fewer_neighbours(int(sizes.min()))}add images to these classes, or take a strategy that asks for no "
            "neighbours (oversample, undersample, weights)"
        )
    distances = int(sizes.max() * sizes.min())
    if isinstance(strategy, NearMiss) and strategy.version == 2 and distances > MAX_DISTANCES:
        raise ParamsError(
            f"{name} version 2 holds {distances:,} distances between its largest and its smallest class, "
            f"{MAX_DISTANCES:,} at most: use version 1 or 3"
        )


def _fewer_neighbours(smallest: int) -> str:
    """What to do about the number of neighbours, if any number is small enough: at least one is looked at."""
    return (
        f"Set balance.strategy.neighbours to {smallest - 1} or less, " if smallest > 1 else "Any number is too many: "
    )


def picture_features(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The picture as 8 x 8 mean colours, shape (192,): what the cleaners compare.

    Left in [0, 255], one unit for all: scaled by their spread, corners that never change would count
    as much as the object. Whole numbers have exact distances on every machine.
    """
    means = cv2.resize(pixels, (FEATURE_SIDE, FEATURE_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.uint8).reshape(-1)
