"""How fast the most similar vectors are found among very many, how many are missed, and what peers take.

    OPENBLAS_NUM_THREADS=1 python benchmarks/nearest_vectors.py FEATURES [--vectors 1000000] [--peers PYTHON]

FEATURES: real vectors, made once by `python benchmarks/nearest_vectors.py FEATURES --photos FOLDER...`.

Noise alone has no neighbours. So vectors are mixtures: each lies between a real one and its eight nearest (Dirichlet,
.35) with noise of so many hundredths of its length, by which the likeness to the nearest and to the fifth is about that
of the real ones; both are printed. Every way runs in a process of its own. 300 vectors are compared with all.
`--peers` names an interpreter with faiss-cpu, hnswlib and usearch; what it lacks is left out.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float16]
Found = npt.NDArray[np.int64]

COUNT, ASKED, NOISE = 8, 300, 0.4
# How many of the nearest must be found.
WANTED = 5
_ROWS = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=["pipeline"], choices=[*WAYS])
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--one", metavar="WAY", help="measure one row, print JSON")
    options = parser.parse_args()
    if options.photos:
        make_features(options.photos, options.features)
        return
    real = np.load(options.features)
    if options.one:
        print(json.dumps(measured(options.one, grown(real, options.vectors), options.workers)))
        return
    vectors = grown(real, options.vectors)
    asked = drawn(len(vectors))
    _, likeness = exact(vectors, asked)
    _, before = exact(real, drawn(len(real)))
    for name, alike in (("real", before), (f"{len(vectors):,}", likeness)):
        print(
            f"{name}: likeness to the nearest {np.median(alike[:, 0]):.3f}, to the fifth {np.median(alike[:, 4]):.3f}"
        )
    del vectors
    for way in options.ways:
        python = sys.executable if way == "pipeline" else options.peers
        command = [python, __file__, str(options.features), "--one", way, "--vectors", str(options.vectors)]
        done = subprocess.run(
            [*command, "--workers", str(options.workers)], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            print(f"{way}: failed", flush=True)
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        found = [len({*one} & {*other}) / WANTED for one, other in zip(row["found"], row["exact"], strict=True)]
        print(
            f"{way:12} CPU {row['cpu']:7.1f} s, {row['seconds']:7.1f} s by the clock with {options.workers} threads, "
            f"{row['gib']:.2f} GiB; recall@{WANTED} {np.mean(found):.3f}",
            flush=True,
        )


def make_features(folders: list[Path], file: Path) -> None:
    from scenes import pictures, vectors_of

    np.save(file, np.concatenate([vectors_of(pictures(folder)[1]) for folder in folders]))


def drawn(count: int) -> Found:
    return np.sort(np.random.default_rng(9).choice(count, min(count, ASKED), replace=False))


def unit(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    found = vectors.astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def grown(real: Vectors, count: int) -> Vectors:
    """So many mixtures of real vectors; the same wherever it runs."""
    draw = np.random.default_rng(0)
    directions = unit(real)
    near = np.concatenate(
        [
            np.argpartition(-(directions[start : start + 1024] @ directions.T), 9, axis=1)[:, :9]
            for start in range(0, len(real), 1024)
        ]
    )
    made = np.empty((count, real.shape[1]), np.float16)
    for start in range(0, count, _ROWS):
        numbers = np.arange(start, min(start + _ROWS, count)) % len(real)
        shares = draw.dirichlet(np.full(9, 0.35), len(numbers)).astype(np.float32)
        mixed = draw.standard_normal((len(numbers), real.shape[1]), np.float32) * np.float32(
            NOISE / np.sqrt(real.shape[1])
        )
        for place in range(9):
            mixed += shares[:, place, None] * directions[near[numbers, place]]
        made[start : start + len(numbers)] = mixed
    return made


def exact(vectors: Vectors, asked: Found) -> tuple[Found, npt.NDArray[np.float32]]:
    """The nearest of some, by comparing them with all."""
    mine = unit(vectors[asked])
    numbers, likeness = np.zeros((len(asked), WANTED), np.int64), np.full((len(asked), WANTED), -2, np.float32)
    for start in range(0, len(vectors), _ROWS):
        values = mine @ unit(vectors[start : start + _ROWS]).T
        here = np.flatnonzero((asked >= start) & (asked < start + _ROWS))
        values[here, asked[here] - start] = -2
        all_values = np.concatenate([likeness, values], axis=1)
        best = np.argpartition(-all_values, WANTED, axis=1)[:, :WANTED]
        likeness = np.take_along_axis(all_values, best, axis=1)
        places = np.concatenate([numbers, np.broadcast_to(start + np.arange(values.shape[1]), values.shape)], axis=1)
        numbers = np.take_along_axis(places, best, axis=1)
    order = np.argsort(-likeness, axis=1)
    return np.take_along_axis(numbers, order, axis=1), np.take_along_axis(likeness, order, axis=1)


def measured(way: str, vectors: Vectors, workers: int) -> dict[str, Any]:
    """What a way takes, without the exact answers."""
    begun, cpu = time.perf_counter(), time.process_time()
    found = WAYS[way](vectors, workers)
    row = {
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30),
    }
    asked = drawn(len(vectors))
    others = [
        [number for number in row if number != mine] for mine, row in zip(asked, found[asked].tolist(), strict=True)
    ]
    return {**row, "found": [row[:WANTED] for row in others], "exact": exact(vectors, asked)[0].tolist()}


def by_the_pipeline(vectors: Vectors, workers: int) -> Found:
    from pipeline.stages.curate.neighbours import nearest
    from pipeline.workers.engine import Engine

    return nearest(vectors, COUNT, Engine(workers))[0]


def by_faiss(vectors: Vectors, workers: int) -> Found:
    """Principal dimensions and an inverted file, of as many parts and probes as the pipeline's."""
    import faiss

    faiss.omp_set_num_threads(workers)
    parts = max(1, len(vectors) // 1000)
    index = faiss.index_factory(vectors.shape[1], f"PCA128,L2norm,IVF{parts},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(unit(vectors[:: max(1, len(vectors) // 40_000)]))
    for start in range(0, len(vectors), _ROWS):
        index.add(unit(vectors[start : start + _ROWS]))
    faiss.extract_index_ivf(index).nprobe = 24
    blocks = [
        index.search(unit(vectors[start : start + _ROWS]), COUNT + 1)[1] for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(blocks)


def by_usearch(vectors: Vectors, workers: int) -> Found:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
    for start in range(0, len(vectors), _ROWS):
        index.add(np.arange(start, min(start + _ROWS, len(vectors))), vectors[start : start + _ROWS], threads=workers)
    blocks = [
        index.search(vectors[start : start + _ROWS], COUNT + 1, threads=workers).keys
        for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(blocks).astype(np.int64)


def by_hnswlib(vectors: Vectors, workers: int) -> Found:
    import hnswlib

    index = hnswlib.Index(space="cosine", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=200, M=16, random_seed=1)
    index.set_num_threads(workers)
    for start in range(0, len(vectors), _ROWS):
        index.add_items(vectors[start : start + _ROWS].astype(np.float32))
    index.set_ef(64)
    blocks = [
        index.knn_query(vectors[start : start + _ROWS].astype(np.float32), COUNT + 1)[0]
        for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(blocks).astype(np.int64)


WAYS: dict[str, Callable[[Vectors, int], Found]] = {
    "pipeline": by_the_pipeline,
    "faiss": by_faiss,
    "usearch": by_usearch,
    "hnswlib": by_hnswlib,
}


if __name__ == "__main__":
    main()
