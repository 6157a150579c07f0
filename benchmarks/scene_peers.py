"""Peers on the judged pairs of benchmarks/scenes.py and on its copies: which pairs they hold for duplicates or similar.

    python benchmarks/scene_peers.py FRUIT --peers PYTHON [--copies 100] [--ways cleanvision ...]

FRUIT: as scenes.py wants it. PYTHON: an interpreter with cleanvision, difPy, fastdup and imagededup; what it lacks
is said and left out. Each has its own defaults; fastdup has three thresholds, imagededup its hashes, because its
network's weights are not in the package. A pair is found if the peer lists it, or puts both into one set.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

Pairs = Iterable[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fruit", type=Path)
    parser.add_argument("--peers", metavar="PYTHON", required=True)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--ways", nargs="+", default=[*WAYS], choices=[*WAYS])
    parser.add_argument("--one", metavar="WAY", help="run one on the folder, print pairs as JSON")
    options = parser.parse_args()
    if options.one:
        begun = time.process_time()
        pairs = sorted({tuple(sorted(pair)) for pair in WAYS[options.one](options.fruit)})
        print("\n" + json.dumps([time.process_time() - begun, pairs]))
        return
    import pandas as pd
    from scenes import JUDGED, rates

    judged = pd.read_csv(JUDGED)
    with tempfile.TemporaryDirectory() as folder:
        kinds = write_copies(options.fruit, Path(folder), options.copies)
        for way in options.ways:
            row = found(way, options.fruit, options.peers)
            if row is None:
                continue
            pairs, seconds = row
            hits = [tuple(sorted(pair)) in pairs for pair in judged[["one", "other"]].to_numpy().tolist()]
            recall, precision = rates(judged.assign(found=hits))
            copies = found(way, Path(folder), options.peers)
            shares = [] if copies is None else [share(copies[0], place, options.copies) for place in range(len(kinds))]
            print(
                f"{way}: {len(pairs):,} pairs, {seconds:.0f} s; recall {recall:.3f}, precision {precision:.3f}; "
                + ", ".join(f"{kind} {part:.2f}" for kind, part in zip(kinds, shares, strict=False)),
                flush=True,
            )


def share(pairs: set[tuple[str, str]], place: int, count: int) -> float:
    """How many copies of one kind are paired with their originals."""
    return sum((f"{number:04}-copy-{place}.jpg", f"{number:04}.jpg") in pairs for number in range(count)) / count


def write_copies(fruit: Path, folder: Path, count: int) -> list[str]:
    """Photos and their copies as JPEG files; the kinds of copies."""
    import numpy as np
    from scenes import JPEG, changes, pictures

    from pipeline.images.pixels import encode

    _, shown = pictures(fruit)
    draw = np.random.default_rng(3)
    kinds: list[str] = []
    for number, chosen in enumerate(draw.choice(len(shown), count, replace=False).tolist()):
        copies = changes(shown[chosen], draw)
        kinds = [*copies]
        (folder / f"{number:04}.jpg").write_bytes(encode(shown[chosen], JPEG))
        for place, copy in enumerate(copies.values()):
            (folder / f"{number:04}-copy-{place}.jpg").write_bytes(encode(copy, JPEG))
    return kinds


def found(way: str, folder: Path, python: str) -> tuple[set[tuple[str, str]], float] | None:
    """The pairs of file names below the folder, and seconds of CPU; None if it failed."""
    command = [python, __file__, str(folder), "--peers", python, "--one", way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{way}: failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    seconds, pairs = json.loads(done.stdout.splitlines()[-1])
    root = folder.resolve()
    names = [[Path(name).resolve().relative_to(root).as_posix() for name in pair] for pair in pairs]
    return {(min(pair), max(pair)) for pair in names}, seconds


def by_cleanvision(folder: Path) -> Pairs:
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues({"exact_duplicates": {}, "near_duplicates": {}}, n_jobs=1)
    for kind in ("exact_duplicates", "near_duplicates"):
        for some in lab.info[kind]["sets"]:
            yield from combinations(map(str, some), 2)


def by_imagededup(name: str) -> Callable[[Path], Pairs]:
    def search(folder: Path) -> Pairs:
        from imagededup import methods

        method = getattr(methods, name)(verbose=False)
        found = method.find_duplicates(image_dir=str(folder), recursive=True, num_enc_workers=0, num_dist_workers=0)
        for one, others in found.items():
            yield from ((str(folder / one), str(folder / other)) for other in others)

    return search


def by_difpy(folder: Path) -> Pairs:
    import difPy

    files = difPy.build(str(folder), show_progress=False, processes=1)
    result: Any = difPy.search(files, similarity="similar", show_progress=False, processes=1).result
    for one, matches in result.items():
        yield from ((str(one), str(match[0])) for match in matches)


def by_fastdup(threshold: float) -> Callable[[Path], Pairs]:
    def search(folder: Path) -> Pairs:
        import fastdup

        with tempfile.TemporaryDirectory() as work:
            job = fastdup.create(work_dir=work, input_dir=str(folder))
            job.run(threshold=threshold, num_threads=1, overwrite=True, print_summary=False)
            table = job.similarity()
        if len(table):
            yield from zip(table["filename_from"].astype(str), table["filename_to"].astype(str), strict=True)

    return search


WAYS: dict[str, Callable[[Path], Pairs]] = {
    "cleanvision": by_cleanvision,
    "imagededup PHash": by_imagededup("PHash"),
    "imagededup DHash": by_imagededup("DHash"),
    "difPy": by_difpy,
    "fastdup .9": by_fastdup(0.9),
    "fastdup .95": by_fastdup(0.95),
    "fastdup .97": by_fastdup(0.97),
}


if __name__ == "__main__":
    main()
