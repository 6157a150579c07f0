"""Lists of transforms that params.yaml can name: `{preset: photo}` stands for its list, item by item."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.params import AnyTransform, PresetName, Transform

PRESETS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "light": [
        {"name": "Affine", "rotate": [-5, 5], "translate_percent": [-0.05, 0.05], "p": 1.0},
        {"name": "RandomBrightnessContrast", "brightness_limit": 0.1, "contrast_limit": 0.1, "p": 0.5},
    ],
    "photo": [
        {"name": "HorizontalFlip", "p": 0.5},
        {"name": "Affine", "rotate": [-15, 15], "translate_percent": [-0.1, 0.1], "shear": [-8, 8], "p": 1.0},
        {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5},
    ],
    "document": [
        {"name": "Affine", "rotate": [-3, 3], "translate_percent": [-0.03, 0.03], "shear": [-3, 3], "p": 1.0},
        {"name": "RandomBrightnessContrast", "brightness_limit": 0.2, "contrast_limit": 0.2, "p": 0.5},
    ],
    "digits": [
        {"name": "Affine", "rotate": [-10, 10], "translate_percent": [-0.1, 0.1], "shear": [-5, 5], "p": 1.0},
    ],
}


def expand(items: Sequence[AnyTransform]) -> tuple[Transform, ...]:
    """The transforms, each preset replaced by its list."""
    return tuple(
        transform for item in items for transform in (_preset(item.preset) if isinstance(item, PresetName) else [item])
    )


def _preset(name: str) -> list[Transform]:
    return [Transform.model_validate(item) for item in PRESETS[name]]
