"""A folder of files that raw folders really hold, and of files that somebody made to do harm."""

import importlib.util
import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.examples import encoded, picture
from tests.images.pictures import saved, smooth
from tests.images.test_decoding import HEIC, chunk, complaining, icc_profile
from tests.images.test_picture_damage import claiming, exif_of

PNG = encoded(picture(1))
JPEG = encoded(smooth(64, 64), "JPEG")
ACCEPTED = ""


def claiming_jpeg(side: int) -> bytes:
    """A 64x64 JPEG whose header says that it is larger."""
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", side, side) + JPEG[place + 4 :]


def slow_jpeg() -> bytes:
    """A small file that takes a decoder many seconds: a progressive JPEG with its last scan 20,000 times."""
    data = encoded(np.zeros((2000, 2000), np.uint8), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * 20_000 + data[-2:]


def greedy_png() -> bytes:
    """A file of some kilobytes, within the limit of pixels, that needs more memory than the tests allow."""
    return saved(Image.new("1", (7000, 7000)), "PNG")


def with_text_bomb() -> bytes:
    """A PNG with a comment of 100 megabytes, compressed."""
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))
    return PNG[:33] + comment + PNG[33:]


def passes_at_the_second_load() -> bytes:
    """A damaged PNG that Pillow refuses, and accepts when asked again."""
    whole = encoded(smooth(200, 200))
    place = whole.index(b"IDAT") + 9
    return whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]


def animation() -> bytes:
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


FILES: dict[str, tuple[bytes, str]] = {
    "good.jpg": (JPEG, ACCEPTED),
    "animation.gif": (animation(), ACCEPTED),
    "a JPEG named.png": (JPEG, ACCEPTED),
    "no extension": (PNG, ACCEPTED),
    "stem.png": (PNG, ACCEPTED),
    "stem.PNG": (PNG, ACCEPTED),
    "stem.jpg": (JPEG, ACCEPTED),
    "Stem.jpg": (JPEG, ACCEPTED),
    "broken exif.jpg": (encoded(picture(1), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40), ACCEPTED),
    "orientation 0.jpg": (
        encoded(picture(1), "JPEG", exif=exif_of((0x0112, 3, 1, struct.pack("<HH", 0, 0)))),
        ACCEPTED,
    ),
    "orientation in bytes.webp": (encoded(picture(1), "WEBP", exif=exif_of((0x0112, 2, 2, b"6\0\0\0"))), ACCEPTED),
    "broken icc.jpg": (encoded(picture(1), "JPEG", icc_profile=b"no profile"), ACCEPTED),
    "cut icc.png": (encoded(picture(1), icc_profile=icc_profile()[:200]), ACCEPTED),
    "broken xmp.jpg": (encoded(picture(1), "JPEG", xmp=b"<x:xmpmeta <<<tiff:Orientation=\xff"), ACCEPTED),
    "more after the end.jpg": (JPEG + b"<script>alert(1)</script>" * 100, ACCEPTED),
    "corrupt.jpg": (complaining(), ACCEPTED),
    "empty.jpg": (b"", "empty"),
    "one byte.jpg": (b"\xff", "not_an_image"),
    "text.jpg": (b"apple,pear\n" * 50, "not_an_image"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not_an_image"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
    "archive.zip": (b"PK\x03\x04" + bytes(60), "not_an_image"),
    "any bytes.tga": (encoded(picture(1), "TGA"), "not_an_image"),
    "program.eps": (encoded(picture(1), "EPS"), "not_an_image"),
    "phone.heic": (HEIC, "truncated" if importlib.util.find_spec("pillow_heif") else "heic_not_installed"),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "truncated"),
    "cut in its header.jpg": (JPEG[:100], "truncated"),
    "cut.png": (PNG[:300], "truncated"),
    "second load.png": (passes_at_the_second_load(), "undecodable"),
    "text bomb.png": (with_text_bomb(), "too_many_bytes"),
    "bomb.png": (claiming(20_000, 20_000), "too_many_pixels"),
    "bomb.gif": (b"GIF89a\xff\xff\xff\xff" + animation()[10:], "too_many_pixels"),
    "bomb.jpg": (claiming_jpeg(9000), "too_many_pixels"),
    "below the limit.jpg": (claiming_jpeg(6000), "truncated"),
    "side.png": (claiming(40_000, 900), "side_too_long"),
    "strip.png": (encoded(picture(1, 1, 60)), "strip"),
    "large.png": (bytes(1_000_001), "too_many_bytes"),
    "greedy.png": (greedy_png(), "too_large"),
    "slow.jpg": (slow_jpeg(), "timeout"),
    "-rf": (PNG, ACCEPTED),
    "--help.png": (PNG, ACCEPTED),
    "two\nlines.png": (PNG, ACCEPTED),
    "tab\t\r\x1b[31m.png": (PNG, ACCEPTED),
    "🦜.png": (PNG, ACCEPTED),
    "é.png": (PNG, ACCEPTED),
    "e\u0301.png": (PNG, ACCEPTED),
    "\u202egnp.png": (PNG, ACCEPTED),
    "é" * 125 + ".jpeg": (JPEG, ACCEPTED),
    '"quoted", \\ and $(echo).png': (PNG, ACCEPTED),
    "*?[a].png": (PNG, ACCEPTED),
}


