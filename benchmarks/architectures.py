"""Is an architecture search by shared weights worth its CPU?

    python -m benchmarks.architectures tau PROJECT [--rows N] [--epochs N] [--fits N] [--seeds N]
    python -m benchmarks.architectures planted [--seeds N] [--first N]

tau: in a project whose stages before train have run, 64 networks (depth, width, kernels, shortcuts of block_cnn) are
fitted by themselves to some rows of its train, and ranked by shared weights, with a controller and without one.
Kendall's tau of both orders on dev, with its 95 % interval over networks; and what the search finds beside what random
search of the same cost finds on average, which is exact because all 64 values are known.

planted: pictures whose classes only a kernel of 5 (or only a second block) can tell apart. How often the search's first
network has it.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.stats import hypergeom, kendalltau

from pipeline import catalogue
from pipeline.data.dataset import RowDataset
from pipeline.images.pixels import Pixels, encode
from pipeline.manifest import BALANCED, SPLIT
from pipeline.metrics.metric import Metric, metric_of
from pipeline.project.params_file import Params, check_params
from pipeline.stages.ingest.params import PngEncoding
from pipeline.store.shard_plan import Row
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.tools.training_data import read_data
from pipeline.training.architectures import Networks, distinct_networks, work_of_fit
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import fit_model
from pipeline.training.shared_weights import Learnt, SharedTask, learn_shared
from pipeline.tuning.architectures import architectures_of, decisions_of
from pipeline.tuning.methods import Architecture
from pipeline.workers.engine import Engine
from pipeline.yaml_values import yaml_values

Values = npt.NDArray[np.float64]
SAMPLINGS = ("controller", "uniform")
MODEL = {
    "name": "block_cnn",
    "depth": 2,
    "width": 8,
    "kernels": [3],
    "shortcuts": [False],
    "activation": "relu",
    "batch_norm": True,
    "dropout": {"blocks": 0.0, "head": 0.0},
}
# 2 * 2 * 2 ** 2 * 2 ** 2 = 64 networks.
SPACE = {
    "train.model.depth": {"name": "int", "low": 2, "high": 3, "step": 1},
    "train.model.width": {"name": "choice", "values": [4, 16]},
    "train.model.kernels": {"name": "list", "values": [1, 3], "length": 2},
    "train.model.shortcuts": {"name": "list", "values": [False, True], "length": 2},
}
PLANTED: Mapping[str, tuple[dict[str, Any], str, Any]] = {
    "kernel": (
        {
            "train.model.kernels": {"name": "list", "values": [1, 3, 5], "length": 1},
            "train.model.width": {"name": "choice", "values": [4, 8]},
            "train.model.shortcuts": {"name": "list", "values": [False, True], "length": 1},
        },
        "train.model.kernels",
        "[5]",
    ),
    "depth": (
        {
            "train.model.depth": {"name": "int", "low": 1, "high": 2, "step": 1},
            "train.model.width": {"name": "choice", "values": [4, 8]},
            "train.model.shortcuts": {"name": "list", "values": [False, True], "length": 1},
        },
        "train.model.depth",
        2,
    ),
}
SIDE, CANDIDATES = 16, 6


def main() -> None:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tau", "planted"))
    parser.add_argument("project", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=8, help="of a network by itself")
    parser.add_argument("--fits", type=int, default=2, help="of each network by itself; their mean counts")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--shared-epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first of the seeds of planted")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if asked.what == "planted":
        planted(asked.first, asked.seeds, asked.shared_epochs)
    elif asked.project is None:
        parser.error("tau needs a project")
    else:
        with chdir(asked.project):
            tau(asked.rows, asked.epochs, asked.fits, asked.batch_size, asked.shared_epochs, asked.seeds)


def tau(rows: int, epochs: int, fits: int, batch_size: int, shared_epochs: int, seeds: int) -> None:
    """Fit all 64 networks by themselves, and rank them by shared weights of each seed."""
    given = yaml_values(Path("params.yaml").read_text())
    params = params_of({**given, "train": {**given["train"], "batch_size": batch_size}}, SPACE, epochs)
    augmented = catalogue.AUGMENTED.read(Path(catalogue.AUGMENTED.path))
    originals = augmented[augmented["copy"] == 0]
    data = read_data(params, originals.sample(min(rows, len(originals)), random_state=1).reset_index(drop=True))
    metric = metric_of(params.evaluate.optimizing, data.classes)
    networks = networks_of(params, data)
    print(f"{len(networks.architectures)} networks, {len(data.rows)} rows of train, {len(data.dev)} of dev")
    shape = fits, len(networks.architectures)
    alone, losses, seconds = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for number, one in enumerate(networks.architectures):
        for again in range(fits):
            begun = time.process_time()
            train = params.train.model_copy(update={"model": one.model, "seed": 1 + again})
            _, fit = fit_model(data, train, metric, Engine(1))
            best = fit.epochs[fit.epoch]
            alone[again, number], losses[again, number] = best["dev/optimizing"], best["dev/loss"]
            seconds[again, number] = time.process_time() - begun
    cost = np.array([work_of_fit(one, epochs, len(data.train), len(data.dev)) for one in networks.skeletons])
    values = alone.mean(axis=0)
    print(f"alone: {seconds.sum():.0f} CPU s; {metric.key} {values.min():.4f} to {values.max():.4f}")
    if fits > 1:
        print(f"tau of two fits by themselves {kendalltau(alone[0], alone[1]).statistic:.2f}")
    print(f"correlation of counted and measured cost {np.corrcoef(cost, seconds.mean(axis=0))[0, 1]:.2f}", flush=True)
    found = Alone(values, losses.mean(axis=0), seconds.mean(axis=0), cost)
    for seed in range(1, seeds + 1):
        for sampling in SAMPLINGS:
            begun = time.process_time()
            learnt = learn_shared(task_of(params, data, networks, metric, sampling, shared_epochs, seed), Engine(1))
            report(f"seed {seed}, {sampling}", learnt, found, time.process_time() - begun)


@dataclass(frozen=True)
class Alone:
    """Of each network by itself: value and loss on dev, seconds, and counted cost; each of shape (networks,)."""

    values: Values
    losses: Values
    seconds: Values
    cost: Values


def report(name: str, learnt: Learnt, alone: Alone, took: float) -> None:
    """Tau, and the best of the search's candidates beside that of random search."""
    order = [score.number for score in learnt.scores]
    values, losses = (np.array([getattr(one, part) for one in learnt.scores]) for part in ("value", "loss"))
    generator = np.random.default_rng(1)
    drawn = [generator.integers(len(order), size=len(order)) for _ in range(500)]

    def with_interval(shared: Values, known: Values) -> str:
        low, high = np.nanpercentile([kendalltau(shared[part], known[part]).statistic for part in drawn], [2.5, 97.5])
        return f"{kendalltau(shared, known).statistic:.2f} ({low:.2f} to {high:.2f})"

    chosen = order[:CANDIDATES]
    spent = took + alone.seconds[chosen].sum()
    count = min(len(order), max(1, round(spent / alone.seconds.mean())))
    counted = (learnt.work + alone.cost[chosen].sum()) / alone.cost.mean()
    by_loss = np.array(order)[np.argsort(losses)][:CANDIDATES]
    print(
        f"{name}: tau {with_interval(values, alone.values[order])}, by shared losses "
        f"{with_interval(-losses, alone.values[order])}, of losses {with_interval(-losses, -alone.losses[order])}; "
        f"{took:.0f} CPU s; search's best of {CANDIDATES} {alone.values[chosen].max():.4f}, by shared losses "
        f"{alone.values[by_loss].max():.4f}, random's best of {count} on "
        f"average {expected_best(alone.values, count):.4f} ({counted:.0f} by counted cost)",
        flush=True,
    )


