"""What may be wrong with an image: one manifest column per issue, from a fact that ingest measured.

The list is CleanVision's, with `blank` beside it. Each issue compares one value with a level of params. What becomes of
the marks is the stage curate's; they remove nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from pipeline.registry import Registry
from pipeline.section import Share

Values = npt.NDArray[np.float64]
# Of brightness or colour; 256 marks what no picture has.
Level = Annotated[int, Field(ge=0, le=256)]


@dataclass(frozen=True)
class Issue:
    """A value of each image, and on which side of its level it is an issue.

    name: of the column, and of the level in params. level: the type of that param.
    words: what the value is, for people.
    """

    name: str
    level: Any
    value: Callable[[pd.DataFrame], Values]
    above: bool
    words: str

    def found(self, values: Values, level: float) -> npt.NDArray[np.bool_]:
        return values > level if self.above else values < level


def _blur(images: pd.DataFrame) -> Values:
    return _column(images, "blur")


def _brightest(images: pd.DataFrame) -> Values:
    return _column(images, "luma_99")


def _darkest(images: pd.DataFrame) -> Values:
    return _column(images, "luma_5")


def _information(images: pd.DataFrame) -> Values:
    return _column(images, "information")


def _colour(images: pd.DataFrame) -> Values:
    return _column(images, "colour_99")


def _column(images: pd.DataFrame, name: str) -> Values:
    return images[name].to_numpy(np.float64)


def _span(images: pd.DataFrame) -> Values:
    return _column(images, "luma_99") - _column(images, "luma_1")


def _aspect(images: pd.DataFrame) -> Values:
    sides = images[["width", "height"]].to_numpy(np.float64)
    return np.asarray(sides.min(axis=1) / sides.max(axis=1), np.float64)


def _size(images: pd.DataFrame) -> Values:
    """How many times larger or smaller than the median of its source, by the root of width x height."""
    side = (images["width"].astype(np.float64) * images["height"]).pow(0.5)
    usual = side.groupby(images["source"], observed=True).transform("median")
    return np.asarray(np.maximum(side / usual, usual / side), np.float64)


ISSUES: Registry[Issue] = Registry(
    (
        Issue("blurry", Share, _blur, True, "blur"),
        Issue("dark", Level, _brightest, False, "brightest level"),
        Issue("light", Level, _darkest, True, "darkest level"),
        Issue("blank", Level, _span, False, "levels of luma"),
        Issue("low_information", Annotated[float, Field(ge=0, le=8)], _information, False, "bits per pixel"),
        Issue("odd_aspect_ratio", Share, _aspect, False, "shorter over longer side"),
        Issue("odd_size", Annotated[float, Field(ge=1)], _size, True, "times off the usual size"),
        Issue("grayscale", Level, _colour, False, "spread of channels"),
    )
)
