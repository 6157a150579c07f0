"""How the memory and time of split and balance grow with the rows, and what that makes of 100,000,000 rows.

    python benchmarks/streamed_rows.py [--rows 1000000 3000000 10000000] [--code FOLDER]

Curated manifests are generated a part at a time: a long tail of 1000 classes, one image in five from production, 30 %
of the rows in groups of three. Each stage runs in a process of its own, its start included; its memory is the largest
resident size, and, where the system tells it, that of anonymous memory alone, which counts no pages of mapped files.
Bytes a row are of the slope between one size and the next. --code runs the stages of another copy of the repository.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from million_rows import project_params
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.manifest import CURATED, PRODUCTION, RAW
from pipeline.store.arrow import write_parts

CLASSES = 1000
PART = 100_000
STAGES = ("split", "balance")
ASKED = 100_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--code", type=Path, default=Path(__file__).parent.parent)
    options = parser.parse_args()
    print(
        f"{'rows':>12} {'stage':8} {'seconds':>9} {'CPU':>8} {'GB':>7} {'anonymous':>10} {'bytes a row':>12}",
        flush=True,
    )
    before: dict[str, tuple[int, float, float]] = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            write_project(Path(name), rows)
            for stage in STAGES:
                wall, cpu, most, anonymous = measured(Path(name), options.code, stage)
                line = f"{rows:12,} {stage:8} {wall:9.1f} {cpu:8.1f} {most:7.2f} {anonymous:10.2f}"
                if stage in before:
                    fewer, less, sooner = before[stage]
                    slope, pace = (most - less) / (rows - fewer), (cpu - sooner) / (rows - fewer)
                    at = f"{most + slope * (ASKED - rows):.1f} GB, {(cpu + pace * (ASKED - rows)) / 60:.1f} minutes"
                    line += f" {1e9 * slope:12,.0f}   at {ASKED:,} by this slope: {at} of CPU"
                before[stage] = rows, most, cpu
                print(line, flush=True)


def write_project(folder: Path, rows: int) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(project_params(), file)
    path = folder / catalogue.CURATED.path
    path.parent.mkdir(parents=True)
    write_parts(parts(rows), CURATED, path)


def parts(rows: int) -> Iterator[pa.Table]:
    """Rows sorted by id, as curate leaves them."""
    shares = np.cumsum(1 / np.arange(20, 20 + CLASSES))
    bounds = (shares / shares[-1] * rows).astype(np.int64)
    classes = [f"class{code:04}" for code in range(CLASSES)]
    shards = pa.array([f"{shard:032x}" for shard in range(rows // 128 + 1)])
    for start in range(0, rows, PART):
        numbers = np.arange(start, min(start + PART, rows))
        draw = np.random.default_rng(start)
        label = np.searchsorted(bounds, numbers, side="right").clip(max=CLASSES - 1)
        production = (draw.random(len(numbers)) < 0.2).astype(np.int32)
        group = np.where(numbers % 10 < 3, numbers // 10, rows + numbers)
        paths = [f"class{code:04}/{number:09}.jpg" for code, number in zip(label, numbers, strict=True)]
        columns = {
            "id": pa.array(["source/" + path for path in paths]),
            "source": pa.DictionaryArray.from_arrays(pa.array(1 - production), ["phone", "web"]),
            "role": pa.DictionaryArray.from_arrays(pa.array(1 - production), [PRODUCTION, RAW]),
            "label": pa.DictionaryArray.from_arrays(pa.array(label.astype(np.int32)), classes),
            "path": pa.array(paths),
            "sha256": pa.array([f"{number:064x}" for number in numbers]),
            "group": pa.array([f"{number:064x}" for number in group]),
            "pixels": pa.array([f"{number:032x}" for number in numbers]),
            "user_group": pa.array([""] * len(numbers)),
            "captured_at": pa.nulls(len(numbers), CURATED.field("captured_at").type),
            "format": pa.DictionaryArray.from_arrays(np.zeros(len(numbers), np.int32), ["JPEG"]),
            "shard": pa.DictionaryArray.from_arrays((numbers // 128).astype(np.int32), shards),
            "row": pa.array((numbers % 128).astype(np.int32)),
        }
        for field in CURATED:
            if field.name not in columns:
                values = (
                    draw.random(len(numbers)) < 0.02
                    if pa.types.is_boolean(field.type)
                    else draw.integers(100, 250, len(numbers))
                )
                columns[field.name] = pa.array(values).cast(field.type)
        yield pa.Table.from_arrays([columns[name] for name in CURATED.names], schema=CURATED)


def measured(folder: Path, code: Path, stage: str) -> tuple[float, float, float, float]:
    """Seconds, seconds of CPU, GB of the largest resident size, and GB of anonymous memory at most."""
    begun = time.perf_counter()
    most = [0]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", stage, "--workers", "2"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(code.resolve())},
        )
        watch = threading.Thread(target=watched, args=(process.pid, most), daemon=True)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "log").read_text()[-3000:])
    wall = time.perf_counter() - begun
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6, most[0] / 1e6


def watched(process: int, most: list[int]) -> None:
    """Look every tenth of a second at the anonymous memory of a process, in kB, where the system has a /proc."""
    try:
        while True:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            found = [int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]
            if not found:
                return
            most[0] = max(most[0], *found)
            time.sleep(0.1)
    except OSError:
        return


if __name__ == "__main__":
    main()
