"""How many planted outliers are listed, and how many other images beside them.

    python benchmarks/outliers.py PROJECT OTHER [--seeds 10]

Both are folders in which embed and curate ran. Twenty images of OTHER get labels of PROJECT by chance and stand among
its images.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from projects import curated

from pipeline.tools.outliers import find_outliers

PLANTED = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    (rows, vectors), (others, other_vectors) = curated(options.project), curated(options.other)
    rows = rows.assign(split="train")
    listed, beside, early = [], [], []
    for seed in range(options.seeds):
        generator = np.random.default_rng(seed)
        drawn = generator.permutation(len(others))[:PLANTED]
        foreign = others.iloc[drawn].assign(label=generator.choice(rows["label"].unique(), PLANTED), split="train")
        together = pd.concat([rows, foreign], ignore_index=True)
        found = find_outliers(together, np.concatenate([vectors, other_vectors[drawn]])).table["id"]
        planted = found.isin(foreign["id"]).to_numpy()
        listed.append(planted.sum())
        beside.append(len(planted) - planted.sum())
        early.append(planted[:PLANTED].sum())
    print(
        f"{options.project.name}, {len(rows):,} images, {options.seeds} seeds: of {PLANTED} planted images "
        f"{np.mean(listed):.1f} listed ({min(listed)} to {max(listed)}), {np.mean(early):.1f} among the first "
        f"{PLANTED}; {np.mean(beside):.1f} others listed ({np.mean(beside) / len(rows):.1%} of all)"
    )


if __name__ == "__main__":
    main()
