"""What may be wrong with an image, by the facts that ingest measured; marks alone, nothing is removed.

The list is CleanVision's, with `blank` beside it. Each issue compares one value with a level of params.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.manifest import ISSUES
from pipeline.stages.curate.params import IssueParams

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Issue:
    """A value of each image, and on which side of its level it is an issue."""

    value: Callable[[pd.DataFrame], Values]
    above: bool
    words: str
    """What the value is, for people."""

    def found(self, values: Values, level: float) -> npt.NDArray[np.bool_]:
        return values > level if self.above else values < level


def _column(name: str) -> Callable[[pd.DataFrame], Values]:
    return lambda images: images[name].to_numpy(np.float64)


def _span(images: pd.DataFrame) -> Values:
    return _column("luma_99")(images) - _column("luma_1")(images)


def _aspect(images: pd.DataFrame) -> Values:
    sides = images[["width", "height"]].to_numpy(np.float64)
    return np.asarray(sides.min(axis=1) / sides.max(axis=1), np.float64)


def _size(images: pd.DataFrame) -> Values:
    """How many times larger or smaller than the median of its source, by the root of width x height."""
    side = (images["width"].astype(np.float64) * images["height"]).pow(0.5)
    usual = side.groupby(images["source"], observed=True).transform("median")
    return np.asarray(np.maximum(side / usual, usual / side), np.float64)


RULES = {
    "blurry": Issue(_column("blur"), True, "blur"),
    "dark": Issue(_column("luma_99"), False, "brightest level"),
    "light": Issue(_column("luma_5"), True, "darkest level"),
    "blank": Issue(_span, False, "levels of luma"),
    "low_information": Issue(_column("information"), False, "bits a pixel"),
    "odd_aspect_ratio": Issue(_aspect, False, "shorter over longer side"),
    "odd_size": Issue(_size, True, "times off the usual size"),
    "grayscale": Issue(_column("colour_99"), False, "spread of channels"),
}


def with_issues(images: pd.DataFrame, params: IssueParams) -> pd.DataFrame:
    """The images with a column of true and false for each of manifest.ISSUES.

    Args:
        images: with source and the facts of manifest.FACTS. Their sizes are compared within a source.
    """
    found = {name: RULES[name].found(RULES[name].value(images), getattr(params, name)) for name in ISSUES}
    return images.assign(**found)


def issue_counts(images: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many images of each source have each issue; sources sorted."""
    counts = images.groupby(images["source"].astype(str))[[*ISSUES]].sum()
    return {str(source): {name: int(row[name]) for name in ISSUES} for source, row in counts.iterrows()}


def worst(images: pd.DataFrame, name: str, most: int) -> tuple["pd.Series[Any]", pd.DataFrame]:
    """The values and rows of the images that have the issue worst; so many at most, equal ones by id."""
    rule = RULES[name]
    values = pd.Series(rule.value(images), index=images.index)[images[name].to_numpy(bool)]
    order = pd.DataFrame({"value": -values if rule.above else values, "id": images["id"]}).loc[values.index]
    chosen = order.sort_values(["value", "id"]).index[:most]
    return values.loc[chosen], images.loc[chosen]
