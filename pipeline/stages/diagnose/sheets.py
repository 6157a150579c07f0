"""The contact sheet of diagnose: clusters of dev on which the model fails."""

from collections.abc import Callable, Sequence

import pandas as pd

from pipeline.diagnosis.clusters import FailingCluster
from pipeline.images.pixels import Pixels
from pipeline.metrics.predictions import classes_of
from pipeline.problem.quantities import Quantity
from pipeline.sheets.drawing import Cell, Section, Sheet, Strip, sheet_png

COLUMNS, MAX_IMAGES = 8, 24

ReadPictures = Callable[[Sequence[str]], Sequence[Pixels]]
"""Ids -> the normalised pictures."""


def clusters_sheet(clusters: Sequence[FailingCluster], predictions: pd.DataFrame, read: ReadPictures) -> bytes:
    """A PNG file with each cluster's images, the misclassified ones first.

    Args:
        predictions: with id, label and predicted.
    """
    measured = isinstance(classes_of(predictions), Quantity)
    called = predictions.set_index("id")[["label", "predicted"]].astype(str)
    sections = []
    for cluster in clusters:
        shown = cluster.images[:MAX_IMAGES]
        cells = [
            Cell(
                pixels,
                (
                    label,
                    f"predicted {predicted}" if measured else "right" if label == predicted else f"called {predicted}",
                ),
            )
            for pixels, (label, predicted) in zip(read(shown), called.loc[list(shown)].to_numpy(), strict=True)
        ]
        more = f" ({len(shown)} of {len(cluster.images):,} shown)" if len(shown) < len(cluster.images) else ""
        sections.append(Section(cluster.words + more, [Strip("", cells)]))
    lines = [
        "Similar images of dev on which the errors are larger than on the rest, beyond chance."
        if measured
        else "Similar images of dev that the model misclassifies more often than the rest, beyond chance.",
        *([] if sections else ["None was found."]),
    ]
    sheet = Sheet("Clusters on which the model fails", lines, sections, COLUMNS)
    return sheet_png(sheet)
