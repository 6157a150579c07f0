"""Classes that a split lacks, and classes of which train has far fewer images than of others."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.findings import IMBALANCE, LEVEL, MISSING, SMALL_CLASS, Finding, more_wrong, units
from pipeline.diagnosis.small_class_trial import Trial
from pipeline.errors import listing
from pipeline.manifest import DEV, TRAIN, TRAIN_DEV
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.predictions import classes_of
from pipeline.problem.label_sets import LabelNames, all_names

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


def small_in_train(predictions: pd.DataFrame) -> list[str]:
    """Classes that are small in train by its own measure."""
    counts = _counts(predictions, TRAIN)
    return sorted(label for label, count in counts.items() if TIMES * count <= _usual(counts))


def small_classes(predictions: pd.DataFrame) -> list[str]:
    """Classes that are small in train by its own measure, and less so in dev."""
    in_dev = _counts(predictions, DEV)
    return [label for label in small_in_train(predictions) if TIMES_DEV * in_dev.get(label, 0) > _usual(in_dev)]


def _counts(predictions: pd.DataFrame, split: str) -> dict[str, int]:
    """The images of each class."""
    counts = predictions.loc[predictions["split"].astype(str) == split, "label"].astype(str).value_counts()
    return {str(label): int(count) for label, count in counts.items()}


def _usual(counts: Mapping[str, int]) -> float:
    return sum(counts.values()) / len(counts)


def imbalance(predictions: pd.DataFrame, relevant: float, trial: Trial | None = None) -> tuple[list[Finding], int]:
    """Whether images of small classes are what is missing, and how many tests that took.

    They are if dev's images of these classes are misclassified more often than the others, or if more images of them
    make another model err less on dev, by what is worth work.
    """
    small = small_classes(predictions)
    if not small:
        return [], 0
    dev = predictions[predictions["split"] == DEV].reset_index(drop=True)
    wrong = dev["label"].astype(str) != dev["predicted"].astype(str)
    inside, groups = dev["label"].astype(str).isin(small), dev["group"].astype(str)
    excess = float(wrong[inside].mean() - wrong[~inside].mean())
    said, chances, gains = [], [], []
    if excess * float(inside.mean()) >= relevant:
        chances.append(more_wrong(units(wrong[inside], groups[inside]), units(wrong[~inside], groups[~inside])))
        gains.append(excess * float(inside.mean()))
        said.append(
            f"On dev, {wrong[inside].mean():.1%} of the images of these classes are misclassified, and "
            f"{wrong[~inside].mean():.1%} of the others"
        )
    if trial is not None and trial.gain >= relevant:
        chances.append(trial.p)
        gains.append(trial.gain)
        said.append(
            f"A linear model on embeddings misclassifies {trial.error:.1%} of dev with {trial.added:,} more images of "
            f"these classes, and {trial.error_of_others:.1%} with as many more of the others"
        )
    tests = 1 if trial is None else 2
    # What alone would not hold among so many tests is not said.
    told = [place for place, p in enumerate(chances) if p <= LEVEL / tests]
    if not told:
        return [], tests
    counts = _counts(predictions, TRAIN)
    named = listing([f"{label} ({counts[label]:,})" for label in small])
    words = f"train has few images of {named}: classes have {_usual(counts):,.0f} on average"
    figures: dict[str, float | int | str] = {"classes": len(small), "excess": excess}
    if trial is not None:
        figures |= {"error_with_more": trial.error, "error_with_others": trial.error_of_others, "added": trial.added}
    words = ". ".join([words, *(said[place] for place in told)])
    p, gain = min(chances[place] for place in told), max(gains[place] for place in told)
    return [Finding(IMBALANCE, words, figures, p, gain=gain)], tests


def seldom_predicted(predictions: pd.DataFrame) -> bool | None:
    """Whether the model predicts the small classes more seldom on dev than dev has them; None without small classes.

    Only then does it help to count their images more often: a model that predicts them too often lacks other images.
    """
    small = small_classes(predictions)
    dev = predictions[predictions["split"].astype(str) == DEV]
    of_dev, of_model = (int(dev[column].astype(str).isin(small).sum()) for column in ("label", "predicted"))
    return of_model < of_dev if small else None


def untellable(predictions: pd.DataFrame) -> list[Finding]:
    """Classes that are small in train, and of which dev has too few images to tell what that does."""
    in_train, in_dev = _counts(predictions, TRAIN), _counts(predictions, DEV)
    dev = predictions[predictions["split"].astype(str) == DEV]
    groups = dev.groupby(dev["label"].astype(str))["group"].nunique()
    few = [label for label in small_in_train(predictions) if 0 < groups.get(label, 0) < MIN_GROUPS]
    if not few:
        return []
    named = listing([f"{label} ({in_train[label]:,}, and {in_dev[label]:,} in dev)" for label in few])
    words = (
        f"train has few images of {named}, where classes have {_usual(in_train):,.0f} on average: dev has too few of "
        "them to tell how well the model recognises them"
    )
    return [Finding(SMALL_CLASS, words, {"classes": len(few)}, subject=few[0])]


def error_without(predictions: pd.DataFrame, split: str, labels: list[str]) -> float:
    """The share of a split's images that are called wrongly, images of some classes left out."""
    part = predictions[(predictions["split"] == split) & ~predictions["label"].astype(str).isin(labels)]
    wrong: npt.NDArray[np.bool_] = (part["label"].astype(str) != part["predicted"].astype(str)).to_numpy()
    return float(wrong.mean()) if len(wrong) else float("nan")


def explains_mismatch(predictions: pd.DataFrame, relevant: float) -> bool:
    """Whether dev errs no more than train_dev where the small classes are left out of both."""
    small = small_classes(predictions)
    return error_without(predictions, DEV, small) - error_without(predictions, TRAIN_DEV, small) < relevant
