"""Rows of a manifest that stay on the disk: some columns, some rows, or one record batch after another are read.

What holds whole manifests in memory, or maps them into it, needs hundreds of bytes a row; a stage that only decides on
rows needs a few columns as numbers, and passes the others on, a part at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store.arrow import opened_in_batches

Places = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class RowParts:
    """The rows of a manifest, batch by batch.

    starts: the first row of each batch, and behind the last one the number of rows, shape (batches + 1,).
    batch: (its number, names of columns) -> these columns of a batch.
    """

    schema: pa.Schema
    starts: npt.NDArray[np.int64]
    batch: Callable[[int, Sequence[str]], pa.RecordBatch]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Of a table in memory."""
        batches = table.unify_dictionaries().to_batches()
        starts = np.cumsum([0, *map(len, batches)])
        return cls(table.schema, starts, lambda number, names: batches[number].select(list(names)))

    @classmethod
    def in_file(cls, path: Path) -> Self:
        """Of a file that this package wrote, its checksum and its content verified.

        Raises:
            MissingInputError: there is no such file.
            DataError: it is damaged, no Arrow file, or without a checksum.
        """
        schema, lengths, batch = opened_in_batches(path)
        return cls(schema, np.cumsum([0, *lengths]), batch)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def parts(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of all rows in order, a batch at a time."""
        for number in range(len(self.starts) - 1):
            yield pa.Table.from_batches([self.batch(number, names)]).select(list(names))

    def select(self, names: Sequence[str]) -> pa.Table:
        """Some columns of all rows."""
        wanted = list(names)
        # Copied, because a column of a batch keeps all that was read with it.
        copies = (part.take(pa.array(np.arange(len(part)))) for part in self.parts(wanted))
        return pa.concat_tables([self._empty(wanted), *copies])

    def take(self, rows: Places, names: Sequence[str]) -> pa.Table:
        """Some columns of some rows, in the order given; batches that have none of the rows are not read."""
        wanted = list(names)
        order = np.argsort(rows, kind="stable")
        ordered = np.asarray(rows)[order]
        cuts = np.searchsorted(ordered, self.starts)
        found = [self._empty(wanted)]
        for number in np.flatnonzero(np.diff(cuts)).tolist():
            inside = ordered[cuts[number] : cuts[number + 1]] - self.starts[number]
            part = pa.Table.from_batches([self.batch(number, wanted)]).select(wanted)
            found.append(part.take(pa.array(inside)))
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        # In one piece each: Arrow takes rows out of many pieces one by one.
        return pa.concat_tables(found).combine_chunks().take(pa.array(back))

    def in_turn(self, rows: Sequence[Places]) -> Iterator[pa.Table]:
        """All columns of some rows after others, a table for each; what the last one read is not read again."""
        names = self.schema.names
        batch = lru_cache(maxsize=2)(lambda number: self.batch(number, names))
        for some in rows:
            if not len(some):
                yield self.schema.empty_table()
                continue
            # Batch by batch: few rows of many batches must not hold all of these.
            cuts = np.append(
                np.flatnonzero(np.diff(at := np.searchsorted(self.starts, some, side="right"))) + 1, len(some)
            )
            pieces = []
            for start, stop in zip([0, *cuts[:-1].tolist()], cuts.tolist(), strict=True):
                number = int(at[start]) - 1
                part = pa.Table.from_batches([batch(number)]).select(names)
                pieces.append(part.take(pa.array(some[start:stop] - self.starts[number])))
            yield pa.concat_tables(pieces).combine_chunks()

    def ascending(self, name: str) -> bool:
        """Whether each value of a column of texts is greater than the one before it, so that none stands twice."""
        last: str | None = None
        for part in self.parts([name]):
            values = part[name].combine_chunks()
            if not len(values):
                continue
            first = values[0].as_py()
            rises = pc.all(pc.less(values.slice(0, len(values) - 1), values.slice(1)), skip_nulls=False, min_count=0)
            if rises.as_py() is not True or first is None or (last is not None and first.encode() <= last.encode()):
                return False
            last = values[len(values) - 1].as_py()
        return True

    def empty_cells(self, names: Sequence[str]) -> dict[str, int]:
        """How many cells of each column are empty."""
        counts = dict.fromkeys(names, 0)
        for part in self.parts(names):
            for name in names:
                counts[name] += part[name].null_count
        return counts

    def _empty(self, names: Sequence[str]) -> pa.Table:
        return pa.schema([self.schema.field(name) for name in names]).empty_table()
