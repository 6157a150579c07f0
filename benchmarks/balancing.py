"""What balance costs beside reading and writing the same table, and beside imbalanced-learn on names of classes.

    python benchmarks/balancing.py [--most 10000000]

A synthetic manifest of 100,000 rows and ten times as many up to --most: 1,000 classes in a long tail,
30 % of rows in groups, one in ten from production, nine in ten in train. Each measurement is a
process of its own, and its peak memory counts the pages of the mapped manifest. The floor reads the
manifest and writes it again with pyarrow. The peer chooses rows only: it neither reads nor writes.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import catalogue
from pipeline.manifest import SPLIT
from pipeline.problem.params import Classes
from pipeline.stages.balance.params import BalanceParams
from pipeline.store.arrow import open_arrow, write_arrow

CLASSES = 1000
SMALLEST = 100_000
MAX_PEER_IMAGES = 1_000_000  # it takes minutes for ten times as many
MEDIAN = {"name": "median"}
STRATEGIES: list[dict[str, Any]] = [
    {"name": "none"},
    {"name": "weights"},
    {"name": "undersample", "target": MEDIAN},
    {"name": "both", "target": MEDIAN},
    {"name": "oversample", "target": MEDIAN},
]
AS_THEY_ARE = Classes(name="classes", rename={}, merge={}, one_against_rest=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in (catalogue.SPLIT.path, catalogue.BALANCED.path):
            Path(name).parent.mkdir(parents=True)
        rows = SMALLEST
        while rows <= options.most:
            in_process(write_synthetic, rows)
            compare(rows)
            rows *= 10


def compare(rows: int) -> None:
    in_process(at_the_floor)  # brings the manifest into the page cache, for all alike
    floor, floor_memory = in_process(at_the_floor)
    print(f"\n{rows:,} rows, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'floor: read and write':24} {floor:7.2f} s                    peak {floor_memory:5.2f} GB")
    for strategy in STRATEGIES:
        taken, memory = in_process(run_balance, strategy)
        ratio = f"{taken / floor:6.2f} of the floor"
        print(f"{strategy['name']:24} {taken:7.2f} s {ratio}  peak {memory:5.2f} GB", flush=True)
    for name in ("undersample", "oversample") if rows <= MAX_PEER_IMAGES else ():
        ours, _ = in_process(choose_only, name)
        theirs, _ = in_process(peer, name)
        ratio = f"{ours / theirs:6.3f} of imbalanced-learn's {theirs:.2f} s"
        print(f"{'choose: ' + name:24} {ours:7.2f} s {ratio}", flush=True)


def in_process(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    """What the function returns, and the peak memory in GB, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (function, *arguments))


def _measured(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    value = function(*arguments)
    return value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def at_the_floor() -> float:
    begun = time.perf_counter()
    write_arrow(open_arrow(Path(catalogue.SPLIT.path)), Path("floor.arrow"))
    return time.perf_counter() - begun


def run_balance(strategy: dict[str, Any]) -> float:
    """Seconds of the stage with its reading and writing, without imports."""
    from pipeline.project.runner import write_all
    from pipeline.stages.balance.stage import STAGE, balance
    from pipeline.store.shards import ShardReader
    from pipeline.workers.engine import Engine

    begun = time.perf_counter()
    manifest = catalogue.SPLIT_TABLE.read(Path(catalogue.SPLIT.path))
    write_all(STAGE, balance(manifest, ShardReader(), balance_params(strategy), AS_THEY_ARE, Engine(1)))
    return time.perf_counter() - begun


def choose_only(name: str) -> float:
    from pipeline.stages.balance.balancing import choose_rows

    manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    strategy = next(strategy for strategy in STRATEGIES if strategy["name"] == name)
    begun = time.perf_counter()
    choose_rows(manifest, balance_params(strategy), lambda _: np.zeros((0, 0), np.uint8))
    return time.perf_counter() - begun


def peer(name: str) -> float:
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    labels = manifest.loc[manifest["split"] == "train", "label"].astype(object).to_numpy()
    begun = time.perf_counter()
    names, counts = np.unique(labels, return_counts=True)
    median = int(np.median(counts))
    beyond = counts < median if name == "oversample" else counts > median
    sampler = {"oversample": RandomOverSampler, "undersample": RandomUnderSampler}[name](
        sampling_strategy=dict.fromkeys(names[beyond], median), random_state=0
    )
    sampler.fit_resample(np.arange(len(labels))[:, None], labels)
    return time.perf_counter() - begun


def balance_params(strategy: dict[str, Any]) -> BalanceParams:
    return BalanceParams.model_validate({"seed": 1, "production_weight": 1.0, "strategy": strategy})


def write_synthetic(rows: int) -> float:
    """A manifest as split writes it, sorted by id; columns that balance does not look at are filled alike."""
    random = np.random.default_rng(1)
    odds = 1 / np.arange(1, CLASSES + 1)
    labels = np.sort(random.choice(CLASSES, rows, p=odds / odds.sum()))
    names = [f"class{number:04}" for number in range(CLASSES)]
    numbers = pc.utf8_lpad(pa.array(np.arange(rows)).cast(pa.string()), 10, "0")
    paths = pc.binary_join_element_wise(pa.array(names).take(pa.array(labels)), numbers, "/")
    ids = pc.binary_join_element_wise("web", paths, "/")
    groups = pa.array(random.integers(0, rows // 10, rows)).cast(pa.string())
    elsewhere = np.where(random.random(rows) < 0.5, 0, 2)
    shards = rows // 128 + 1
    known = {
        "id": ids,
        "path": paths,
        "sha256": _hex_digits(random, rows, 64),
        "pixels": _hex_digits(random, rows, 32),
        "group": pc.if_else(pa.array(random.random(rows) < 0.3), groups, ids),
        "label": _categories(names, labels),
        "role": _categories(["production", "raw"], random.random(rows) < 0.9),
        "split": _categories(["dev", "train", "train_dev"], np.where(random.random(rows) < 0.9, 1, elsewhere)),
        "shard": _categories([f"{number:032x}" for number in range(shards)], np.arange(rows) // 128),
    }
    table = pa.Table.from_arrays([known.get(field.name, _filled(field, rows)) for field in SPLIT], schema=SPLIT)
    write_arrow(table, Path(catalogue.SPLIT.path))
    return 0.0


def _filled(field: pa.Field, rows: int) -> pa.Array:
    if pa.types.is_dictionary(field.type):
        return _categories(["x"], np.zeros(rows))
    value: Any = "" if pa.types.is_string(field.type) else None if pa.types.is_timestamp(field.type) else 1
    if pa.types.is_boolean(field.type):
        value = False
    return pa.repeat(pa.scalar(value, field.type), rows)


def _categories(names: list[str], codes: np.ndarray[Any, Any]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))


def _hex_digits(random: np.random.Generator, rows: int, width: int) -> pa.StringArray:
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[random.integers(0, 16, rows * width, np.uint8)]
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(digits))


if __name__ == "__main__":
    main()
