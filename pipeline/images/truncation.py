"""Tell apart files that cannot be read: not an image, damaged, or truncated.

For most truncated files Pillow says that it cannot identify them, or fails with a different message for each format.
Only rejected files are examined here.
"""

import struct
from collections.abc import Callable

from pipeline.images.rejection import Rejection

# The start of a PNG, up to the size of its picture (PNG 3rd edition, 5.2 and 11.2.1).
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# Where it says how many bits a channel has.
PNG_BITS = 24
# The end of a PNG (PNG 3rd edition, 11.2.4), with its checksum.
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# Brands of an ISO base media file that is HEIC (ISO/IEC 23008-12, B.4).
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# Markers around a JPEG 2000 codestream (ITU-T T.800, A.4): start and size, and end.
JPEG2000_START = b"\xff\x4f\xff\x51"
JPEG2000_END = b"\xff\xd9"
# Bytes of a value of each TIFF type (TIFF 6.0, section 2).
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
# Tags with the places of strips or tiles, and with their lengths.
_TIFF_PARTS = {273: 279, 324: 325}
WORDS = "the file is cut short: its end is missing"


def unidentified(data: bytes, formats: str) -> Rejection:
    """Say why Pillow does not recognise a file's format.

    Args:
        formats: those that are read, for people.
    """
    kind = kind_of(data)
    if kind is None:
        return Rejection("not_an_image", f"its content is in none of the formats {formats}")
    if is_cut(data):
        return Rejection("truncated", WORDS)
    return Rejection("undecodable", f"it starts like {kind}, but its header is damaged or of an unsupported kind")


def with_its_end(refused: Rejection, data: bytes) -> Rejection:
    """The same rejection, changed to `truncated` if the decoder failed because the file is cut short."""
    cut = refused.reason == "undecodable" and is_cut(data)
    return Rejection("truncated", f"{WORDS} ({refused.detail})") if cut else refused


def kind_of(data: bytes) -> str | None:
    """The format that a file's first bytes announce; None if it is not supported."""
    return next((name for name, (begins, _) in _KINDS.items() if begins(data)), None)


def is_cut(data: bytes) -> bool:
    """Whether a file is truncated, by the sizes that it states or by its format's end marker."""
    return any(begins(data) and lacks(data) for begins, lacks in _KINDS.values())


def _starts(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(marks)


def _lacks(mark: bytes) -> Callable[[bytes], bool]:
    return lambda data: mark not in data


def lacks_codestream_end(data: bytes) -> bool:
    """Whether a JPEG 2000 file lacks the marker at the end of its codestream."""
    # A thumbnail before the codestream may hold an end marker of its own.
    start = data.find(JPEG2000_START)
    return start < 0 or JPEG2000_END not in data[start:]


def _lacks_boxes(data: bytes) -> bool:
    """Of the boxes of an ISO base media file (ISO/IEC 14496-12, 4.2) one goes beyond the end, or none has the data."""
    at, kinds = 0, set()
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        kinds.add(kind)
        if size == 0:  # to the end
            break
        if size < 8 or at + size > len(data):
            return True
        at += size
    return b"mdat" not in kinds


def _lacks_tiff_parts(data: bytes) -> bool:
    """The first directory (TIFF 6.0, section 2), a value of it, or a strip or tile lies beyond the end."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        [directory] = struct.unpack_from(f"{order}I", data, 4)
        [count] = struct.unpack_from(f"{order}H", data, directory)
        entries = [struct.unpack_from(f"{order}HHI", data, directory + 2 + 12 * number) for number in range(count)]
        values: dict[int, tuple[int, ...]] = {}
        for number, (tag, kind, length) in enumerate(entries):
            size = _TIFF_SIZES.get(kind, 1) * length
            place = directory + 10 + 12 * number
            if size > 4:
                [place] = struct.unpack_from(f"{order}I", data, place)
            if place + size > len(data):
                return True
            if tag in {*_TIFF_PARTS, *_TIFF_PARTS.values()} and kind in {3, 4}:
                values[tag] = struct.unpack_from(f"{order}{length}{'H' if kind == 3 else 'I'}", data, place)
    except struct.error:
        return True
    ends = [
        place + length
        for places, lengths in _TIFF_PARTS.items()
        for place, length in zip(values.get(places, ()), values.get(lengths, ()), strict=False)
    ]
    return max(ends, default=0) > len(data)


def _lacks_bytes(start: int, before: int) -> Callable[[bytes], bool]:
    """Of formats that say how long they are: at which byte, and how many bytes before do not count."""
    return lambda data: len(data) < int.from_bytes(data[start : start + 4], "little") + before


# Format -> whether a file begins as one, and whether such a file lacks its end.
_KINDS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], bool]]] = {
    "JPEG": (_starts(b"\xff\xd8\xff"), _lacks(b"\xff\xd9")),
    "PNG": (_starts(b"\x89PNG\r\n\x1a\n"), _lacks(PNG_END)),
    "WEBP": (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _lacks_bytes(4, 8)),
    "GIF": (_starts(b"GIF87a", b"GIF89a"), lambda data: not data.rstrip(b"\0").endswith(b";")),
    # Its two reserved fields are 0: text may begin with BM.
    "BMP": (lambda data: data[:2] == b"BM" and data[6:10] == bytes(4), _lacks_bytes(2, 0)),
    "TIFF": (_starts(b"II*\0", b"MM\0*"), _lacks_tiff_parts),
    "AVIF or HEIC": (
        lambda data: data[4:8] == b"ftyp" and data[8:12] in {b"avif", b"avis", *HEIC_BRANDS},
        _lacks_boxes,
    ),
    "JPEG2000": (_starts(JPEG2000_START, b"\0\0\0\x0cjP  \r\n\x87\n"), lacks_codestream_end),
}
