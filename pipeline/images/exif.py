"""EXIF (CIPA DC-008): a picture's orientation, capture time and camera; never its location."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from PIL import Image

_ORIENTATION, _MAKE, _MODEL, _DETAILS = 0x0112, 0x010F, 0x0110, 0x8769
# When the picture was taken, else digitised: time, its distance from UTC, and decimals of its second.
_TIMES = ((0x9003, 0x9011, 0x9291), (0x9004, 0x9012, 0x9292))
_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
MAX_CAMERA = 64


@dataclass(frozen=True)
class Exif:
    """orientation: 1 to 8, or a number that means nothing; taken: with a time zone; camera: maker and model, or ""."""

    orientation: int = 1
    taken: datetime | None = None
    camera: str = ""


def read_exif(image: Image.Image) -> Exif:
    """Read what is valid in the EXIF data. Broken EXIF is common in good pictures and never rejects them.

    Pillow's exif_transpose would also write the other tags anew, and fails on odd ones.
    """
    tags: Any = {}
    orientation = None
    with suppress(Exception):  # Pillow raises many types
        tags = image.getexif()
        orientation = tags.get(_ORIENTATION)
    details: Any = {}
    with suppress(Exception):
        details = tags.get_ifd(_DETAILS) if _DETAILS in tags else {}
    taken = next((time for names in _TIMES if (time := _time(*(details.get(name) for name in names)))), None)
    camera = ""
    with suppress(Exception):
        camera = _camera(tags.get(_MAKE), tags.get(_MODEL))
    return Exif(orientation if isinstance(orientation, int) else 1, taken, camera)


def _time(time: Any, offset: Any, decimals: Any) -> datetime | None:
    """None if it is none, such as 0000:00:00 of a clock that was never set. Without an offset it counts as UTC."""
    found = _TIME.match(_text(time))
    if found is None:
        return None
    zone = UTC
    if isinstance(offset, str) and (parts := _OFFSET.match(offset)):
        hours = timedelta(hours=int(parts[2]), minutes=int(parts[3]))
        zone = timezone(-hours if parts[1] == "-" else hours) if hours < timedelta(hours=24) else UTC
    digits = re.match(r"\d{1,6}", _text(decimals))
    year, month, day, hour, minute, second = map(int, found.groups())
    with suppress(ValueError, OverflowError):
        microsecond = int(digits[0].ljust(6, "0")) if digits else 0
        return datetime(year, month, day, hour, minute, second, microsecond, zone).astimezone(UTC)
    return None


def _camera(make: Any, model: Any) -> str:
    """Maker and model as one name: many models begin with their maker's."""
    maker, name = _text(make), _text(model)
    begins = maker and name.casefold().startswith(maker.split()[0].casefold())
    return (name if begins else f"{maker} {name}".strip())[:MAX_CAMERA].strip()


def _text(value: Any) -> str:
    """A value of EXIF as one line that can be shown; "" of what is no text."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value.split("\0")[0]).split())
