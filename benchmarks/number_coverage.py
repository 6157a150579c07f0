"""Do the 95 % intervals of metrics of numbers hold the truth: mean absolute error, its squared sister, and R2?

    python benchmarks/number_coverage.py [--draws 1000]

Draws of images with a number and a prediction, from populations whose metrics are known from a million images: errors
that are normal, with heavy tails (Student's t with 5 degrees of freedom), and larger for larger numbers; images alone,
and in groups of one to seven that share half of the variance of their number and of their error. Printed for each: how
many intervals hold the truth, and how many lie wholly above and below it (2.5 % each, if all is right).
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import Predictions, predictions_of_numbers
from pipeline.problem.quantities import Quantity

Floats = npt.NDArray[np.float64]
QUANTITY = Quantity(("value",))
NAMES = ("mean_absolute_error", "root_mean_squared_error", "r2")
TAILS = 5
# The deviation of errors, where that of numbers is 1: so R2 is about 0.96, 0.5 and 0.
NOISE = {"good": 0.2, "fair": 0.7, "none": 1.0}


def drawn(images: int, errors: str, skill: str, grouped: bool, generator: np.random.Generator) -> Any:
    """Predictions, and the group of each image."""
    if grouped:
        sizes = generator.integers(1, 8, size=images)
        groups = np.repeat(np.arange(images), sizes)[:images]
    else:
        groups = np.arange(images)

    def shared(values: Any) -> Floats:
        """Values of which groups share half of the variance."""
        own, of_groups = values(images), values(images)
        return np.asarray((own + of_groups[groups]) / np.sqrt(2) if grouped else own)

    truth = shared(generator.standard_normal)
    heavy = errors == "heavy tails"
    noise = shared(lambda n: generator.standard_t(TAILS, n) * np.sqrt((TAILS - 2) / TAILS) if heavy
                   else generator.standard_normal(n))  # fmt: skip
    if errors == "larger for larger":
        noise = noise * np.exp(truth / 2) / np.exp(0.25)
    if skill == "none":  # predictions that have nothing to do with the numbers, but are near their mean
        return predictions_of_numbers(QUANTITY, truth, 0.1 * noise), groups
    return predictions_of_numbers(QUANTITY, truth, truth + NOISE[skill] * noise), groups


def cases() -> Iterator[tuple[str, str, bool]]:
    """Errors, skill, and whether images come in groups."""
    for grouped in (False, True):
        for errors in ("normal", "heavy tails", "larger for larger"):
            for skill in NOISE:
                yield errors, skill, grouped


def main() -> None:
    """Print a row for each case, number of images and metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    metrics = {name: metric_of(METRICS[name].params(name=name), QUANTITY) for name in NAMES}
    rows = []
    for number, (errors, skill, grouped) in enumerate(cases()):
        whole: Predictions = drawn(1_000_000, errors, skill, grouped, np.random.default_rng(10_000 + number))[0]
        for images in (50, 200, 1000):
            generator = np.random.default_rng((number, images))
            misses = {name: [0, 0] for name in NAMES}
            for _ in range(arguments.draws):
                seen, groups = drawn(images, errors, skill, grouped, generator)
                for name, metric in metrics.items():
                    low, high = metric_interval(metric, seen, pd.Series(groups)) or (-np.inf, np.inf)
                    truth = TRUTHS.setdefault((number, name), metric.value(whole))
                    misses[name][0] += truth < low
                    misses[name][1] += truth > high
            for name in NAMES:
                above, below = (100 * count / arguments.draws for count in misses[name])
                rows.append((name, errors, skill, grouped, images, 100 - above - below))
                hold, case = 100 - above - below, f"{errors:17} R2 {skill:5} {'groups' if grouped else 'alone'}"
                missed = f"{above:4.1f} above, {below:4.1f} below"
                print(f"{name:24} {case:30} {images:5}: {hold:5.1f} hold, {missed}", flush=True)
    table = pd.DataFrame(rows, columns=["metric", "errors", "skill", "grouped", "images", "hold"])
    print(table.groupby(["metric", "grouped", "images"])["hold"].agg(["min", "mean", "max"]).round(1).to_string())


TRUTHS: dict[tuple[int, str], float] = {}

if __name__ == "__main__":
    main()
