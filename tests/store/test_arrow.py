"""Damage of Arrow files costs a message, and what other programs write is read."""

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.store import arrow
from tests.examples import REPOSITORY, curated
from tests.store.building import written

pytestmark = pytest.mark.usefixtures("empty_project")

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2})


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
        for opened in (arrow.open_arrow, arrow.opened_in_batches):
            with pytest.raises(DataError, match=r"is damaged.*run `pipeline doctor --fix`, then `dvc repro curate`$"):
                opened(path)


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
