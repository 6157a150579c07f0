"""JPEG markers (ITU-T T.81, annex B): how a file is coded, whether it is complete, and what a truncated one lacks."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.images.pixels import Pixels

END = b"\xff\xd9"
# Markers of frames (T.81, table B.1): their kinds, and the two among their numbers that are none.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_SCAN, _INTERVAL = 0xDA, 0xDD
# What may follow a byte of 255 among what is coded: it was one, or a restart.
_CODED = {bytes([kind]) for kind in (0, *range(0xD0, 0xD8))}
# Coefficients of a block.
_COEFFICIENTS = 64
# Texts put behind a cut file, to see which rows differ by them: several, because one may stand for zeros for a while.
_NOISES = 5
_NOISE_BYTES = 512


def is_lossless(data: bytes) -> bool:
    """Whether its frame has no DCT: such a file is decoded at its full scale or not at all."""
    return next((kind in _LOSSLESS for kind, _ in _segments(data) if kind in _FRAMES), False)


def lacks_end(data: bytes) -> bool:
    """Whether no end marker follows the first scan's header. A thumbnail before it may have one of its own."""
    place = data.rfind(END)
    if place == len(data) - len(END):
        return False
    scan = next((at for kind, at in _segments(data) if kind == _SCAN), None)
    return scan is not None and place < scan


def with_end(data: bytes) -> bytes:
    """The file with an end marker behind the last of its bytes that count, where a decoder sees it.

    Half a segment would swallow the marker.
    """
    for _, at in _segments(data):
        if at + int.from_bytes(data[at : at + 2], "big") > len(data):
            data = data[: at - 2]
    begun = data.rfind(b"\xff", max(0, len(data) - 3))
    coded = begun >= 0 and data[begun + 1 : begun + 2] in _CODED
    return (data if begun < 0 or coded else data[:begun]) + END


def has_all_scans(data: bytes) -> bool:
    """Whether there is a scan, be it cut, for each component; of a progressive file for each bit of it."""
    components: dict[int, list[int]] = {}
    progressive = False
    for kind, at in _segments(data):
        if kind in _FRAMES:
            progressive = kind in _PROGRESSIVE
            named = data[at + 8 : at + 8 + 3 * data[at + 7] : 3] if len(data) > at + 7 else b""
            # The lowest bit of each coefficient that is known; 1 of those that no scan has.
            components = {one: [1] * (_COEFFICIENTS if progressive else 1) for one in named}
        elif kind == _SCAN:
            count = data[at + 2] if len(data) > at + 2 else 0
            tail = data[at + 3 + 2 * count : at + 6 + 2 * count]
            first, last, low = (tail[0], tail[1], tail[2] & 15) if progressive and len(tail) == 3 else (0, 0, 0)
            for one in data[at + 3 : at + 3 + 2 * count : 2]:
                known = components.get(one, [])
                known[first : last + 1] = [low] * len(known[first : last + 1])
    return bool(components) and not any(map(any, components.values()))


def without_padding(data: bytes, decode: Callable[[bytes], Pixels]) -> bytes:
    """A file without its end, less the zeros of a download that stopped, or of a damaged disk.

    A coded picture may end in zeros, too: of a whole one the last byte counts.
    """
    if not data.endswith(b"\0") or (_is_whole(data, decode) and not _is_whole(data[:-1], decode)):
        return data
    return data.rstrip(b"\0")


def whole_rows(data: bytes, decode: Callable[[bytes], Pixels], shown: Pixels) -> int:
    """How many rows of a cut file's picture, from the top, lack nothing.

    What is missing is what differs by the bytes behind the cut. Pictures with such bytes are compared with each other:
    near its end libjpeg decodes in another way, which makes other pixels of what is damaged.

    Args:
        data: without its end.
        decode: a file with an end -> its pixels.
        shown: the pixels of `with_end(data)`.
    """
    head = with_end(data)[: -len(END)]
    rows = len(shown)
    for behind in _restarts(head):
        first, *others = (decode(head + behind + _noise(seed) + END) for seed in range(_NOISES))
        for other in others:
            changed = (other != first).reshape(len(shown), -1).any(axis=1)
            if changed.any():
                rows = min(rows, int(changed.argmax()))
    return rows


def _noise(seed: int) -> bytes:
    # Without 255, which would begin a marker.
    return np.random.default_rng(seed).integers(1, 255, _NOISE_BYTES, np.uint8).tobytes()


def _restarts(head: bytes) -> list[bytes]:
    """What may come next of a file that was cut: more of what is coded or, if it has restarts, the next of them."""
    if not any(kind == _INTERVAL for kind, _ in _segments(head)):
        return [b""]
    last = max(range(8), key=lambda number: head.rfind(bytes([0xFF, 0xD0 + number])))
    begun = head.rfind(bytes([0xFF, 0xD0 + last])) > 0
    return [b"", bytes([0xFF, 0xD0 + ((last + 1) % 8 if begun else 0)])]


def _is_whole(data: bytes, decode: Callable[[bytes], Pixels]) -> bool:
    shown = decode(with_end(data))
    return whole_rows(data, decode, shown) == len(shown)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Kind and place (of its length) of each marker segment, what is coded between them left out."""
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        kind = data[at + 1]
        if kind == 0xFF:  # fill
            at += 1
        elif kind <= 1 or 0xD0 <= kind <= 0xD8:  # no segments: a coded 255, restarts, a start
            at += 2
        elif kind == END[1]:
            return
        else:
            yield kind, at + 2
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
