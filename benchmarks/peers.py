"""What other tools make of a folder of images, in the environment that has them.

    PYTHON benchmarks/peers.py TOOL FOLDER

PYTHON is an interpreter with that tool: it needs nothing of this pipeline. Prints JSON: version, seconds, and what
was found, by file name. The benchmarks issues.py, ingest.py and curation.py call it with `--peers`.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import subprocess
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


def cleanvision_all(folder: Path) -> dict[str, Any]:
    """Its default checks, duplicates among them."""
    from cleanvision import Imagelab

    begun = time.perf_counter()
    lab = Imagelab(data_path=str(folder))
    lab.find_issues(n_jobs=len(os.sched_getaffinity(0)))
    seconds = time.perf_counter() - begun
    marks = [name for name in lab.issues if name.startswith("is_") and not name.endswith("duplicates_issue")]
    flagged = [Path(path).name for path in lab.issues.index[lab.issues[marks].any(axis=1)]]
    sets = [*lab.info["exact_duplicates"]["sets"], *lab.info["near_duplicates"]["sets"]]
    return {"tool": "cleanvision", "seconds": seconds, "copies": _names(sets), "flagged": flagged}


def imagededup_copies(folder: Path) -> dict[str, Any]:
    """Perceptual hashes, at its own distance."""
    from imagededup.methods import PHash

    begun = time.perf_counter()
    found = PHash(verbose=False).find_duplicates(image_dir=str(folder))
    seconds = time.perf_counter() - begun
    return {
        "tool": "imagededup",
        "seconds": seconds,
        "copies": [[one, *others] for one, others in found.items() if others],
    }


def imagehash_copies(folder: Path) -> dict[str, Any]:
    """The loop of most scripts: phash of each file in one process, all pairs up to 6 bits."""
    import imagehash
    from PIL import Image

    begun = time.perf_counter()
    hashes = {path.name: int(str(imagehash.phash(Image.open(path))), 16) for path in sorted(folder.iterdir())}
    items = [*hashes.items()]
    copies = [
        [one, other]
        for number, (one, first) in enumerate(items)
        for other, second in items[:number]
        if (first ^ second).bit_count() <= 6
    ]
    return {"tool": "ImageHash", "seconds": time.perf_counter() - begun, "copies": copies}


def imgeda_all(folder: Path) -> dict[str, Any]:
    """Its scan: equal perceptual hashes are copies, as its check has it, and issues what it marks."""
    import imgeda  # noqa: F401  # or it is not there

    with tempfile.TemporaryDirectory() as out:
        table = f"{out}/m.jsonl"
        command = [str(Path(sys.executable).with_name("imgeda"))]
        begun = time.perf_counter()
        subprocess.run([*command, "scan", str(folder), "-o", table, "--workers", "2"], check=True, capture_output=True)
        seconds = time.perf_counter() - begun
        rows = [json.loads(line) for line in Path(table).read_text().splitlines()]
    rows = [row for row in rows if "path" in row]
    by_hash: dict[str, list[str]] = {}
    for row in rows:
        by_hash.setdefault(str(row.get("phash")), []).append(Path(row["path"]).name)
    marks = ("is_dark", "is_overexposed", "is_blurry", "has_border_artifact")
    flagged = [Path(row["path"]).name for row in rows if any(row.get(mark) for mark in marks)]
    copies = [names for names in by_hash.values() if len(names) > 1]
    return {"tool": "imgeda", "seconds": seconds, "copies": copies, "flagged": flagged}


def fastdup_copies(folder: Path) -> dict[str, Any]:
    """Its features and neighbours, at its own threshold of similarity."""
    import fastdup

    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        run = fastdup.create(work_dir=out, input_dir=str(folder))
        run.run(num_threads=2, overwrite=True)
        pairs = run.similarity()
        seconds = time.perf_counter() - begun
        alike = pairs[pairs["distance"] >= 0.96]
        rows = zip(alike["filename_from"], alike["filename_to"], strict=True)
        copies = [[Path(one).name, Path(other).name] for one, other in rows]
    return {"tool": "fastdup", "seconds": seconds, "copies": copies}


def datachain_sha256(folder: Path) -> dict[str, Any]:
    """SHA-256 alone, by two processes: it finds equal files and nothing else."""
    import hashlib

    import datachain

    begun = time.perf_counter()
    chain = datachain.read_storage(folder.as_uri(), update=True).settings(parallel=2)
    rows = chain.map(digest=lambda file: hashlib.sha256(file.read()).hexdigest(), output=str).to_list(
        "file.path", "digest"
    )
    seconds = time.perf_counter() - begun
    by_hash: dict[str, list[str]] = {}
    for path, digest in rows:
        by_hash.setdefault(digest, []).append(Path(path).name)
    return {"tool": "datachain", "seconds": seconds, "copies": [names for names in by_hash.values() if len(names) > 1]}


def _names(sets: Any) -> list[list[str]]:
    return [[Path(path).name for path in one] for one in sets]


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
    "cleanvision-all": cleanvision_all,
    "imagededup": imagededup_copies,
    "imagehash": imagehash_copies,
    "imgeda": imgeda_all,
    "fastdup": fastdup_copies,
    "datachain": datachain_sha256,
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
