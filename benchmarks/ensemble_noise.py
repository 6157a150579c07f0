"""Does stacking learn labels without sense? Groups of copies with a random label each, which a leak would know.

    python benchmarks/ensemble_noise.py [--seeds 100] [--gate]

Counts how often a stack of a linear model and the nearest neighbour, both out of fold, has more groups right than
chance has in 1 of 2,000: of one class in three, and of the most frequent class of the draw, whose share may be learnt
without any leak. With `--gate`, weights depend on four facts of an image, and this
stack is asked even if it would not be taken.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.stats import binom

from pipeline.training.ensembles.log_linear import MemberPredictions, across_folds
from pipeline.training.ensembles.stacking import Scale, logs_of
from tests.training.ensembles.noise import CLASSES, GROUPS, noise

TAIL = 1 / 2000


def groups_right(count: int, gate: bool) -> Iterator[tuple[int, float]]:
    """How many groups of labels without sense a stack has right, and the share of the most frequent class."""
    for seed in range(count):
        made = noise(1000 + seed)
        facts = Scale(np.zeros(4), np.ones(4)).of(made.vectors[:, :4].astype(np.float64))
        said = MemberPredictions(
            logs_of(made.found), facts if gate else facts[:, :1], made.labels, np.ones(len(made.labels)), made.folds
        )
        most = np.bincount(made.labels).max() / len(made.labels)
        yield int(made.right(across_folds(said, 1)[1]).all(axis=1).sum()), float(most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--gate", action="store_true")
    options = parser.parse_args()
    right = list(groups_right(options.seeds, options.gate))
    for chance, shares in (
        ("a class in three", [1 / CLASSES] * len(right)),
        ("the most frequent class", [p for _, p in right]),
    ):
        above = sum(groups > binom.isf(TAIL, GROUPS, share) for (groups, _), share in zip(right, shares, strict=True))
        print(f"{above} of {len(right)} above chance by {chance}")
    print(f"{np.mean([groups for groups, _ in right]):.1f} of {GROUPS} groups right on average")


if __name__ == "__main__":
    main()
