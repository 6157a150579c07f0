"""Failing slices: classes and slices of dev that are misclassified more often than all other images, beyond chance."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.diagnosis.clusters import CLUSTER, common_facts
from pipeline.diagnosis.error_levels import ALPHA
from pipeline.diagnosis.findings import CLASS, HARD_SLICE, HIDDEN, SLICE, Finding, more_wrong, units
from pipeline.diagnosis.units import SHARES, Unit
from pipeline.manifest import DEV, EXTRA_COLUMNS
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.mean_intervals import mean_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.predictions import classes_of
from pipeline.metrics.slices import SOURCE, kinds
from pipeline.problem.label_sets import LabelNames, all_names, names_in
from pipeline.stages.evaluate.params import EvaluateParams

# Facts of a picture that are sliced by quarters of all images.
FACTS = ("brightness", "contrast", "sharpness", "saturation")
SIZE = "shorter_side"
# The part of the range in which an image's number lies.
RANGE = "range"
# Slices that nobody asked for.
UNASKED = frozenset((*FACTS, SIZE, RANGE, CLUSTER))
# A class hides in a metric that looks so many times better.
TIMES = 3
# Of classes, and of slices, no more are told: if all fail, it is the model.
MAX_SHOWN = 5
# A column of users with more values names images, not kinds of images.
MAX_KINDS = 20


def failing(
    predictions: pd.DataFrame, manifest: pd.DataFrame, params: EvaluateParams, relevant: float
) -> tuple[list[Finding], int]:
    """Classes and slices of dev whose error is above that of the rest by what is worth work, and how many were tested.

    Some images are harder for any model. So a slice that nobody asked for (quarters of facts, clusters) is HARD_SLICE,
    no more than a note, unless dev's error would fall by what is worth work if the model were as good on it as on the
    rest.

    Args:
        predictions: of the rows of the manifest, by id.
    """
    rows = with_kinds(predictions, manifest, params)
    wrong = rows["label"].astype(str) != rows["predicted"].astype(str)
    groups = rows["group"].astype(str)
    found: list[Finding] = []
    tests = 0
    several = isinstance(classes_of(predictions), LabelNames)
    for name, column, value, inside in _parts(rows, several):
        tests += 1
        rest = ~inside
        excess = float(wrong[inside].mean() - wrong[rest].mean())
        if excess < relevant:
            continue
        part, others = units(wrong[inside], groups[inside]), units(wrong[rest], groups[rest])
        ends = _ends(wrong[inside], groups[inside])
        what = f"the class {value}" if name == CLASS and not several else slice_name(rows, column, value, inside)
        subject = value if name == CLASS else f"{column}={value}"
        each = _finding(name, subject, what, wrong, inside, ends, more_wrong(part, others))
        found.append(each if name == CLASS else note_unless_worth_work(each, column, params, relevant))
    return found, tests


def hidden(found: Sequence[Finding], error: float, params: EvaluateParams, relevant: float) -> list[Finding]:
    """The failing class that the optimizing metric hardly shows and no limit guards, if there is one.

    Args:
        error: of all of dev.
    """
    limited = [limit.metric for limit in params.satisficing.values() if limit.metric.name in METRICS]
    guards = {METRICS.of(metric).guards for metric in limited}
    if not METRICS.of(params.optimizing).counts_images_alike or "all" in guards:
        return []
    guarded = {getattr(metric, "label", None) for metric in limited if METRICS.of(metric).guards == "label"}
    return [
        Finding(
            HIDDEN,
            (
                f"{params.optimizing.name} hardly shows the class {each.subject}: if the model were as good on it "
                f"as on the others, dev's error would fall by only {SHARES.size(each.gain)}"
            ),
            each.figures,
            each.p,
            subject=each.subject,
        )
        for each in found
        if each.name == CLASS
        and each.gain < relevant
        and float(each.figures["error"]) > TIMES * error
        and each.subject not in guarded
    ][:1]


def with_kinds(predictions: pd.DataFrame, manifest: pd.DataFrame, params: EvaluateParams) -> pd.DataFrame:
    """Dev's rows, with a column of kinds for each that is sliced by: quarters for numbers, values as they are."""
    columns = [name for name in map(str, manifest) if name.startswith(EXTRA_COLUMNS)]
    extra_columns = [name for name in columns if manifest[name].nunique() <= MAX_KINDS]
    wanted = dict.fromkeys([SOURCE, *params.slices, *extra_columns, *FACTS, CLUSTER])
    facts = manifest.assign(**{SIZE: manifest[["width", "height"]].min(axis=1)})
    names = [name for name in (*wanted, SIZE) if name in facts]
    table = facts[["id", "role"]].assign(**{f"by {name}": kinds(facts[name]) for name in names})
    rows = predictions[predictions["split"] == DEV].merge(table, on="id", how="left", validate="one_to_one")
    return rows.reset_index(drop=True)


