"""What other tools make of a folder of images, in the environment that has them.

    PYTHON benchmarks/peers.py TOOL FOLDER

PYTHON is an interpreter with that tool: it needs nothing of this pipeline. Prints JSON: version, seconds, and what
was found, by file name. The benchmarks issues.py and ingest.py call it with `--peers`.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any


def cleanvision_issues(folder: Path) -> dict[str, Any]:
    """All of its checks but duplicates, by name of the issue."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    names = ["dark", "light", "odd_aspect_ratio", "low_information", "blurry", "grayscale", "odd_size"]
    begun = time.perf_counter()
    lab.find_issues({name: {} for name in names}, n_jobs=len(os.sched_getaffinity(0)))
    seconds = time.perf_counter() - begun
    found = {name: [Path(path).name for path in lab.issues.index[lab.issues[f"is_{name}_issue"]]] for name in names}
    return {"tool": "cleanvision", "seconds": seconds, "found": found}


def vips(processes: int, threads: int) -> Callable[[Path], dict[str, Any]]:
    """Its thumbnail of each file, cropped to 224 pixels a side, as a JPEG file; nothing is hashed."""

    def run(folder: Path) -> dict[str, Any]:
        os.environ["VIPS_CONCURRENCY"] = str(threads)
        paths = sorted(map(str, folder.rglob("*.jp*g")))
        with tempfile.TemporaryDirectory() as out, multiprocessing.Pool(processes, _vips_ready) as pool:
            pool.map(_thumbnail, [(path, out) for path in paths[:8]])
            begun = time.perf_counter()
            pool.map(_thumbnail, [(path, out) for path in paths], chunksize=16)
            seconds = time.perf_counter() - begun
        return {"tool": "pyvips-binary", "seconds": seconds, "found": {}}

    return run


def _vips_ready() -> None:
    import pyvips

    pyvips.cache_set_max(0)


def _thumbnail(task: tuple[str, str]) -> None:
    import pyvips

    path, out = task
    image = pyvips.Image.thumbnail(path, 224, height=224, crop="centre", export_profile="srgb")
    image.write_to_file(f"{out}/{Path(path).stem}.jpg", Q=90)


TOOLS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cleanvision-issues": cleanvision_issues,
    "vips-processes": vips(2, 1),
    "vips-threads": vips(1, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=[*TOOLS])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with redirect_stdout(sys.stderr):
        row = TOOLS[options.tool](options.folder)
    print(json.dumps({"version": importlib.metadata.version(row["tool"]), **row}))


if __name__ == "__main__":
    main()
