"""What a look at 300 photos costs and finds: ingest and curate, and other tools beside them.

    python benchmarks/curation.py [--peers PYTHON …]

100 generated photos of 500 x 375 as JPEG files, a near copy of each (re-encoded, half as large, brighter or cropped by
2 %, in turn), and 100 further ones with an issue: out of focus, dark, bright, plain or grey, in turn. Copies count as
found where a tool names the pair; as made up where it names two photos that are none. Issues count as flagged where a
photo with one is marked, as false where one without is. The floor reads, decodes and hashes (perceptually) each file,
by two processes. `--peers` names interpreters with CleanVision, imagededup, ImageHash, imgeda, fastdup or DataChain:
what one lacks is left out. All use two processes or threads where they can, and their own levels.
"""

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from photos import PHOTOS, encoded, generated
from PIL import Image
from timings import seconds

from pipeline import catalogue
from pipeline.images.pixels import Pixels
from pipeline.issues import ISSUES
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.sources.params import SourceParams
from pipeline.workers.engine import Engine
from pipeline.workers.serving import Guard

REPOSITORY = Path(__file__).resolve().parents[1]
COUNT, WIDTH, HEIGHT = 100, 500, 375
TOOLS = ("imagehash", "imagededup", "cleanvision-all", "imgeda", "fastdup", "datachain")
Pair = frozenset[str]
COPIES: tuple[Callable[[Pixels], bytes], ...] = (
    lambda pixels: encoded(pixels, "JPEG", quality=60),
    lambda pixels: encoded(
        cv2.resize(pixels, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA), "JPEG", quality=90
    ),
    lambda pixels: encoded(cv2.convertScaleAbs(pixels, alpha=1.15), "JPEG", quality=90),
    lambda pixels: encoded(pixels[8:-8, 10:-10].copy(), "JPEG", quality=90),
)
DAMAGES: tuple[Callable[[Pixels], Pixels], ...] = (
    lambda pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), 8), np.uint8),
    lambda pixels: (pixels // 6).astype(np.uint8),
    lambda pixels: (255 - (255 - pixels) // 20).astype(np.uint8),
    lambda pixels: np.full_like(pixels, pixels.mean(axis=(0, 1)).astype(np.uint8)),
    lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON", nargs="*", default=[])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        planted, ill = write_photos(Path("photos"))
        paths = sorted(Path("photos").iterdir())
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(at_the_floor, paths[:8])
            floor = min(seconds(lambda: pool.map(at_the_floor, paths, chunksize=8)) for _ in range(3))
        print(f"{'':34}{'time':>14}  {'copies found':>12}  {'made up':>8}  {'flagged':>8}  {'false':>6}")
        print(f"{'floor: read, decode, hash':34}{floor:7.2f} s  1.0")
        show("this pipeline, ingest and curate", by_the_pipeline(), floor, planted, ill)
        for python in options.peers:
            for tool in TOOLS:
                command = [python, str(Path(__file__).with_name("peers.py")), tool, str(Path("photos").resolve())]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    row = json.loads(done.stdout.splitlines()[-1])
                    show(f"{tool} {row['version']}", row, floor, planted, ill)
                elif "ModuleNotFoundError" not in done.stderr:
                    print(f"{tool:34}failed: {done.stderr.strip().splitlines()[-1]}", flush=True)


def write_photos(folder: Path) -> tuple[set[Pair], set[str]]:
    """The pairs of copies, and the names of photos with an issue."""
    folder.mkdir()
    pairs, ill = set(), set()
    for number in range(COUNT):
        pixels = generated(number, WIDTH, HEIGHT)
        names = f"{number:03}.jpg", f"{number:03}-copy.jpg"
        (folder / names[0]).write_bytes(encoded(pixels, "JPEG", quality=90))
        (folder / names[1]).write_bytes(COPIES[number % len(COPIES)](pixels))
        pairs.add(frozenset(names))
        damaged = DAMAGES[number % len(DAMAGES)](generated(COUNT + number, WIDTH, HEIGHT))
        ill.add(f"{number:03}-ill.jpg")
        (folder / f"{number:03}-ill.jpg").write_bytes(encoded(damaged, "JPEG", quality=90))
    return pairs, ill


def at_the_floor(path: Path) -> Any:
    """The perceptual hash of a file."""
    image = Image.open(path)
    grey = cv2.resize(np.asarray(image.convert("L")), (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(grey.astype(np.float32))[:8, :8]
    return low > np.median(low)


def by_the_pipeline() -> dict[str, Any]:
    """Both stages, with workers up, as they are in a run of several sources."""
    source = SourceParams.model_validate({"role": "production", "path": "photos", "labels": {"name": "none"}})
    params = load_params(REPOSITORY / "params.yaml")
    issues = params.curate.issues.model_copy(update={"low_information": 3.5})
    curate = params.curate.model_copy(update={"issues": issues})
    params = params.model_copy(update={"sources": {"photos": source}, "ingest": PHOTOS, "curate": curate})
    engine = Engine(2)
    engine.map_guarded(list_of, [[0], [1]], list, Guard(abs, refused, 10, 1000), "start")
    begun = time.perf_counter()
    run_stage("ingest", params, engine, "photos")
    run_stage("curate", params, engine)
    seconds = time.perf_counter() - begun
    rows = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    copies = [part["path"].tolist() for _, part in rows.groupby("group") if len(part) > 1]
    return {"seconds": seconds, "copies": copies, "flagged": rows.loc[rows[list(ISSUES)].any(axis=1), "path"].tolist()}


def list_of(_: list[int], made: Iterable[int]) -> list[int]:
    return list(made)


def refused(item: int, _: str, __: str) -> int:
    return item


def show(name: str, row: Mapping[str, Any], floor: float, planted: set[Pair], ill: set[str]) -> None:
    found = {frozenset(pair) for names in row["copies"] for pair in combinations(sorted(set(names)), 2)}
    flagged = set(row["flagged"]) if "flagged" in row else None
    marks = f"{len(flagged & ill):8}  {len(flagged - ill):6}" if flagged is not None else ""
    print(
        f"{name:34}{row['seconds']:7.2f} s {row['seconds'] / floor:5.1f}  {len(found & planted):12}  "
        f"{len(found - planted):8}  {marks}",
        flush=True,
    )


if __name__ == "__main__":
    main()
