"""How often do 95 % intervals of metrics hold the truth, and how wide are they?

Images are drawn whose true metric is known: of each class a share p is called right, alone or in groups whose images
share what happens to them with a correlation. Each metric of the registry is measured with its interval. Printed for
each metric, size of the groups and correlation: over all n and p the lowest coverage with where it was, the mean
coverage, and for shares the mean width beside Clopper and Pearson's on the true effective number. Takes about 15
minutes with 400 seeds.

    python benchmarks/coverage.py [--seeds 400] [--first-seed 0] [--images 30 100 441 2000] [--csv FILE] [--jobs 2]
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter

from pipeline.metrics.intervals import MIN_GROUPS, metric_interval
from pipeline.metrics.mean_intervals import share_interval
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions

SHARES = (0.5, 0.8, 0.95, 0.99, 0.999)
# Images of a group, and the correlation between two of them.
GROUPS = ((1, 0.0), (5, 1.0), (5, 0.3), (20, 1.0), (20, 0.3), (0, 0.5))
THREE, TEN, TWO = ("a", "b", "c"), tuple("abcdefghij"), ("a", "b")
PREVALENCE = {THREE: (0.5, 0.3, 0.2), TEN: (0.1,) * 10, TWO: (0.7, 0.3)}
COSTS = {"a": {"b": 10.0}, "b": {"c": 3.0}}
# Metric -> the classes that it is tried on.
TRIED: tuple[tuple[Any, tuple[str, ...]], ...] = (
    ("accuracy", THREE),
    ({"name": "class_recall", "label": "a"}, THREE),
    ("balanced_accuracy", THREE),
    ("balanced_accuracy", TEN),
    ("macro_f1", THREE),
    ("macro_f1", TEN),
    ("worst_class_recall", THREE),
    ("worst_class_recall", TEN),
    ("matthews_correlation", TWO),
    ("matthews_correlation", THREE),
    ({"name": "mean_cost", "costs": COSTS, "otherwise": 1.0}, THREE),
    ("log_loss", THREE),
    ("pr_auc", TWO),
    ({"name": "class_pr_auc", "label": "a"}, THREE),
    ("macro_pr_auc", THREE),
)
LARGE = 400_000
_TRUTHS: dict[tuple[str, tuple[str, ...], float], float] = {}


class Cell(NamedTuple):
    """One way to draw images; size 0: of 1 to 20 images."""

    images: int
    share: float
    size: int
    correlation: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--images", type=int, nargs="+", default=[30, 100, 441, 2000])
    parser.add_argument("--csv")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--metrics", nargs="+", help="names; all unless said")
    parser.add_argument("--again", type=int, default=0, help="other seeds for rates that are low")
    parser.add_argument("--doubt", type=float, default=0.95)
    parser.add_argument("--table", nargs="+", help="files of earlier runs: print their table, and measure nothing")
    chosen = parser.parse_args()
    if chosen.table:
        print_table(pd.concat(map(pd.read_csv, chosen.table), ignore_index=True))
        return
    tried = tuple(
        (choice, classes)
        for choice, classes in TRIED
        if not chosen.metrics or (choice if isinstance(choice, str) else choice["name"]) in chosen.metrics
    )
    cells = [
        Cell(images, share, size, correlation)
        for images in chosen.images
        for size, correlation in GROUPS
        for share in SHARES
        if images / (size or 10.5) >= MIN_GROUPS
    ]
    # The costly ones first, so that no worker waits for one.
    cells.sort(key=lambda cell: -cell.images)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    others = range(seeds.stop, seeds.stop + chosen.again)
    with ProcessPoolExecutor(chosen.jobs) as pool:
        work = partial(measure_twice, seeds, others, chosen.doubt, tried)
        found = pd.DataFrame([row for rows in pool.map(work, cells) for row in rows])
    if chosen.csv:
        found.to_csv(chosen.csv, index=False)
    print_table(found)


def measure_twice(
    seeds: range, others: range, doubt: float, tried: tuple[tuple[Any, tuple[str, ...]], ...], cell: Cell
) -> list[dict[str, Any]]:
    """A row a metric; where too few intervals held the truth, of other seeds alone."""
    rows = measure(seeds, tried, cell)
    doubtful = {(row["metric"], row["classes"]) for row in rows if row["held"] < doubt * row["told"]}
    again = [each for each in tried if _name_of(each) in doubtful]
    if not others or not again:
        return rows
    return [row for row in rows if (row["metric"], row["classes"]) not in doubtful] + measure(
        others, tuple(again), cell
    )


def _name_of(tried: tuple[Any, tuple[str, ...]]) -> tuple[str, int]:
    choice, classes = tried
    return metric_of(TypeAdapter[Any](AnyMetric).validate_python(choice), classes).key, len(classes)


def measure(seeds: range, tried: tuple[tuple[Any, tuple[str, ...]], ...], cell: Cell) -> list[dict[str, Any]]:
    """A row a metric: how often its interval held the truth."""
    metrics = [
        (metric_of(TypeAdapter[Any](AnyMetric).validate_python(choice), classes), classes) for choice, classes in tried
    ]
    goals = [truth(metric, classes, cell.share) for metric, classes in metrics]
    found: list[list[tuple[bool, float, float]]] = [[] for _ in metrics]
    for seed in seeds:
        drawn = {classes: draw(classes, cell, seed) for classes in {classes for _, classes in metrics}}
        for place, (metric, classes) in enumerate(metrics):
            seen, groups = drawn[classes]
            ends = metric_interval(metric, seen, groups)
            if ends is not None:
                held = ends[0] - 1e-9 <= goals[place] <= ends[1] + 1e-9
                found[place].append((held, ends[1] - ends[0], _exact_width(metric, seen, groups, cell)))
    return [
        {"metric": metric.key, "classes": len(classes), **cell._asdict(), "held": sum(held for held, _, _ in results)}
        | {"told": len(results), "width": float(np.mean([width for _, width, _ in results]))}
        | {"exact": float(np.mean([exact for _, _, exact in results]))}
        for (metric, classes), results in zip(metrics, found, strict=True)
        if len(results) >= len(seeds) / 2
    ]


def _exact_width(metric: Metric, seen: Predictions, groups: "pd.Series[int]", cell: Cell) -> float:
    """Of Clopper and Pearson's interval on the effective number that the true correlation gives."""
    if metric.key not in {"accuracy", "class_recall_a"}:
        return float("nan")
    counted = metric.counted(seen)
    sizes = np.bincount(groups[counted]).astype(np.float64)
    effective = sizes.sum() / (1 + ((sizes**2).sum() / sizes.sum() - 1) * cell.correlation)
    low, high = share_interval(metric.value(seen), effective, 0.05)
    return high - low


