"""How close the loader comes to decoding alone, side by side with other ways to feed training.

    python benchmarks/loading.py [--images 5000] [--rounds 5] [--workers 0 1 2]

Images of 224 x 224 as JPEG of quality 90, batches of 64 in random order, each loader with so many worker
processes (0: the training process decodes). Every figure is a ratio of images per second to those of a
bare loop that decodes bytes in memory in one process, measured in turns with it, once workers are up;
the median of the rounds. All use the same decoder, so that the ratio is of what surrounds it, and the command line's
settings of libraries, as training has them. The second ratio is of processor time, of all processes together: what else
runs on the machine disturbs it less.

Needs `pip install '.[benchmarks]'` for WebDataset. litdata names torchvision as a dependency and works
without: `pip install --no-deps litdata obstore tifffile boto3 botocore s3transfer jmespath`; it is left
out where it is not there. MosaicML's streaming needs 40 packages, transformers among them, and is not here.
"""

import argparse
import contextlib
import importlib.util
import io
import multiprocessing
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.workers.libraries import SETTINGS, keep_freed_tensors

os.environ.update(SETTINGS)

import cv2
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import Loader
from pipeline.data.order import KeyedOrder
from pipeline.data.statistics import channel_statistics
from pipeline.images.pixels import decode, encode
from pipeline.stages.ingest.params import JpegEncoding
from pipeline.store.shard_plan import Row
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.workers.engine import Engine

