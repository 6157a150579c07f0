"""How often a fact that gives classes away is named, and how often one is that does not.

    python benchmarks/confounding.py [--seeds 200] [--first-seed 1000] [--images 200 …] [--doses 0 0.9 …]
        [--manifest FILE …] [--only-real]

Tables of images are made up: one fact has a dose, the share of groups whose value
follows from the class; in the others it is drawn without it. All other facts say nothing of the class, or no more than
different class shares by source do. A run is false if any such fact is named. With --manifest, real facts of
curated images (data/curate/manifest.arrow): each pair of classes is looked at as a data set of its own, as it is and
with a source planted.
Seeds below 1000 are those that the rules were chosen by.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.manifest import PRODUCTION, RAW
from pipeline.metrics.confounding import measure_confounding, named
from pipeline.metrics.mean_intervals import share_interval

IMAGES = (200, 1_000, 5_000, 20_000)
KINDS = ("source", "column", "brightness", "size", "captured_at")
# Classes, share of the largest, images of a group.
SHAPES = ((2, 0.5, 1), (2, 0.8, 1), (3, 0.4, 3), (6, 0.3, 1), (10, 0.1, 1))
# Sources have other class shares, but give away no more than this.
USUAL = 0.3
DOSES = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)


def made_up(images: int, classes: int, largest: float, size: int, draw: np.random.Generator) -> pd.DataFrame:
    """Images whose facts say nothing of their class, but for sources with other class shares."""
    groups = -(-images // size)
    shares = np.r_[largest, np.full(classes - 1, (1 - largest) / (classes - 1))]
    of_group = draw.choice(classes, groups, p=shares)
    group = np.repeat(np.arange(groups), size)[:images]
    label = of_group[group]
    # Class shares by source as they differ without a reason: from a Dirichlet distribution around the same ones.
    by_class = draw.dirichlet(np.full(3, 6.0), classes)
    while given_away(by_class) > USUAL:
        by_class = draw.dirichlet(np.full(3, 6.0), classes)
    source = np.array([draw.choice(3, p=by_class[one]) for one in of_group])[group]
    width = draw.choice([640, 800, 1024, 4000], images)
    height = draw.choice([480, 600, 768, 3000], images)
    days = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(draw.uniform(0, 300, images), unit="D")
    frame = pd.DataFrame(
        {
            "id": [f"image {number:06}" for number in range(images)],
            "group": [f"group {number}" for number in group],
            "label": [f"class {number}" for number in label],
            "source": [f"source {number}" for number in source],
            "role": np.where(draw.random(groups) < 0.3, PRODUCTION, RAW)[group],
            "format": draw.choice(["JPEG", "PNG"], images, p=[0.9, 0.1]),
            "captured_at": pd.Series(days).where(draw.random(images) < 0.8),
            "width": width,
            "height": height,
            "bytes": (width * height * draw.uniform(0.1, 0.4, images)).astype(int),
            "brightness": draw.beta(5, 5, images),
            "contrast": draw.beta(3, 9, images),
            "sharpness": draw.gamma(3, 0.03, images),
            "saturation": draw.beta(4, 6, images),
            "meta_camera": draw.choice(["", "a", "b", "c"], images),
            "meta_serial": [f"{number}" for number in draw.permutation(images)],
            "meta_place": [f"place {number}" for number in draw.integers(max(images // 20, 2), size=images)],
        }
    )
    return frame.astype({"captured_at": "datetime64[us, UTC]"})


def given_away(by_class: np.ndarray[Any, Any]) -> float:
    """The true share of classes that a fact with these shares of values, shape (classes, values), gives away."""
    count = len(by_class)
    return float((by_class.max(axis=0).sum() - 1) / (count - 1))


def planted(rows: pd.DataFrame, kind: str, dose: float, draw: np.random.Generator) -> pd.DataFrame:
    """The same with a fact that follows from the class in a share of the groups."""
    label = pd.factorize(rows["label"], sort=True)[0]
    group = pd.factorize(rows["group"])[0]
    count = int(label.max()) + 1
    tied = (draw.random(group.max() + 1) < dose)[group]
    code = np.where(tied, label, draw.integers(count, size=len(rows)))
    match kind:
        case "source":
            return rows.assign(source=[f"source {one}" for one in code])
        case "column":
            return rows.assign(meta_camera=[f"camera {one}" for one in code])
        case "brightness":
            return rows.assign(brightness=(code + draw.random(len(rows))) / count)
        case "size":
            return rows.assign(width=600 + 40 * code, height=480)
        case "captured_at":
            days = pd.to_timedelta(40 * code + draw.uniform(0, 30, len(rows)), unit="D")
            return rows.assign(captured_at=(pd.Timestamp("2025-01-01", tz="UTC") + days).as_unit("us"))
    raise ValueError(kind)


NAMES = {"column": "meta_camera"}


def rates(options: argparse.Namespace) -> list[tuple[Any, ...]]:
    """A row for each number of images and dose."""
    print("| images | share of images whose fact follows from the class | runs | named | another fact named | first |")
    print("|---|---|---|---|---|---|", flush=True)
    cases = list(itertools.product(KINDS, SHAPES))
    found = []
    for images in options.images:
        runs = max(options.seeds // {200: 1, 1_000: 1, 5_000: 2, 20_000: 5}[images], 10)
        for dose in options.doses:
            hit = other = first = 0
            for number in range(runs):
                kind, (classes, largest, size) = cases[number % len(cases)]
                draw = np.random.default_rng([options.first_seed + number, images, int(100 * dose)])
                rows = planted(made_up(images, classes, largest, size, draw), kind, dose, draw)
                told = [one.fact for one in named(measure_confounding(rows))]
                name = NAMES.get(kind, kind)
                # A size is the file's bytes per pixel, too.
                others = set(told) - {name} - ({"aspect", "file_quality"} if kind == "size" else set())
                hit, other, first = hit + (name in told), other + bool(others), first + (told[:1] == [name])
            print(
                f"| {images:,} | {dose:.0%} | {runs} | {share(hit, runs)} | {share(other, runs)} | {first} |",
                flush=True,
            )
            found.append((images, dose, runs, hit, other))
    return found


def share(count: int, runs: int) -> str:
    low, high = share_interval(count / runs, runs, 0.05)
    return f"{count / runs:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def real(path: Path, seeds: int, first_seed: int) -> None:
    """Facts of real images, of each pair of classes and of all; and with a source planted."""
    rows: pd.DataFrame = catalogue.CURATED.read(path)
    rows = rows.astype({"label": "str", "source": "str", "role": "str"})
    classes = sorted(set(rows["label"]) - {""})
    sets = [classes, *map(list, itertools.combinations(classes, 2))]
    print(f"\n{path}: {len(rows):,} images, {len(classes)} classes, {len(sets) - 1} pairs of them\n")
    print("| fact | named, all classes | share given away, all classes | pairs in which it is named | largest share |")
    print("|---|---|---|---|---|")
    by_fact: dict[str, list[Any]] = {}
    for labels in sets:
        for one in measure_confounding(rows[rows["label"].isin(labels)]):
            by_fact.setdefault(one.fact, []).append((len(labels) == len(classes), one.named, one.share))
    for fact, seen in sorted(by_fact.items(), key=lambda item: -max(each[2] for each in item[1])):
        whole = [each for each in seen if each[0]]
        pairs = [each for each in seen if not each[0]] or whole
        told = f"{'yes' if whole[0][1] else 'no'} | {whole[0][2]:.2f}" if whole else "no | "
        print(
            f"| {fact} | {told} | {sum(each[1] for each in pairs)} of {len(pairs)} | {max(e[2] for e in pairs):.2f} |"
        )
    hits = 0
    for number in range(seeds):
        draw = np.random.default_rng([first_seed + number, 7])
        hits += "source" in [one.fact for one in named(measure_confounding(planted(rows, "source", 0.9, draw)))]
    print(f"\na source that follows from the class in 90 % of groups is named in {share(hits, seeds)} of {seeds} runs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1_000)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES, choices=IMAGES)
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES)
    parser.add_argument("--manifest", type=Path, nargs="*", default=[])
    parser.add_argument("--only-real", action="store_true")
    options = parser.parse_args()
    begun = time.process_time()
    if not options.only_real:
        rates(options)
    for path in options.manifest:
        real(path, 20, options.first_seed)
    print(f"\n{time.process_time() - begun:.0f} seconds of CPU")


if __name__ == "__main__":
    main()
