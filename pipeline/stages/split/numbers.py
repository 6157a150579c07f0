"""Parts of the range in place of numbers, so that dev and test get images of each, as they do of classes."""

import pandas as pd

from pipeline.errors import DataError
from pipeline.manifest import NO_LABEL, PRODUCTION
from pipeline.problem.quantities import binned_texts, numbers_among, quantile_edges
from pipeline.stages.split.params import SplitParams

# Parts with about equally many production images each.
PARTS = 5


def with_parts(manifest: pd.DataFrame, frozen: pd.DataFrame | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The rows with the part of their number as label; those without one stay so. The same of an earlier split.

    Of that, images whose number is another one now keep it, so that they are found out.

    Raises:
        DataError: all production images have the same number.
    """
    labels = manifest["label"].astype(str)
    numbers = numbers_among(labels[manifest["role"].astype(str) == PRODUCTION].tolist(), NO_LABEL)
    if len(numbers) and numbers.min() == numbers.max():
        raise DataError(
            f"all {len(numbers):,} production images have the number {numbers[0]:g}, so dev and test cannot measure a "
            "model: add images with other numbers, or name another problem.column"
        )
    edges = quantile_edges(numbers, PARTS) if len(numbers) else []
    known = labels.unique().tolist()
    texts = dict(zip(known, binned_texts(known, edges, NO_LABEL), strict=True))
    rows = manifest.assign(label=labels.map(texts).astype("category"))
    if frozen is None:
        return rows, None
    before = frozen["label"].astype(str)
    now = frozen["id"].astype(str).map(dict(zip(manifest["id"].astype(str), labels, strict=True)))
    return rows, frozen.assign(label=before.where(before != now, before.map(texts)).astype("category"))


def params_of_parts(params: SplitParams) -> SplitParams:
    """The same, but a part without raw images, or without any of production, is no mistake in the sources."""
    return params.model_copy(update={"one_sided_classes": "train"})
