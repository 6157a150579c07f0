"""Values of a column of people's tables in place of the sources' labels; and images whose label is to be a number."""

import difflib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.errors import DataError, ParamsError, listing
from pipeline.manifest import EXTRA_COLUMNS, NO_LABEL, RAW
from pipeline.problem.quantities import number_of

NOT_A_NUMBER = "not_a_number"
NO_VALUE = "no value"
# A column in which more values than this are no numbers is probably another one than was meant.
MAX_NO_NUMBERS = 0.1


@dataclass(frozen=True)
class WithNumbers:
    """The images that have a number or, in production, none yet; those that go; and of each of these, why."""

    images: pd.DataFrame
    without: pd.DataFrame
    details: "pd.Series[Any]"


def with_values(images: pd.DataFrame, column: str | None, each: bool = True) -> pd.DataFrame:
    """The images, labelled by the column; as they are without one. Production images without a value have no label.

    Args:
        each: whether each raw image must have a value.

    Raises:
        ParamsError: no source has the column.
        DataError: raw images have no value.
    """
    if column is None:
        return images
    name = f"{EXTRA_COLUMNS}{column}"
    if name not in images.columns:
        known = [each.removeprefix(EXTRA_COLUMNS) for each in images.columns if each.startswith(EXTRA_COLUMNS)]
        near = difflib.get_close_matches(column, known, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; there are {listing(known, 20) or 'none'}"
        raise ParamsError(f"problem.column names {column!r}, which no table of the sources has{hint}")
    values = images[name].astype(str).str.strip()
    without = (values == NO_LABEL) & (images["role"].astype(str) == RAW)
    if each and without.any():
        raise DataError(
            f"{int(without.sum())} raw images have no value in the column {column}: "
            f"{listing(images.loc[without, 'id'])}. Fill it in, or leave these images out with the source's exclude"
        )
    return images.assign(label=values)


def with_numbers(images: pd.DataFrame, measures: bool) -> WithNumbers:
    """Leave out the images whose label is no finite number, and raw ones without any, if the model `measures` numbers.

    Raises:
        DataError: these are more than a tenth of all that have a label or should have one.
    """
    labels = images["label"].astype(str)
    if not measures:
        return WithNumbers(images, images[:0], labels[:0])
    known = {label: number_of(label) is not None for label in labels.unique().tolist()}
    unlabelled = labels == NO_LABEL
    missing = unlabelled & (images["role"].astype(str) == RAW)
    goes = missing | ~(labels.map(known).astype(bool) | unlabelled)
    asked = int((~unlabelled | missing).sum())
    if goes.sum() > MAX_NO_NUMBERS * asked:
        texts = [f"{label} ({count})" for label, count in labels[goes & ~missing].value_counts().items()]
        raise DataError(
            f"problem regression needs a number of each image, and {int(goes.sum()):,} of {asked:,} labels are none: "
            f"{listing([*([f'{NO_VALUE} ({int(missing.sum())})'] if missing.any() else []), *texts])}. Up to "
            f"{MAX_NO_NUMBERS:.0%} are left out. Write numbers with a decimal point, name another problem.column, or "
            "give labels their numbers in problem.values"
        )
    details = labels.where(labels != NO_LABEL, NO_VALUE)
    return WithNumbers(images[~goes] if goes.any() else images, images[goes], details[goes])
