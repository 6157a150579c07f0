"""Dictionary columns of manifests: their values are sorted and all in use, so that bytes depend on rows alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.store.row_parts import RowParts

Codes = npt.NDArray[np.int32]


def category_array(codes: npt.NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    """The name of each code (n,), a position in names; the dictionary is sorted and has those in use alone."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist()
    return _recoded(codes, names, used)


def tidy(table: RowParts, rows: npt.NDArray[np.intp]) -> RowParts:
    """Dictionary columns with their values sorted, and those alone that the rows use."""
    names = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    new = {name: _tidied(table, name, rows) for name in names}

    def batch(number: int, wanted: Sequence[str]) -> pa.RecordBatch:
        found = table.batch(number, wanted)
        for name in names:
            if name in wanted:
                places, values = new[name]
                column = found[name]
                # What no row uses gets a code, too, and is never taken.
                codes = pa.array(places[column.indices.to_numpy()]) if len(values) else pa.nulls(len(found), pa.int32())
                taken = pa.DictionaryArray.from_arrays(codes, values)
                found = found.set_column(found.schema.get_field_index(name), found.schema.field(name), taken)
        return found

    return replace(table, batch=batch)


def _tidied(table: RowParts, name: str, rows: npt.NDArray[np.intp]) -> tuple[Codes, pa.Array]:
    """The new code of each old one of a dictionary column, and the values that the rows use, sorted."""
    values: list[str] = []
    known: Any = None
    used = np.zeros(0, bool)
    chosen = np.zeros(len(table), bool)
    chosen[rows] = True
    for start, part in zip(table.starts, table.parts([name]), strict=False):
        for column in part[name].chunks:
            if known is None or not column.dictionary.equals(known):
                if known is not None:
                    raise DataError(f"the column {name} has another dictionary in each part: make it again")
                known, values = column.dictionary, column.dictionary.to_pylist()
                used = np.zeros(len(values), bool)
            codes = column.indices.to_numpy()[chosen[start : start + len(column)]]
            used |= np.bincount(codes, minlength=len(values)).astype(bool)
    return _codes_of(values, np.flatnonzero(used).tolist())


def _recoded(codes: npt.NDArray[Any], names: Sequence[str], used: Sequence[int]) -> pa.DictionaryArray:
    places, values = _codes_of(names, used)
    return pa.DictionaryArray.from_arrays(places[codes], values)


def _codes_of(names: Sequence[str], used: Sequence[int]) -> tuple[Codes, pa.Array]:
    """For each name its place among those in use, which are sorted; and these."""
    order = sorted(used, key=names.__getitem__)
    places = np.zeros(len(names), dtype=np.int32)
    places[order] = np.arange(len(order))
    return places, pa.array([names[code] for code in order], pa.string())
