"""Reports and folders with checksums: what was changed since they were written is an error, whatever bit it is."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.store import checked
from pipeline.store.curves import Curves, curves

VALUE = {"model": "0123", "accepted": True, "broken": ["a", "ä"]}
FOUND = Curves([{"train/loss": 1.5}, {"train/loss": 0.5}], kept=1)


@settings(deadline=None)
@given(data=st.data())
def test_a_flipped_bit_changes_nothing_that_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("report") / "verdict.json"
    artifact = checked.checked_report("data/evaluate/verdict.json")
    artifact.write(VALUE, path)
    assert artifact.read(path) == VALUE
    flip(path, data)
    with suppress(DataError):
        assert artifact.read(path) == VALUE  # a blank became another
    assert checked.memo("x").read(path) in (VALUE, None)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_flipped_bit_in_any_file_of_a_folder_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("curves") / "train"
    artifact = checked.checked_folder(curves("reports/train"))
    artifact.write(FOUND, folder)
    assert artifact.read(folder) == FOUND
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != checked.CHECKSUMS)
    flip(data.draw(st.sampled_from(files)), data)
    with pytest.raises(DataError, match="is damaged"):
        artifact.read(folder)


def flip(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)


def test_a_report_without_a_checksum_is_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text('{"accepted": true}')
    with pytest.raises(DataError, match="is damaged or of another version"):
        checked.checked_report("x").read(path)
