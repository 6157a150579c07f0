"""How close materialising variants comes to the sum of its parts, what workers gain, and what peers take.

    python benchmarks/augmentation.py [--images 500] [--copies 4] [--side 224] [--rounds 3]

All figures are ratios of times measured one after the other in one round: medians, and of the fastest rounds, because
a busy machine only adds. The photos are generated JPEGs, the transforms the preset `photo`. The floor decodes each
original once, applies the very same transforms and encodes, in one process that has read everything in and seeded all
random streams before the clock starts, so that both draw the same: no plan, keys, guards, shards or manifest. Both
have the command line's settings of libraries. Ours is the stage augment with its manifest, written; two workers, one
of which is the stage's own process, are measured when the other is up and with its start. Peers: a plain
albumentations loop over files in two processes, which decodes each original once a variant and seeds nothing;
Augmentor, if it is there (`pip install --no-deps Augmentor==0.2.12`), with its nearest operations. CPU times next to
wall times, because other work on the machine shows in these alone. What two floors at once take, each in a process
that is up, says what a second core of this machine can bring at most.
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import multiprocessing
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timings import Seconds, ratio, spread, timed

from pipeline.workers.libraries import SETTINGS, keep_freed_memory

os.environ.update(SETTINGS)

import cv2
import numpy as np
import pandas as pd
from photos import PHOTOS
from PIL import Image

from pipeline import catalogue
from pipeline.images.pixels import decode, encode
from pipeline.issues import ISSUES
from pipeline.manifest import SPLIT
from pipeline.randomness import keyed_streams
from pipeline.sources.params import SourceParams
from pipeline.stages.augment.copies import PerImage
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.stage import augment
from pipeline.stages.ingest.params import JpegEncoding
from pipeline.stages.ingest.stage import ingest
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.transforms.params import PresetName, expand
from pipeline.transforms.transforms import build_transform
from pipeline.workers.engine import Engine
from pipeline.workers.pool import stop_all

ENCODING = JpegEncoding(name="jpeg", quality=90)
SEED = 1
TRANSFORMS = (PresetName(preset="photo"),)


@dataclass(frozen=True)
class Task:
    """Photos in class folders and in shards, and how many variants of each are wanted."""

    rows: pd.DataFrame
    shards: Path
    copies: int

    def part(self, images: int) -> "Task":
        return Task(self.rows.head(images), self.shards, self.copies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 500), ("copies", 4), ("side", 224), ("max_iter", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # One more in a hundred, for the last line.
        everything = prepare(options.images + max(1, options.images // 100), options.side, options.copies)
        task = everything.part(options.images)
        runs: dict[str, Callable[[], Seconds]] = {
            "2 floors at once": lambda: at_once(task),
            "floor": lambda: timed(floor(task)),
            "1 worker": lambda: cold(task, 1),
            "2 workers, both up": lambda: warm(task, 2),
            "2 workers": lambda: cold(task, 2),
            "1 % more images, 2 workers": lambda: more(task, everything),
            "albumentations over files, 2 processes": lambda: timed(lambda: over_files(task)),
            "Augmentor, its own threads": lambda: timed(lambda: augmentor(task)),
        }
        if importlib.util.find_spec("Augmentor") is None:
            del runs["Augmentor, its own threads"]
            print("Augmentor is not installed, and left out")
        rounds: list[dict[str, Seconds]] = []
        loads = []
        for number in range(options.rounds):
            found = {}
            # There and back, so that a machine that becomes slower favours nobody.
            for name in [*runs] if number % 2 == 0 else [*runs][::-1]:
                loads.append(os.getloadavg()[0])
                found[name] = runs[name]()
            rounds.append(found)
    print(f"{options.images} images x {options.copies} copies, {options.side} pixels a side, {options.rounds} rounds")
    print(f"load before each run: {min(loads):.1f} to {max(loads):.1f} on {os.cpu_count()} cores")
    for name in runs:
        wall, cpu = (statistics.median(getattr(found[name], kind) for found in rounds) for kind in ("wall", "cpu"))
        ratios = (
            f"{ratio(rounds, name, 'floor')} of the floor by the clock, {ratio(rounds, name, 'floor', 'cpu')} by CPU"
        )
        print(f"{name:40} {wall:7.2f} s, CPU {cpu:7.2f} s   {ratios}")
    print(f"floor / 1 worker: {ratio(rounds, 'floor', '1 worker')}")
    print(f"floor / 1 worker, by CPU: {ratio(rounds, 'floor', '1 worker', 'cpu')}")
    print(f"1 worker / 2 workers, both up: {ratio(rounds, '1 worker', '2 workers, both up')}")
    print(f"1 worker / 2 workers, with the other's start: {ratio(rounds, '1 worker', '2 workers')}")
    halves = [2 * found["floor"].wall / found["2 floors at once"].wall for found in rounds]
    print(f"two floors one after the other / at once, what 2 cores bring here at most: {spread(halves)}")
    again, full = "1 % more images, 2 workers", "2 workers"
    print(f"1 % more images, of a full run: {ratio(rounds, again, full)}")
    print(f"1 % more images, of a full run, by CPU: {ratio(rounds, again, full, 'cpu')}")


def prepare(images: int, side: int, copies: int) -> Task:
    for number in range(images):
        write_photo(number, side)
    params = PHOTOS.model_copy(update={"size": side, "encoding": ENCODING})
    source = SourceParams(role="production", path="photos")
    rows = ingest("photos", source, params, ShardStore(Path("ingest")), Engine(1)).manifest.to_pandas()
    rows = rows.assign(group=rows["id"], split="train", copy=np.int32(0), weight=np.float32(1))
    rows = rows.assign(**dict.fromkeys(ISSUES, False))
    # In no order of classes, so that the images that come last are anywhere in the shards.
    return Task(rows.sample(frac=1, random_state=1, ignore_index=True), Path("ingest"), copies)


def write_photo(number: int, side: int) -> None:
    """Smooth noise with some grain: about as hard to decode as a photo."""
    noise = np.random.default_rng(number)
    coarse = noise.integers(0, 256, (14, 14, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.add(pixels, noise.integers(0, 24, pixels.shape, dtype=np.uint8))
    path = Path("photos") / f"class{number % 5}" / f"{number:06}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=90)


def floor(task: Task) -> Callable[[], None]:
    reader, transform = ShardReader(task.shards), build_transform(TRANSFORMS)
    photos = [reader.image(shard, row) for shard, row in task.rows[["shard", "row"]].itertuples(index=False)]
    streams = [
        [keyed_streams(SEED, "augment", image_id, copy) for copy in range(1, task.copies + 1)]
        for image_id in task.rows["id"]
    ]

    def loop() -> None:
        for photo, copies in zip(photos, streams, strict=True):
            original = decode(photo)
            for drawn in copies:
                pixels = original
                for step in transform:
                    step.set_random_state(*drawn)
                    pixels = step(image=pixels)["image"]
                encode(pixels, ENCODING)

    return loop


def at_once(task: Task) -> Seconds:
    """Seconds of one of two, both busy all the time."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, initializer=meet, initargs=(context.Barrier(2),)) as pool:
        both = pool.map(timed_floor, [task, task], chunksize=1)
    return Seconds(max(one.wall for one in both), sum(one.cpu for one in both))


