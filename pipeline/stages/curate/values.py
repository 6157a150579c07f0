"""Labels from a column of the user's tables, in place of the sources' labels."""

import difflib

import pandas as pd

from pipeline.errors import DataError, ParamsError, listing
from pipeline.manifest import EXTRA_COLUMNS, NO_LABEL, RAW


def with_values(images: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """The images, labelled by the column; as they are without one. Production images without a value have no label.

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
    if without.any():
        raise DataError(
            f"{int(without.sum())} raw images have no value in the column {column}: "
            f"{listing(images.loc[without, 'id'])}. Fill it in, or leave these images out with the source's exclude"
        )
    return images.assign(label=values)
