"""How close ingest comes to what its work costs at least, and what it costs when little has changed.

    python benchmarks/ingest.py [--sets large middle small] [--peers PYTHON] [--memory]

The floor, measured in the same run on a part of the files, is one process that reads, hashes (SHA-256), decodes at the
smallest DCT scale that covers the target, resizes by area, makes one perceptual hash and encodes. Beside it the loop
of most scripts (Pillow: open, exif_transpose, convert, LANCZOS, save), and with `--peers` an interpreter that has
pyvips: its thumbnail, by two processes or by its own two threads. Files are generated and in the cache; workers have
started before the clock does; libraries are set as the command line sets them. CPU is of all processes; hashing is
measured apart. `dvc repro` runs `inventory` before, which hashes: ingest then reads each file once, a row of its own.
--memory: the largest processes with 20,000 and with 100,000 small files.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.workers.libraries import SETTINGS

os.environ.update(SETTINGS)

import cv2
import numpy as np
import psutil
from photos import PHOTOS, encoded, generated
from PIL import Image, ImageOps

from pipeline.images import perceptual
from pipeline.images.pixels import Pixels, encode
from pipeline.project.runner import write_all
from pipeline.sources.files import open_files
from pipeline.sources.params import SourceParams
from pipeline.stages.ingest.params import IngestParams, PngEncoding
from pipeline.stages.ingest.stage import STAGE, ingest
from pipeline.stages.inventory.stage import STAGE as LOOK
from pipeline.stages.inventory.stage import inventory
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine

MAX_BYTES = 10**9
SOURCE = SourceParams(role="raw", path="photos")


@dataclass(frozen=True)
class Set:
    """So many files of a kind; of each picture there are several, under names of their own."""

    files: int
    pictures: int
    width: int
    height: int
    file_format: str
    params: IngestParams


SETS = {
    "large": Set(1200, 8, 4000, 3000, "JPEG", PHOTOS),
    "middle": Set(4000, 100, 500, 375, "JPEG", PHOTOS),
    "small": Set(
        20_000, 500, 64, 64, "PNG", PHOTOS.model_copy(update={"size": 64, "encoding": PngEncoding(name="png")})
    ),
}


@dataclass(frozen=True)
class Cost:
    """Seconds of the wall clock, and of all processes' CPU."""

    wall: float
    cpu: float


def main() -> None:
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=[*SETS], default=[*SETS])
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--files", type=int, help="of each set, for a quick look")
    options = parser.parse_args()
    for name in options.sets:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            compare(name, SETS[name], options.files or SETS[name].files, options.peers)
            os.chdir("/")
    if options.memory:
        for files in (20_000, 100_000):
            command = [sys.executable, "-c", MEMORY.format(folder=str(Path(__file__).parent), files=files)]
            print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="", flush=True)


