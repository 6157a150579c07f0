"""Small files of every kind that is decoded, and what accidents and attackers make of them; all from a seed."""

import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

from tests.examples import encoded, picture
from tests.images.exif import MAKE, MODEL, ORIGINAL, with_exif
from tests.images.pictures import of_palette, saved, smooth
from tests.images.test_decoding import FILES, complaining
from tests.images.test_jpegs import KINDS as JPEGS
from tests.images.test_jpegs import lossless
from tests.images.test_value_range import DEEP

# Numbers at which fields of formats overflow, end or begin.
EDGES = (0, 1, 2, 3, 7, 8, 9, 16, 32, 64, 127, 128, 200, 254, 255)
LONG_EDGES = (0, 1, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
LONGEST = 200_000


@cache
def corpus() -> dict[str, bytes]:
    """Name -> file, each of at most some kilobytes."""
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    files = {
        **FILES,
        **{f"JPEG, {name}": data for name, data in JPEGS.items()},
        **{name: data for name, (data, _) in DEEP.items()},
        "JPEG, lossless": lossless(smooth(24, 30)[..., 0]),
        "JPEG, complaining": complaining(),
        "JPEG with EXIF": with_exif({MAKE: "Maker", MODEL: "X"}, {ORIGINAL: "2024:05:06 07:08:09"}),
        "MPO": saved(frames[0], "MPO", save_all=True, append_images=frames[1:]),
        "GIF, animated": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "WEBP, animated": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "PNG, animated": saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "TIFF, deflated": encoded(picture(1), "TIFF", compression="tiff_deflate"),
        "TIFF, floats": saved(Image.fromarray(np.linspace(0, 1, 99, dtype=np.float32).reshape(9, 11)), "TIFF"),
        "BMP, palette": saved(of_palette(16), "BMP"),
        "PNG, palette of 4 bits": saved(of_palette(9), "PNG", bits=4),
    }
    return {name: data for name, data in files.items() if len(data) <= LONGEST}


def mutated(number: int, seed: int) -> tuple[str, bytes]:
    """The name of a file of the corpus, and what became of it."""
    rng = random.Random(f"{seed}/{number}")
    name = rng.choice(sorted(corpus()))
    data = corpus()[name]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(WAYS)(rng, data)[:LONGEST]
    return name, data


def _bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _bytes(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice(EDGES)
    return bytes(changed)


def _early_bytes(rng: random.Random, data: bytes) -> bytes:
    """Headers are where formats say how they are to be read."""
    end = rng.choice((32, 64, 200, 700))
    return _bytes(rng, data[:end]) + data[end:]


def _number(rng: random.Random, data: bytes) -> bytes:
    form = rng.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    place = rng.randrange(len(data) - size + 1)
    return data[:place] + struct.pack(form, rng.choice(LONG_EDGES) % 256**size) + data[place + size :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.choice((rng.randrange(len(data) + 1), max(0, len(data) - rng.randrange(1, 20))))]


def _padded(rng: random.Random, data: bytes) -> bytes:
    return _cut(rng, data) + bytes(rng.choice((1, 3, 100, 5000)))


def _part(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 100, 1000)))


def _zeros(rng: random.Random, data: bytes) -> bytes:
    start, stop = _part(rng, data)
    return data[:start] + bytes(stop - start) + data[stop:]


def _removed(rng: random.Random, data: bytes) -> bytes:
    start, stop = _part(rng, data)
    return data[:start] + data[stop:]


def _repeated(rng: random.Random, data: bytes) -> bytes:
    start, stop = _part(rng, data)
    return data[:stop] + data[start:stop] * rng.choice((1, 2, 30)) + data[stop:]


def _spliced(rng: random.Random, data: bytes) -> bytes:
    other = corpus()[rng.choice(sorted(corpus()))]
    start, stop = _part(rng, other)
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start:stop] + data[place:]


def _segments(rng: random.Random, data: bytes) -> bytes:
    """Chunks of a PNG with the right checksum, or markers of a JPEG, left out, doubled, moved or changed."""
    parts = _chunks(data) if data.startswith(b"\x89PNG") else _markers(data) if data.startswith(b"\xff\xd8") else []
    if len(parts) < 3:
        return data
    at, to = rng.randrange(1, len(parts)), rng.randrange(1, len(parts))
    match rng.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(to, parts[at])
        case 2:
            parts.insert(to, parts.pop(at))
        case _:
            parts[at] = _checked(rng, parts[at]) if data.startswith(b"\x89PNG") else _bytes(rng, parts[at])
    return b"".join(parts)


def _checked(rng: random.Random, chunk: bytes) -> bytes:
    """A chunk of a PNG with another content and its checksum."""
    content = _bytes(rng, chunk[8:-4])
    return chunk[:8] + content + struct.pack(">I", zlib.crc32(chunk[4:8] + content))


def _chunks(data: bytes) -> list[bytes]:
    parts, at = [data[:8]], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        parts.append(data[at:end])
        at = end
    return parts


def _markers(data: bytes) -> list[bytes]:
    parts, start, at = [], 0, 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 1:
        if data[at + 1] not in {0, 255} and not 0xD0 <= data[at + 1] <= 0xD8:
            parts.append(data[start:at])
            start = at
        at += 2
    return [*parts, data[start:]]


WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_bits, _bytes, _early_bytes, _early_bytes, _number, _cut, _padded, _zeros, _removed, _repeated, _spliced),
    *(_segments, _segments),
)