def draw(classes: tuple[str, ...], cell: Cell, seed: int) -> tuple[Predictions, "pd.Series[int]"]:
    """Images with what a model says of them, and their groups; a group has one class."""
    generator = np.random.default_rng([seed, cell.images, cell.size, round(1000 * cell.share)])
    groups = np.concatenate(list(_groups(generator, cell)))[: cell.images]
    own, shared = (_answers(generator, classes, cell.share, cell.images) for _ in range(2))
    first = np.unique(groups, return_index=True)[1]
    # Two images of a group are alike with the correlation: each follows its group with the root of it.
    follows = generator.random(cell.images) < np.sqrt(cell.correlation)
    labels = own.labels[first][groups]
    # What happens to an image does not depend on its class, so that a draw serves each: classes are turned.
    source = np.where(follows, first[groups], np.arange(cell.images))
    turn = (labels - shared.labels[source]) % len(classes)
    predicted = (shared.predicted[source] + turn) % len(classes)
    assert shared.probabilities is not None
    columns = (np.arange(len(classes))[None] - turn[:, None]) % len(classes)
    probabilities = np.take_along_axis(shared.probabilities[source], columns, axis=1)
    return Predictions(classes, labels, predicted, probabilities), pd.Series(groups)


def _groups(generator: np.random.Generator, cell: Cell) -> Iterator[npt.NDArray[np.intp]]:
    number = done = 0
    while done < cell.images:
        size = cell.size or int(generator.integers(1, 21))
        yield np.full(size, number)
        number, done = number + 1, done + size


def _answers(generator: np.random.Generator, classes: tuple[str, ...], share: float, images: int) -> Predictions:
    count = len(classes)
    labels = generator.choice(count, images, p=PREVALENCE[classes])
    right = generator.random(images) < share
    predicted = np.where(right, labels, (labels + generator.integers(1, count, images)) % count)
    # The surer the better the model is, and less sure where it errs.
    unsure = np.where(right, generator.beta(0.7, 0.7 * share / (1 - share), images), generator.beta(2, 2, images))
    probabilities = generator.dirichlet(np.ones(count - 1), images) * (0.5 * unsure)[:, None]
    whole = np.zeros((images, count))
    rows = np.arange(images)
    for place in range(count - 1):
        whole[rows, (predicted + 1 + place) % count] = probabilities[:, place]
    whole[rows, predicted] = 1 - 0.5 * unsure
    return Predictions(classes, labels, predicted, whole)


def truth(metric: Metric, classes: tuple[str, ...], share: float) -> float:
    """What the metric is of all images that could be drawn."""
    key = (metric.key, classes, share)
    if key not in _TRUTHS:
        _TRUTHS[key] = _truth(metric, classes, share)
    return _TRUTHS[key]


def _truth(metric: Metric, classes: tuple[str, ...], share: float) -> float:
    count = len(classes)
    if metric.of_matrices is not None:
        matrix = np.full((count, count), (1 - share) / (count - 1))
        np.fill_diagonal(matrix, share)
        return float(metric.of_matrices(matrix * np.array(PREVALENCE[classes])[:, None]))
    return float(np.mean([metric.value(_large(classes, share, seed)) for seed in range(2)]))


@cache
def _large(classes: tuple[str, ...], share: float, seed: int) -> Predictions:
    return _answers(np.random.default_rng([1, seed]), classes, share, LARGE)


def print_table(found: pd.DataFrame) -> None:
    """Print the table for RESULTS.md."""
    print(
        "| metric | classes | groups of | correlation | lowest coverage (n, p) | mean coverage | width, exact's = 1 |"
    )
    print("|---|---|---|---|---|---|---|")
    for key, rows in found.groupby(["metric", "classes", "size", "correlation"], sort=False):
        name, classes, size, correlation = key
        coverage = rows["held"] / rows["told"]
        worst = rows.loc[coverage.idxmin()]
        low, high = share_interval(float(coverage.min()), float(worst["told"]), 0.05)
        share = str(name).startswith(("accuracy", "class_recall"))
        widths = rows["width"] / rows["exact"]
        wide = f"{widths.median():.2f} (at most {widths.max():.2f})" if share else ""
        print(
            f"| {name} | {classes} | {size or '1 to 20'} | {correlation} | {coverage.min():.1%} "
            f"({100 * low:.1f} to {100 * high:.1f}; {worst['images']}, {worst['share']}) "
            f"| {coverage.mean():.1%} | {wide} |"
        )


if __name__ == "__main__":
    main()
