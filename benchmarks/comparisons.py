"""Does `compare` call equal models worse, and does it see a model that is truly worse?

Tables of models on the same dev images, whose errors are half shared: each model errs where all find it hard, and on
images of its own. Printed: the share of tables of equal models in which at least one is called worse or better, and
that of tables of which one model is truly worse and called so. Takes about ten minutes.

    python benchmarks/comparisons.py [--tables 400] [--first-seed 0]
"""

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.comparison import Result, compare
from pipeline.metrics.mean_intervals import share_interval
from pipeline.project.params_file import load_params
from pipeline.stages.evaluate.params import EvaluateParams

CLASSES = tuple("abcdefghij")
# Models, accuracy of all, of the last one, images, images of a group, metric.
EQUAL = (
    (20, 0.95, 0.95, 441, 1, "accuracy"),
    (20, 0.99, 0.99, 441, 1, "accuracy"),
    (20, 0.8, 0.8, 100, 1, "accuracy"),
    (20, 0.95, 0.95, 441, 5, "accuracy"),
    (20, 0.95, 0.95, 441, 1, "macro_f1"),
    (20, 0.95, 0.95, 441, 1, "worst_class_recall"),
    (20, 0.95, 0.95, 441, 1, "log_loss"),
    (5, 0.95, 0.95, 441, 1, "accuracy"),
)
WORSE = ((5, 0.95, 0.91, 441, 1, "accuracy"), (20, 0.95, 0.91, 441, 1, "accuracy"), (5, 0.95, 0.91, 441, 1, "macro_f1"))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    chosen = parser.parse_args()
    evaluate = load_params().evaluate
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.tables)
    for title, cases in (("equal models", EQUAL), ("the last is worse", WORSE)):
        print(f"\n| {title} | dev images | groups of | metric | p, last | called worse, or better | models a table |")
        print("|---|---|---|---|---|---|---|")
        for case in cases:
            _report(case, seeds, evaluate)


def _report(case: tuple[int, float, float, int, int, str], seeds: range, evaluate: EvaluateParams) -> None:
    models, share, last, images, size, metric = case
    params = EvaluateParams.model_validate({**evaluate.model_dump(), "optimizing": metric, "satisficing": {}})
    called = [_called(models, share, last, images, size, params, seed) for seed in seeds]
    equal = share == last
    hits = sum(bool(names) if equal else f"model {models - 1:02}" in names for names in called)
    low, high = share_interval(hits / len(called), len(called), 0.05)
    mean = np.mean([len(names) for names in called])
    print(
        f"| {models} | {images} | {size} | {metric} | {share}, {last} | {hits / len(called):.1%} "
        f"({100 * low:.1f} to {100 * high:.1f}) | {mean:.2f} |",
        flush=True,
    )


def _called(
    models: int, share: float, last: float, images: int, size: int, params: EvaluateParams, seed: int
) -> set[str]:
    """The models of a table that are told from the best."""
    generator = np.random.default_rng([seed, models, images, size])
    groups = np.arange(images) // size
    labels = generator.integers(len(CLASSES), size=images)
    # A group of several images is right or wrong as a whole.
    hard = generator.random(images)[groups]
    results = []
    for number in range(models):
        error = 1 - (last if number == models - 1 else share)
        # Half of what the better ones get wrong is where all err.
        common = (1 - share) / 2
        wrong = (hard < common) | (generator.random(images)[groups] < (error - common) / (1 - common))
        results.append(_result(f"model {number:02}", labels, wrong, groups, generator))
    return {row.name for row in compare(results, params) if row.standing in {"worse", "better"}}


def _result(
    name: str,
    labels: npt.NDArray[np.intp],
    wrong: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.intp],
    generator: np.random.Generator,
) -> Result:
    count = len(CLASSES)
    predicted = np.where(wrong, (labels + generator.integers(1, count, len(labels))) % count, labels)
    sure = generator.uniform(0.5, 1, len(labels))
    probabilities = np.repeat(((1 - sure) / (count - 1))[:, None], count, axis=1)
    probabilities[np.arange(len(labels)), predicted] = sure
    names: Any = np.array(CLASSES)
    frame = pd.DataFrame(
        {"id": [f"{number:06}" for number in range(len(labels))], "split": "dev", "label": names[labels]}
        | {"predicted": names[predicted], "group": groups.astype(str)}
        | {f"probability_{one}": probabilities[:, place] for place, one in enumerate(CLASSES)}
    )
    return Result(name, "experiment", name, {"accepted": True}, frame)


if __name__ == "__main__":
    main()
