"""CPU seconds that ingest spends on the way to the files of a source: a folder, and the same packed in each way.

    python benchmarks/archives.py FOLDER

First pass: list and hash all, as each run does. Second: read all, as a run does in which all are new. Ratios
are to the folder's first pass.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from pipeline.sources.files import open_files
from pipeline.sources.params import SourceParams
from pipeline.workers.engine import Engine

KINDS = {"zip": ".zip", "tar": ".tar", "gztar": ".tar.gz", "bztar": ".tar.bz2", "xztar": ".tar.xz"}
ROUNDS = 3
MAX_LISTED = 10**9


def seconds(place: Path) -> tuple[float, float]:
    """CPU of the two passes, in this process."""
    begun = time.process_time()
    files = open_files(SourceParams.model_validate({"role": "raw", "path": str(place)}), max_expansion=200)
    paths = files.in_order(files.scan().files)
    files.hashes(paths, MAX_LISTED, Engine(1), "hashing")
    listed = time.process_time()
    for path in paths:
        files.read(path, MAX_LISTED)
    return listed - begun, time.process_time() - listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with any files; they are packed, not changed")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        packed = {
            kind: Path(shutil.make_archive(f"{scratch}/packed", kind, folder)).rename(f"{scratch}/a{ending}")
            for kind, ending in KINDS.items()
        }
        floor = 0.0
        for name, place in {"folder": folder, **packed}.items():
            first, second = (min(found) for found in zip(*(seconds(place) for _ in range(ROUNDS)), strict=True))
            floor = floor or first
            ratios = first / floor, second / floor
            print(
                f"{name:7} first {first:6.3f} s ({ratios[0]:5.1f}), second {second:6.3f} s ({ratios[1]:5.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
