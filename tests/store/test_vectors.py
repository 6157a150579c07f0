"""Vectors in shards: read by place, whatever the order."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import DataError, MissingInputError
from pipeline.store.arrow import write_arrow
from pipeline.store.vectors import VectorReader, vector_bytes, vector_schema, vectors_of


@pytest.fixture
def reader(tmp_path: Path) -> VectorReader:
    for name, start in (("a", 0), ("b", 10)):
        rows = [{"vector": vector_bytes(np.array([start + row, 0.5]))} for row in range(3)]
        write_arrow(pa.Table.from_pylist(rows, vector_schema(2)), tmp_path / f"{name}.arrow")
    write_arrow(pa.table({"image": [b"x"]}), tmp_path / "pictures.arrow")
    return VectorReader(tmp_path)


def test_vectors_come_in_the_order_of_their_places(reader: VectorReader) -> None:
    found = reader.matrix(["b", "a", "b", "a"], [2, 0, 0, 2])
    assert found.dtype == np.float16
    assert found.tolist() == [[12, 0.5], [0, 0.5], [10, 0.5], [2, 0.5]]


def test_no_places_give_no_vectors(reader: VectorReader) -> None:
    assert reader.matrix([], []).shape == (0, 0)


def test_a_slice_of_a_table_gives_its_own_rows() -> None:
    rows = [{"vector": vector_bytes(np.array([row, 1.0]))} for row in range(4)]
    table = pa.Table.from_pylist(rows, vector_schema(2)).slice(2, 2)
    assert vectors_of(table).tolist() == [[2, 1], [3, 1]]


def test_what_is_not_there_is_named(reader: VectorReader) -> None:
    with pytest.raises(MissingInputError, match=r"^shard c is not under .*: run `dvc repro embed`$"):
        reader.matrix(["c"], [0])
    with pytest.raises(DataError, match=r"^shard a has 3 rows, no row 3: run `dvc repro`$"):
        reader.matrix(["a"], [3])
    with pytest.raises(DataError, match=r"pictures\.arrow holds no vectors: remove it and run `dvc repro embed`$"):
        reader.matrix(["pictures"], [0])
