"""Several labels per image: do intervals hold the truth, and is what dev says honest although it chose thresholds?

Images come in groups of one to four that share part of what the model sees; labels depend on one another. The truth is
the metric on 50,000 images of other groups. Prints, for each metric, how often the 95 % interval holds it; and the mean
of macro F1 on dev with thresholds that all of dev chose, with cross-fitted ones, and the truth of dev's thresholds.

    python -m benchmarks.multi_label --draws 300
"""

import argparse
import time

import numpy as np
import pandas as pd

from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.predictions import Predictions, predictions_of_sets
from pipeline.models.thresholds import Thresholds, cross_fitted
from pipeline.problem.label_sets import LabelNames, texts_of

NAMES = LabelNames(("bar", "cross", "disc", "ring"))
SHARES = np.array([0.5, 0.3, 0.15, 0.06])
METRICS_SHOWN = ("macro_f1", "micro_f1", "subset_accuracy", "macro_pr_auc")


def drawn(groups: int, seed: int) -> tuple[Predictions, pd.Series]:
    """Images of so many groups, predicted at 0.5, and the group of each."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 5, groups)
    group = np.repeat(np.arange(groups), sizes)
    # A scene makes all labels likelier, and the model surer, of all of its images.
    scene, sure = generator.normal(size=groups)[group], generator.normal(size=groups)[group]
    logit = np.log(SHARES / (1 - SHARES)) + 0.8 * scene[:, None]
    truth = generator.random((len(group), 4)) < 1 / (1 + np.exp(-logit))
    seen = 2.2 * (2 * truth - 1) + 0.8 * sure[:, None] + 1.3 * generator.normal(size=truth.shape)
    probabilities = 1 / (1 + np.exp(-(seen + np.log(SHARES / (1 - SHARES)))))
    names = pd.Series([f"{seed}-{number}" for number in group])
    return predictions_of_sets(NAMES, truth, probabilities >= 0.5, probabilities), names


def metric(name: str) -> Metric:
    return metric_of(METRICS[name].params(name=name), NAMES)


def coverage(draws: int, groups: int, population: Predictions) -> None:
    """How often the interval holds the value of the population."""
    for name in METRICS_SHOWN:
        one, held, widths, told = metric(name), 0, [], 0
        truth = one.value(population)
        for seed in range(draws):
            seen, names = drawn(groups, 1000 + seed)
            ends = metric_interval(one, seen, names)
            if ends is not None:
                told += 1
                held += ends[0] <= truth <= ends[1]
                widths.append(ends[1] - ends[0])
        print(
            f"{groups} groups, {name}: held {held} of {told}, mean width {np.mean(widths):.3f}, truth {truth:.3f}",
            flush=True,
        )


def thresholds(draws: int, groups: int, population: Predictions) -> None:
    """Macro F1 by thresholds of all of dev, by cross-fitted ones, and of dev's thresholds on the population."""
    one, found = metric("macro_f1"), []
    assert population.sets is not None
    assert population.probabilities is not None
    for seed in range(draws):
        seen, names = drawn(groups, 5000 + seed)
        assert seen.sets is not None
        assert seen.probabilities is not None
        truth, probabilities = seen.sets.truth, seen.probabilities
        chosen = Thresholds.chosen(truth, probabilities, "f1")
        others = cross_fitted(texts_of(truth, NAMES), names.to_numpy(str), probabilities, NAMES, "f1")
        everywhere = chosen.sets(population.probabilities)
        values = [
            predictions_of_sets(NAMES, truth, chosen.sets(probabilities), probabilities),
            predictions_of_sets(NAMES, truth, others, probabilities),
            predictions_of_sets(NAMES, population.sets.truth, everywhere, population.probabilities),
            seen,
        ]
        found.append([one.value(each) for each in values])
    mean = np.mean(found, axis=0)
    print(
        f"{groups} groups, macro F1: thresholds of all of dev {mean[0]:.3f}, cross-fitted {mean[1]:.3f}, "
        f"true value of dev's thresholds {mean[2]:.3f}; at 0.5 on dev {mean[3]:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    begun = time.process_time()
    population, _ = drawn(20_000, 1)
    for groups in (40, 150):
        coverage(draws, groups, population)
        thresholds(draws // 3, groups, population)
    print(f"{time.process_time() - begun:.0f} CPU seconds")


if __name__ == "__main__":
    main()
