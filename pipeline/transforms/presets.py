"""Presets: lists of transforms that params.yaml can name; `{preset: photo}` is replaced by its items.

They are starting points that leave most labels right, at any size of picture: shares of the picture
and shades of grey, no pixels. A transform that changes a label (a flip turns b into d, a hue a ripe
fruit into a raw one) is the user's decision: put it into the list beside the preset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.registry import Registry

# OpenCV's BORDER_REFLECT_101 and BORDER_REPLICATE: corners filled with black would say how a picture was turned.
MIRROR, STRETCH = 4, 1

LIGHT: Sequence[Mapping[str, Any]] = (
    # Nobody holds a camera quite straight, or an object quite in the middle.
    {"name": "Affine", "rotate": [-5, 5], "translate_percent": [-0.05, 0.05], "border_mode": MIRROR, "p": 1.0},
    # Exposure differs from camera to camera.
    {"name": "RandomBrightnessContrast", "brightness_limit": [-0.1, 0.1], "contrast_limit": [-0.1, 0.1], "p": 0.5},
)
PHOTO: Sequence[Mapping[str, Any]] = (
    # Most things look as likely from the left as from the right; not letters, arrows or left hands.
    {"name": "HorizontalFlip", "p": 0.5},
    # Rotation, shift, shear and distance: where the camera stood.
    {
        **{"name": "Affine", "rotate": [-15, 15], "translate_percent": [-0.1, 0.1], "shear": [-8, 8]},
        **{"scale": [0.9, 1.1], "border_mode": MIRROR, "p": 1.0},
    },
    # Exposure and haze.
    {"name": "RandomBrightnessContrast", "brightness_limit": [-0.15, 0.15], "contrast_limit": [-0.2, 0.2], "p": 0.5},
    # From lamp light to shade; unlike a change of hue it leaves what is ripe ripe.
    {"name": "PlanckianJitter", "mode": "blackbody", "temperature_limit": [4500, 9000], "p": 0.3},
    # A sensor in the dark.
    {"name": "GaussNoise", "std_range": [0.01, 0.05], "p": 0.2},
    # What messengers and web pages do to files.
    {"name": "ImageCompression", "compression_type": "jpeg", "quality_range": [50, 95], "p": 0.2},
)
DOCUMENT: Sequence[Mapping[str, Any]] = (
    # Pages lie a little askew; text is never mirrored.
    {
        **{"name": "Affine", "rotate": [-3, 3], "translate_percent": [-0.03, 0.03], "shear": [-3, 3]},
        **{"scale": [0.95, 1.05], "border_mode": STRETCH, "p": 1.0},
    },
    # A page photographed from the side.
    {"name": "Perspective", "scale": [0.01, 0.04], "border_mode": STRETCH, "p": 0.3},
    # Paper, ink and lamps.
    {"name": "RandomBrightnessContrast", "brightness_limit": [-0.15, 0.15], "contrast_limit": [-0.2, 0.2], "p": 0.5},
    # A lamp on one side.
    {"name": "Illumination", "mode": "linear", "intensity_range": [0.05, 0.15], "effect_type": "both", "p": 0.3},
    # A sensor in the dark.
    {"name": "GaussNoise", "std_range": [0.01, 0.04], "p": 0.2},
    # What scanners and messengers do to files.
    {"name": "ImageCompression", "compression_type": "jpeg", "quality_range": [40, 95], "p": 0.3},
)
DIGITS: Sequence[Mapping[str, Any]] = (
    # Slant, size and place of handwriting; a 6 turned further is a 9, and no digit is mirrored.
    {
        **{"name": "Affine", "rotate": [-10, 10], "translate_percent": [-0.1, 0.1], "shear": [-5, 5]},
        **{"scale": [0.9, 1.1], "border_mode": STRETCH, "p": 1.0},
    },
    # Every hand bends strokes its own way (Simard, Steinkraus and Platt, 2003).
    {"name": "GridDistortion", "num_steps": 4, "distort_limit": [-0.15, 0.15], "border_mode": STRETCH, "p": 0.5},
)

# What a picture may go through and still be told by a person: for train.unlabelled's consistency. As RandAugment and
# Cutout in FixMatch (Sohn et al., 2020), without flips and large turns, which make another digit or letter.
STRONG: Sequence[Mapping[str, Any]] = (
    {
        **{"name": "Affine", "rotate": [-20, 20], "translate_percent": [-0.125, 0.125], "shear": [-12, 12]},
        **{"scale": [0.8, 1.2], "border_mode": MIRROR, "p": 1.0},
    },
    {"name": "RandomBrightnessContrast", "brightness_limit": [-0.3, 0.3], "contrast_limit": [-0.4, 0.4], "p": 0.7},
    {"name": "GaussNoise", "std_range": [0.02, 0.1], "p": 0.3},
    # Only a part of the picture may tell the class (DeVries and Taylor, 2017).
    {
        **{"name": "CoarseDropout", "num_holes_range": [1, 1], "hole_height_range": [0.2, 0.4]},
        **{"hole_width_range": [0.2, 0.4], "fill": 127, "p": 0.7},
    },
)


@dataclass(frozen=True)
class Preset:
    """A list of transforms, by albumentations' names and arguments, and what params.yaml calls it."""

    name: str
    transforms: Sequence[Mapping[str, Any]]


PRESETS: Registry[Preset] = Registry(
    (
        Preset("light", LIGHT),
        Preset("photo", PHOTO),
        Preset("document", DOCUMENT),
        Preset("digits", DIGITS),
        Preset("strong", STRONG),
    )
)
