"""Dev's error on images that show a scene of train, and on the others; with scenes ignored, and with scenes grouped.

    python benchmarks/twins.py PROJECT [--seeds 20]

PROJECT is a folder in which `dvc repro curate` ran with curate.scenes: group, and an embed.backbone. Its images are
split anew for each seed by its own params, once with scenes ignored (groups are equal files and near copies) and once
with scenes grouped. Models are fitted to train's embeddings: a linear one, and the nearest neighbour, which can do
little but recognise what it saw. Beside them a forest on pictures of 8 x 8 pixels.
"""

import argparse
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from pipeline import catalogue
from pipeline.images.pixels import decode
from pipeline.manifest import DEV, TRAIN
from pipeline.project.params_file import load_params
from pipeline.stages.balance.cleaning import picture_features
from pipeline.stages.split.splitting import assign_splits
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings

Features = np.ndarray[Any, Any]
# Name, which features, and the model of a seed.
MODELS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "linear, embeddings": ("vectors", lambda seed: LogisticRegression(C=10, max_iter=2000)),
    "nearest neighbour, embeddings": ("vectors", lambda seed: KNeighborsClassifier(1)),
    "forest, 8 x 8 pixels": ("pixels", lambda seed: RandomForestClassifier(100, random_state=seed, n_jobs=1)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    os.chdir(options.project)
    images, features = read()
    params = load_params().split
    rows = []
    for grouped in (False, True):
        for seed in range(options.seeds):
            chosen = params.model_copy(update={"seed": seed})
            split = assign_splits(images.assign(group=images["grouped" if grouped else "ignored"]), chosen).assigned
            rows += measured(split, features, seed, grouped)
    table = pd.DataFrame(rows)
    print("| scenes | model | dev images | of them show a scene of train | dev's error | on these | on the others |")
    print("|---|---|---|---|---|---|---|")
    for grouped, model in itertools.product((False, True), MODELS):
        part = table[(table["grouped"] == grouped) & (table["model"] == model)]
        total, twins = part["dev"].sum(), part["twins"].sum()
        error, own = part["wrong"].sum() / total, part["wrong_twins"].sum()
        others = (part["wrong"].sum() - own) / (total - twins)
        by_seed = part["wrong"] / part["dev"]
        on_these = f"{own / twins:.1%}" if twins else "none"
        print(
            f"| {'grouped' if grouped else 'ignored'} | {model} | {part['dev'].mean():.0f} | {twins / total:.0%} | "
            f"{error:.1%} ({by_seed.quantile(0.1):.1%} to {by_seed.quantile(0.9):.1%}) | {on_these} | {others:.1%} |"
        )


def read() -> tuple[pd.DataFrame, dict[str, Features]]:
    """Images with groups of both kinds and their scene, and features by the number of a row."""
    images = catalogue.CURATED.read(Path(catalogue.CURATED.path)).reset_index(drop=True)
    near, scenes = (artifact.read(Path(artifact.path)) for artifact in (catalogue.CURATE_NEAR, catalogue.CURATE_SCENES))
    families = images["id"].map(dict(zip(near["id"], near["family"], strict=True)))
    images["ignored"] = families.fillna(images["sha256"])
    images["grouped"] = images["group"]
    images["scene"] = images["id"].map(dict(zip(scenes["id"], scenes["family"], strict=True)))
    vectors = Embeddings(Path(catalogue.EMBEDDINGS.path), catalogue.EMBEDDED).of(images["sha256"].tolist())
    assert vectors is not None
    unit = vectors.astype(np.float64)
    reader = ShardReader(Path(catalogue.ORIGINALS.path))
    places = zip(images["shard"].astype(str), images["row"], strict=True)
    pixels = np.stack([picture_features(decode(reader.image(*place))) for place in places])
    return images, {"vectors": unit / np.linalg.norm(unit, axis=1, keepdims=True), "pixels": pixels}


def measured(split: pd.DataFrame, features: dict[str, Features], seed: int, grouped: bool) -> list[dict[str, Any]]:
    train, dev = (split[split["split"] == name] for name in (TRAIN, DEV))
    twins = dev["scene"].isin(set(train["scene"].dropna())).to_numpy()
    found = []
    for name, (kind, make) in MODELS.items():
        model = make(seed).fit(features[kind][train.index], train["label"].astype(str))
        wrong = model.predict(features[kind][dev.index]) != dev["label"].astype(str).to_numpy()
        counts = {"dev": len(dev), "twins": int(twins.sum()), "wrong": int(wrong.sum())}
        found.append({"grouped": grouped, "model": name, **counts, "wrong_twins": int(wrong[twins].sum())})
    return found


if __name__ == "__main__":
    main()
