"""Manifests on disk: round trips, the same bytes for the same rows, however they came about."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import CURATED, INGESTED
from pipeline.store import manifests
from pipeline.store.categories import category_array
from tests.examples import curated, with_columns
from tests.store.building import written

pytestmark = pytest.mark.usefixtures("empty_project")

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2})


BUILT_OTHERWISE: dict[str, Callable[[], pd.DataFrame]] = {
    "categories": lambda: ROWS.astype({"label": "category", "source": "category"}),
    "unsorted and unused categories": lambda: ROWS.assign(label=pd.Categorical(ROWS["label"], ["dog", "emu", "cat"])),
    "objects": lambda: ROWS.astype({"label": object, "id": object, "sha256": object}),
    "wide and narrow numbers": lambda: ROWS.astype({"width": np.int64, "height": np.float64, "brightness": np.float64}),
    "other row and column order": lambda: ROWS.iloc[::-1, ::-1].set_index(np.arange(len(ROWS)) * 7).iloc[::-1],
    "a part of more": lambda: pd.concat([ROWS.head(3).assign(label="emu"), ROWS.assign(note=1)]).iloc[3:],
}


@pytest.mark.parametrize("build", BUILT_OTHERWISE.values(), ids=BUILT_OTHERWISE.keys())
def test_equal_rows_give_equal_bytes_however_the_frame_was_built(build: Callable[[], pd.DataFrame]) -> None:
    plain = written(catalogue.CURATED, ROWS).read_bytes()
    assert written(catalogue.CURATED, build()).read_bytes() == plain


def test_a_manifest_comes_back_with_sorted_and_used_categories() -> None:
    frame = catalogue.CURATED.read(written(catalogue.CURATED, BUILT_OTHERWISE["unsorted and unused categories"]()))
    assert frame["label"].cat.categories.tolist() == ["cat", "dog"]
    assert frame["width"].dtype == np.int32
    pd.testing.assert_frame_equal(frame.astype(ROWS.dtypes.to_dict()), ROWS)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_any_text_survives_a_manifest(texts: list[tuple[str, str]]) -> None:
    artifact = manifests.manifest("m.arrow", pa.schema([("id", pa.string()), ("label", CURATED.field("label").type)]))
    frame = pd.DataFrame(texts, columns=["id", "label"], dtype="str")
    back = artifact.read(written(artifact, frame))
    assert list(zip(back["id"], back["label"], strict=True)) == texts


def test_a_manifest_of_another_version_is_an_error() -> None:
    path = written(manifests.manifest("data/curate/manifest.arrow", INGESTED), with_columns(ROWS, INGESTED))
    with pytest.raises(DataError, match=r"^data/curate/manifest\.arrow has the columns .*`dvc repro curate`$"):
        catalogue.CURATED.read(path)


def test_rows_taken_from_a_table_give_the_bytes_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.manifests.PART", 4)
    whole = written(catalogue.CURATED, ROWS)
    table = catalogue.CURATED_TABLE.read(whole)
    assert table["id"].num_chunks == 2
    catalogue.CURATED_TABLE.write(manifests.TableSlice(table, np.arange(len(ROWS)), {}), Path("taken"))
    assert Path("taken").read_bytes() == whole.read_bytes()
    some = [6, 0, 3, 1, 7]
    catalogue.CURATED_TABLE.write(manifests.TableSlice(table, np.array(some), {}), Path("taken"))
    assert Path("taken").read_bytes() == written(catalogue.CURATED, ROWS.iloc[some]).read_bytes()


def test_no_rows_taken_from_a_table_are_a_manifest_without_rows() -> None:
    table = catalogue.CURATED_TABLE.read(written(catalogue.CURATED, ROWS))
    catalogue.CURATED_TABLE.write(manifests.TableSlice(table, np.array([], np.intp), {}), Path("taken"))
    assert Path("taken").read_bytes() == written(catalogue.CURATED, ROWS.head(0)).read_bytes()
    assert len(catalogue.CURATED.read(Path("taken"))) == 0


def test_categories_are_sorted_and_in_use() -> None:
    found = category_array(np.array([3, 0, 3]), ["train", "dev", "test", "all"])
    assert found.to_pylist() == ["all", "train", "all"]
    assert found.dictionary.to_pylist() == ["all", "train"]


@pytest.mark.parametrize("part", [3, 4, 8, 100])
def test_streamed_rows_give_the_bytes_of_a_frame(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.manifests.PART", part)
    rows = ROWS.assign(captured_at=pd.Series([pd.Timestamp("2026-05-31", tz="UTC"), *[pd.NaT] * (len(ROWS) - 1)]))
    whole = written(catalogue.CURATED, rows)
    content, table = whole.read_bytes(), catalogue.CURATED_TABLE.read(whole)
    besides = ["captured_at", *(field.name for field in table.schema if pa.types.is_dictionary(field.type))]
    beside = {name: table[name].combine_chunks() for name in besides}
    held: list[int] = []

    def tables() -> Iterator[pa.Table]:
        for start, stop in ((0, 1), (1, 1), (1, 6), (6, len(rows))):
            held.append(stop)
            yield table.slice(start, stop - start).drop_columns(besides)

    streamed = manifests.TableStream(tables, beside, len(rows), table.schema)
    parts = streamed.parts()
    assert len(next(parts)) == min(part, len(rows))
    assert held == [1, 1, 6] if part < 7 else [1, 1, 6, len(rows)]
    assert streamed.to_pandas().equals(table.to_pandas())
    assert written(manifests.manifest_stream("streamed", CURATED), streamed).read_bytes() == content


def test_no_streamed_rows_are_a_manifest_without_rows() -> None:
    table = catalogue.CURATED_TABLE.read(written(catalogue.CURATED, ROWS.head(0)))
    streamed = manifests.TableStream(lambda: iter([table]), {}, 0, table.schema)
    assert (
        written(manifests.manifest_stream("none", CURATED), streamed).read_bytes()
        == Path(catalogue.CURATED.path).read_bytes()
    )
