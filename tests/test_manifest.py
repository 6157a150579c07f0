"""What may stand in a manifest, and how broken ones are reported."""

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import manifest as columns
from pipeline.errors import DataError
from pipeline.issues import ISSUES
from pipeline.manifest import (
    BALANCED,
    CURATED,
    INGESTED,
    MARKS,
    MAY_BE_EMPTY,
    PREDICTIONS,
    SPLIT,
    check_manifest,
    counts_per_label,
)
from tests.examples import curated, with_columns


def images(count: int = 3) -> pd.DataFrame:
    return curated(raw={"apple": count}, production={})


def test_good_manifest_comes_back_untouched() -> None:
    given_rows = images()
    pd.testing.assert_frame_equal(check_manifest(given_rows, CURATED), images())


def test_columns_beyond_the_schema_are_allowed_and_may_be_empty() -> None:
    assert "camera" in check_manifest(images().assign(camera=None), CURATED).columns


def test_manifest_without_rows_is_valid() -> None:
    assert len(check_manifest(images().iloc[:0], CURATED)) == 0


def test_missing_columns_are_all_named_with_the_remedy() -> None:
    message = r"^the manifest lacks the columns sha256, group: make it again with `dvc repro`$"
    with pytest.raises(DataError, match=message):
        check_manifest(images().drop(columns=["group", "sha256"]), CURATED)


@pytest.mark.parametrize("column", [name for name in CURATED.names if name not in MAY_BE_EMPTY])
def test_empty_cell_of_any_column_is_reported(column: str) -> None:
    rows = images().astype({column: object})
    rows.loc[1, column] = None
    with pytest.raises(DataError, match=f"column {column} is empty in 1 row$"):
        check_manifest(rows, CURATED)


def test_only_the_time_of_capture_may_be_empty() -> None:
    assert {"captured_at"} == MAY_BE_EMPTY
    rows = images()
    assert rows["captured_at"].isna().all()
    assert check_manifest(rows, CURATED) is rows


def test_all_problems_are_reported_at_once() -> None:
    rows = images(4)
    rows["id"] = ["a", "a", "b", "b"]
    rows["label"] = ["x", None, None, "x"]
    message = r"^the manifest is not usable: column label is empty in 2 rows; 2 rows are duplicates: a, b$"
    with pytest.raises(DataError, match=message):
        check_manifest(rows, CURATED)


def test_image_may_stand_more_often_with_other_copy_numbers() -> None:
    rows = with_columns(pd.concat([images(2), images(2)], ignore_index=True), BALANCED)
    numbered = rows.assign(copy=[0, 0, 1, 1])
    assert len(check_manifest(numbered, BALANCED, unique=("id", "copy"))) == 4
    with pytest.raises(DataError, match="2 rows are duplicates"):
        check_manifest(numbered, BALANCED)
    with pytest.raises(DataError, match="2 rows are duplicates"):
        check_manifest(rows.assign(copy=0), BALANCED, unique=("id", "copy"))


@given(st.lists(st.sampled_from(["pear", "apple", "fig"])), st.booleans())
@settings(deadline=None)
def test_labels_are_counted_in_sorted_order(labels: list[str], categorical: bool) -> None:
    column = pd.Series(labels, dtype=pd.CategoricalDtype(["quince", "pear", "fig", "apple"]) if categorical else "str")
    counts = counts_per_label(pd.DataFrame({"label": column}))
    assert list(counts.items()) == [(label, labels.count(label)) for label in sorted(set(labels))]


@pytest.mark.parametrize(
    ("earlier", "later", "new"),
    [
        pytest.param(INGESTED, CURATED, ["group", *ISSUES], id="curate"),
        pytest.param(CURATED, SPLIT, ["split"], id="split"),
        pytest.param(SPLIT, BALANCED, ["copy", "weight"], id="balance"),
    ],
)
def test_each_stage_keeps_the_columns_it_was_given_but_for_marks(
    earlier: pa.Schema, later: pa.Schema, new: list[str]
) -> None:
    kept = [field for field in earlier if field.name not in {*MARKS.names, "codec_warning"}]
    assert list(later)[: len(kept)] == kept
    assert later.names[len(kept) :] == new


def test_predictions_name_what_the_manifest_names_under_the_same_types() -> None:
    shared = [name for name in PREDICTIONS.names if name in SPLIT.names]
    assert shared == ["id", "group", "split", "label"]
    assert [PREDICTIONS.field(name) for name in shared] == [SPLIT.field(name) for name in shared]


def test_only_test_is_hidden_while_a_model_is_made() -> None:
    assert [split for split in columns.SPLITS if split not in columns.SEEN_SPLITS] == [columns.TEST]
