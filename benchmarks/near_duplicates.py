"""How the search for near hashes grows, and what it takes when hashes cluster.

    python benchmarks/near_duplicates.py [--hashes 100000 1000000 10000000] [--peers PYTHON]

All pairs of 64-bit hashes that differ in at most 6 bits, each found once, on one core. Every row is measured in a
process of its own, with its peak memory. In each set 1,000 pairs are planted that differ in 0 to 6 bits, and all must
be found. `--peers` names an interpreter that has faiss-cpu and pybktree; what it lacks is left out. Peers ask for the
neighbours of a part of the hashes: their seconds for all are counted up from it. 10,000,000 hashes take two minutes
a set and 2 GB.
"""

import argparse
import importlib.metadata
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

RADIUS = 6
PLANTED = 1000
# Peers look up so many; a tree of Python objects only holds so many hashes in memory and time.
ASKED = 1000
MAX_LINKED = 1_000_000


def random(count: int) -> Hashes:
    hashes = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    for number in range(PLANTED):
        bits = np.random.default_rng(number).choice(64, number % (RADIUS + 1), replace=False)
        hashes[2 * number + 1] = hashes[2 * number] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    return hashes


def with_clusters(clusters: int, members: int, flips: int) -> Callable[[int], Hashes]:
    """So many hashes have so many others beside them, equal or with up to so many bits flipped."""

    def hashes(count: int) -> Hashes:
        if 2 * PLANTED + clusters * members > count:
            raise SystemExit(f"left out: its clusters alone have {clusters * members:,} hashes")
        made = random(count)
        draw = np.random.default_rng(1)
        crowd = made[-clusters:].repeat(members)
        for _ in range(flips):
            crowd ^= np.uint64(1) << draw.integers(0, 64, len(crowd), dtype=np.uint64)
        made[2 * PLANTED : 2 * PLANTED + len(crowd)] = crowd
        return made

    return hashes


