"""A file read from front to back alone: forwards, and no further than it may."""

import hashlib
import io
import tarfile

import pytest

from pipeline.sources.stream import MAX_HEADER, BombError, Stream

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize("size", [None, len(DATA)], ids=["packed", "plain"])
def test_it_goes_forwards_and_never_back(size: int | None) -> None:
    stream = Stream(io.BytesIO(DATA), size)
    assert stream.read(10) == stream.last == DATA[:10]
    stream.seek(5000)
    assert (stream.tell(), stream.take(3)) == (5000, DATA[5000:5003])
    assert stream.sha256(100) == hashlib.sha256(DATA[5003:5103]).digest()
    with pytest.raises(tarfile.ReadError, match="before the one in front of it"):
        stream.seek(5102)


@pytest.mark.parametrize("size", [None, len(DATA)], ids=["packed", "plain"])
def test_its_end_is_not_passed(size: int | None) -> None:
    with pytest.raises(tarfile.ReadError, match="unexpected end of data"):
        Stream(io.BytesIO(DATA), size).seek(len(DATA) + 1)
    with pytest.raises(tarfile.ReadError, match="unexpected end of data"):
        Stream(io.BytesIO(DATA), size).sha256(len(DATA) + 1)


def test_a_header_of_gigabytes_is_not_read() -> None:
    with pytest.raises(tarfile.ReadError, match=f"a header of {MAX_HEADER + 1} bytes"):
        Stream(io.BytesIO(DATA), None).read(MAX_HEADER + 1)


def test_a_bomb_ends_where_it_passes_the_limit() -> None:
    stream = Stream(io.BytesIO(DATA), None, most=100)
    assert stream.take(100) == DATA[:100]
    with pytest.raises(BombError, match="more than 100 bytes"):
        stream.seek(101)


def test_nothing_but_zeros_may_stand_at_the_end() -> None:
    stream = Stream(io.BytesIO(b"head" + bytes(3_000_000)), None)
    stream.take(4)
    stream.finish()
    assert stream.tell() == 3_000_004
    with pytest.raises(tarfile.ReadError, match="more behind its end"):
        Stream(io.BytesIO(bytes(2_000_000) + b"x"), None).finish()
    with pytest.raises(BombError):
        Stream(io.BytesIO(bytes(2_000_000)), None, most=1_500_000).finish()