def _parts(rows: pd.DataFrame, several: bool) -> Iterator[tuple[str, str, str, "pd.Series[bool]"]]:
    if several:
        texts = rows["label"].astype(str)
        for label in all_names(texts):
            inside = texts.map(lambda text, label=label: label in names_in(text)).astype(bool)
            if 0 < inside.sum() < len(rows):
                yield CLASS, "label", label, inside
    yield from (() if several else ((CLASS, *part) for part in _values_of(rows, "label")))
    yield from ((SLICE, *part) for part in slices_of(rows))


def slices_of(rows: pd.DataFrame) -> Iterator[tuple[str, str, "pd.Series[bool]"]]:
    """Column, value and which rows have it, of each slice of dev that is a part of it.

    Args:
        rows: as of `with_kinds`.
    """
    for column in map(str, rows):
        if column.startswith("by "):
            yield from _values_of(rows, column)


def _values_of(rows: pd.DataFrame, column: str) -> Iterator[tuple[str, str, "pd.Series[bool]"]]:
    values = rows[column].astype(str)
    for value in sorted(set(values) - {"", "nan"}):
        inside = values == value
        if 0 < inside.sum() < len(rows):
            yield column.removeprefix("by "), value, inside


def _ends(wrong: "pd.Series[bool]", groups: "pd.Series[str]") -> tuple[float, float] | None:
    """The interval of a part's error; None where fewer than 15 groups tell about it."""
    codes = pd.factorize(groups, sort=True)[0]
    if codes.max() + 1 < MIN_GROUPS:
        return None
    return mean_interval(wrong.to_numpy().astype(np.float64), codes, 1.0, ALPHA)


def slice_name(rows: pd.DataFrame, column: str, value: str, inside: "pd.Series[bool]") -> str:
    """The images of a slice in words.

    Args:
        rows: as of `with_kinds`. inside: which of them have the value.
    """
    if column == CLUSTER:
        return f"images of dev that look alike ({common_facts(rows, inside) or f'cluster {value}'})"
    return f"images whose number is {value.rpartition(': ')[2]}" if column == RANGE else f"images with {column} {value}"


def note_unless_worth_work(
    found: Finding, column: str, params: EvaluateParams, relevant: float, unit: Unit = SHARES
) -> Finding:
    """A failing slice; as HARD_SLICE if nobody asked for it and dev's error would fall by less than is worth work."""
    if column in params.slices or column not in UNASKED or found.gain >= relevant:
        return found
    gain = f"if the model were as good on them as on the rest, dev's error would fall by only {unit.size(found.gain)}"
    return replace(found, name=HARD_SLICE, words=f"{found.words}; {gain}")


def _finding(
    name: str,
    subject: str,
    what: str,
    wrong: "pd.Series[bool]",
    inside: "pd.Series[bool]",
    ends: tuple[float, float] | None,
    p: float,
) -> Finding:
    error, images = float(wrong[inside].mean()), int(inside.sum())
    excess = error - float(wrong[~inside].mean())
    interval = f"95 % interval {100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else "too few groups for an interval"
    words = (
        f"{what}: {error:.1%} of {images:,} are misclassified ({interval}), "
        f"{100 * excess:.1f} points more than of the rest"
    )
    figures: dict[str, Any] = {"error": error, "images": images, "excess": excess}
    if ends:
        figures |= {"low": ends[0], "high": ends[1]}
    return Finding(name, words, figures, p, gain=excess * float(np.mean(inside)), subject=subject)
