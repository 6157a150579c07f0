"""Pixels of any mode of Pillow -> 8-bit sRGB: bit depths, inks, palettes, transparency, colour profiles."""

import io
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from pipeline.images.pixels import Pixels
from pipeline.images.truncation import PNG_BITS

Colour = tuple[int, int, int]
Range = tuple[float, float]

# A profile speaks of colours of one kind (ICC.1:2022, 7.2.6), which an image of these modes has.
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
# Tags of TIFF (TIFF 6.0, sections 4 and 19).
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339
# Rows that are converted at a time where a pixel takes 8 bytes meanwhile.
BAND = 256
# Whose numbers Pillow keeps: grey of more than 8 bits. Of colours it keeps the upper 8.
_DEEP = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


def to_srgb(image: Image.Image, background: Colour, value_range: Range | None = None) -> Pixels:
    """Pixels (height, width, 3) of a loaded image, transparent parts over the background.

    Grey of 16 or 32 bits is scaled by its nominal range, not by the picture's own: Pillow would clip it. A colour
    profile that is broken, or for another kind of pixels, does not count.

    Args:
        value_range: in place of the nominal range.
    """
    if image.mode in _DEEP:
        return np.stack([_eight_bits(_values(image), value_range)] * 3, axis=2)
    profile = image.info.get("icc_profile")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        managed = _managed(rgba.convert("RGB"), profile)
        managed.putalpha(rgba.getchannel("A"))
        canvas = Image.new("RGBA", rgba.size, (*background, 255))
        return np.asarray(Image.alpha_composite(canvas, managed).convert("RGB"))
    return np.asarray(_managed(image, profile))


def _managed(image: Image.Image, profile: Any) -> Image.Image:
    """An image without transparency as RGB, by its profile if it has one that fits."""
    if image.mode == "LAB":
        transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")
        return _applied(transform, image)
    found = _transform(profile, image.mode) if isinstance(profile, bytes) and image.mode in SPACES else None
    if found is None and isinstance(profile, bytes) and image.mode == "P":
        return _managed(image.convert("RGB"), profile)
    if found is not None:
        return _applied(found, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    made = ImageCms.applyTransform(image, transform)
    return image.convert("RGB") if made is None else made


@lru_cache(maxsize=8)  # the photos of one camera have one profile
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB; None if it is sRGB itself, does not fit, or cannot be read."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != SPACES[mode]:
            return None
        if mode == "RGB" and ImageCms.getProfileDescription(source).startswith("sRGB"):
            return None
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except Exception:  # a broken profile is no reason to refuse a picture
        return None


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _values(image: Image.Image) -> npt.NDArray[Any]:
    """The numbers of a grey image: Pillow takes whole numbers of 32 bits without a sign for such with one."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    unsigned = tags and tags.get(SAMPLE_FORMAT, (1,)) == (1,) and tags.get(BITS_PER_SAMPLE) == (32,)
    return values.view(np.uint32) if unsigned and values.dtype == np.int32 else values


def scaled_colours(data: bytes, value_range: Range, info: dict[Any, Any]) -> Image.Image | None:
    """The picture of a file of 16 bits per channel, scaled by a range while it has them; None of any other.

    Args:
        info: of Pillow, for its colour profile.
    """
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.ndim != 3:
        return None
    colours = _eight_bits(found[..., 2::-1], value_range)
    image = Image.fromarray(colours)
    if found.shape[2] == 4:
        image.putalpha(Image.fromarray((found[..., 3] // 256).astype(np.uint8)))
    image.info = {key: value for key, value in info.items() if key == "icc_profile"}
    return image


def range_used(image: Image.Image, bits: int, value_range: Range | None) -> float:
    """The largest value of a loaded image, as share of all that its file can hold, or of a range; 1 of 8 bits or fewer.

    Args:
        bits: a channel, in the file.
    """
    if image.mode in _DEEP:
        values = _values(image)
        low, high = value_range or (0.0, _nominal(values))
        top = float(_finite(values).max(initial=0))
    elif bits > 8 and value_range is None:
        # Pillow has kept the upper 8 bits: the largest value is at most this.
        extrema: Any = image.getextrema()
        tops = [one[1] for one in extrema] if isinstance(extrema[0], tuple) else [extrema[1]]
        largest = max(tops[:-1] if image.mode in {"LA", "RGBA"} else tops)
        low, high, top = 0.0, 256.0, largest + 1.0 if largest else 0.0
    else:
        return 1.0
    return min(1.0, max(0.0, (top - low) / (high - low)))


def bits_of(image: Image.Image, data: bytes) -> int:
    """Bits a channel in a PNG or TIFF, some of which Pillow may take away; 8 of other formats."""
    if image.format == "PNG":
        return data[PNG_BITS]
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,)) if image.format == "TIFF" else (8,)
    return max(bits, default=8)


def palette_colours(image: Image.Image) -> int | None:
    """How many colours the palette of a PNG has, before it is loaded; None of other images."""
    return len(image.palette.palette) // 3 if image.format == "PNG" and image.mode == "P" and image.palette else None


def beyond_palette(image: Image.Image, colours: int | None) -> list[str]:
    """A line if pixels of a loaded image name colours that its palette does not have, which Pillow shows black."""
    if colours is None or int(np.asarray(image).max(initial=0)) < colours:
        return []
    return [f"its pixels refer to colours beyond the {colours} of its palette"]


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(np.isfinite(values), values, 0) if values.dtype.kind == "f" else values


def _nominal(values: npt.NDArray[Any]) -> float:
    """What such numbers can hold; of 32 bits, which files use for fewer, the smallest range that holds these."""
    if values.dtype.itemsize == 2:
        return 65535.0
    top = float(_finite(values).max(initial=0))
    if values.dtype.kind in "iu" and top > 65535:
        return float(np.iinfo(values.dtype).max)
    return 1.0 if values.dtype.kind == "f" and top <= 1 else 255.0 if top <= 255 else 65535.0


def _eight_bits(values: npt.NDArray[Any], value_range: Range | None) -> Pixels:
    """Values of 16 or 32 bits or floats as 8 bits: by a range, else the nominal one, not by this picture's own."""
    finite = _finite(values)
    low, high = value_range or (0.0, _nominal(values))
    made = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), BAND):
        band = finite[start : start + BAND].astype(np.float64)
        made[start : start + BAND] = np.rint(np.clip((band - low) / (high - low), 0, 1) * 255)
    return made
