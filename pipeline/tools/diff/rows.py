"""Which images came, went, or changed their content, label, split or group between two runs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import catalogue
from pipeline.tools.revisions import Run

# Of an image by its id; an image whose id alone changed was renamed.
COMPARED = ("content", "label", "split", "group")
# In which column of a manifest each of them is.
COLUMNS = {"content": "sha256", "label": "label", "split": "split", "group": "group"}
CAME, WENT, RENAMED = "came", "went", "renamed"
# The split of an image that a run does not have.
NOWHERE = ""

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Changes:
    """What changed.

    counts: images by kind of change; an image may count as several of content, label, split and group.
    moved: images by split before (rows) and after (columns); "" where a run does not have the image; a split with a
        reason in brackets is in none of the four.
    table: a row per changed image, in the order of ids: id, change (kinds, comma-separated), other_id (before it was
        renamed), and label, split and group before and after, "" where a run does not have the image.
    """

    images_before: int
    images_after: int
    counts: dict[str, int]
    moved: pd.DataFrame
    table: pd.DataFrame


def rows_of(run: Run) -> pa.Table:
    """All curated images of a run, as texts: id, and the columns that are compared.

    Raises:
        MissingInputError, DataError: a manifest is not there, or cannot be read.
    """
    parts = [run.read(one) for one in (catalogue.SPLIT_TABLE, catalogue.SPLIT_TEST_TABLE, catalogue.SPLIT_UNUSED_TABLE)]
    names = ["id", *COLUMNS.values()]
    texts = pa.schema([(name, pa.string()) for name in names])
    return pa.concat_tables([part.select(names).cast(texts) for part in parts]).combine_chunks()


def changes(before: pa.Table, after: pa.Table) -> Changes:
    """Compare two runs' tables, as `rows_of` gives them, each with unique ids."""
    place = _places(after["id"], before["id"])
    came, stayed = np.flatnonzero(place < 0), np.flatnonzero(place >= 0)
    went = np.setdiff1d(np.arange(len(before)), place[stayed])
    came, went, renamed = _renamed(before, after, came, went)
    pairs_before = np.concatenate([place[stayed], renamed[:, 0]])
    pairs_after = np.concatenate([stayed, renamed[:, 1]])
    differs = {name: _differs(before, after, name, pairs_before, pairs_after) for name in COMPARED}
    is_renamed = np.arange(len(pairs_after)) >= len(stayed)
    kinds = {CAME: len(came), WENT: len(went), RENAMED: len(renamed)}
    return Changes(
        images_before=len(before),
        images_after=len(after),
        counts={**kinds, **{name: int(mask.sum()) for name, mask in differs.items()}},
        moved=_moved(before, after, (pairs_before, went), (pairs_after, came)),
        table=_table(before, after, {RENAMED: is_renamed, **differs}, (pairs_before, pairs_after), (went, came)),
    )


def _places(wanted: pa.ChunkedArray, known: pa.ChunkedArray) -> Positions:
    """The position of each value among the known ones, -1 for a stranger."""
    found = pc.index_in(wanted, value_set=known.combine_chunks())
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.intp)


def _renamed(
    before: pa.Table, after: pa.Table, came: Positions, went: Positions
) -> tuple[Positions, Positions, Positions]:
    """What came and went without those of the same content; and these, (n, 2): the position before and after."""
    # Of several equal files nobody can tell which became which.
    gone = pd.Series(went, index=before["sha256"].take(pa.array(went)).to_numpy())
    new = pd.Series(came, index=after["sha256"].take(pa.array(came)).to_numpy())
    once = [series[~series.index.duplicated(keep=False)] for series in (gone, new)]
    both = once[0].index.intersection(once[1].index)
    pairs = np.column_stack([once[0].loc[both].to_numpy(np.intp), once[1].loc[both].to_numpy(np.intp)])
    pairs = pairs[np.argsort(pairs[:, 1], kind="stable")]
    return np.setdiff1d(came, pairs[:, 1]), np.setdiff1d(went, pairs[:, 0]), pairs


def _differs(before: pa.Table, after: pa.Table, name: str, one: Positions, other: Positions) -> npt.NDArray[np.bool_]:
    column = COLUMNS[name]
    values = before[column].take(pa.array(one)), after[column].take(pa.array(other))
    return np.asarray(pc.not_equal(*values).to_numpy(), np.bool_)


def _moved(
    before: pa.Table, after: pa.Table, ends: tuple[Positions, Positions], others: tuple[Positions, Positions]
) -> pd.DataFrame:
    pairs_before, went = ends
    pairs_after, came = others
    nowhere_before = [NOWHERE] * len(came)
    nowhere_after = [NOWHERE] * len(went)
    split_before = [*_texts(before, "split", pairs_before), *_texts(before, "split", went), *nowhere_before]
    split_after = [*_texts(after, "split", pairs_after), *nowhere_after, *_texts(after, "split", came)]
    return pd.crosstab(pd.Series(split_before, name="before"), pd.Series(split_after, name="after"))


def _table(
    before: pa.Table,
    after: pa.Table,
    differs: dict[str, npt.NDArray[np.bool_]],
    pairs: tuple[Positions, Positions],
    alone: tuple[Positions, Positions],
) -> pd.DataFrame:
    changed = np.flatnonzero(np.logical_or.reduce(list(differs.values())))
    one, other = pairs[0][changed], pairs[1][changed]
    went, came = alone
    kinds = pd.Series("", index=range(len(changed)))
    for name, mask in differs.items():
        kinds += np.where(mask[changed], f"{name},", "")
    ids, old_ids = _texts(after, "id", other), _texts(before, "id", one)
    parts = [
        pd.DataFrame(
            {
                "id": ids,
                "change": kinds.str.removesuffix(","),
                "other_id": np.where(differs[RENAMED][changed], old_ids, ""),
                **dict(_both(before, after, one, other)),
            }
        ),
        pd.DataFrame({"id": _texts(before, "id", went), "change": WENT, **dict(_both(before, None, went, None))}),
        pd.DataFrame({"id": _texts(after, "id", came), "change": CAME, **dict(_both(None, after, None, came))}),
    ]
    table = pd.concat(parts, ignore_index=True).fillna("")
    return table.sort_values(["id", "change"], ignore_index=True)


def _both(
    before: pa.Table | None, after: pa.Table | None, one: Positions | None, other: Positions | None
) -> Iterator[tuple[str, npt.NDArray[np.object_] | str]]:
    for name in ("label", "split", "group"):
        yield f"{name}_before", "" if before is None or one is None else _texts(before, name, one)
        yield f"{name}_after", "" if after is None or other is None else _texts(after, name, other)


def _texts(table: pa.Table, column: str, rows: Positions) -> npt.NDArray[np.object_]:
    return np.asarray(table[column].take(pa.array(rows)).to_numpy(), object)
