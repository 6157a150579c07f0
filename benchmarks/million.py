"""What very many images cost from files to diagnosis: seconds, CPU, memory and disk of each stage.

    python benchmarks/million.py [--images 20000] [--until diagnose] [--folder DIR]

It makes generated PNG files of 64 x 64 in ten classes, four fifths raw and one fifth production, and runs each stage
as `dvc repro` would, one after the other, two workers, without DVC: for a quarter of --images, and for all. Params are
those that `pipeline init` chooses, but no embeddings, a small network and one epoch, so that what grows with the images
is seen, not how long one trains. Then DVC records the results and finds that nothing is to be done, which is what it
costs beside the stages; 1 % more images come, and the stages before `train` run again. Memory is the
largest process's. The last column is an extrapolation of CPU to a million, along the line through both sizes: a stage
that grows faster takes longer.
million_rows.py measures what rows alone cost, without files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from ruamel.yaml import YAML

from pipeline.stage import NAMES as STAGES

CLASSES = 10
MILLION = 1_000_000
BEFORE_TRAINING = ("inventory", "ingest", "embed", "curate", "split", "balance", "augment")
LEFT_OUT = ("code", "sample", "previews", "final_evaluation", "final_diagnosis")
SMALL_NETWORK = {
    "name": "cnn", "depth": 2, "width": 8, "kernel": 3, "activation": "relu", "batch_norm": True, "dense": [],
    "dropout": {"blocks": 0.0, "head": 0.0},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--until", default="diagnose", choices=[name for name in STAGES if name not in LEFT_OUT])
    parser.add_argument("--folder", type=Path, help="where to work, and leave all; default: a temporary one")
    options = parser.parse_args()
    names = [name for name in STAGES if name not in LEFT_OUT]
    names = names[: names.index(options.until) + 1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        small = options.images // 4
        write_images(folder / "small/images", range(small))
        few = run_all(make_project(folder / "small"), names, lambda _name, _cpu: "")
        write_images(folder / "images", range(options.images))
        project = make_project(folder)

        def at_a_million(name: str, cpu: float) -> str:
            slope = (cpu - few[name]) / (options.images - small)
            return f"{(cpu + slope * (MILLION - options.images)) / 60:9.1f} minutes of CPU at a million"

        run_all(project, names, at_a_million)
        for command in (("commit", "--force"), ("repro", options.until)):
            wall, cpu, memory = measured(project, "-m", "dvc", *command)
            print(f"dvc {command[0]:20}{wall:9.1f}{cpu:9.1f}{memory:7.2f}", flush=True)
        write_images(folder / "images", range(options.images, options.images + options.images // 100))
        print(f"{options.images // 100:,} images more")
        run_all(project, [name for name in names if name in BEFORE_TRAINING], lambda _name, _cpu: "")


def write_images(root: Path, numbers: range) -> None:
    """Pictures whose class gives them a stripe; others than that, no two are alike."""
    for number in numbers:
        label = number % CLASSES
        place = root / ("production" if number % 50 >= 40 else "raw") / f"class{label}" / f"{number:07}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(number)
        coarse = draw.integers(0, 256, (8, 8, 3), np.uint8)
        pixels = cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)
        pixels[label * 6 : label * 6 + 4] = draw.integers(200, 256)
        place.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def make_project(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    project = folder / "project"
    images = folder / "images"
    command = ["init", str(project), "--raw", str(images / "raw"), "--production", str(images / "production"), "--yes"]
    subprocess.run([sys.executable, "-m", "pipeline", *command], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    params["embed"]["backbone"] = None
    params["curate"]["scenes"] = "ignore"
    params["train"]["model"] = SMALL_NETWORK
    params["train"]["epochs"] = 1
    with (project / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    return project


def run_all(project: Path, names: list[str], more: Callable[[str, float], str]) -> dict[str, float]:
    """Run stages and print what each cost; CPU by stage, `all` included."""
    print(f"{'':24}{'seconds':>9}{'CPU':>9}{'GB':>7}{'MB on disk':>12}", flush=True)
    run(project, "code")
    seconds: dict[str, float] = {}
    begun = time.perf_counter()
    for name in names:
        for source in ("raw", "production") if name == "ingest" else ("",):
            before = size_of(project)
            wall, cpu, memory = run(project, name.replace("_", "-"), *([source] if source else []))
            row = f"{name} {source}".strip()
            seconds[row] = cpu
            grown = (size_of(project) - before) / 1e6
            print(f"{row:24}{wall:9.1f}{cpu:9.1f}{memory:7.2f}{grown:12.1f}{more(row, cpu)}", flush=True)
    seconds["all"] = sum(seconds.values())
    wall = time.perf_counter() - begun
    print(f"{'all':24}{wall:9.1f}{seconds['all']:9.1f}{'':19}{more('all', seconds['all'])}", flush=True)
    return seconds


def run(project: Path, *command: str) -> tuple[float, float, float]:
    """The same of a command of the pipeline."""
    return measured(project, "-m", "pipeline", *command)


def measured(project: Path, *command: str) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and GB of the largest process, of a Python program."""
    begun = time.perf_counter()
    with (project / "million.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, *command],
            cwd=project,
            stdout=log,
            stderr=log,
            env={**os.environ, "PIPELINE_WORKERS": "2"},
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}:\n{(project / 'million.log').read_text()[-3000:]}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6


def size_of(project: Path) -> int:
    return sum(path.stat().st_size for path in project.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