MEETING: list[Any] = []


def meet(barrier: Any) -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()
    MEETING[:] = [barrier]


def timed_floor(task: Task) -> Seconds:
    loop = floor(task)
    floor(task.part(20))()  # what is opened or built once
    MEETING[0].wait()
    return timed(loop)


def cold(task: Task, workers: int) -> Seconds:
    stop_all()
    return warm(task, workers, up=False)


def warm(task: Task, workers: int, up: bool = True) -> Seconds:
    if up:
        shutil.rmtree("augment", ignore_errors=True)
        # More than the few variants of 224 pixels for which no worker is hired.
        ours(Task(task.rows.head(2000 // task.copies), task.shards, task.copies), workers)
    shutil.rmtree("augment", ignore_errors=True)
    return timed(lambda: ours(task, workers))


def more(task: Task, everything: Task) -> Seconds:
    shutil.rmtree("augment", ignore_errors=True)
    ours(task, 2)
    stop_all()
    return timed(lambda: ours(everything, 2))


def ours(task: Task, workers: int) -> None:
    params = AugmentParams(
        seed=SEED,
        mode="materialise",
        copies=PerImage(name="per_image", count=task.copies),
        transforms=TRANSFORMS,
        match_production=False,
        max_failed=1.0,
    )
    store = ShardStore(Path("augment"))
    unused = task.rows[SPLIT.names].head(0)
    outputs = augment(task.rows, unused, ShardReader(task.shards), params, ENCODING, store, Engine(workers), "none")
    catalogue.AUGMENTED.write(outputs.manifest, Path("augment/manifest"))
    store.drop_stale()


def over_files(task: Task) -> None:
    """What a script does: each process takes half of the variants, from file to file."""
    Path("files").mkdir(exist_ok=True)
    variants = [(path, copy) for path in task.rows["path"] for copy in range(task.copies)]
    with multiprocessing.get_context("spawn").Pool(2, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        pool.map(write_variant, variants, chunksize=(len(variants) + 1) // 2)


def write_variant(variant: tuple[str, int]) -> None:
    path, copy = variant
    pixels = cv2.cvtColor(cv2.imread(f"photos/{path}"), cv2.COLOR_BGR2RGB)
    made = composed()(image=pixels)["image"]
    quality = [cv2.IMWRITE_JPEG_QUALITY, ENCODING.quality]
    cv2.imwrite(f"files/{path.replace('/', '_')}_{copy}.jpg", cv2.cvtColor(made, cv2.COLOR_RGB2BGR), quality)


@functools.cache
def composed() -> Callable[..., dict[str, np.ndarray]]:
    import albumentations

    listed = [getattr(albumentations, item.name)(**item.arguments) for item in expand(TRANSFORMS)]
    compose: Callable[..., dict[str, np.ndarray]] = albumentations.Compose(listed)
    return compose


def augmentor(task: Task) -> None:
    import Augmentor

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pipeline = Augmentor.Pipeline("photos", output_directory=str(Path("augmentor").resolve()))
        pipeline.flip_left_right(probability=0.5)
        pipeline.rotate(probability=1, max_left_rotation=15, max_right_rotation=15)
        pipeline.shear(probability=1, max_shear_left=8, max_shear_right=8)
        pipeline.random_brightness(probability=0.5, min_factor=0.85, max_factor=1.15)
        pipeline.random_contrast(probability=0.5, min_factor=0.8, max_factor=1.2)
        pipeline.random_color(probability=0.3, min_factor=0.8, max_factor=1.2)
        pipeline.sample(len(task.rows) * task.copies)


if __name__ == "__main__":
    main()
