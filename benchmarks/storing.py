"""What DVC makes of an out of many images: in this pipeline's shards, and as a file each.

    python benchmarks/storing.py [--images 50000]

Real DVC in a repository of its own with a remote on the same disk. The command of the stage only moves the
ready folder into place, so that the times are DVC's own. Every ratio is the time with files over the time
with shards, one after the other in one run. "1 % more" adds images whose names fall anywhere among the
others: the worst case for shards, most of which then change; DVC pushes those again in whole.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from timings import seconds

from pipeline.store.shard_plan import Row, digest
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine

BYTES = 16_000
FORMS = ("files", "shards")
STEPS = (
    "repro, all new",
    "repro, nothing to do",
    "push",
    "checkout",
    "repro, 1 % more",
    "push, 1 % more",
)
STAGE = """\
stages:
  images:
    cmd: mv "$READY" images
    deps: [version]
    outs: [images]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(options.images + options.images // 100)
        # Every 101st image, anywhere among the others by name, comes later.
        first = [number for number in numbers if number % 101]
        versions = {"1": first, "2": list(numbers)}
        times = {form: measured(Path(folder) / form, form, versions) for form in FORMS}
    print(f"{len(first)} images of {BYTES / 1000:.0f} kB")
    for step in STEPS:
        files, shards = (times[form][step] for form in FORMS)
        print(f"{step:22} files {files:7.2f} s   shards {shards:7.2f} s   {files / shards:6.1f} times")
    print(f"load of the machine, 0 before on a quiet one: {before:.1f} before, {os.getloadavg()[0]:.1f} after")


def measured(folder: Path, form: str, versions: dict[str, list[int]]) -> dict[str, float]:
    """Step -> seconds, in a new repository."""
    for version, numbers in versions.items():
        make(folder / f"ready{version}", form, numbers)
    repository = folder / "repository"
    repository.mkdir()
    (repository / "dvc.yaml").write_text(STAGE)
    run(repository, "git", "init", "--quiet")
    dvc(repository, "init", "--quiet")
    dvc(repository, "remote", "add", "--quiet", "--default", "local", str(folder / "remote"))

    def repro(version: str) -> None:
        (repository / "version").write_text(version)
        dvc(repository, "repro", READY=str(folder / f"ready{version}"))

    times = {
        "repro, all new": seconds(lambda: repro("1")),
        "repro, nothing to do": seconds(lambda: repro("1")),
        "push": seconds(lambda: dvc(repository, "push")),
    }
    shutil.rmtree(repository / "images")
    times["checkout"] = seconds(lambda: dvc(repository, "checkout"))
    times["repro, 1 % more"] = seconds(lambda: repro("2"))
    times["push, 1 % more"] = seconds(lambda: dvc(repository, "push"))
    return times


def make(folder: Path, form: str, numbers: Iterable[int]) -> None:
    """The images in a folder, as bytes that do not compress; DVC does not look into them."""
    if form == "files":
        for number in numbers:
            path = folder / f"class{number % 10}" / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(number))
        return
    names = sorted((f"class{number % 10}/{number:06}.jpg", number) for number in numbers)
    rows = [Row(name, digest(name), number) for name, number in names]
    ShardStore(folder).build(rows, image_column, pa.schema([("image", pa.binary())]), Engine(1), form)


def image_column(number: int) -> dict[str, bytes]:
    return {"image": content(number)}


def content(number: int) -> bytes:
    return np.random.default_rng(number).bytes(BYTES)


def dvc(folder: Path, *arguments: str, **settings: str) -> None:
    run(folder, sys.executable, "-m", "dvc", *arguments, **settings)


def run(folder: Path, *command: str, **settings: str) -> None:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", **settings}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
