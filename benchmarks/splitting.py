"""How steady splits are when images are added, and what splitting costs as images grow.

    python benchmarks/splitting.py steadiness
    python benchmarks/splitting.py speed [--rows 100000 1000000 10000000]

Needs the extra packages of `pip install '.[benchmarks]'`. Steadiness: of the old test images, the share
that lands in train after 1 % more images came, same seed; ours against scikit-learn's stratified split
and split-folders (on empty files). Speed: seconds and peak memory of the split stage, reading and
writing included, in a process of its own for each size, against reading and writing the table alone;
scikit-learn's StratifiedGroupKFold and split-folders (links to empty files) on the sizes that they manage.

What these cannot do: StratifiedGroupKFold knows no sources, so that dev and test would get raw images,
and moves most images when one is added; split-folders knows neither sources nor groups across folders.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from pipeline import catalogue
from pipeline.issues import ISSUES
from pipeline.manifest import CURATED, PRODUCTION, RAW, TEST, TRAIN
from pipeline.project.params_file import check_params, load_params
from pipeline.stages.split.splitting import assign_splits

CLASSES = 1000
MAX_FOLD_ROWS, MAX_FILES = 1_000_000, 100_000
VALUES = load_params(Path(__file__).parent.parent / "params.yaml").model_dump()
VALUES["split"].update(min_per_class=1, one_sided_classes="train")
PARAMS = check_params(VALUES)


def manifest(rows: int, seed: int = 1, classes: int = CLASSES) -> pd.DataFrame:
    """A curated manifest: long tail, one image in five from production, 30 % of rows in groups of three."""
    draw = np.random.default_rng(seed)
    label = np.minimum((draw.pareto(1.0, rows) * classes / 20).astype(int), classes - 1)
    numbers = np.arange(rows)
    production = draw.random(rows) < 0.2
    # Even the rarest class has a dozen production images.
    label[: 60 * classes] = numbers[: 60 * classes] % classes
    production[: 60 * classes] = numbers[: 60 * classes] // classes % 5 == 0
    group = np.where(numbers % 10 < 3, numbers // 10, rows + numbers)
    digest = pd.Series(pa.array([f"{number:064x}" for number in range(rows)])).astype("str")
    short = digest.str.slice(32)
    names = pd.Series(
        [f"class{code:04}/{number:09}.jpg" for code, number in zip(label, numbers, strict=True)], dtype="str"
    )
    frame = pd.DataFrame({"path": names, "sha256": digest, "pixels": short})
    frame["id"] = "source/" + names
    frame["group"] = digest.take(group % rows).reset_index(drop=True)
    for column, values, categories in (
        ("label", label, [f"class{code:04}" for code in range(classes)]),
        ("role", production.astype(int), [RAW, PRODUCTION]),
        ("source", production.astype(int), ["web", "phone"]),
        ("format", np.zeros(rows, int), ["JPEG"]),
        ("shard", numbers // 128, [f"{shard:032x}" for shard in range(rows // 128 + 1)]),
    ):
        frame[column] = pd.Categorical.from_codes(values, categories)
    for column in ("width", "height", "bytes"):
        frame[column] = draw.integers(100, 5000, rows)
    for column in ("brightness", "contrast", "sharpness", "saturation", "information", "blur", "range_used"):
        frame[column] = draw.random(rows, dtype=np.float32)
    for column in ("luma_1", "luma_5", "luma_99", "colour_99"):
        frame[column] = draw.integers(0, 256, rows, np.uint8)
    for column in ISSUES:
        frame[column] = draw.random(rows, dtype=np.float32) < 0.02
    times = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
    # As curate leaves it.
    frame = frame.assign(user_group="", captured_at=times, row=numbers % 128).sort_values("id", ignore_index=True)
    return frame[CURATED.names]


def steadiness() -> None:
    before, more = manifest(20_000, classes=10), manifest(20_200, classes=10)
    before = before[before["role"] == PRODUCTION]
    more = more[more["role"] == PRODUCTION]
    new = more[~more["id"].isin(before["id"])].sample(len(before) // 100, random_state=1)
    more = pd.concat([before, new]).sort_values("id", ignore_index=True)
    ways: dict[str, Callable[[pd.DataFrame], dict[str, str]]] = {
        "this pipeline": ours,
        "scikit-learn train_test_split, stratified": stratified,
        f"split-folders {version('split-folders')}": by_folders,
    }
    print(f"{len(before)} images, then {len(more)}; of the old test images, in train afterwards:")
    for name, way in ways.items():
        old, new = way(before), way(more)
        test = [image for image, split in old.items() if split == TEST]
        moved = sum(new[image] == TRAIN for image in test)
        print(f"  {name:45} {moved / len(test):6.1%}")


def ours(rows: pd.DataFrame) -> dict[str, str]:
    assigned = assign_splits(rows, PARAMS.split).assigned
    return dict(zip(assigned["id"], assigned["split"], strict=True))


def stratified(rows: pd.DataFrame) -> dict[str, str]:
    train, rest = train_test_split(rows["id"], stratify=rows["label"].astype(str), test_size=0.2, random_state=1)
    _, test = train_test_split(rest, stratify=rows["label"].astype(str)[rest.index], test_size=0.5, random_state=1)
    return {image: TRAIN if image in set(train) else TEST if image in set(test) else "dev" for image in rows["id"]}


def by_folders(rows: pd.DataFrame) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_empty_files(rows, folder / "in")
        split_folders(folder / "in", folder / "out")
        found = (path.relative_to(folder / "out").parts for path in (folder / "out").rglob("*.jpg"))
        return {"/".join(["source", *parts]): split for split, *parts in found}


def write_empty_files(rows: pd.DataFrame, folder: Path) -> None:
    for label in rows["label"].unique():
        (folder / label).mkdir(parents=True)
    for path in rows["path"]:
        (folder / path).touch()


def split_folders(folder: Path, out: Path) -> None:
    import splitfolders

    with contextlib.redirect_stderr(io.StringIO()):
        splitfolders.ratio(folder, out, seed=1, ratio=(0.8, 0.1, 0.1), move="symlink")


def speed(sizes: list[int]) -> None:
    peers = f"{'StratifiedGroupKFold':>22} {'split-folders':>15}"
    print(f"{'rows':>12} {'split':>9} {'peak':>9} {'read + write':>14} {'ratio':>7} {peers}")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / catalogue.CURATED.path
            path.parent.mkdir(parents=True)
            catalogue.CURATED.write(manifest(rows), path)
            with (Path(folder) / "params.yaml").open("w") as file:
                YAML(typ="safe", pure=True).dump(VALUES, file)
            seconds, gigabytes = alone(folder, "-m", "pipeline", "split")
            least, _ = alone(folder, __file__, "floor")
            folds = f"{alone(folder, __file__, 'folds')[0]:.1f} s" if rows <= MAX_FOLD_ROWS else "-"
            files = f"{timed_files(Path(folder)):.1f} s" if rows <= MAX_FILES else "-"
        figures = f"{rows:12,} {seconds:7.1f} s {gigabytes:6.2f} GB {least:12.1f} s {seconds / least:7.1f}"
        print(f"{figures} {folds:>22} {files:>15}", flush=True)


def timed_files(folder: Path) -> float:
    """Seconds of split-folders alone; making the files is not counted."""
    write_empty_files(catalogue.CURATED.read(folder / catalogue.CURATED.path), folder / "in")
    begun = time.perf_counter()
    split_folders(folder / "in", folder / "out")
    return time.perf_counter() - begun


def alone(folder: str, *command: str) -> tuple[float, float]:
    """Seconds and peak memory in gigabytes of a process of its own, its start included."""
    begun = time.perf_counter()
    with (Path(folder) / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((Path(folder) / "log").read_text())
    return time.perf_counter() - begun, usage.ru_maxrss / 1e6


def floor() -> None:
    catalogue.CURATED.write(catalogue.CURATED.read(Path(catalogue.CURATED.path)), Path("copy.arrow"))


def folds() -> None:
    rows = catalogue.CURATED.read(Path(catalogue.CURATED.path))
    folds = StratifiedGroupKFold(n_splits=4)
    next(folds.split(rows["id"], rows["label"].cat.codes, pd.factorize(rows["group"])[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steadiness", "speed", "floor", "folds"])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    options = parser.parse_args()
    match options.what:
        case "speed":
            speed(options.rows)
        case "steadiness":
            steadiness()
        case "floor":
            floor()
        case "folds":
            folds()


if __name__ == "__main__":
    main()
