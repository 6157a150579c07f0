"""Error analysis: how much fixing the misclassified images of each tag could gain at most.

Error analysis as in Machine Learning Yearning, ch. 14-16: the share of errors of a kind is a ceiling on what
work on that kind can gain. An image may have several tags, so that gains do not add up.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.diagnosis.spreadsheet_values import FALSE, TRUE, same_name
from pipeline.errors import DataError, listing
from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import MIN_GROUPS, metric_interval
from pipeline.metrics.mean_intervals import difference_interval, mean_interval
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.number_measures import numbers_of
from pipeline.metrics.predictions import (
    Predictions,
    checked_predictions,
    classes_of,
    predictions_of_numbers,
    predictions_of_sets,
)
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.stages.evaluate.params import EvaluateParams

NUMBER, ID, LABEL, PREDICTED, CONFIDENCE = OWN = ("number", "id", "label", "predicted", "confidence")
# How far a prediction of a number is off, where images have numbers.
SIZE = "error"
# A column of tags with commas between them; and one that is not read.
TAGS, NOTES = "tags", "notes"
# For nothing, where people leave no cell empty.
NONE = frozenset("-\u2013\u2014")
# What people and programs put into a column that is a tag itself; spreadsheets translate their truth values.
YES = TRUE | {"x", "1", "yes", "y", "✓", "✔"}
NO = FALSE | {"", "0", "no", "n", *NONE}


@dataclass(frozen=True)
class TagGain:
    """The largest possible gain from fixing all errors with a tag.

    share: of all errors. gain: of the optimizing metric, more is better, with the ends of its 95 % interval
    (paired: of the same images before and after); None where fewer than 15 groups tell. accuracy: the same of accuracy.
    """

    tag: str
    images: int
    share: float
    gain: float
    low: float | None
    high: float | None
    accuracy: float


def errors_of(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """The misclassified rows of a split, the most confident predictions first; of numbers all, the largest first.

    Raises:
        DataError: the split has no predictions.
    """
    part = predictions[predictions["split"] == split]
    if part.empty:
        raise DataError(f"no predictions of {split}: run `dvc repro evaluate`")
    if isinstance(classes := classes_of(predictions), Quantity):
        sizes = np.abs(numbers_of(checked_predictions(part, classes)).errors)
        ordered = part.assign(**{SIZE: sizes}).sort_values([SIZE, "id"], ascending=[False, True], ignore_index=True)
        largest: pd.DataFrame = ordered
        return largest
    wrong = part[part["label"].astype(str).to_numpy() != part["predicted"].astype(str).to_numpy()]
    most_confident: pd.DataFrame = wrong.sort_values(["confidence", "id"], ascending=[False, True], ignore_index=True)
    return most_confident


def tag_table(errors: pd.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of texts: a row an error, with empty cells for tags.

    Args:
        names: columns that are a tag each; without any there is one for tags with commas between them.
    """
    return {
        NUMBER: [str(number) for number in range(1, len(errors) + 1)],
        ID: errors["id"].astype(str).tolist(),
        LABEL: errors["label"].astype(str).tolist(),
        PREDICTED: errors["predicted"].astype(str).tolist(),
        CONFIDENCE: [""] * len(errors) if SIZE in errors else [f"{value:.4f}" for value in errors["confidence"]],
        **{name: [""] * len(errors) for name in names or [TAGS]},
    }


def read_tags(
    columns: Mapping[str, Sequence[str]], rows: Sequence[int], errors: pd.DataFrame, name: str
) -> dict[str, frozenset[str]]:
    """The tags of each image that has some, by its id.

    Args:
        columns: texts by lower-case names, as people filled them in; in any order, some left out.
        rows: the number of each row, for messages.
        errors: of the present model; label and predicted must still be theirs.

    Raises:
        DataError: every cell whose meaning is not certain.
    """
    kinds = [column for column in columns if column not in {*OWN, TAGS, NOTES}]
    problems: list[str] = []
    if TAGS not in columns and not kinds:
        problems.append(f"there is no column {TAGS!r} and no other column with tags")
    labels, called = errors[LABEL].astype(str), errors[PREDICTED].astype(str)
    known = {
        str(image): {LABEL: label, PREDICTED: name}
        for image, label, name in zip(errors[ID], labels, called, strict=True)
    }
    problems += _unknown(columns[ID], rows, known)
    for column in (LABEL, PREDICTED):
        if column in columns:
            wrong = [
                f"row {row} ({cell!r}, not {known[image][column]!r})"
                for row, image, cell in zip(rows, columns[ID], columns[column], strict=True)
                if image in known and not same_name(cell, known[image][column])
            ]
            problems += [f"{column} does not fit this model and image: {listing(wrong)}"] if wrong else []
    for kind in kinds:
        odd = [
            f"row {row} ({cell!r})"
            for row, cell in zip(rows, columns[kind], strict=True)
            if cell.strip().casefold() not in YES | NO
        ]
        if odd:
            problems.append(
                f"the column {kind!r} is a tag, so its cells must be empty or x: {listing(odd)}; write words in "
                f"{TAGS!r}, or in {NOTES!r}, which is not read"
            )
    if problems:
        raise DataError(
            f"{name} cannot be counted:\n  " + "\n  ".join(problems) + "\nFix the rows, or write the table again "
            "with `pipeline errors --csv OTHER.csv`"
        )
    tags: dict[str, frozenset[str]] = {}
    for place, image in enumerate(columns[ID]):
        of_cell = _parts(columns[TAGS][place]) if TAGS in columns else []
        of_columns = [kind for kind in kinds if columns[kind][place].strip().casefold() in YES]
        found = frozenset([*map(_plain, of_cell), *map(_plain, of_columns)])
        if found:
            tags[image] = found
    return tags


