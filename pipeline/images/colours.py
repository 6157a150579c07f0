"""Pixels of any mode of Pillow -> 8-bit sRGB: bit depths, inks, palettes, transparency, colour profiles."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from pipeline.images.pixels import Pixels

Colour = tuple[int, int, int]

# A profile speaks of colours of one kind (ICC.1:2022, 7.2.6), which an image of these modes has.
SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
# Tags of TIFF (TIFF 6.0, sections 4 and 19).
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339
# Rows that are converted at a time where a pixel takes 8 bytes meanwhile.
BAND = 256


def to_srgb(image: Image.Image, background: Colour) -> Pixels:
    """Pixels (height, width, 3) of a loaded image, transparent parts over the background.

    Grey of 16 or 32 bits is scaled by its nominal range, not by the picture's own: Pillow would clip it. A colour
    profile that is broken, or for another kind of pixels, does not count.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return np.stack([_eight_bits(_values(image))] * 3, axis=2)
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


def _eight_bits(values: npt.NDArray[Any]) -> Pixels:
    """Grey of 16 or 32 bits or floats as 8 bits: by the nominal range, not by this picture's own."""
    finite = np.where(np.isfinite(values), values, 0) if values.dtype.kind == "f" else values
    top = float(finite.max(initial=0))
    nominal = 1.0 if values.dtype.kind == "f" and top <= 1 else 255.0 if top <= 255 else 65535.0
    if values.dtype.itemsize == 2:
        nominal = 65535.0
    elif values.dtype.kind in "iu" and top > 65535:
        nominal = float(np.iinfo(values.dtype).max)
    made = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), BAND):
        band = finite[start : start + BAND].astype(np.float64)
        made[start : start + BAND] = np.rint(np.clip(band / nominal, 0, 1) * 255)
    return made
