"""Read single pictures from shards by id, shard and row; what cannot be read is named by its id."""

from collections.abc import Sequence

import pandas as pd

from pipeline.errors import DataError, PipelineError, listing
from pipeline.images.pixels import Pixels, decode
from pipeline.store.shards import ShardReader


def pictures_of(ids: Sequence[str], manifest: pd.DataFrame, images: ShardReader) -> list[Pixels]:
    """The pixels of some images, in the order of their ids.

    Raises:
        DataError: an image is not in the manifest, or its pixels cannot be read.
    """
    places = manifest.loc[manifest["id"].isin(ids), ["id", "shard", "row"]]
    found = {str(image): (str(shard), int(row)) for image, shard, row in places.itertuples(index=False, name=None)}
    lost = [image for image in ids if image not in found]
    if lost:
        raise DataError(f"the manifest lacks {len(lost)} predicted images ({listing(lost)}): run `dvc repro`")
    return [_decoded(images, image, *found[image]) for image in ids]


def read_picture(
    images: ShardReader, image_id: str, shard: str, row: int, size: int, out: Pixels | None = None
) -> Pixels:
    """The pixels of a row, (size, size, 3) uint8, decoded into `out` where it is given and fits.

    Raises:
        PipelineError: they cannot be read, or are of another size; the message begins with the id.
    """
    pixels = _decoded(images, image_id, shard, row, out)
    height, width = pixels.shape[:2]
    if (height, width) != (size, size):
        raise DataError(f"{image_id}: its picture is {width} x {height} pixels, not {size} x {size}: run `dvc repro`")
    return pixels


def _decoded(images: ShardReader, image_id: str, shard: str, row: int, out: Pixels | None = None) -> Pixels:
    try:
        data = images.image(shard, row)
    except PipelineError as error:
        raise type(error)(f"{image_id}: {error}") from error
    try:
        return decode(data, out)
    except Exception as error:
        # Its text would hold an address in memory, another in each run.
        raise DataError(
            f"{image_id}: row {row} of shard {shard} is not an image ({type(error).__name__}): "
            "run `pipeline doctor --fix`, then `dvc repro`"
        ) from error
