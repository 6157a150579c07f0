"""Manifests on disk: round trips, the same bytes for the same rows, and damage that costs a message."""

import os
import random
import re
import subprocess
import sys
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
from pipeline.store import arrow
from pipeline.store.artifacts import Artifact
from tests.examples import REPOSITORY, curated, with_columns

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2})


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/curate").mkdir(parents=True)


def written(artifact: Artifact, value: object) -> Path:
    artifact.write(value, Path(artifact.path))
    return Path(artifact.path)


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
    artifact = arrow.manifest("m.arrow", pa.schema([("id", pa.string()), ("label", CURATED.field("label").type)]))
    frame = pd.DataFrame(texts, columns=["id", "label"], dtype="str")
    back = artifact.read(written(artifact, frame))
    assert list(zip(back["id"], back["label"], strict=True)) == texts


def test_a_truncated_manifest_is_an_error_at_any_length() -> None:
    path = written(catalogue.CURATED, ROWS)
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 97), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"^data/curate/manifest\.arrow is damaged.*, then `dvc repro curate`$"):
            catalogue.CURATED.read(path)


def flips(path: Path, count: int) -> Iterator[bytes]:
    """The file with one bit flipped, at so many places; each of the last 1,000 bytes is one, as there is the footer."""
    whole = path.read_bytes()
    draw = random.Random(1)
    for place in [draw.randrange(len(whole)) for _ in range(count)] + [*range(max(0, len(whole) - 1000), len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        yield bytes(damaged)


def test_a_flipped_bit_anywhere_is_an_error() -> None:
    path = written(catalogue.CURATED, ROWS)
    for damaged in [*flips(path, 1000)]:
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"is damaged.*run `pipeline doctor --fix`, then `dvc repro curate`$"):
            arrow.open_arrow(path)


def test_a_damaged_byte_costs_a_message_never_the_process(tmp_path: Path) -> None:
    path = Path("foreign.arrow")
    table = catalogue.CURATED_TABLE.read(written(catalogue.CURATED, ROWS))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(
        DataError, match=r"it has no checksum.*: if an older version wrote it, run `dvc repro --force` once"
    ):
        arrow.open_arrow(path)
    assert arrow.open_foreign(path).equals(table)
    for number, damaged in enumerate(flips(path, 300)):
        (tmp_path / f"{number}.flipped").write_bytes(damaged)
    # In a process of its own: offsets that Arrow does not check crash whoever reads them.
    run = subprocess.run([sys.executable, "-c", READ_ALL, tmp_path], check=False, cwd=REPOSITORY, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")


READ_ALL = """
import pathlib, sys
from pipeline.errors import DataError
from pipeline.store.arrow import open_foreign
from pipeline.store.tables import lists
for path in pathlib.Path(sys.argv[1]).glob("*.flipped"):
    try:
        lists(open_foreign(path), {"id", "label", "sha256"})
    except DataError:
        pass
"""


def test_other_programs_read_what_carries_a_checksum() -> None:
    path = written(catalogue.CURATED, ROWS)
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        assert reader.read_all().equals(catalogue.CURATED_TABLE.read(path))
        assert re.fullmatch(b"crc32:[0-9a-f]{8}", reader.metadata[b"checksum"])


def test_a_column_of_the_name_of_the_marker_is_not_taken_for_it() -> None:
    table = pa.table({"crc32:00000000": ["a"], "meta_crc32:": ["b"], "checksum": ["crc32:00000000"]})
    arrow.write_arrow(table, Path("odd.arrow"))
    assert arrow.open_arrow(Path("odd.arrow")).equals(table)
    for damaged in flips(Path("odd.arrow"), 0):
        Path("odd.arrow").write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            arrow.open_arrow(Path("odd.arrow"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_an_error_at_once(make: Callable[[str], None]) -> None:
    make("data/curate/manifest.arrow")
    with pytest.raises(DataError, match=r"not a file|is a directory"):
        catalogue.CURATED.read(Path("data/curate/manifest.arrow"))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_rubbish_is_said_to_be_none(content: bytes) -> None:
    for rubbish in (content, b"ARROW1\0\0" + content, content + len(content).to_bytes(4, "little") + b"ARROW1"):
        Path("rubbish.arrow").write_bytes(rubbish)
        for read in (arrow.open_arrow, arrow.open_foreign):
            with pytest.raises(DataError, match="is damaged or not an Arrow file"):
                read(Path("rubbish.arrow"))


def test_a_manifest_of_another_version_is_an_error() -> None:
    path = written(arrow.manifest("data/curate/manifest.arrow", INGESTED), with_columns(ROWS, INGESTED))
    with pytest.raises(DataError, match=r"^data/curate/manifest\.arrow has the columns .*`dvc repro curate`$"):
        catalogue.CURATED.read(path)


def test_rows_taken_from_a_table_give_the_bytes_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.arrow.PART", 4)
    whole = written(catalogue.CURATED, ROWS)
    table = catalogue.CURATED_TABLE.read(whole)
    assert table["id"].num_chunks == 2
    catalogue.CURATED_TABLE.write(arrow.TableSlice(table, np.arange(len(ROWS)), {}), Path("taken"))
    assert Path("taken").read_bytes() == whole.read_bytes()
    some = [6, 0, 3, 1, 7]
    catalogue.CURATED_TABLE.write(arrow.TableSlice(table, np.array(some), {}), Path("taken"))
    assert Path("taken").read_bytes() == written(catalogue.CURATED, ROWS.iloc[some]).read_bytes()


def test_no_rows_taken_from_a_table_are_a_manifest_without_rows() -> None:
    table = catalogue.CURATED_TABLE.read(written(catalogue.CURATED, ROWS))
    catalogue.CURATED_TABLE.write(arrow.TableSlice(table, np.array([], np.intp), {}), Path("taken"))
    assert Path("taken").read_bytes() == written(catalogue.CURATED, ROWS.head(0)).read_bytes()
    assert len(catalogue.CURATED.read(Path("taken"))) == 0


def test_categories_are_sorted_and_in_use() -> None:
    found = arrow.category_array(np.array([3, 0, 3]), ["train", "dev", "test", "all"])
    assert found.to_pylist() == ["all", "train", "all"]
    assert found.dictionary.to_pylist() == ["all", "train"]


@pytest.mark.parametrize("part", [3, 4, 8, 100])
def test_streamed_rows_give_the_bytes_of_a_frame(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.arrow.PART", part)
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

    streamed = arrow.TableStream(tables, beside, len(rows), table.schema)
    parts = streamed.parts()
    assert len(next(parts)) == min(part, len(rows))
    assert held == [1, 1, 6] if part < 7 else [1, 1, 6, len(rows)]
    assert streamed.to_pandas().equals(table.to_pandas())
    assert written(arrow.manifest_stream("streamed", CURATED), streamed).read_bytes() == content


def test_no_streamed_rows_are_a_manifest_without_rows() -> None:
    table = catalogue.CURATED_TABLE.read(written(catalogue.CURATED, ROWS.head(0)))
    streamed = arrow.TableStream(lambda: iter([table]), {}, 0, table.schema)
    assert (
        written(arrow.manifest_stream("none", CURATED), streamed).read_bytes()
        == Path(catalogue.CURATED.path).read_bytes()
    )
