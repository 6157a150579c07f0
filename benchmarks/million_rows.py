"""What rows cost the stages that handle nothing else: seconds and memory of inventory, curate, split and balance.

    python benchmarks/million_rows.py [--rows 1000000]

Manifests are generated as in splitting.py, with hashes by chance, so that nothing is a copy and no picture is looked
at. inventory gets names and hashes made up, instead of a folder; what it makes of them is measured. Memory is that of a
process of its own, less that of the same command on a tenth of the rows, by row.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.manifest import HASHES, INGESTED
from pipeline.project.params_file import load_params

STAGES = ("embed", "curate", "split", "balance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["project", "inventory"], help="for a process of its own")
    options = parser.parse_args()
    if options.only:
        (write_project if options.only == "project" else inventory_of)(Path(), options.rows)
        return
    few, many = measured(options.rows // 10), measured(options.rows)
    print(f"{'':12}{'seconds':>9}{'CPU':>9}{'GB':>7}{'bytes a row':>13}   ({options.rows:,} rows)")
    for name, (wall, cpu, memory) in many.items():
        by_row = (memory - few[name][2]) * 1e9 / (options.rows - options.rows // 10)
        print(f"{name:12}{wall:9.1f}{cpu:9.1f}{memory:7.2f}{by_row:13,.0f}", flush=True)


def measured(rows: int) -> dict[str, tuple[float, float, float]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Apart, because a process begins with the memory of the one that starts it.
        alone(folder, __file__, "--only", "project", "--rows", str(rows))
        found = {"inventory": alone(folder, __file__, "--only", "inventory", "--rows", str(rows))}
        for stage in STAGES:
            found[stage] = alone(folder, "-m", "pipeline", stage, "--workers", "2")
            print(f"{rows:,} rows: {stage}, {found[stage][1]:.1f} s of CPU, {found[stage][2]:.2f} GB", flush=True)
        return found


def write_project(folder: Path, rows: int) -> None:
    from splitting import manifest

    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(project_params(), file)
    draw = np.random.default_rng(0)
    frame = manifest(rows, classes=min(1000, rows // 600))
    for name in HASHES:
        frame[name] = draw.integers(0, 2**63, rows, np.uint64)
    # So that no image has an issue, whose picture a sheet would show.
    healthy = {"width": 500, "height": 375, "bytes": 50_000, "brightness": 120.0, "contrast": 60.0, "sharpness": 9.0}
    healthy |= {"saturation": 0.5, "luma_1": 5, "luma_5": 9, "luma_99": 230, "colour_99": 99, "information": 7.0}
    for name, value in {**healthy, "blur": 0.1, "range_used": 1.0, "fine_detail": 1.0, "codec_warning": ""}.items():
        frame[name] = value
    frame["id"] = frame["source"].astype(str) + "/" + frame["path"]
    for name in ("web", "phone"):
        part = frame[frame["source"] == name].sort_values("id", ignore_index=True)
        part = part.assign(**{column: part[column].cat.remove_unused_categories() for column in ("source", "role")})
        path = folder / catalogue.INGESTED.named(name=name).path
        path.parent.mkdir(parents=True)
        catalogue.INGESTED.named(name=name).write(part[INGESTED.names], path)
        rejected = folder / catalogue.INGEST_REJECTED.named(name=name).path
        empty = pd.DataFrame(columns=["path", "reason", "detail"], dtype="str")
        catalogue.INGEST_REJECTED.named(name=name).write(empty, rejected)


def project_params() -> dict[str, Any]:
    """Params of a project with two sources and classes that may be rare."""
    values = load_params(Path(__file__).parent.parent / "params.yaml").model_dump(mode="json")
    values["sources"] = {"web": {"role": "raw", "path": "web"}, "phone": {"role": "production", "path": "phone"}}
    values["split"] |= {"min_per_class": 1, "one_sided_classes": "train"}
    values["balance"]["strategy"] = {"name": "weights"}
    return values


def inventory_of(folder: Path, rows: int) -> None:
    """What inventory makes of so many files whose names and hashes are known."""
    from pipeline.sources.params import SourceParams
    from pipeline.sources.scan import Scan
    from pipeline.stages.inventory import stage
    from pipeline.workers.engine import Engine

    (folder / "images").mkdir()
    paths = tuple(f"class{number % 1000:04}/{number:09}.jpg" for number in range(rows))
    vars(stage).update(
        _scanned=lambda _: Scan(tuple(sorted(paths)), ()),
        file_hashes=lambda *_: pa.array([f"{number:064x}" for number in range(rows)]),
    )
    found = stage.inventory({"web": SourceParams(role="raw", path="images")}, 10**9, Engine(1))
    catalogue.INVENTORY.write(found.files, folder / "lists")


def alone(folder: Path, *command: str) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and GB of the largest process."""
    begun = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit((folder / "log").read_text()[-3000:])
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


if __name__ == "__main__":
    main()
