"""What match_production does for a model that trains on raw images alone.

    python benchmarks/match_production.py [--raw FOLDER --production FOLDER] [--seeds 5] [--in-train 0.0]

No production image is in train, unless told: those outside dev and test only tell how
production looks. Four arms, each with one variant an image and the same balancing, network and seeds:

- none: no variants at all
- plain: variants by the transforms of params.yaml, for photos by the preset `photo`
- match: raw variants degraded as production's camera does, no transforms
- both: degraded, then transformed

On the sample, and on class folders of photos if given. A seed deals the split, the variants, the weights and the
batches anew. Accuracies are on dev, at the epoch that was best there, as the stage train chooses it; intervals are
Student's t over seeds, of the differences to `plain` within seeds.
"""

import argparse
import copy
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ruamel.yaml import YAML
from scipy.stats import t as student

from pipeline.images.pixels import Pixels
from pipeline.project.params_file import Params, check_params
from pipeline.project.runner import run_stage
from pipeline.stages.augment import production_gap
from pipeline.stages.augment.production_gap import Gap
from pipeline.workers.engine import Engine

PARAMS = Path(__file__).parents[1] / "params.yaml"
# Arm -> whether there are transforms, and whether raw is degraded.
ARMS = {"none": (False, False), "plain": (True, False), "match": (False, True), "both": (True, True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--production", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64, help="pixels a side of the photos")
    parser.add_argument("--epochs", type=int, default=15, help="for the photos")
    parser.add_argument("--in-train", type=float, default=0.0, help="share of production's train part in train")
    parser.add_argument("--skip-digits", action="store_true")
    options = parser.parse_args()
    studies: dict[str, dict[str, Any]] = {} if options.skip_digits else {"digits": {}}
    if options.raw and options.production:
        studies["photos"] = photos(options)
    # The arms `match` and `both` of a seed ask the same question.
    production_gap.estimate_gap = once_a_seed(production_gap.estimate_gap)
    for name, changes in studies.items():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            study(name, {"split.production_train_fraction": options.in_train} | changes, options.seeds)
            os.chdir("/")


def once_a_seed(estimate: Callable[..., Gap]) -> Callable[..., Gap]:
    known: dict[tuple[int, frozenset[str]], Gap] = {}

    def remembered(rows: pd.DataFrame, read: Callable[[int], Pixels], seed: int, view: Any = None) -> Gap:
        asked = seed, frozenset(rows["id"])
        if asked not in known:
            known[asked] = estimate(rows, read, seed, view)
        return known[asked]

    return remembered


def photos(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "sources.web.path": str(options.raw.resolve()),
        "sources.phone.path": str(options.production.resolve()),
        "ingest.size": options.size,
        "ingest.fit": "crop",
        "ingest.encoding": {"name": "jpeg", "quality": 90},
        "augment.transforms": [{"preset": "photo"}],
        "train.model.depth": 4,
        "train.batch_size": 64,
        "train.epochs": options.epochs,
        "train.patience": options.epochs,
    }


def study(name: str, changes: Mapping[str, Any], seeds: int) -> None:
    """All arms for all seeds, and their figures as a table."""
    first = changed(changes)
    engine = Engine(1)
    if first.sources["web"].path.startswith("data/sample"):
        run_stage("sample", first, engine)
    for source in first.sources:
        run_stage("ingest", first, engine, source)
    print(f"\n{name}: {run_stage('curate', first, engine).splitlines()[0]}", flush=True)
    accuracies: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(1, seeds + 1):
        seeded = {f"{section}.seed": seed for section in ("split", "balance", "augment", "train")}
        for stage in ("split", "balance"):
            run_stage(stage, changed({**changes, **seeded}), engine)
        for arm, (transforms, match) in ARMS.items():
            params = changed({**changes, **seeded, **arm_params(transforms, match)})
            for stage in ("augment", "train", "evaluate"):
                run_stage(stage, params, engine)
            dev = json.loads(Path("reports/evaluate/metrics.json").read_text())["dev"]["accuracy"]
            accuracies[arm].append(dev)
            print(f"  seed {seed} {arm:5} dev {dev:.4f} {gap_in_words()}", flush=True)
    print(f"{'arm':5} {'dev accuracy':>12} {'95 %':>18} {'minus plain':>12} {'95 %':>18}")
    plain = np.array(accuracies["plain"])
    for arm, found in accuracies.items():
        print(f"{arm:5} {in_figures(np.array(found))} {in_figures(np.array(found) - plain)}", flush=True)


def arm_params(transforms: bool, match: bool) -> dict[str, Any]:
    kept = {} if transforms else {"augment.transforms": []}
    return {"augment.match_production": match, "augment.copies.count": int(match or transforms), **kept}


def gap_in_words() -> str:
    """What augment found, where it looked."""
    found = json.loads(Path("reports/augment/metrics.json").read_text()).get("match_production")
    if found is None:
        return ""
    used = [
        f"{kind} {each['typical']:g} ± {each['spread']:g}"
        for kind, each in found["strengths"].items()
        if each["typical"] or each["spread"]
    ]
    return f"AUC {found['auc_before']:.3f} -> {found['auc_after']:.3f} by {', '.join(used) or 'nothing'}"


def in_figures(values: npt.NDArray[np.float64]) -> str:
    """Mean, and its interval."""
    mean = float(values.mean())
    half = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return f"{mean:12.4f} {f'{mean - half:.4f} to {mean + half:.4f}':>18}"


def changed(changes: Mapping[str, Any]) -> Params:
    """The repository's params with some values changed, by dotted places."""
    values: dict[str, Any] = copy.deepcopy(YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8")))
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    return check_params(values)


if __name__ == "__main__":
    main()
