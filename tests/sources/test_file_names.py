"""Whether a name's ending lies about its file; and what ingest tells of accepted files."""

import pyarrow as pa
import pytest

from pipeline.images.decoding import FORMATS
from pipeline.images.notes import notes_on
from pipeline.sources.file_names import ENDINGS, misnamed


def lies(name: str, file_format: str) -> bool:
    found = misnamed(pa.array([name], pa.string()), pa.array([file_format], pa.string()))
    assert found in ([], [(name, file_format)])
    return bool(found)


def test_every_format_that_is_read_has_its_endings() -> None:
    assert set(ENDINGS) == {*FORMATS, "HEIF"}
    for kind, endings in ENDINGS.items():
        for ending in endings:
            assert not lies(f"a/b.{ending}", kind)
            assert not lies(f"a/b.{ending.upper()}", kind)
            assert lies(f"a/b.{ending.upper()}", "GIF" if kind != "GIF" else "PNG")


@pytest.mark.parametrize("name", ["a", "a/b", "a.jpg/b", "jpg", "a.dat", "a.jpg.bak", "a.png?w=300", "a.jpgx", ""])
def test_a_name_without_an_ending_of_a_format_is_no_lie(name: str) -> None:
    assert not lies(name, "PNG")


def test_avif_and_heif_are_files_of_one_kind() -> None:
    assert not lies("a.heif", "AVIF")
    assert lies("a.avif", "HEIF")


def test_files_come_by_format_and_in_order() -> None:
    paths, formats = ["b.jpg", "a.png", "c.jpg", "d\n.jpg"], ["PNG", "GIF", "JPEG", "PNG"]
    expected = [("a.png", "GIF"), ("b.jpg", "PNG"), ("d\n.jpg", "PNG")]
    assert misnamed(pa.array(paths), pa.array(formats)) == expected
    assert misnamed(pa.array([], pa.string()), pa.array([], pa.string())) == []


@pytest.mark.parametrize(
    ("shares", "top"), [([4095 / 65535], 4095), ([16 / 256], 4095), ([0.001, 1000 / 65535], 1023), ([0.25], 16383)]
)
def test_a_source_of_few_bits_is_told_what_to_write(shares: list[float], top: int) -> None:
    [note] = notes_on("web", [], shares, 0, 0)
    assert note.startswith(f"{len(shares)} images of more than 8 bits use at most ")
    assert f"set value_range: [0, {top}] in sources.web" in note


def test_what_is_not_there_is_not_told() -> None:
    assert notes_on("web", [], [], 0, 0) == []
    assert notes_on("web", [], [], 3, 0) == ["from EXIF, because no table gives it: captured_at of 3 images"]
    assert notes_on("web", [], [], 1, 1) == [
        "from EXIF, because no table gives it: captured_at of 1 image and meta_camera of 1"
    ]
    assert notes_on("web", [], [], 3, 2) == [
        "from EXIF, because no table gives it: captured_at of 3 images and meta_camera of 2"
    ]
