"""Rows of a manifest -> batches of pictures and classes; the prepared data for your own programs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.data.image_dataset import ImageDataset as ImageDataset

__all__ = ["ImageDataset"]


def __getattr__(name: str) -> Any:
    # On demand, because torch takes a second to import.
    if name != "ImageDataset":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipeline.data.image_dataset import ImageDataset

    return ImageDataset
