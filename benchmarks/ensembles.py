"""What do ensembles bring in log loss on images that they were not fitted to, beside the best single member?

    python benchmarks/ensembles.py --data DIR [--cache DIR] [--fits DIR] [--only NAME …]

The ensembles are the pipeline's own, with their own selection and their own decision to keep the single model; members
are fitted to vectors instead of pictures, so that ten data sets take five minutes of one core. Sets: generated vectors
(classes in one cloud and in several), digits as 8 x 8 pixels, photos of fruit and of trash as embeddings; wrong labels
and rare classes are planted in train alone. Half of the groups are train, half are the test that figures are of.

single: the member that is best out of fold, which the ensemble must beat. change: of its log loss, with the 90 %
interval over groups of test. decided by: the change that the stage measures, out of fold or on a quarter of train.
kept: whether it would keep the ensemble. With `--fits` members are kept there, and another rule for what is kept takes
seconds.
"""

import argparse
import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from ensemble_fits import UNITS, VectorFits, fitted_network, probabilities
from ensemble_sets import Set, halves, sets
from torch import nn

from pipeline.models.ensembles import Average, ensemble_of
from pipeline.project.params_file import load_params
from pipeline.stages.train.params import TrainParams
from pipeline.training.ensembles.fits import Task
from pipeline.training.ensembles.gain import Gain, gain_of, own_probability
from pipeline.training.ensembles.members import members_of
from pipeline.training.ensembles.one_training import Dev, gain_on, last_snapshots
from pipeline.training.ensembles.setup import Setup, fit_any
from pipeline.workers.engine import Engine

PIXELS = {"name": "pixels", "side": 8}
LINEAR = {"name": "logistic_regression", "features": PIXELS, "c": 0.003}
MEMBERS = [
    {},
    {"seed": 2},
    {"model": LINEAR},
    {"model": {"name": "random_forest", "features": PIXELS, "n_estimators": 100, "min_samples_leaf": 2}},
    {
        "model": {
            "name": "gradient_boosting",
            "features": PIXELS,
            "max_iter": 30,
            "max_leaf_nodes": 8,
            "learning_rate": 0.15,
        }
    },
]
NETWORK = {
    "model": {
        "name": "mlp",
        "depth": 1,
        "width": UNITS,
        "activation": "relu",
        "batch_norm": True,
        "dropout": {"blocks": 0.2, "head": 0.0},
    },
    "optimizer": {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01},
    "learning_rate": 0.003,
    "epochs": 20,
    "patience": None,
    "batch_size": 32,
}
ENSEMBLES: Mapping[str, dict[str, Any]] = {
    "average_weights": {"ensemble": {"name": "average_weights", "method": {"name": "ema", "decay": 0.99}}},
    "snapshots": {
        "ensemble": {"name": "snapshots", "count": 4},
        "schedule": {"name": "sgdr", "first": 5, "factor": 1, "final": 0.0},
    },
    "seeds": {"ensemble": {"name": "voting", "members": [{}], "seeds": 4}},
    "voting": {"ensemble": {"name": "voting", "members": MEMBERS}},
    "stacking": {"ensemble": {"name": "stacking", "members": MEMBERS}},
    "bagging": {"ensemble": {"name": "bagging", "count": 8}},
    "boosting": {"ensemble": {"name": "boosting", "rounds": 5}},
}


# The single model, the ensemble, the gain that decides, whether the ensemble is kept, CPU seconds.
Found = tuple[nn.Module, nn.Module, Gain | None, bool, float]


def params_of(changes: Mapping[str, Any]) -> Any:
    """The repository's params with some of train's changed."""
    params = load_params()
    train = TrainParams.model_validate({**params.train.model_dump(), **NETWORK, **changes})
    return SimpleNamespace(train=train, optimizing=params.evaluate.optimizing)


@dataclass(frozen=True)
class Compared:
    """An ensemble beside its single model.

    gain: on test. decided_by: the gain that the stage measures; None: it had nothing to compare. seconds: CPU.
    """

    gain: Gain
    decided_by: Gain | None
    kept: bool
    seconds: float


