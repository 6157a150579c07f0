"""Pictures with EXIF that a camera might write."""

from typing import Any

from PIL import Image

from tests.examples import encoded, picture

MAKE, MODEL, CHANGED, ORIENTATION, DETAILS, PLACE = 0x010F, 0x0110, 0x0132, 0x0112, 0x8769, 0x8825
ORIGINAL, DIGITISED, OFFSET, DIGITISED_OFFSET, DECIMALS = 0x9003, 0x9004, 0x9011, 0x9012, 0x9291


def with_exif(tags: dict[int, Any], details: dict[int, Any], file_format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    exif.get_ifd(DETAILS).update(details)
    return encoded(picture(1, 24, 16), file_format, exif=exif.tobytes())
