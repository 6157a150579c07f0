"""What regularisation, a pretrained backbone and the kind of model do: the classic case study, and a ranking.

    python benchmarks/levers.py --loss 0.2                         # the sample
    python benchmarks/levers.py --web DIR --phone DIR --size 64    # photos, one folder a class directly under each
    ... --weights FILE     # MobileNetV2, frozen, as well: torchvision's .pth
    ... --seeds 2 --quick  # a look: fewer seeds and epochs, no ranking

The case study fits one network four ways (without regularisation, with dropout, with batch norm, with both) on
the training set as it was photographed: neither balanced nor augmented, so that it can be learnt by heart. Each
way and seed runs for all epochs; seeds draw weights, order and dropout, the split stays. Its tables have the mean
over seeds and its 95 % interval (t distribution): accuracy on train and dev with the weights of the last epoch and
on dev with those of the best (chosen on dev itself: flattering), and the epochs until dev's loss was first below
--loss, over the seeds that got there. A difference is more than noise where the interval of the differences from
none, seed by seed, leaves 0 out. The ranking is `pipeline spot-check` with its own stages balance and augment.
1,300 photos of 64 pixels, or the sample, take about a quarter of an hour on two cores with nothing else to do.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from ruamel.yaml import YAML
from scipy import stats

from pipeline.data.predictions import predict_rows
from pipeline.manifest import SPLIT, TRAIN
from pipeline.metrics.metric import metric_of
from pipeline.project.params_file import Params, check_params, load_params
from pipeline.project.runner import run_stage
from pipeline.store.reading import sha256_of
from pipeline.tools.spot_check.printing import print_table
from pipeline.tools.spot_check.spot_check import check_all
from pipeline.tools.training_data import read_data
from pipeline.training.fitting import fit_model
from pipeline.workers.engine import Engine, choose_workers

REPOSITORY = Path(__file__).parent.parent
PLAIN, DROPOUT, NORM, BOTH = "none", "dropout", "batch norm", "both"
BACKBONE = "MobileNetV2, frozen"
WAYS = {PLAIN: (0.0, False), DROPOUT: (0.25, False), NORM: (0.0, True), BOTH: (0.25, True)}


@dataclass(frozen=True)
class Run:
    """One way of fitting with one seed, in a folder where the stages before train have run."""

    way: str
    seed: int
    values: dict[str, Any]
    loss: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--web", type=Path)
    parser.add_argument("--phone", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--loss", type=float, default=0.5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    weights = options.weights.resolve() if options.weights else None
    folders = (options.web.resolve(), options.phone.resolve()) if options.web and options.phone else None
    values: dict[str, Any] = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        engine = Engine(choose_workers(None))
        prepare(values, folders, options.size, engine)
        epochs = 3 if options.quick else options.epochs
        runs = [
            Run(way, seed, with_way(values, way, seed, epochs, weights), options.loss)
            for seed in range(options.seeds)
            for way in (*WAYS, *([BACKBONE] if weights else []))
        ]
        report(pd.DataFrame(engine.map(measure, runs, "case study")), epochs, options.loss)
        if not options.quick:
            rank(values, engine)


def prepare(values: dict[str, Any], folders: tuple[Path, Path] | None, size: int, engine: Engine) -> None:
    """Run the stages before balance here."""
    if folders is not None:
        values["sources"] = {
            "web": {"role": "raw", "path": str(folders[0])},
            "phone": {"role": "production", "path": str(folders[1])},
        }
        values["ingest"] |= {"size": size, "encoding": {"name": "jpeg", "quality": 90}}
    else:
        run_stage("sample", write(values), engine)
    for source in values["sources"]:
        run_stage("ingest", write(values), engine, source)
    for stage in ("curate", "split"):
        print(run_stage(stage, write(values), engine))
    plain = {**values, "balance": {**values["balance"], "strategy": {"name": "none"}}}
    plain["augment"] = {**values["augment"], "copies": {"name": "per_image", "count": 0}, "transforms": []}
    for stage in ("balance", "augment"):
        run_stage(stage, write(plain), engine)


def with_way(values: dict[str, Any], way: str, seed: int, epochs: int, weights: Path | None) -> dict[str, Any]:
    """Params for one way and seed; all else is the same for all."""
    train = {**values["train"], "seed": seed, "epochs": epochs, "patience": None, "keep": "last", "batch_size": 32}
    if way == BACKBONE:
        assert weights is not None
        train["epochs"] = min(epochs, 5)  # its output layer alone is trained, and each epoch takes long
        train["model"] = {
            "name": "mobilenet_v2", "weights": str(weights), "sha256": sha256_of(weights), "frozen": True,
            "input": 96, "dropout": {"head": 0.2},
        }  # fmt: skip
    else:
        share, norm = WAYS[way]
        dropout = {"blocks": share, "head": 2 * share}
        train["model"] = {
            "name": "cnn", "depth": 3, "width": 16, "kernel": 3, "activation": "relu", "batch_norm": norm, "dense": [],
            "dropout": dropout,
        }  # fmt: skip
        train["optimizer"] = {"name": "adam", "beta1": 0.9, "beta2": 0.999}
        train["learning_rate"] = 0.001
    no_variants = {**values["augment"], "copies": {"name": "per_image", "count": 0}, "transforms": []}
    return {**values, "train": train, "augment": no_variants}


def measure(run: Run) -> dict[str, Any]:
    """What came of one run."""
    params, here = check_params(run.values), Engine(1)
    data = read_data(params)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    trained, fit = fit_model(data, params.train, metric, here)
    seen = SPLIT.empty_table().to_pandas().columns
    rows = data.rows[data.rows["split"] == TRAIN][[name for name in seen if name in data.rows]]
    called = predict_rows(trained, rows, data.train.images, params.train.threads, here, "train")
    reached = [number + 1 for number, epoch in enumerate(fit.epochs) if epoch["dev/loss"] < run.loss]
    return {
        "way": run.way,
        "seed": run.seed,
        "train": float((called["predicted"].to_numpy() == called["label"].astype(str).to_numpy()).mean()),
        "dev": fit.epochs[-1]["dev/optimizing"],
        "dev, best epoch": max(epoch["dev/optimizing"] for epoch in fit.epochs),
        "epochs": reached[0] if reached else np.nan,
    }


def report(found: pd.DataFrame, epochs: int, loss: float) -> None:
    """Print the table, and what the differences are worth."""
    seeds = found["seed"].nunique()
    print(f"\n{epochs} epochs, {seeds} seeds: mean and 95 % interval\n")
    print(f"| way | train accuracy | dev accuracy | dev, best epoch | epochs to dev loss {loss:g} |")
    print("|---|---|---|---|---|")
    ways = list(found["way"].unique())
    for way in ways:
        part = found[found["way"] == way]
        cells = [in_words(part[name].tolist()) for name in ("train", "dev", "dev, best epoch")]
        got = part["epochs"].dropna().tolist()
        reached = f"{np.mean(got):.1f} ({len(got)} of {seeds} seeds)" if got else "never"
        print(f"| {way} | {' | '.join(cells)} | {reached} |")
    print("\nDev accuracy against none, seed by seed, in points:")
    table = found.pivot_table(index="seed", columns="way", values="dev")
    for way in ways:
        if way != PLAIN:
            low, high = interval((100 * (table[way] - table[PLAIN])).tolist())
            verdict = "within noise" if low <= 0 <= high else "more than noise"
            print(f"- {way}: {100 * (table[way] - table[PLAIN]).mean():+.1f} ({low:+.1f} to {high:+.1f}), {verdict}")


def in_words(values: Sequence[float]) -> str:
    low, high = interval(values)
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean by the t distribution."""
    reach = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else float("inf")
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def rank(values: dict[str, Any], engine: Engine) -> None:
    """Print the ranking of a spot check on the training set as params balance and augment it."""
    params = write(values)
    for stage in ("balance", "augment"):
        run_stage(stage, params, engine)
    table, images = check_all(params, [], None, engine)
    print_table(table, params, images, Console(width=160, highlight=False))


def write(values: dict[str, Any]) -> Params:
    """The params, also as params.yaml here."""
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)
    return load_params()


if __name__ == "__main__":
    main()
