"""What finding scenes takes among many images: the first run, a second one, and one with 1 % more.

    OPENBLAS_NUM_THREADS=1 python benchmarks/scene_scale.py FOLDER... [--images 20000] [--extrapolate 100000]

FOLDER: photos. Each image is one of them or a warp of one: its corners moved by up to 18 %, as after a step aside, so
that scenes have as many images as there are warps of a photo. CPU seconds of one process, which are the same on a busy
machine; two processes take half of them but for the search's sample. Decoding and embedding the images are not counted.
Vectors are searched in parts, as among many. So all grows with the number of images, and the seconds of more are
counted up.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scenes import JPEG, SIDE, Memory, hashes_of, pictures, vectors_of

from pipeline.images import local_features
from pipeline.images.pixels import Pixels, encode
from pipeline.stages.curate import neighbours
from pipeline.stages.curate import scenes as stage
from pipeline.stages.curate.candidates import candidates
from pipeline.stages.curate.scenes import NO_SCENES, find_scenes
from pipeline.workers.engine import Engine

ONE = Engine(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--extrapolate", type=int, default=100_000)
    options = parser.parse_args()
    photos = [picture for folder in options.folders for picture in pictures(folder)[1]]
    more = options.images + options.images // 100
    neighbours.EXACT = min(neighbours.EXACT, options.images // 2)
    begun = time.process_time()
    shown = [
        warp(photos[number % len(photos)], number) if number >= len(photos) else photos[number]
        for number in range(more)
    ]
    files = [encode(each, JPEG) for each in shown]
    vectors, hashes = vectors_of(shown), hashes_of(shown)
    print(f"{len(photos):,} photos, {more:,} images: warped, encoded, embedded in {time.process_time() - begun:.0f} s")
    del shown
    # Names as those of contents: in an order of chance.
    names = [f"{number:016x}" for number in np.random.default_rng(1).permutation(more)]
    table = pd.DataFrame({"id": names, "sha256": names, "source": "", "shard": "x", "row": range(more)})
    table = table.assign(captured_at=pd.Series(pd.NaT, index=table.index), width=SIDE, height=SIDE)
    seconds: dict[str, float] = {}
    earlier = NO_SCENES
    for run, count in (("first run", options.images), ("second run", options.images), ("1 % more", more)):
        part = table.iloc[:count]
        search = cpu(lambda part=part, count=count: candidates(part, vectors[:count], hashes[:count], ONE))
        made = [0]

        def counted(pixels: Pixels, made: list[int] = made) -> Any:
            made[0] += 1
            return local_features.local_features(pixels)

        vars(stage)["local_features"] = counted
        begun = time.process_time()
        found = find_scenes(part, vectors[:count], hashes[:count], earlier, Memory(files), "crop", ONE)
        seconds[run] = time.process_time() - begun
        earlier = found.decided
        print(
            f"{run}: {count:,} images, {seconds[run]:.1f} s, search {search:.1f} of them; features of {made[0]:,} "
            f"images, {found.compared:,} pairs compared, {len(found.pairs):,} scenes' pairs, crowds {found.crowds}",
            flush=True,
        )
    whole = seconds["first run"] * options.extrapolate / options.images
    second, grown = (seconds[run] / seconds["first run"] for run in ("second run", "1 % more"))
    print(
        f"second run {second:.1%}, 1 % more {grown:.1%} of the first; {options.extrapolate:,} images: {whole:.0f} s of "
        f"CPU, {whole / 120:.1f} minutes on two cores"
    )


def cpu(work: Any) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def warp(pixels: Pixels, seed: int) -> Pixels:
    """The photo from a step aside."""
    before = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)
    after = before + np.random.default_rng(seed).uniform(-0.18, 0.18, (4, 2)).astype(np.float32) * SIDE
    matrix = cv2.getPerspectiveTransform(before, after)
    return np.asarray(cv2.warpPerspective(pixels, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


if __name__ == "__main__":
    main()
