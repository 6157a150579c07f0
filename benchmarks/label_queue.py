"""What 200 queued labels bring: accuracy on held-back production images of a linear model on embeddings, by method.

    python benchmarks/label_queue.py PROJECT [--seeds 12] [--first-seed 0] [--start 60] [--pool 4000] [--draws 4]

PROJECT: a folder in which embed and curate ran. For each seed 30 % of the groups of production are held back. Labelled
to begin with are all raw images or, without any, --start images by chance; 200 of the others are queued and labelled.
Differences from chance are paired by seed, with 95 % intervals (Student's). Chance is the mean of --draws queues: one
alone varies by a point and more, which hides what the other ways bring.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from projects import curated
from scipy import stats

from pipeline import catalogue
from pipeline.data.vectors import principal, small_pictures
from pipeline.tools.label_queue.label_queue import COMPONENTS
from pipeline.tools.label_queue.ranking import margins, representative, spread_out
from pipeline.training.embedded import Rows, linear
from pipeline.workers.engine import Engine

COUNT, HELD_BACK, STRENGTH = 200, 0.3, 0.003
# Of labelled images, when queues are designed.
MAX_KNOWN = 1000
RANDOM, DIVERSITY, UNCERTAINTY, DESIGN = "chance", "diversity", "uncertainty", "design"
FARTHEST, MARGIN = "farthest small pictures (before)", "margin alone (before)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=60)
    parser.add_argument("--pool", type=int, default=4000, help="Images without a label, at most.")
    parser.add_argument("--draws", type=int, default=4, help="Queues by chance, of which the mean counts.")
    options = parser.parse_args()
    rows, vectors = curated(options.project)
    os.chdir(options.project)
    small = small_pictures(rows, catalogue.ORIGINALS.read(Path(catalogue.ORIGINALS.path)), Engine(1))
    data = Data(rows, vectors, small.astype(np.float32))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    results = pd.DataFrame([data.compared(seed, options.start, options.pool, options.draws) for seed in seeds])
    for name in results:
        difference = 100 * (results[name] - results[RANDOM])
        reach = stats.t.isf(0.025, len(results) - 1) * difference.std(ddof=1) / np.sqrt(len(results))
        print(f"| {name} | {100 * results[name].mean():.1f} % | {difference.mean():+.1f} ± {reach:.1f} |")


class Data:
    """Labelled images of a project, their embeddings in few dimensions, and their small pictures."""

    def __init__(self, rows: pd.DataFrame, vectors: Any, small: Any) -> None:
        self.rows, self.vectors, self.small = rows, vectors, small
        self.shown = principal(vectors, COMPONENTS)
        names, self.labels = np.unique(rows["label"].to_numpy(str), return_inverse=True)
        self.classes, self.groups = len(names), rows["group"].to_numpy(str)
        self.raw = (rows["role"] == "raw").to_numpy()

    def compared(self, seed: int, count: int, most: int, draws: int) -> dict[str, float]:
        generator = np.random.default_rng(seed)
        names = np.unique(self.groups[~self.raw])
        held = np.isin(self.groups, generator.permutation(names)[: round(HELD_BACK * len(names))])
        dev, rest = np.flatnonzero(~self.raw & held), generator.permutation(np.flatnonzero(~self.raw & ~held))
        start = np.flatnonzero(self.raw & ~held)
        if not len(start):
            start, rest = rest[:count], rest[count:]
        pool = np.sort(rest[:most])
        before = self.fitted(start, pool)
        near = self.small[pool], self.small[start]
        drawn = [generator.permutation(len(pool))[:COUNT] for _ in range(draws)]
        known = start if len(start) < MAX_KNOWN else generator.permutation(start)[:MAX_KNOWN]
        queues = {
            DESIGN: designed(self.vectors[pool], self.vectors[known], self.vectors[np.r_[pool, start]]),
            DIVERSITY: representative(self.shown[pool], self.shown[start], COUNT, self.rows["id"].iloc[pool], seed),
            UNCERTAINTY: spread_out(self.shown[pool], self.shown[start], (1 - margins(before)) ** 2, COUNT, seed),
            FARTHEST: farthest_first(*near),
            MARGIN: np.argsort(margins(before), kind="stable")[:COUNT],
        }
        found = {"labelled to begin with": self.right(start, dev)}
        found[RANDOM] = float(np.mean([self.right(np.r_[start, pool[queue]], dev) for queue in drawn]))
        found |= {name: self.right(np.r_[start, pool[queue]], dev) for name, queue in queues.items()}
        found["all labelled"] = self.right(np.r_[start, pool], dev)
        print(seed, {name: round(100 * value, 1) for name, value in found.items()}, flush=True)
        return found

    def fitted(self, rows: Any, asked: Any) -> Any:
        weights = np.ones(len(rows), np.float32)
        train = Rows(self.vectors[rows], self.labels[rows], weights, self.groups[rows], self.classes)
        return linear(train, STRENGTH, self.vectors[asked])

    def right(self, rows: Any, dev: Any) -> float:
        return float((self.fitted(rows, dev).argmax(axis=1) == self.labels[dev]).mean())


def designed(pool: Any, known: Any, reference: Any, ridge: float = 1.0) -> Any:
    """Those that reduce the variance of a ridge regression on the pool the most (Yu, Bi and Tresp, 2006), greedily.

    Args:
        pool, known, reference: vectors (n, d); they are standardised by the reference. ridge: the penalty, in mean
            squared lengths of vectors.
    """
    mean, deviation = reference.mean(axis=0), np.maximum(reference.std(axis=0), 1e-6)
    own, others = ((part - mean) / deviation / np.sqrt(pool.shape[1]) for part in (pool, known))
    covariance, penalty = own @ own.T, ridge * float((own**2).sum(axis=1).mean())
    if len(others):
        cross = own @ others.T
        covariance -= cross @ np.linalg.solve(others @ others.T + penalty * np.eye(len(others)), cross.T)
    chosen: list[int] = []
    for _ in range(min(COUNT, len(own))):
        gains = (covariance**2).sum(axis=0) / (np.diag(covariance) + penalty)
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
        column = covariance[:, chosen[-1]].copy()
        covariance -= np.outer(column, column) / (column[chosen[-1]] + penalty)
    return np.array(chosen)


def farthest_first(images: Any, known: Any) -> Any:
    """What `--by diversity` did before: each the farthest from all known and chosen ones (Gonzalez, 1985)."""
    nearest = np.full(len(images), np.inf)
    for other in known[:1000]:
        nearest = np.minimum(nearest, ((images - other) ** 2).sum(axis=1))
    chosen = []
    for _ in range(COUNT):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((images - images[chosen[-1]]) ** 2).sum(axis=1))
        nearest[chosen] = -1
    return np.array(chosen)


if __name__ == "__main__":
    main()
