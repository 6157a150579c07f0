"""Data preparation for image classifiers, from files on disk to a diagnosis.

For programs of one's own, each loaded on demand: `ImageDataset`, `read_manifest`, `load_model`, `read_weights`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.data.image_dataset import ImageDataset as ImageDataset
    from pipeline.data.prepared import read_manifest as read_manifest
    from pipeline.tools.predict import read_model as load_model
    from pipeline.training.weights import read_weights as read_weights

_PLACES = {
    "ImageDataset": ("pipeline.data.image_dataset", "ImageDataset"),
    "load_model": ("pipeline.tools.predict", "read_model"),
    "read_manifest": ("pipeline.data.prepared", "read_manifest"),
    "read_weights": ("pipeline.training.weights", "read_weights"),
}
__all__ = ["ImageDataset", "load_model", "read_manifest", "read_weights"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, real = _PLACES[name]
    return getattr(import_module(module), real)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
