"""The networks of a search of architectures: each once, what it costs, and the rows of train that measure it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, ParamsError, listing
from pipeline.manifest import PRODUCTION
from pipeline.models.shared_network import Skeleton, skeleton_of
from pipeline.problem.framing import Framing
from pipeline.randomness import keyed_uniform
from pipeline.tuning.architectures import Architecture

# Of train's groups, held back to measure architectures on; of them so many rows at most.
HELD_BACK, MAX_HELD_BACK = 0.25, 1024
# Fewer tell nothing of an architecture.
MIN_HELD_BACK = 20
# If so many of them are production images, they alone measure, as in dev.
MIN_PRODUCTION = 100
# A training step is a pass forward, and one backward that costs twice as much.
PASSES_OF_STEP = 3


@dataclass(frozen=True)
class Networks:
    """The architectures of a space, each network once.

    numbers: choices -> which of them it is, also of choices that make a network again. left_out: why others are none.
    """

    architectures: Sequence[Architecture]
    skeletons: Sequence[Skeleton] = field(repr=False)
    numbers: Mapping[tuple[int, ...], int] = field(repr=False)
    left_out: Mapping[str, int] = field(default_factory=dict)


def distinct_networks(
    architectures: Sequence[Architecture],
    classes: int,
    size: int,
    framing: Framing,
    max_megabytes: float = math.inf,
) -> Networks:
    """The networks that architectures make, each once, without those that are too large.

    Args:
        max_megabytes: of weights; a file is a little larger.

    Raises:
        ParamsError: none is left.
    """
    kept: list[Architecture] = []
    skeletons: list[Skeleton] = []
    numbers: dict[tuple[int, ...], int] = {}
    by_signature: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for one in architectures:
        try:
            skeleton = skeleton_of(one.model, classes, size, framing)
            if skeleton.megabytes > max_megabytes:
                raise ParamsError(f"its weights are larger than {max_megabytes:g} MB (evaluate.satisficing)")
        except ParamsError as error:
            left_out[str(error)] = left_out.get(str(error), 0) + 1
            continue
        number = by_signature.setdefault(skeleton.signature, len(kept))
        numbers[one.choices] = number
        if number == len(kept):
            kept.append(one)
            skeletons.append(skeleton)
    if not kept:
        raise ParamsError(f"no combination of tune.space is left: {listing(left_out, 3)}")
    return Networks(kept, skeletons, numbers, left_out)


def work_of_fit(skeleton: Skeleton, epochs: int, train_rows: int, dev_rows: int) -> float:
    """What a fit of one architecture by itself costs, in the unit of `Learnt.work`."""
    return skeleton.cost * epochs * (PASSES_OF_STEP * train_rows + dev_rows)


def held_back(rows: pd.DataFrame, seed: int, batch_size: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows of train teach shared weights, and which measure architectures; masks of shape (n,).

    Whole groups are held back. A picture measures once, as it was photographed if train has it so.

    Raises:
        DataError: too few are left.
    """
    rows = rows.reset_index(drop=True)
    groups = rows["group"].astype(str)
    names = groups.drop_duplicates()
    outside = set(names[keyed_uniform(seed, "held back", names) < HELD_BACK])
    apart = groups.isin(outside).to_numpy()
    first = ~rows.sort_values("copy", kind="stable").duplicated("id").sort_index().to_numpy()
    measured = apart & first
    from_production = measured & (rows["role"].astype(str) == PRODUCTION).to_numpy()
    if from_production.sum() >= MIN_PRODUCTION:
        measured = from_production
    if measured.sum() < MIN_HELD_BACK or apart.all():
        raise DataError(
            f"train has {len(names)} groups, too few to hold a quarter of them back: the method architecture measures "
            f"on at least {MIN_HELD_BACK} of their images. Take the method tpe or random"
        )
    ranks = keyed_uniform(seed, "held back images", rows["id"].astype(str))
    ranks[~measured] = math.inf
    kept = np.zeros(len(rows), bool)
    kept[np.argsort(ranks, kind="stable")[: min(int(measured.sum()), MAX_HELD_BACK)]] = True
    taught = ~apart
    if taught.sum() % batch_size == 1:
        taught[np.flatnonzero(taught)[-1]] = False  # norms need two rows in the last batch
    return taught, kept
