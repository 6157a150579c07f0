"""The points of a map: where each image lies, and what may be shown of it.

Where an image of test lies is known by what it looks like; its label and what the model says of it are not shown.
"""

import hashlib
from collections.abc import Set
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.vectors import image_vectors
from pipeline.errors import DataError, MissingInputError
from pipeline.manifest import NO_LABEL
from pipeline.problem.problem import is_regression
from pipeline.problem.quantities import binned_texts, numbers_among, quantile_edges
from pipeline.project.params_file import load_params
from pipeline.store.artifacts import Artifact
from pipeline.store.shard_plan import digest
from pipeline.store.writing import replacing
from pipeline.tools.lineage import is_of_another_model
from pipeline.tools.map.layout import places_of
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

HELD_BACK = "test or unused"
# Parts of the range of numbers, with about equally many images each.
PARTS = 5
COLUMNS = ["id", "x", "y", "source", "role", "split", "label", "predicted"]


def map_points(engine: Engine) -> tuple[pd.DataFrame, str]:
    """A row per image that curate kept, by id, with COLUMNS; and what the map is made of, in words.

    split: of the last run, or HELD_BACK. label, predicted: "" where they are not shown or not known. Of numbers, label
    is the part of the range, and predicted is not shown.

    Raises:
        MissingInputError: split has not run.
        DataError: there are no images.
    """
    images = _read(catalogue.CURATED).sort_values("id", ignore_index=True)
    if images.empty:
        raise DataError("curate kept no image: there is nothing to draw a map of")
    seen = _read(catalogue.SPLIT)
    found = pd.DataFrame({name: images[name].astype(str) for name in ("id", "source", "role")})
    places, kind = _places(images, engine)
    found = found.assign(x=places["x"].to_numpy(), y=places["y"].to_numpy())
    told = {
        "split": (dict(zip(seen["id"], seen["split"].astype(str), strict=True)), HELD_BACK),
        "label": (dict(zip(seen["id"], seen["label"].astype(str), strict=True)), ""),
        "predicted": (_predicted(set(seen["id"])), ""),
    }
    for name, (values, otherwise) in told.items():
        found[name] = [values.get(image, otherwise) for image in found["id"]]
    if is_regression(load_params().problem):
        found = in_parts(found)
    return found[COLUMNS], kind


def in_parts(points: pd.DataFrame) -> pd.DataFrame:
    """Points whose labels are numbers, with the fifth of the range instead; no number is predicted exactly."""
    numbers = numbers_among(points["label"], NO_LABEL)
    edges = quantile_edges(numbers, PARTS) if len(numbers) else []
    return points.assign(label=binned_texts(points["label"], edges, NO_LABEL), predicted="")


def _predicted(ids: Set[str]) -> dict[str, str]:
    """What the model says, by id; of other images than those of the last split nothing, and of another model, too."""
    if is_of_another_model():
        return {}
    try:
        predictions = _read(catalogue.PREDICTIONS)
    except MissingInputError:
        return {}
    pairs = zip(predictions["id"], predictions["predicted"].astype(str), strict=True)
    return {image: predicted for image, predicted in pairs if image in ids}


def _places(images: pd.DataFrame, engine: Engine) -> tuple[pd.DataFrame, str]:
    """x and y of each image, by an earlier map if it was of the same images and code."""
    found = image_vectors(images, _read(catalogue.EMBEDDINGS), _read(catalogue.ORIGINALS), engine)
    content = hashlib.sha256(found.vectors.tobytes()).hexdigest()
    rule = digest(version_of(places_of), content, *images["sha256"].astype(str))
    path = Path(catalogue.MAP_PLACES.path)
    kept = catalogue.MAP_PLACES.read(path)
    if len(kept) != len(images) or (kept["rule"] != rule).any():
        x, y = places_of(found.vectors, images["sha256"]).T
        kept = pd.DataFrame({"x": x, "y": y, "rule": rule})
        with replacing(path) as half:
            catalogue.MAP_PLACES.write(kept, half)
    return kept, found.kind


def _read(artifact: Artifact) -> Any:
    return artifact.read(Path(artifact.path))