def rank_tags(
    predictions: pd.DataFrame, split: str, tags: Mapping[str, frozenset[str]], params: EvaluateParams
) -> list[TagGain]:
    """One row per tag, the one with the largest possible gain first."""
    part = predictions[predictions["split"] == split]
    classes = classes_of(predictions)
    seen = checked_predictions(part, classes)
    metric = metric_of(params.optimizing, classes)
    sign, before = 1 if metric.maximise else -1, metric.value(seen)
    errors = int((seen.labels != seen.predicted).sum())
    found = []
    for tag in sorted(set().union(*tags.values())):
        tagged = part["id"].map(lambda image, tag=tag: tag in tags.get(image, ())).to_numpy(bool)
        after = fixed(seen, tagged)
        low, high = _ends(metric, seen, after, part["group"]) or (None, None)
        images, gain = int(tagged.sum()), sign * (metric.value(after) - before)
        found.append(TagGain(tag, images, images / errors, gain, low, high, images / len(part)))
    return sorted(found, key=lambda one: (-one.gain if not math.isnan(one.gain) else 0, -one.images, one.tag))


def _ends(
    metric: Metric, before: Predictions, after: Predictions, groups: "pd.Series[str]"
) -> tuple[float, float] | None:
    """The interval of what a metric gains; None where fewer than 15 groups tell about it.

    Of a mean over images the gain is one as well. Of others it is the difference of two dependent values.
    """
    codes = pd.factorize(groups, sort=True)[0]
    counted = metric.counted(before)
    if len(np.unique(codes[counted])) < MIN_GROUPS:
        return None
    if metric.interval == "mean":
        gains = (metric.losses(before) - metric.losses(after))[counted]
        return mean_interval(np.maximum(gains, 0.0), codes[counted], metric.largest_loss(before), ALPHA)
    sign = 1 if metric.maximise else -1
    values = [sign * metric.value(seen) for seen in (after, before)]
    found = [metric_interval(metric, seen, groups) or (-np.inf, np.inf) for seen in (after, before)]
    ends = [(min(sign * low, sign * high), max(sign * low, sign * high)) for low, high in found]
    sums = [np.bincount(codes, weights=image_influence(metric, seen)) for seen in (after, before)]
    alike = min(float(one.std()) for one in sums) > 0
    correlation = float(np.corrcoef(sums[0], sums[1])[0, 1]) if alike else 0.0
    low, high = difference_interval(values[0], ends[0], values[1], ends[1], correlation)
    return max(low, 0.0), high


def fixed(seen: Predictions, those: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Predictions:
    """The same predictions with some images predicted correctly, with certainty."""
    if seen.numbers is not None:
        numbers = np.where(those, seen.numbers.truth, seen.numbers.predicted)
        return predictions_of_numbers(Quantity(seen.classes), seen.numbers.truth, numbers)
    if seen.sets is not None:
        chosen = np.where(those[:, None], seen.sets.truth, seen.sets.chosen)
        sure = None if seen.probabilities is None else np.where(those[:, None], seen.sets.truth, seen.probabilities)
        return predictions_of_sets(LabelNames(seen.classes), seen.sets.truth, chosen, sure)
    predicted = np.where(those, seen.labels, seen.predicted)
    probabilities = None
    if seen.probabilities is not None:
        probabilities = np.where(those[:, None], np.eye(len(seen.classes))[seen.labels], seen.probabilities)
    return Predictions(seen.classes, seen.labels, predicted, probabilities)


def _unknown(ids: Sequence[str], rows: Sequence[int], known: Mapping[str, object]) -> list[str]:
    first: dict[str, int] = {}
    unknown, twice = [], []
    for row, image in zip(rows, ids, strict=True):
        if image not in known:
            unknown.append(f"row {row} ({image!r})")
        elif image in first:
            twice.append(f"row {row} (as row {first[image]})")
        first.setdefault(image, row)
    return [
        *([f"{len(unknown)} ids are not errors of the current model: {listing(unknown)}"] if unknown else []),
        *([f"{len(twice)} images are listed twice: {listing(twice)}"] if twice else []),
    ]


def _parts(cell: str) -> list[str]:
    return [part for part in re.split(r"[,;|\n]", cell) if part.strip() and part.strip() not in NONE]


def _plain(tag: str) -> str:
    """One spelling of a tag: capitals and spaces say nothing."""
    return " ".join(unicodedata.normalize("NFKC", tag).casefold().split())