SETS: dict[str, Callable[[int], Hashes]] = {
    "random": random,
    "10 clusters of 5,000 equal": with_clusters(10, 5000, 0),
    "10 clusters of 5,000 up to 3 bits off": with_clusters(10, 5000, 3),
    "1 cluster of 20,000 up to 3 bits off": with_clusters(1, 20_000, 3),
    "1 cluster of 50,000 up to 3 bits off": with_clusters(1, 50_000, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--one", nargs=3, metavar=("WAY", "SET", "HASHES"), help="measure one row, print JSON")
    options = parser.parse_args()
    if options.one:
        way, name, count = options.one
        print(json.dumps(measured(WAYS[way], SETS[name](int(count)))))
        return
    if min(options.hashes) < 2 * PLANTED:
        parser.error(
            f"--hashes {min(options.hashes)}: {PLANTED} pairs are planted, so that there are {2 * PLANTED} at least"
        )
    for count in options.hashes:
        for name in options.sets:
            show(count, name, "pipeline", sys.executable)
        for way in [way for way in WAYS if way != "pipeline" and options.peers]:
            show(count, "random", way, options.peers)


def show(count: int, name: str, way: str, python: str) -> None:
    """A row of the table, measured in a process of its own."""
    command = [python, __file__, "--one", way, name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{count:>11,} {name:38} {way:28} {done.stderr.strip().splitlines()[-1]}", flush=True)
        return
    row = json.loads(done.stdout)
    each = 1e9 * row["seconds"] / count
    found = f"{row['pairs']:>12,} pairs" if row["pairs"] is not None else f"{'':18}"
    print(
        f"{count:>11,} {name:38} {row['title'] or way:24} {row['seconds']:>11,.2f} s {row['gib']:6.2f} GiB "
        f"{each:>9,.0f} ns a hash {found}",
        flush=True,
    )


def measured(way: Callable[[Hashes], dict[str, Any]], hashes: Hashes) -> dict[str, Any]:
    """Seconds, the process's peak memory (hashes and libraries too), and pairs of distinct hashes."""
    row = {"pairs": None, "title": "this pipeline", **way(hashes)}
    return {
        **row,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30),
    }


def by_the_pipeline(hashes: Hashes) -> dict[str, Any]:
    """Equal hashes are one, as copies() has them; the planted pairs among the distinct ones must be found."""
    from pipeline.stages.curate.near_hashes import near_pairs

    planted = np.sort(hashes[: 2 * PLANTED].reshape(-1, 2), axis=1)
    planted = planted[planted[:, 0] != planted[:, 1]]
    begun = time.perf_counter()
    distinct = np.unique(hashes)
    pairs, seen = 0, []
    wanted = np.isin(distinct, planted)
    for one, other in near_pairs(distinct, RADIUS):
        pairs += len(one)
        mine = wanted[one] & wanted[other]
        seen.append(np.stack([distinct[one[mine]], distinct[other[mine]]], axis=1))
    seconds = time.perf_counter() - begun
    found = {tuple(sorted(pair)) for pair in np.concatenate(seen).tolist()}
    missed = [pair for pair in planted.tolist() if tuple(pair) not in found]
    if missed:
        raise SystemExit(f"{len(missed)} of {len(planted)} planted pairs were not found")
    return {"seconds": seconds, "pairs": pairs}


def by_comparing_all(hashes: Hashes) -> dict[str, Any]:
    asked = hashes[:: max(1, len(hashes) // ASKED)]
    begun = time.perf_counter()
    for number in asked:
        np.flatnonzero(np.bitwise_count(hashes ^ number) <= RADIUS)
    # Half of all pairs would do.
    return {
        "seconds": (time.perf_counter() - begun) * len(hashes) / len(asked) / 2,
        "title": f"numpy {np.__version__}, all pairs",
    }


def by_faiss(kind: str) -> Callable[[Hashes], dict[str, Any]]:
    def search(hashes: Hashes) -> dict[str, Any]:
        import faiss

        faiss.omp_set_num_threads(1)
        codes = hashes.view(np.uint8).reshape(-1, 8)
        begun = time.perf_counter()
        if kind == "flat":
            index = faiss.IndexBinaryFlat(64)
        else:
            # Radius 6 over four bands of 16: one band differs in at most one bit.
            index = faiss.IndexBinaryMultiHash(64, 4, 16)
            index.nflip = 1
        index.add(codes)
        built = time.perf_counter() - begun
        asked = codes[:: max(1, len(codes) // (ASKED if kind == "flat" else 20 * ASKED))]
        begun = time.perf_counter()
        index.range_search(asked, RADIUS + 1)  # the radius itself does not count
        seconds = built + (time.perf_counter() - begun) * len(codes) / len(asked)
        return {"seconds": seconds, "title": f"faiss {faiss.__version__} {kind}"}

    return search


def by_bk_tree(hashes: Hashes) -> dict[str, Any]:
    """What imagededup and many scripts use."""
    import pybktree

    if len(hashes) > MAX_LINKED:
        raise SystemExit(f"left out above {MAX_LINKED:,} hashes")
    begun = time.perf_counter()
    tree = pybktree.BKTree(lambda one, other: (one ^ other).bit_count(), hashes.tolist())
    built = time.perf_counter() - begun
    asked = hashes[:: max(1, len(hashes) // (ASKED // 50))].tolist()
    begun = time.perf_counter()
    for number in asked:
        tree.find(number, RADIUS)
    seconds = built + (time.perf_counter() - begun) * len(hashes) / len(asked)
    return {"seconds": seconds, "title": f"BK-tree (pybktree {importlib.metadata.version('pybktree')})"}


WAYS: dict[str, Callable[[Hashes], dict[str, Any]]] = {
    "pipeline": by_the_pipeline,
    "all": by_comparing_all,
    "faiss flat": by_faiss("flat"),
    "faiss multi-hash": by_faiss("multi-hash"),
    "bk-tree": by_bk_tree,
}


if __name__ == "__main__":
    main()
