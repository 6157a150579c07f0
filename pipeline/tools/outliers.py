"""Outliers of a class: images of train, train_dev and dev that look unlike the others of their class.

A command and no part of curate, because curate stands before split and would show images of test. Nothing is removed:
an outlier may be a wrong label, a picture of something else, or the rare case that the model needs most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.data.pictures import pictures_of
from pipeline.data.prepared import problem_of
from pipeline.data.vectors import image_vectors
from pipeline.problem.problem import check_has_classes
from pipeline.sheets.contact_sheets import MAX_GALLERY_IMAGES, gallery
from pipeline.sheets.drawing import Cell
from pipeline.store.spreadsheets import spreadsheet_bytes
from pipeline.store.writing import write_files
from pipeline.tools.figures import table_beside
from pipeline.workers.engine import Engine

Floats = npt.NDArray[np.float64]

# Images of its class that an image is held against: those most like it, of other groups.
NEAREST = 10
# Of a class with fewer images nobody can say what is usual.
MIN_IMAGES = 12
# Beyond the third quartile, in ranges between the quartiles (Tukey, 1977, ch. 2).
FENCE = 1.5
BLOCK = 1024
DIGITS = 4
COLUMNS = ["id", "label", "split", "source", "distance", "usual", "ranges_beyond", "nearest_class"]


@dataclass(frozen=True)
class Outliers:
    """The outliers, the farthest first, with COLUMNS; how many images were compared, and classes too small for it.

    distance: 1 - the mean cosine to the ten most similar images of the class and of other groups; usual: its median in
    the class; ranges_beyond: how far it lies beyond the third quartile, in ranges between the quartiles.
    nearest_class: the class of the ten images that it is most like.
    """

    table: pd.DataFrame
    images: int
    small_classes: Sequence[str]


def find_outliers(rows: pd.DataFrame, vectors: npt.NDArray[np.float32]) -> Outliers:
    """The images that lie farther from their class than is usual in it.

    Args:
        rows: with id, label, split, source and group. vectors: shape (n, d), of length 1.
    """
    if rows.empty:
        return Outliers(pd.DataFrame(columns=COLUMNS), 0, [])
    labels, groups = rows["label"].astype(str).to_numpy(), pd.factorize(rows["group"].astype(str))[0]
    names, codes = np.unique(labels, return_inverse=True)
    distances = np.stack([_distances(vectors, groups, codes == code) for code in range(len(names))], axis=1)
    own = distances[np.arange(len(rows)), codes]
    parts, small = [], []
    for code, name in enumerate(names):
        places = np.flatnonzero((codes == code) & np.isfinite(own))
        if len(places) < MIN_IMAGES:
            small.append(str(name))
            continue
        first, usual, third = np.quantile(own[places], [0.25, 0.5, 0.75])
        beyond = (own[places] - third) / max(third - first, 1e-6)
        far = beyond > FENCE
        parts.append(
            rows.iloc[places[far]][["id", "label", "split", "source"]]
            .astype(str)
            .assign(
                distance=own[places[far]].round(DIGITS),
                usual=round(float(usual), DIGITS),
                ranges_beyond=beyond[far].round(2),
                nearest_class=names[np.nan_to_num(distances[places[far]], nan=2.0).argmin(axis=1)],
            )
        )
    found = pd.concat(parts) if parts else pd.DataFrame(columns=COLUMNS)
    found = found.sort_values(["ranges_beyond", "id"], ascending=[False, True], ignore_index=True)
    return Outliers(found[COLUMNS], len(rows), small)


def _distances(vectors: npt.NDArray[np.float32], groups: npt.NDArray[np.intp], inside: npt.NDArray[np.bool_]) -> Floats:
    """Of each image to the nearest ones of a class that are of other groups, shape (n,); NaN where there are none."""
    others, of_others = vectors[inside], groups[inside]
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, start + BLOCK)
        likeness = vectors[part] @ others.T
        likeness[groups[part, None] == of_others] = -np.inf
        count = min(NEAREST, likeness.shape[1])
        nearest = np.partition(likeness, -count, axis=1)[:, -count:].astype(np.float64)
        known = np.isfinite(nearest)
        total = np.where(known, nearest, 0.0).sum(axis=1)
        found[part] = 1 - np.divide(total, known.sum(axis=1), out=np.full(len(total), np.nan), where=known.any(axis=1))
    return found


def write_outliers(output: Path, engine: Engine) -> str:
    """Write a sheet and a table, or none, and return what they show.

    Raises:
        ParamsError: the sheet's name is not one of a PNG file.
        StorageError: a file cannot be written.
        MissingInputError: the stages up to split have not run.
    """
    check_has_classes(problem_of(), "`pipeline outliers`")
    beside = table_beside(output)
    rows, embeddings, originals = (
        artifact.read(Path(artifact.path)) for artifact in (catalogue.SPLIT, catalogue.EMBEDDINGS, catalogue.ORIGINALS)
    )
    rows = rows.sort_values("id", ignore_index=True)
    looks = image_vectors(rows, embeddings, originals, engine)
    found = find_outliers(rows, looks.vectors)
    shown = found.table.iloc[:MAX_GALLERY_IMAGES]
    cells = [
        Cell(pixels, words)
        for pixels, words in zip(pictures_of(shown["id"].tolist(), rows, originals), _captions(shown), strict=True)
    ]
    lines = [
        f"Images of train, train_dev and dev that look unlike the others of their class, by their {looks.kind}.",
        "Decide for each: a wrong label, another object, or a rare case that the model needs. Nothing is removed.",
        f"unusual: the distance above the class's third quartile, in interquartile ranges; above {FENCE:g} here.",
        *([f"Too few images to check: {', '.join(found.small_classes[:10])}."] if found.small_classes else []),
        *([] if len(found.table) else ["None was found."]),
    ]
    columns = {name: [str(value) for value in found.table[name]] for name in COLUMNS}
    sheet = gallery("Outliers of their class", lines, cells, len(found.table))
    write_files({output: sheet, beside: spreadsheet_bytes(columns)})
    return (
        f"{output}, {beside}: {len(found.table):,} of {found.images:,} images of train, train_dev and dev look "
        "unlike the others of their class, the most unusual first; nothing is removed"
    )


def _captions(shown: pd.DataFrame) -> list[tuple[str, ...]]:
    return [
        (
            f"{number}: {row['label']}",
            f"{row['split']}, {row['source']}",
            f"unusual: {row['ranges_beyond']:.1f}",
            *([f"more like {row['nearest_class']}"] if row["nearest_class"] != row["label"] else []),
        )
        for number, row in enumerate(shown.to_dict("records"), 1)
    ]
