"""Rows -> train, train_dev, dev and test, after Andrew Ng's scheme (Machine Learning Yearning, ch. 5-7, 39-41).

dev and test are production only; train gets all raw images and the rest of production; train_dev
is cut from the same mixture as train. A group goes where the keyed hash of its name says, so that
an image keeps its split when others are added or removed; each label then follows the shares as
closely as chance lets independent draws.
"""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.manifest import DEV, PRODUCTION, RAW, SPLITS, TEST, TRAIN, TRAIN_DEV
from pipeline.core.randomness import keyed_uniform
from pipeline.errors import DataError, listing
from pipeline.params import SplitParams

EXCLUDED_COLUMNS = ["id", "source", "label", "path", "reason"]
# A raw image that also is in production's dev or test: training on it would leak.
LEAKS = "raw_image_of_a_measured_group"
# A production image that split.production_in_train keeps out of train.
HELD_BACK = "held_back"


def assign_splits(manifest: pd.DataFrame, params: SplitParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows with a `split` column, and those that are in no split, with the reason.

    Raises:
        DataError: a split, or a label in dev or test, would have too few images; all are named.
    """
    _check_labels(manifest)
    codes, groups = pd.factorize(manifest["group"])
    role = manifest["role"].astype(str).to_numpy()
    production = role == PRODUCTION
    split = _split_of_groups(groups, _any_per_group(codes, production, len(groups)), params)[codes]
    split = np.where(np.isin(split, [DEV, TEST]) & ~production, LEAKS, split)
    split = np.where(
        np.isin(split, [TRAIN, TRAIN_DEV]) & production & _held_back(groups, params)[codes], HELD_BACK, split
    )
    inside = np.isin(split, SPLITS)
    assigned = manifest[inside].assign(split=split[inside])
    _check_sizes(manifest, assigned, params)
    excluded = manifest[~inside].assign(reason=split[~inside])[EXCLUDED_COLUMNS]
    return assigned.reset_index(drop=True), excluded.reset_index(drop=True)


def _split_of_groups(groups: Any, has_production: np.ndarray[Any, Any], params: SplitParams) -> np.ndarray[Any, Any]:
    """The split of each group, by thresholds on hashes.

    dev grows from 0 upwards and test from 1 downwards, so that a changed share moves images between
    train and one of them and never between dev and test.
    """
    place = keyed_uniform(params.seed, "production", groups)
    mixture = np.where(keyed_uniform(params.seed, "train_dev", groups) < params.train_dev, TRAIN_DEV, TRAIN)
    measured = np.where(
        place < params.production.dev, DEV, np.where(place >= 1 - params.production.test, TEST, mixture)
    )
    return np.where(has_production, measured, mixture)


def _held_back(groups: Any, params: SplitParams) -> np.ndarray[Any, Any]:
    return keyed_uniform(params.seed, "production_in_train", groups) >= params.production_in_train


def _any_per_group(codes: np.ndarray[Any, Any], flags: np.ndarray[Any, Any], groups: int) -> np.ndarray[Any, Any]:
    return np.bincount(codes[flags], minlength=groups) > 0


def _check_labels(manifest: pd.DataFrame) -> None:
    labels = sorted(manifest["label"].astype(str).unique())
    if len(labels) < 2:
        raise DataError(
            f"a classifier needs two classes, the images have {len(labels)} ({listing(labels)}): "
            "class folders stand directly under a source's path"
        )
    measured = set(manifest.loc[manifest["role"].astype(str) == PRODUCTION, "label"].astype(str))
    unmeasured = [label for label in labels if label not in measured]
    if unmeasured:
        raise DataError(
            f"without production images, so that dev and test cannot measure them: {listing(unmeasured)}. "
            "Add production images of these classes, or take their raw folders out"
        )


def _check_sizes(manifest: pd.DataFrame, assigned: pd.DataFrame, params: SplitParams) -> None:
    labels = pd.Index(sorted(manifest["label"].astype(str).unique()))
    counts = pd.crosstab(assigned["label"].astype(str), assigned["split"]).reindex(
        index=labels, columns=SPLITS, fill_value=0
    )
    production = manifest.loc[manifest["role"].astype(str) == PRODUCTION, "label"].astype(str).value_counts()
    shares = {DEV: params.production.dev, TEST: params.production.test}
    problems = [
        f"class {label} has {counts.loc[label, split]} production images in {split}, split.min_per_class is "
        f"{params.min_per_class} (of {production[label]} in all; "
        f"about {_enough(params.min_per_class, share)} give enough)"
        for split, share in shares.items()
        for label in labels[counts[split] < params.min_per_class]
    ]
    problems += [f"class {label} has no image in train" for label in labels[counts[TRAIN] == 0]]
    if not counts[TRAIN_DEV].sum():
        problems.append(f"train_dev is empty: split.train_dev is {params.train_dev} of {counts[TRAIN].sum()} images")
    if problems:
        raise DataError("the splits are too small:\n  " + "\n  ".join(problems))


def _enough(needed: int, share: float) -> int:
    """Fewest images of which a share holds `needed` even two standard deviations below its mean (binomial).

    The root of n share - 2 sqrt(n share (1 - share)) = needed.
    """
    deviation = np.sqrt(share * (1 - share))
    return int(np.ceil(((deviation + np.sqrt(deviation**2 + share * needed)) / share) ** 2))


def split_counts(assigned: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images per split and role."""
    counts = pd.crosstab(assigned["split"], assigned["role"].astype(str)).reindex(
        index=SPLITS, columns=[RAW, PRODUCTION], fill_value=0
    )
    return {split: {role: int(counts[role][split]) for role in (RAW, PRODUCTION)} for split in SPLITS}