def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def socket_at(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


def unreadable(path: Path) -> None:
    path.write_bytes(PNG)
    path.chmod(0)


def sparse(path: Path) -> None:
    """More bytes than any disk here has."""
    path.touch()
    os.truncate(path, 2**42)


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe.png": (os.mkfifo, "not_a_regular_file"),
    "socket.png": (socket_at, "not_a_regular_file"),
    "loop.png": (link_loop, "dangling_link"),
    "nowhere.png": (lambda path: path.symlink_to("nowhere"), "dangling_link"),
    "device.png": (lambda path: path.symlink_to("/dev/zero"), "link_leaves_source"),
    "outside.png": (lambda path: path.symlink_to(__file__), "link_leaves_source"),
    "parent": (lambda path: path.symlink_to(".."), "linked_folder"),
    "inside.png": (lambda path: path.symlink_to("good.jpg"), ACCEPTED),
    "endless.png": (sparse, "too_many_bytes"),
    "unreadable.png": (unreadable, "unreadable" if os.geteuid() else ACCEPTED),
}
CLASSES = ["<script>alert(1)", "x\\..\\y", "a b", "-class", "cafe\u0301", "🦜", "CON", "'; DROP TABLE", "x" * 255]


def write_hostile(root: Path) -> dict[str, str]:
    """The folder; each path in it, as the manifest or the table of the rejected has it, and its reason or ""."""
    (root / "class").mkdir(parents=True)
    for name, (data, _) in FILES.items():
        (root / "class" / name).write_bytes(data)
    for name, (make, _) in OTHERS.items():
        make(root / "class" / name)
    for name in CLASSES:
        (root / name).mkdir()
        (root / name / "1.png").write_bytes(PNG)
    with open(os.fsencode(root / "class") + b"/\xff.png", "wb") as file:  # noqa: PTH123
        file.write(PNG)
    (root / "class" / ".hidden.png").write_bytes(PNG)
    (root / "class" / "Thumbs.db").write_bytes(PNG)
    expected = {f"class/{name}": reason for name, (_, reason) in [*FILES.items(), *OTHERS.items()]}
    return {**expected, **{f"{name}/1.png": ACCEPTED for name in CLASSES}, "class/\\udcff.png": "name_not_utf8"}


def loads_at_the_second_time(data: bytes) -> bool:
    image = Image.open(io.BytesIO(data))
    try:
        image.load()
    except OSError:
        image.load()
        return True
    return False
