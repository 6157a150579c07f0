"""How many neighbours a map of the data keeps, and how long it takes: t-SNE, all at once and by landmarks, and PCA.

    python benchmarks/data_map.py PROJECT... [--images 20000]

PROJECT: a folder in which embed and curate ran. Kept: of the 15 images most like each, the share that is among the 15
nearest on the map. With --images the vectors of the last project are blown up to so many, each with noise as long as
the distance to its nearest neighbour.
"""

import argparse
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from projects import curated

from pipeline.data.vectors import principal, unit
from pipeline.tools.map import layout

NEAREST, SAMPLE = 15, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=0)
    options = parser.parse_args()
    for project in options.projects:
        rows, vectors = curated(project)
        ids = rows["sha256"].to_numpy(str)
        print(f"{project.name}, {len(vectors):,} images")
        measure(vectors, ids, [len(vectors), len(vectors) // 2, len(vectors) // 4])
    if options.images:
        generator = np.random.default_rng(0)
        drawn = vectors[generator.integers(len(vectors), size=options.images)]
        near = np.sqrt(np.maximum(2 - 2 * np.partition(vectors @ vectors.T, -2, axis=1)[:, -2].mean(), 0))
        noise = generator.normal(0, near / np.sqrt(vectors.shape[1]), drawn.shape)
        blown = unit((drawn + noise).astype(np.float32))
        print(f"blown up to {len(blown):,}")
        measure(blown, np.array([f"{number:08}" for number in range(len(blown))]), [layout.MAX_LANDMARKS])


def measure(vectors: Any, ids: Any, landmarks: list[int]) -> None:
    asked = np.random.default_rng(1).permutation(len(vectors))[:SAMPLE]
    true = nearest(vectors, asked)
    print(f"  PCA: {kept(true, nearest(principal(vectors, 2), asked)):.3f} kept")
    for count in landmarks:
        with patch.object(layout, "MAX_LANDMARKS", count):
            begun = time.process_time()
            places = layout.places_of(vectors, ids)
        share = kept(true, nearest(places, asked))
        print(f"  t-SNE of {count:,}: {share:.3f} kept, {time.process_time() - begun:.1f} s", flush=True)


def nearest(vectors: Any, asked: Any) -> Any:
    squares = (vectors.astype(np.float32) ** 2).sum(axis=1)
    found = []
    for start in range(0, len(asked), 500):
        rows = asked[start : start + 500]
        distances = squares - 2 * vectors[rows] @ vectors.T
        distances[np.arange(len(rows)), rows] = np.inf
        found.append(np.argpartition(distances, NEAREST, axis=1)[:, :NEAREST])
    return np.concatenate(found)


def kept(true: Any, shown: Any) -> float:
    return float(np.mean([len(set(one) & set(other)) / NEAREST for one, other in zip(true, shown, strict=True)]))


if __name__ == "__main__":
    main()