def compared(train: Set, test: Set, changes: Mapping[str, Any], folder: Path | None) -> Compared:
    """An ensemble of train, and its single model, on test."""
    classes = tuple(map(str, range(int(train.labels.max()) + 1)))
    params = params_of(changes)
    if params.train.ensemble.name in ("average_weights", "snapshots"):
        single, whole, decided_by, kept, seconds = of_one_training(params.train, train, len(classes))
    else:
        single, whole, decided_by, kept, seconds = of_members(params, train, classes, folder)
    own = own_probability(np.stack([probabilities(one, test.vectors) for one in (single, whole)]), test.labels)
    gain = gain_of(own[0], own[1], np.ones(len(test.labels)), test.groups, seed=1)
    return Compared(gain, decided_by, kept, seconds)


def of_members(params: Any, train: Set, classes: tuple[str, ...], folder: Path | None) -> Found:
    names = np.array(classes)
    rows = pd.DataFrame(
        {
            "label": names[train.given],
            "group": train.groups.astype(str),
            "weight": np.ones(len(train.given), np.float32),
        }
    )
    ids = pa.array([str(number) for number in range(len(rows))])
    images = SimpleNamespace(labels=train.given, copies=np.zeros(len(rows), np.int32), ids=ids)
    data: Any = SimpleNamespace(rows=rows, train=images, classes=classes)
    fits: Any = VectorFits(data, train.vectors, folder)
    nothing: Any = None
    setup = Setup(data, params, nothing, Engine(1), None, fits, print)
    found = fit_any(setup).outcome
    assert found is not None
    # Out of fold the best; bagging and boosting have one member to be held against.
    losses = {row["member"]: row.get("log_loss", 0.0) for row in found.members}
    members = members_of(params.train)
    single = min(members, key=lambda member: losses.get(member.title, 0.0))
    rows_of = np.ones(len(rows), np.float32), np.zeros(len(rows), np.bool_)
    alone = fits.of([Task(single.params, *rows_of, keeps_model=True)], "")[0].model.network
    always = params.train.ensemble.model_copy(update={"use": "always"})
    forced: Any = SimpleNamespace(
        train=params.train.model_copy(update={"ensemble": always}), optimizing=params.optimizing
    )
    whole = fit_any(replace(setup, params=forced)).model.network
    return alone, whole, found.gain, found.kept, fits.seconds


def of_one_training(params: TrainParams, train: Set, classes: int) -> Found:
    """The same of one training; a quarter of train's groups stands for dev, by which it is decided."""
    begun = time.process_time()
    held = np.isin(train.groups, np.unique(train.groups)[::4])
    ones = np.ones(len(train.given), np.float32)
    network, found = fitted_network(params, train.vectors[~held], train.given[~held], ones[~held], classes)
    assert found is not None
    others = []
    for weights in found.kept:
        other = copy.deepcopy(network)
        other.load_state_dict(weights)
        others.append(other.eval())
    part = train.part(held)
    dev = Dev(part.given.astype(np.intp), np.unique(part.groups, return_inverse=True)[1])
    said = np.stack([probabilities(one, part.vectors) for one in (network, *others)])
    count, honest = 1, said[1]
    if len(others) > 1:
        count, honest = last_snapshots(said[1:], dev.labels, dev.folds(1))
    whole = ensemble_of(others[-count:], Average(torch.full((count,), 1 / count)))
    gain = gain_on(dev, said[0], honest, seed=1)
    return network, whole, gain, gain.beyond_noise, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/label_issues_features"))
    parser.add_argument("--fits", type=Path, help="keep fits of members here, and use those that are there")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--methods", nargs="+", default=list(ENSEMBLES))
    options = parser.parse_args()
    print("| data set | method | single | ensemble | change | 90 % interval | decided by | kept | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, make in sets(options.data, options.cache).items():
        if options.only and name not in options.only:
            continue
        train, test = halves(make())
        folder = options.fits / name.replace(" ", "_") if options.fits else None
        for method in options.methods:
            found = compared(train, test, ENSEMBLES[method], folder)
            change, ends = change_of(found.gain)
            decided_by = "too few to tell"
            if found.decided_by and not np.isnan(found.decided_by.low):
                decided_by = " ".join(change_of(found.decided_by))
            cells = [name, method, f"{found.gain.single:.3f}", f"{found.gain.ensemble:.3f}", change, ends, decided_by]
            cells += ["yes" if found.kept else "no", f"{found.seconds:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def change_of(gain: Gain) -> tuple[str, str]:
    """The change of the log loss in percent, and its interval; below 0: it is lower."""
    change, low, high = (-100 * end / gain.single for end in (gain.difference, gain.high, gain.low))
    return f"{change:+.1f} %", f"{low:+.1f} to {high:+.1f} %"


if __name__ == "__main__":
    main()