SIZE, BATCH, CLASSES, PER_TAR = 224, 64, 5, 500
JPEG = JpegEncoding(name="jpeg", quality=90)
Passes = contextlib.AbstractContextManager[Iterable[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_tensors()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        files = [photo(number) for number in range(options.images)]
        manifest = stored(files)
        kilobytes = sum(map(len, files)) / len(files) / 1000
        print(f"{len(files)} images of {kilobytes:.1f} kB, batches of {BATCH}, {os.cpu_count()} cores")
        contenders: dict[str, Callable[[int], Passes]] = {
            "this loader": lambda workers: ours(manifest, workers),
            "files in class folders": lambda workers: torch_loader(Files(Path("files")), workers),
        }
        if importlib.util.find_spec("webdataset"):
            contenders["WebDataset"] = web_dataset
        if importlib.util.find_spec("litdata"):
            contenders["litdata"] = lit_data
        for name, contender in contenders.items():
            for workers in options.workers:
                with contender(workers) as passes:
                    one_pass(passes, files)  # starts the workers, fills caches
                    show(name, workers, measured(files, partial(one_pass, passes, files), options.rounds))
        statistics_of = partial(channel_statistics, dataset(manifest), Engine(1))
        show("statistics", 0, measured(files, statistics_of, options.rounds))
    print(f"load of the machine, 0 before on a quiet one: {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def show(name: str, workers: int, ratios: list[tuple[float, float]]) -> None:
    clock, processor = (statistics.median(kind) for kind in zip(*ratios, strict=True))
    spread = f"{min(ratios)[0]:.2f} to {max(ratios)[0]:.2f}"
    print(
        f"{name:24} {workers} workers {clock:6.2f} of decoding alone ({spread}), {processor:.2f} by processor time",
        flush=True,
    )


def measured(files: list[bytes], work: Callable[[], object], rounds: int) -> list[tuple[float, float]]:
    """Ratios of the bare loop's time to that of the work, by the clock and of the processors, measured in turns."""
    ratios = []
    for _ in range(rounds):
        floor = timed(partial(decode_all, files))
        took = timed(work)
        ratios.append((floor[0] / took[0], floor[1] / took[1]))
    return ratios


def decode_all(files: list[bytes]) -> None:
    """The floor; keeps no pixels, because memory that is new costs page faults."""
    for file in files:
        decode(file)


def one_pass(passes: Iterable[Any], files: list[bytes]) -> None:
    seen = sum(len(batch[0]) for batch in passes)
    if seen != len(files):
        raise RuntimeError(f"{seen} of {len(files)} images came")


def photo(number: int) -> bytes:
    """Smooth noise with some grain: as many bytes as a photo of this size."""
    random = np.random.default_rng(number)
    coarse = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return encode(cv2.add(pixels, random.integers(0, 20, pixels.shape, dtype=np.uint8)), JPEG)


def stored(files: list[bytes]) -> pd.DataFrame:
    """The images in our shards, as files in class folders, and in tars and chunks where the packages are there."""
    rows = [Row(f"{number:06}", str(number), file) for number, file in enumerate(files)]
    made = ShardStore(Path("shards")).build(
        rows, image_column, pa.schema([("image", pa.binary())]), Engine(1), "shards"
    )
    for number, file in enumerate(files):
        path = Path("files") / f"class{number % CLASSES}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    Path("tars").mkdir()
    for start in range(0, len(files), PER_TAR):
        with tarfile.open(f"tars/{start // PER_TAR:06}.tar", "w") as tar:
            for number in range(start, min(start + PER_TAR, len(files))):
                add_to(tar, f"{number:06}.jpg", files[number])
                add_to(tar, f"{number:06}.cls", str(number % CLASSES).encode())
    if importlib.util.find_spec("litdata"):
        import litdata

        with contextlib.redirect_stdout(io.StringIO()):
            litdata.optimize(sample, list(range(len(files))), "lit", chunk_bytes="8MB", num_workers=1, verbose=False)
    labels = [f"class{number % CLASSES}" for number in range(len(files))]
    frame: pd.DataFrame = (
        made.table().to_pandas().assign(id=[f"web/{number:06}" for number in range(len(files))], label=labels)
    )
    return frame


def dataset(manifest: pd.DataFrame) -> RowDataset:
    return RowDataset(manifest, ShardReader(Path("shards")), tuple(f"class{n}" for n in range(CLASSES)), SIZE)


def ours(manifest: pd.DataFrame, workers: int) -> Passes:
    rows = dataset(manifest)
    labels = torch.from_numpy(rows.labels)
    return Loader(rows, BATCH, workers, KeyedOrder(len(rows), 1), lambda pixels, numbers: (pixels, labels[numbers]))


class Files(Dataset[tuple[torch.Tensor, int]]):
    """What torchvision's ImageFolder does, for pixels as uint8."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(str(path) for path in folder.rglob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        path = self.paths[number]
        return decoded(Path(path).read_bytes()), int(path.split("/")[1].removeprefix("class"))


def web_dataset(workers: int) -> Passes:
    import webdataset

    tars = sorted(map(str, Path("tars").glob("*.tar")))
    rows = (
        webdataset.WebDataset(tars, shardshuffle=len(tars), seed=1, empty_check=False)
        .shuffle(1000)
        .to_tuple("jpg", "cls")
        .map_tuple(decoded, int)
    )
    return torch_loader(rows, workers)


def lit_data(workers: int) -> Passes:
    import litdata

    rows = litdata.StreamingDataset("lit", shuffle=True, transform=decoded_sample)
    return contextlib.nullcontext(litdata.StreamingDataLoader(rows, batch_size=BATCH, **options_for(workers)))


def torch_loader(rows: Any, workers: int) -> Passes:
    shuffle = {} if isinstance(rows, IterableDataset) else {"shuffle": True}
    return contextlib.nullcontext(DataLoader(rows, batch_size=BATCH, **shuffle, **options_for(workers)))


def options_for(workers: int) -> dict[str, Any]:
    options = {"num_workers": workers, "persistent_workers": True, "multiprocessing_context": "spawn"}
    return options if workers else {}


def sample(number: int) -> dict[str, Any]:
    """What litdata writes of an image."""
    return {"image": photo(number), "label": number % CLASSES}


def decoded_sample(sample: dict[str, Any]) -> tuple[torch.Tensor, int]:
    """What training gets of it."""
    return decoded(sample["image"]), sample["label"]


def decoded(file: bytes) -> torch.Tensor:
    """Channels last, so that making a batch is one plain copy."""
    return torch.from_numpy(decode(file, np.empty((SIZE, SIZE, 3), np.uint8)))


def image_column(file: bytes) -> dict[str, bytes]:
    return {"image": file}


def add_to(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processors."""
    clock, processor = time.perf_counter(), processor_time()
    work()
    return time.perf_counter() - clock, processor_time() - processor


def processor_time() -> float:
    """Seconds of this process, of workers that are up, and of those that ended."""
    up = [psutil.Process(child.pid).cpu_times() for child in multiprocessing.active_children()]
    ended = os.times()
    return time.process_time() + sum(each.user + each.system for each in up) + ended[2] + ended[3]


if __name__ == "__main__":
    main()
