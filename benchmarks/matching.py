"""Evidence that the scheme's dev and test match production and a naive split's do not, and what the proof costs.

    python benchmarks/matching.py [--web FOLDER --phone FOLDER] [--rows 10000000] [--level 0.001] [--seeds 20]

On the digits of the sample, and on class folders of photos if given. The naive split deals all images
out at random, as most scripts do; the scheme is stages/split/splitting.py with the split params of params.yaml,
whose level of proof holds unless another is given. Both are dealt anew for each seed.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from photos import PHOTOS

from pipeline.manifest import DEV, PRODUCTION, RAW, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.matching import GATES, measure_matching, mismatches, summarise_matching
from pipeline.project.params_file import Params, load_params
from pipeline.sources.params import SourceParams
from pipeline.stages.curate.duplicates import remove_duplicates
from pipeline.stages.curate.groups import groups_of
from pipeline.stages.ingest.params import IngestParams
from pipeline.stages.ingest.stage import ingest
from pipeline.stages.sample.stage import sample
from pipeline.stages.split.splitting import assign_splits
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import Engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--web", type=Path)
    parser.add_argument("--phone", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--level", type=float)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    params = load_params()
    options.level = options.level or params.split.matching.level
    photos = {RAW: options.web.resolve(), PRODUCTION: options.phone.resolve()} if options.web and options.phone else {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        show("digits", manifest_of(digits(params), params.ingest, params), params, options)
        if photos:
            show("photos", manifest_of(photos, PHOTOS, params), params, options)
    show_cost(options.rows, options.level)


def digits(params: Params) -> dict[str, Path]:
    """The sample, written to class folders; folder by role."""
    trees = sample(params.sample, params.sources)
    for role, tree in ((RAW, trees.web), (PRODUCTION, trees.phone)):
        for path, image in tree.items():
            file = Path("digits", role, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(image)
    return {role: Path("digits", role) for role in (RAW, PRODUCTION)}


def manifest_of(folders: dict[str, Path], ingesting: IngestParams, params: Params) -> pd.DataFrame:
    """What ingest and curate make of one folder a role."""
    manifests = []
    for role, path in folders.items():
        source = SourceParams.model_validate({"role": role, "path": str(path)})
        name = "web" if role == RAW else "phone"
        with tempfile.TemporaryDirectory() as shards:
            done = ingest(name, source, ingesting, ShardStore(Path(shards)), Engine(1))
            manifests.append(done.manifest.to_pandas())
    images = pd.concat(manifests, ignore_index=True)
    kept, _ = remove_duplicates(images.assign(group=groups_of(images)), params.curate)
    return kept


def show(name: str, manifest: pd.DataFrame, params: Params, options: argparse.Namespace) -> None:
    """Both ways to split, with the figures of the first seed and the verdicts of all."""
    images = manifest["role"].astype(str).value_counts()
    print(f"\n{name}: {images[RAW]} raw and {images[PRODUCTION]} production images, level {options.level}")
    print(f"{'split':7} {'comparison':24} {'label distance':>14} {'label p':>9} {'worst fact p':>12}  AUC (95 %)")
    ways = {"naive": naive_split, "scheme": scheme_split}
    for way, deal in ways.items():
        measured = [
            measure_matching(deal(manifest, params, seed), seed, options.level) for seed in range(options.seeds)
        ]
        for comparison, found in summarise_matching(measured[0]).items():
            area = f"{found['domain_auc']:.3f} ({found['domain_low']:.3f} to {found['domain_high']:.3f})"
            verdict = "matches" if found["matched"] else "DIFFERS"
            figures = f"{found['label_distance']:14.3f} {found['label_p']:9.2g} {found['worst_fact_p']:12.2g}"
            print(f"{way:7} {comparison:24} {figures}  {area}  {verdict}")
        for sentence in mismatches(measured[0]):
            print(f"        {sentence}")
        passed = {gate: sum(bool(summarise_matching(each)[gate]["matched"]) for each in measured) for gate in GATES}
        told = ", ".join(f"{gate} {count}" for gate, count in passed.items())
        print(f"{way}: of {options.seeds} seeds pass: {told}; all three {sum(not mismatches(m) for m in measured)}")


def naive_split(manifest: pd.DataFrame, params: Params, seed: int) -> pd.DataFrame:
    """All images, raw and production, at random to train, dev and test."""
    splits = np.random.default_rng(seed).choice([TRAIN, DEV, TEST], len(manifest), p=[0.7, 0.15, 0.15])
    return manifest.assign(split=splits)


def scheme_split(manifest: pd.DataFrame, params: Params, seed: int) -> pd.DataFrame:
    assigned: Any = assign_splits(manifest, params.split.model_copy(update={"seed": seed, "min_per_class": 1}))
    return assigned.assigned


def show_cost(rows: int, level: float) -> None:
    """Time and memory of the proof on synthetic rows, a tenth of them production, with groups named by digests."""
    manifest = synthetic(rows)
    before = peak()
    begun = time.perf_counter()
    measured = measure_matching(manifest, 1, level)
    seconds = time.perf_counter() - begun
    table = manifest.memory_usage(deep=True).sum() / 1e9
    print(f"\n{rows:,} rows ({table:.1f} GB): {seconds:.1f} s, peak memory {before:.1f} -> {peak():.1f} GB")
    print(f"mismatches of dev and test: {mismatches(measured) or 'none'}")


def synthetic(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    raw = random.random(rows) < 0.9
    numbers = pd.Series(np.arange(rows)).astype("str")
    split = np.where(raw, 0, random.choice(4, rows, p=[0.45, 0.05, 0.25, 0.25]))
    side = random.choice(np.array([640, 1024, 4000], np.int32), rows)
    facts = {name: random.random(rows, dtype=np.float32) for name in ("brightness", "contrast", "saturation")}
    return pd.DataFrame(
        {
            "id": "phone/folder/" + numbers,
            "group": numbers.str.zfill(64),
            "label": pd.Categorical.from_codes(random.integers(1000, size=rows), [f"class {i}" for i in range(1000)]),
            "role": pd.Categorical.from_codes(raw.astype(int), [PRODUCTION, RAW]),
            "split": pd.Categorical.from_codes(split, [TRAIN, TRAIN_DEV, DEV, TEST]),
            "width": side,
            "height": np.roll(side, 1),
            "bytes": (side * np.roll(side, 1).astype(np.int64) * random.uniform(0.1, 0.4, rows)).astype(np.int64),
            **facts,
            "sharpness": random.random(rows, dtype=np.float32) + raw.astype(np.float32),
        }
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