def expected_best(values: Values, count: int) -> float:
    """The mean of the best of so many that are drawn without putting back."""
    ordered = np.sort(values)
    # The chance that none of those above the k-th is drawn.
    below = hypergeom.pmf(0, len(values), len(values) - np.arange(1, len(values) + 1), count)
    return float((ordered * np.diff(below, prepend=0.0)).sum())


def planted(first: int, seeds: int, shared_epochs: int) -> None:
    """How often the first network of the search has the planted choice."""
    values = yaml_values((Path(__file__).parent.parent / "params.yaml").read_text())
    for name, (space, place, wanted) in PLANTED.items():
        hits = dict.fromkeys(SAMPLINGS, 0)
        begun = time.process_time()
        for seed in range(first, first + seeds):
            with tempfile.TemporaryDirectory() as folder:
                own = {**values, "train": {**values["train"], "batch_size": 50, "learning_rate": 0.01}}
                params = params_of(own, space, 10, depth=1)
                data = planted_data(Path(folder), seed)
                metric = metric_of(params.evaluate.optimizing, data.classes)
                networks = networks_of(params, data)
                for sampling in SAMPLINGS:
                    task = task_of(params, data, networks, metric, sampling, shared_epochs, seed)
                    learnt = learn_shared(task, Engine(1))
                    best = networks.architectures[learnt.scores[0].number]
                    hits[sampling] += best.drawn[place] == wanted
        took = (time.process_time() - begun) / seeds
        print(f"planted {name}: {hits} of {seeds}, {took:.1f} CPU s a seed", flush=True)


