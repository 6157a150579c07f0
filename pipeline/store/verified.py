"""Tables, reports and pictures that readers verify, although plain programs must be able to open them.

A CSV table or a JSON file of metrics has no room for a checksum of its own. So each stage writes one more file,
`reports/<stage>/checksums.json`, with the CRC-32 of each of them. A PNG file carries CRC-32s in its format.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath

from pydantic import TypeAdapter

from pipeline.errors import DataError
from pipeline.store.artifacts import Artifact, binary
from pipeline.store.checked import CHECKSUMS, checked_report, crc_of
from pipeline.store.reading import maker, read_bytes

TOPS = ("data", "reports")
PNG_START = b"\x89PNG\r\n\x1a\n"


def verified(plain: Artifact) -> Artifact:
    """The same artifact; its checksum stands in its stage's checksums.json, and reading compares it.

    Without that file, or without a line for it there, an older version wrote it, and nothing is compared.
    """
    depth = len(PurePath(plain.path).parts)

    def read(place: Path) -> object:
        _verify(place, depth)
        return plain.read(place)

    return replace(plain, read=read, verified=True)


def checksums_beside(files: Iterable[Artifact]) -> Artifact | None:
    """An artifact: {path of a stage's file: its checksum}, beside its reports; None if no file has need of it.

    Args:
        files: all that the stage writes.
    """
    return next((_checksums_for(file.path) for file in files if file.verified), None)


def checksums_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Checksums by path.

    Args:
        files: path of a file in the project -> where it lies now.
    """
    return {path: crc_of(read_bytes(place)) for path, place in sorted(files.items())}


def picture(path: str) -> Artifact:
    """An artifact: the bytes of a PNG file. Reading verifies the CRC-32 that each of its chunks carries."""
    plain = binary(path)

    def read(place: Path) -> bytes:
        content: bytes = plain.read(place)
        if not is_whole_png(content):
            raise DataError(f"{place} is damaged or edited: {_remedy(place)}")
        return content

    return replace(plain, read=read)


def is_whole_png(content: bytes) -> bool:
    """Whether a PNG file has all of its chunks, each as its checksum says, and nothing else (PNG, 5.3)."""
    chunks = list(_chunks(content))
    right = all(zlib.crc32(kind_and_data) == crc for kind_and_data, crc in chunks)
    length = len(PNG_START) + sum(len(kind_and_data) + 8 for kind_and_data, _ in chunks)
    ends = bool(chunks) and chunks[-1][0] == b"IEND"
    return content.startswith(PNG_START) and right and ends and length == len(content)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and data of each chunk, and its checksum."""
    place = len(PNG_START)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : end], int.from_bytes(content[end : end + 4], "big")
        place = end + 4


def _checksums_for(path: str) -> Artifact:
    _, *folders, _ = PurePath(path).parts
    place = "/".join(["reports", *folders, CHECKSUMS])
    return replace(checked_report(place, TypeAdapter(dict[str, str])), cached=False)


def _verify(place: Path, depth: int) -> None:
    """Raise DataError if a file is not what its stage wrote, by the checksums beside the stage's reports."""
    parts = place.parts[-depth:]
    # A copy that lies elsewhere has no such file.
    if len(place.parts) < depth or parts[0] not in TOPS or not place.is_file():
        return
    path = "/".join(parts)
    beside = _checksums_for(path)
    file = Path(*place.parts[:-depth], beside.path)
    if not file.exists():
        return
    known = beside.read(file).get(path)
    if known is not None and known != crc_of(read_bytes(place)):
        raise DataError(f"{place} is damaged, edited or of another run: it does not match {file}; {_remedy(place)}")


def _remedy(place: Path) -> str:
    # DVC itself does not see damage that left a file's time as it was.
    return f"run `pipeline doctor --fix`, then `{maker(place)}`"