def compare(name: str, kind: Set, files: int, peers: str | None) -> None:
    write(kind, range(files))
    size = np.mean([path_of(kind, number).stat().st_size for number in range(min(kind.pictures, files))])
    print(f"\n{name}: {files:,} files of {kind.width} x {kind.height}, {kind.file_format}, {size / 1000:,.0f} kB each")
    part = sorted(Path("photos").rglob("*.*"))[: min(files, 100 if kind.width > 1000 else files // 4)]
    warm(kind, 2)
    floor = (
        min(measured(lambda: [at_the_floor(path, kind) for path in part]).wall for _ in range(2)) / len(part) * files
    )
    one = fresh(kind, 1)
    two = fresh(kind, 2)
    naive_part = part[: max(20, len(part) // 5)]
    naive = measured(lambda: [naively(path, kind) for path in naive_part]).wall / len(naive_part) * files
    show("floor, one process", floor, floor, files)
    most = 2 * floor * len(part) / files / at_once(kind, part)
    show("one worker", one.wall, floor, files, f"{floor / one.wall:.0%} of the floor's speed, CPU {one.cpu:.1f} s")
    show("two workers", two.wall, floor, files, f"{one.wall / two.wall:.2f} times one; two floors at once {most:.2f}")
    looked = measured(look)
    after = fresh(kind, 1)
    shutil.rmtree("data/inventory")
    words = f"{floor / after.wall:.0%} of the floor's speed; inventory {looked.wall:.2f} s"
    show("one worker, after inventory", after.wall, floor, files, words)
    show("Pillow loop", naive, floor, files, f"{naive / one.wall:.1f} times one worker's time")
    if peers is not None and kind.file_format == "JPEG":
        for way in ("vips-processes", "vips-threads"):
            row = json.loads(
                subprocess.run(
                    [peers, str(Path(__file__).with_name("peers.py")), way, "photos"],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            show(
                f"pyvips {row['version']}, {way}",
                row["seconds"],
                floor,
                files,
                f"{row['seconds'] / two.wall:.2f} times two workers'",
            )
    hashing = measured(lambda: hashed(kind))
    print(f"{'hashing alone':28} CPU {hashing.cpu:6.2f} s")
    again(kind, "nothing changed", one, hashing)
    write(kind, range(files, files + files // 100))
    again(kind, "1 % added", one, hashing)
    for number in range(0, files, 100):
        path_of(kind, number).write_bytes(path_of(kind, number).read_bytes() + b"\0")
    again(kind, "1 % changed", one, hashing)
    for number in range(1, files, 100):
        path_of(kind, number).unlink()
    again(kind, "1 % removed", one, hashing)


def path_of(kind: Set, number: int) -> Path:
    return Path("photos") / f"class{number % 5}" / f"{number:06}.{kind.file_format.lower()}"


def write(kind: Set, numbers: range) -> None:
    options = {"quality": 90} if kind.file_format == "JPEG" else {}
    made: dict[int, bytes] = {}
    for number in numbers:
        seed = number % kind.pictures
        if seed not in made:
            made[seed] = encoded(generated(seed, kind.width, kind.height), kind.file_format, **options)
        path = path_of(kind, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Bytes behind the picture, so that no two files are equal.
        path.write_bytes(made[seed] + number.to_bytes(4, "big"))


def fresh(kind: Set, workers: int) -> Cost:
    """A run over files of which nothing is known."""
    for path in Path("data").rglob("*.arrow"):
        path.unlink()
    return measured(lambda: run(kind, workers))


def warm(kind: Set, workers: int) -> None:
    """Start workers and have each make a few pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(200):
            path = Path(folder) / "class0" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(np.full((8, 8, 3), number, np.uint8), "PNG"))
        source = SOURCE.model_copy(update={"path": folder})
        ingest("warm", source, kind.params, ShardStore(Path(folder) / "shards"), Engine(workers))


def run(kind: Set, workers: int) -> None:
    stage = STAGE.named("photos")
    shards = ShardStore(Path(stage.builds["shards"]))
    write_all(stage, ingest("photos", SOURCE, kind.params, shards, Engine(workers)))
    shards.drop_stale()


def look() -> None:
    """What inventory does before, which remembers nothing of the last two seconds."""
    write_all(LOOK, inventory({"photos": SOURCE}, MAX_BYTES, Engine(1)))


def hashed(kind: Set) -> None:
    files = open_files(SOURCE, kind.params.max_expansion)
    files.hashes(files.scan().files, kind.params.max_bytes, Engine(1), "hashing")


def at_once(kind: Set, part: list[Path]) -> float:
    """Seconds of two floors side by side: what two cores bring here at most."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        work = [(kind, part)] * 2
        pool.map(floor_of, [(kind, part[:5])] * 2, chunksize=1)
        return measured(lambda: pool.map(floor_of, work, chunksize=1)).wall


def floor_of(task: tuple[Set, list[Path]]) -> None:
    kind, part = task
    for path in part:
        at_the_floor(path, kind)


def again(kind: Set, name: str, full: Cost, hashing: Cost) -> None:
    cost = measured(lambda: run(kind, 1))
    beyond = (cost.cpu - hashing.cpu) / (full.cpu - hashing.cpu)
    print(f"{name:28} CPU {cost.cpu:6.2f} s, beyond hashing {beyond:5.1%} of a full run's", flush=True)


_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def at_the_floor(path: Path, kind: Set) -> bytes:
    data = path.read_bytes()
    hashlib.sha256(data).hexdigest()
    size = kind.params.size
    scale = next(scale for scale in (8, 4, 2, 1) if min(kind.width, kind.height) / scale >= size or scale == 1)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[scale] | cv2.IMREAD_COLOR_RGB)
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    resized = np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    small = cv2.resize(cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY), (perceptual.SIDE,) * 2, interpolation=cv2.INTER_AREA)
    perceptual.perceptual_hash(np.asarray(small, np.uint8))
    return encode(resized, kind.params.encoding)


def naively(path: Path, kind: Set) -> Pixels:
    size = kind.params.size
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        side = min(upright.size)
        left, top = (upright.width - side) // 2, (upright.height - side) // 2
        square = upright.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    square.save("naive.jpg", quality=90) if kind.file_format == "JPEG" else square.save("naive.png")
    return np.asarray(square)


def show(name: str, seconds: float, floor: float, files: int, words: str = "") -> None:
    each = 1e3 * seconds / files
    print(f"{name:28} {seconds:7.2f} s {each:7.3f} ms a file {seconds / floor:5.2f} of the floor  {words}", flush=True)


def measured(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), cpu_seconds()
    work()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Of this process and of its workers, which stay."""
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [me, *me.children(recursive=True)])


# A process of its own, so that what came before does not count.
MEMORY = """
import os, sys, tempfile
import psutil
sys.path.insert(0, {folder!r})
import ingest
kind = ingest.SETS["small"]
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    ingest.write(kind, range({files}))
    ingest.run(kind, 2)
    me = psutil.Process()
    workers = [open(f"/proc/{{child.pid}}/status").read() for child in me.children(recursive=True)]
    peaks = [int(text.split("VmHWM:")[1].split()[0]) / 1000 for text in workers if "VmHWM" in text]
    import resource
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{files} small files: stage {{own:.0f}} MB, largest worker {{max(peaks):.0f}} MB")
    os.chdir("/")
"""


if __name__ == "__main__":
    main()
