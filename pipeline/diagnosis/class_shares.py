"""Classes that a split lacks, and classes of which train has far fewer images than of others."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.findings import IMBALANCE, MISSING, Finding, more_wrong, units
from pipeline.errors import listing
from pipeline.label_sets import LabelNames, all_names
from pipeline.manifest import DEV, TRAIN, TRAIN_DEV
from pipeline.metrics.predictions import classes_of

# A class is small in train if classes have so many times its images on average, and in dev they have not. The mean, as
# of three classes two may be small.
TIMES, TIMES_DEV = 5, 2.5


def missing_classes(predictions: pd.DataFrame) -> list[Finding]:
    """Classes that train or dev has no image of, though another split has: one finding a split."""
    several = isinstance(classes_of(predictions), LabelNames)
    labels = {
        str(split): {*all_names(part["label"].astype(str))} if several else set(part["label"].astype(str))
        for split, part in predictions.groupby("split", observed=True)
    }
    classes = set().union(*labels.values())
    found = []
    for split, follows in (
        (TRAIN, "the model cannot learn it"),
        (DEV, "you cannot measure how well the model recognises it"),
    ):
        lacking = sorted(classes - labels.get(split, set()))
        if lacking:
            of = "with the label" if several else "of"
            words = f"{split} has no image {of} {listing(lacking)}: {follows}"
            found.append(Finding(MISSING, words, {"classes": len(lacking)}, subject=split))
    return found


def small_classes(predictions: pd.DataFrame) -> list[str]:
    """Classes that are small in train by its own measure, and less so in dev."""
    counts = {
        split: predictions.loc[predictions["split"] == split, "label"].astype(str).value_counts()
        for split in (TRAIN, DEV)
    }
    usual, in_dev = (float(counts[split].mean()) if len(counts[split]) else 0.0 for split in (TRAIN, DEV))
    return sorted(
        str(label)
        for label, count in counts[TRAIN].items()
        if TIMES * count <= usual and TIMES_DEV * counts[DEV].get(label, 0) > in_dev
    )


def imbalance(predictions: pd.DataFrame, relevant: float) -> tuple[list[Finding], int]:
    """Whether dev's images of the small classes are called wrongly more often than the others; how many tests."""
    small = small_classes(predictions)
    if not small:
        return [], 0
    dev = predictions[predictions["split"] == DEV].reset_index(drop=True)
    wrong = dev["label"].astype(str) != dev["predicted"].astype(str)
    inside, groups = dev["label"].astype(str).isin(small), dev["group"].astype(str)
    excess = float(wrong[inside].mean() - wrong[~inside].mean())
    gain = excess * float(inside.mean())
    if gain < relevant:
        return [], 1
    p = more_wrong(units(wrong[inside], groups[inside]), units(wrong[~inside], groups[~inside]))
    counts = predictions.loc[predictions["split"] == TRAIN, "label"].astype(str).value_counts()
    words = (
        f"train has few images of {listing([f'{label} ({counts[label]:,})' for label in small])}: classes have "
        f"{counts.mean():,.0f} on average. On dev, {wrong[inside].mean():.1%} of the images of these classes are "
        f"misclassified, and {wrong[~inside].mean():.1%} of the others"
    )
    return [Finding(IMBALANCE, words, {"classes": len(small), "excess": excess}, p, gain=gain)], 1


def error_without(predictions: pd.DataFrame, split: str, labels: list[str]) -> float:
    """The share of a split's images that are called wrongly, images of some classes left out."""
    part = predictions[(predictions["split"] == split) & ~predictions["label"].astype(str).isin(labels)]
    wrong: npt.NDArray[np.bool_] = (part["label"].astype(str) != part["predicted"].astype(str)).to_numpy()
    return float(wrong.mean()) if len(wrong) else float("nan")


def explains_mismatch(predictions: pd.DataFrame, relevant: float) -> bool:
    """Whether dev errs no more than train_dev where the small classes are left out of both."""
    small = small_classes(predictions)
    return error_without(predictions, DEV, small) - error_without(predictions, TRAIN_DEV, small) < relevant