def params_of(values: Mapping[str, Any], space: Mapping[str, Any], epochs: int, depth: int = 2) -> Params:
    """Params with the model and the space."""
    train = {**values["train"], "model": {**MODEL, "depth": depth}, "epochs": epochs, "patience": None}
    train["ensemble"] = {"name": "none"}
    method = {"name": "architecture", "epochs": 2, "candidates": CANDIDATES, "sampling": "uniform"}
    tune = {"seed": 1, "method": method, "space": space, "epochs": None, "prune": False}
    return check_params({**values, "train": train, "tune": tune}, "benchmark")


def networks_of(params: Params, data: TrainingData) -> Networks:
    """The networks of the space."""
    found = architectures_of(params.train.model.model_dump(), params.tune.space)
    return distinct_networks(found, len(data.classes), data.ingest.size, data.framing)


def task_of(
    params: Params, data: TrainingData, networks: Networks, metric: Metric, sampling: str, epochs: int, seed: int
) -> SharedTask:
    """A training of shared weights."""
    method = Architecture.model_validate(
        {"name": "architecture", "epochs": epochs, "candidates": CANDIDATES, "sampling": sampling}
    )
    return SharedTask(data, params.train, metric, networks, decisions_of(params.tune.space), method, seed)


def planted_data(folder: Path, seed: int) -> TrainingData:
    """800 pictures: of train 600. Pairs of bright pixels lie 4 apart, side by side or one above the other."""
    generator = np.random.default_rng(seed)
    pictures = [pairs(generator, number % 2) for number in range(800)]
    png = PngEncoding(name="png")
    rows = [Row(f"{number:04}", f"{number}", encode(pixels, png)) for number, pixels in enumerate(pictures)]
    places = ShardStore(folder).build(rows, _image, pa.schema([("image", pa.binary())]), Engine(1), "x").table()
    names = [f"web/{number:04}.png" for number in range(800)]
    frame = places.to_pandas().assign(id=names, group=names, label=["across", "down"] * 400)
    filled = {one.name: _filler(one.type) for one in BALANCED if one.name not in frame.columns}
    times = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
    frame = frame.assign(**{**filled, "captured_at": times}).assign(copy=np.int32(0), weight=np.float32(1), role="raw")
    train, dev = frame[:600].reset_index(drop=True), frame[600:].reset_index(drop=True)
    classes, images = ("across", "down"), ShardReader(folder)
    ingest = check_params(yaml_values((Path(__file__).parent.parent / "params.yaml").read_text()), "").ingest
    ingest = ingest.model_copy(update={"size": SIDE})
    return TrainingData(
        train,
        dev[SPLIT.names],
        classes,
        ingest,
        RowDataset(train, images, classes, SIDE),
        RowDataset(dev, images, classes, SIDE),
    )


def pairs(generator: np.random.Generator, down: int) -> Pixels:
    """Ten pairs under noise; both classes have as many bright pixels in each row and column on average."""
    pixels = generator.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    for _ in range(10):
        row, column = generator.integers(0, SIDE, 2)
        other = ((row + 4) % SIDE, column) if down else (row, (column + 4) % SIDE)
        pixels[row, column] = pixels[other] = 255
    return pixels


def _image(file: bytes) -> dict[str, bytes]:
    return {"image": file}


def _filler(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return False
    return "x" if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else 1


if __name__ == "__main__":
    main()
