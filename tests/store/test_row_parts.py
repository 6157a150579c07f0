"""Rows that stay on the disk are those that a table has, whichever columns, rows and batches are asked for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError
from pipeline.manifest import CURATED, select_columns
from pipeline.store import manifests
from pipeline.store.row_parts import RowParts
from tests.examples import curated

pytestmark = pytest.mark.usefixtures("empty_project")

TIMES = pd.Series([pd.NaT, pd.Timestamp("2026-05-31", tz="UTC"), *[pd.NaT] * 6]).astype("datetime64[us, UTC]")
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2}).assign(captured_at=TIMES)
COLUMNS = ["row", "label", "id"]


@pytest.fixture(params=[1, 3, 8, 100])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest in batches of so many rows."""
    monkeypatch.setattr("pipeline.store.manifests.PART", request.param)
    catalogue.CURATED.write(ROWS, Path(catalogue.CURATED.path))
    return Path(catalogue.CURATED.path)


def plain(table: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_columns_and_rows_are_those_of_the_table(path: Path) -> None:
    whole = catalogue.CURATED_TABLE.read(path)
    for rows in (catalogue.CURATED_ROWS.read(path), RowParts.of(whole)):
        assert len(rows) == len(ROWS)
        assert rows.schema.equals(whole.schema)
        assert plain(rows.select(COLUMNS)) == plain(whole.select(COLUMNS))
        assert plain(pa.concat_tables(rows.parts(COLUMNS))) == plain(whole.select(COLUMNS))
        for some in ([], [5], [7, 0, 3, 3, 1]):
            wanted = whole.select(COLUMNS).take(pa.array(some, pa.int64()))
            assert plain(rows.take(np.array(some, np.int64), COLUMNS)) == plain(wanted)
        assert rows.empty_cells(["id", "captured_at"]) == {"id": 0, "captured_at": 7}


@pytest.mark.parametrize("some", [[*range(8)], [0, 1, 5, 6], [2, 2, 2, 7], [6, 0, 3], []], ids=str)
def test_a_slice_of_a_file_has_the_bytes_of_a_slice_of_a_table(path: Path, some: list[int]) -> None:
    written = []
    for table in (catalogue.CURATED_TABLE.read(path), catalogue.CURATED_ROWS.read(path)):
        taken = manifests.TableSlice(table, np.array(some, np.intp), {})
        catalogue.CURATED_TABLE.write(taken, Path("taken"))
        written.append(Path("taken").read_bytes())
    catalogue.CURATED.write(ROWS.iloc[some], Path("frame"))
    assert written == [Path("frame").read_bytes()] * 2


def test_only_ids_that_rise_from_row_to_row_do_so(path: Path) -> None:
    assert not catalogue.CURATED_ROWS.read(path).ascending("id")
    catalogue.CURATED.write(ROWS.sort_values("id"), path)
    assert catalogue.CURATED_ROWS.read(path).ascending("id")
    wrong: list[list[str | None]] = [["a", "a", "b"], ["b", "a", "c"], ["a", None, "c"], [None, "b", "c"]]
    for ids in wrong:
        for cut in (1, 2, 3):
            table = pa.table({"id": pa.array(ids, pa.string())})
            parts = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
            assert not RowParts.of(parts).ascending("id")
    # By code point, as Arrow compares: not by UTF-16's units.
    assert RowParts.of(pa.table({"id": ["\uffff", "\U0001f600"]})).ascending("id")
    assert RowParts.of(pa.table({"id": pa.array([], pa.string())})).ascending("id")


def test_what_is_checked_need_not_be_read() -> None:
    broken = ROWS.assign(group=ROWS["group"].where(ROWS.index > 0), id=[ROWS["id"][1], *ROWS["id"][1:]])
    table = RowParts.of(manifests.arrow_table(broken, CURATED))
    with pytest.raises(DataError) as caught:
        select_columns(table, CURATED, ["id", "label", "group"], stay=["id", "group"])
    assert str(caught.value) == (
        f"the manifest is not usable: column group is empty in 1 row; 1 rows are duplicates: {ROWS['id'][1]}"
    )
    fine = RowParts.of(manifests.arrow_table(ROWS, CURATED))
    assert select_columns(fine, CURATED, ["id", "label", "group"], stay=["id", "group"]).columns.tolist() == ["label"]


def test_a_file_that_is_replaced_while_it_is_read_stays_the_one_that_was_opened(path: Path) -> None:
    rows = catalogue.CURATED_ROWS.read(path)
    catalogue.CURATED.write(ROWS.head(1).assign(row=77), Path("other"))
    Path("other").replace(path)
    assert rows.select(["row"])["row"].to_pylist() == ROWS["row"].tolist()


def test_a_missing_file_names_the_command() -> None:
    with pytest.raises(MissingInputError, match=r"^data/curate/manifest\.arrow is missing: run `dvc repro curate`$"):
        catalogue.CURATED_ROWS.read(Path(catalogue.CURATED.path))
