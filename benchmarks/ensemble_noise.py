"""Does stacking learn labels without sense? Groups of copies with a random label each, which a leak would know.

    python benchmarks/ensemble_noise.py [--seeds 100] [--gate]

Counts how often a stack of a linear model and the nearest neighbour, both out of fold, has more groups right than
chance has in 1 of 2,000. With `--gate`, weights depend on four facts of an image, and this
stack is asked even if it would not be taken.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from pipeline.training.embedded import EMBEDDED_MODELS
from pipeline.training.embedded import Rows as VectorRows
from pipeline.training.ensembles.log_linear import MemberPredictions, across_folds
from pipeline.training.ensembles.stacking import Scale, logs_of
from pipeline.training.folds import folds_of


def on_noise(count: int, gate: bool) -> Iterator[tuple[int, int]]:
    """How many groups of labels without sense a stack of a linear model and neighbours has right, and of how many."""
    for seed in range(count):
        generator = np.random.default_rng(1000 + seed)
        groups = np.arange(240) // 4
        vectors = (generator.normal(size=(60, 8))[groups] + 0.01 * generator.normal(size=(240, 8))).astype(np.float32)
        labels = generator.integers(0, 3, 60)[groups]
        folds = folds_of(labels.astype(str), groups.astype(str), 3, seed)
        rows = VectorRows(vectors, labels, np.ones(240, np.float32), groups, 3)
        found = np.empty((2, 240, 3))
        for number, (name, setting) in enumerate([("linear", 0.03), ("knn", 1)]):
            for fold in range(3):
                held = folds == fold
                found[number, held] = EMBEDDED_MODELS[name].fit(rows.part(~held), setting, vectors[held])
        facts = Scale(np.zeros(4), np.ones(4)).of(vectors[:, :4].astype(np.float64))
        said = MemberPredictions(
            logs_of(found), facts if gate else facts[:, :1], labels.astype(np.intp), np.ones(240), folds
        )
        own = across_folds(said, 1)[1]
        yield int((own.argmax(axis=1) == labels).reshape(60, 4).all(axis=1).sum()), 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    most = int(binom.isf(0.0005, 60, 1 / 3))
    right = [groups for groups, _ in on_noise(options.seeds, options.gate)]
    above = sum(groups > most for groups in right)
    print(f"{above} of {len(right)} above {most} of 60 groups; {np.mean(right):.1f} on average, 20 by chance")


if __name__ == "__main__":
    main()
