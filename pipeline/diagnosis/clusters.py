"""Clusters of dev: images that look alike by their embeddings, as slices that nobody had to name.

Clusters know neither labels nor predictions, so whether the model fails on one can be tested as on any slice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from pipeline.diagnosis.findings import HARD_SLICE, SLICE, Finding
from pipeline.manifest import DEV

CLUSTER = "cluster"
# Fewer groups in a cluster, on average, tell nothing of it; more clusters take from what each test can find.
GROUPS_EACH, MAX_CLUSTERS = 25, 12
COMPONENTS, DIGITS = 32, 3
# What is said of a cluster holds for so much of it, and for so many times the share of the rest.
MOST, TIMES = 0.5, 1.8
# Of two classes together, where neither is most of it.
TWO, MOSTLY = 0.7, "mostly"
# Quarters of facts, the first and the last, in words.
WORDS = {
    "brightness": ("dark", "bright"),
    "contrast": ("of little contrast", "of much contrast"),
    "sharpness": ("soft", "sharp"),
    "saturation": ("pale", "colourful"),
    "shorter_side": ("small", "large"),
}
FIRST, LAST = "1 of 4", "4 of 4"

# Findings that a cluster can be.
NAMES = (SLICE, HARD_SLICE)

VectorsOf = Callable[[Sequence[str]], npt.NDArray[np.float16] | None]


@dataclass(frozen=True)
class FailingCluster:
    """What is said of a cluster on which the model fails, and the ids of its images, the misclassified ones first."""

    words: str
    images: Sequence[str]


def with_clusters(manifest: pd.DataFrame, vectors_of: VectorsOf) -> pd.DataFrame:
    """The manifest with a column CLUSTER: of images of dev their cluster's number, of others "".

    Without it where there are no vectors, or too few groups in dev for two clusters.

    Args:
        vectors_of: contents (SHA-256) -> their embeddings (n, d), or None if there are none.
    """
    dev = manifest[manifest["split"].astype(str) == DEV].sort_values("id")
    count = min(dev["group"].nunique() // GROUPS_EACH, MAX_CLUSTERS)
    if count < 2:
        return manifest
    vectors = vectors_of(dev["sha256"].astype(str).tolist())
    if vectors is None:
        return manifest
    numbers = _clusters(vectors.astype(np.float64), count)
    of_images = dict(zip(dev["id"], numbers, strict=True))
    return manifest.assign(**{CLUSTER: [of_images.get(image, "") for image in manifest["id"]]})


def failing_clusters(
    findings: Sequence[Finding], predictions: pd.DataFrame, manifest: pd.DataFrame
) -> list[FailingCluster]:
    """The clusters among the findings, with their images: the misclassified ones first, the most confident before."""
    if CLUSTER not in manifest:
        return []
    dev = predictions[predictions["split"].astype(str) == DEV]
    dev = dev.assign(cluster=dev["id"].map(dict(zip(manifest["id"], manifest[CLUSTER], strict=True))))
    dev = dev.assign(right=dev["label"].astype(str) == dev["predicted"].astype(str))
    dev = dev.sort_values(["right", "confidence", "id"], ascending=[True, False, True])
    asked = {finding.subject.removeprefix(f"{CLUSTER}="): finding for finding in findings if finding.name in NAMES}
    return [
        FailingCluster(finding.words, dev.loc[dev["cluster"] == number, "id"].astype(str).tolist())
        for number, finding in asked.items()
        if finding.subject.startswith(f"{CLUSTER}=")
    ]


def common_facts(rows: pd.DataFrame, inside: "pd.Series[bool]") -> str:
    """What most of a cluster's images have in common and others seldom have, in a few words; "" for nothing.

    Args:
        rows: of dev, as failing_slices.with_kinds gives them. inside: shape (n,).
    """
    found = []
    for column in ["label", *(name for name in map(str, rows) if name.startswith("by ") and name != f"by {CLUSTER}")]:
        values = rows[column].astype(str)
        value = str(values[inside].mode().iloc[0])
        share, elsewhere = float((values[inside] == value).mean()), float((values[~inside] == value).mean())
        if share >= MOST and share >= TIMES * elsewhere and value not in {"", "nan"}:
            words = _words(column.removeprefix("by "), value)
            if words:
                found.append(words)
    two = rows.loc[inside, "label"].astype(str).value_counts(normalize=True)[:2]
    elsewhere = float(rows.loc[~inside, "label"].astype(str).isin(two.index).mean())
    if not any(words.startswith(MOSTLY) for words in found) and two.sum() >= max(TWO, TIMES * elsewhere):
        found.insert(0, " and ".join(map(str, two.index)))
    return ", ".join(found)


def _words(column: str, value: str) -> str:
    if column == "label":
        return f"{MOSTLY} {value}"
    if column in WORDS:
        return {FIRST: WORDS[column][0], LAST: WORDS[column][1]}.get(value, "")
    return f"{column} {value}"


def _clusters(vectors: npt.NDArray[np.float64], count: int) -> list[str]:
    """The cluster of each vector, "1" being the largest: k-means on the principal components of unit vectors."""
    # scikit-learn takes a second to import.
    from sklearn.cluster import KMeans

    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    # Sums are split by threads.
    with threadpool_limits(1):
        centred = unit - unit.mean(axis=0)
        _, directions = np.linalg.eigh(centred.T @ centred)
        # Rounded, so that what a processor rounds otherwise seldom moves an image.
        shown = np.round(centred @ directions[:, ::-1][:, :COMPONENTS], DIGITS)
        count = min(count, len(np.unique(shown, axis=0)))
        labels: Any = KMeans(count, n_init=4, random_state=0).fit_predict(shown)
    sizes, first = np.bincount(labels), {label: int(np.argmax(labels == label)) for label in np.unique(labels)}
    order = sorted(first, key=lambda label: (-sizes[label], first[label]))
    names = {label: str(place) for place, label in enumerate(order, 1)}
    return [names[label] for label in labels]
