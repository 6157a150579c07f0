"""Known diseases planted in photos: embeddings that photo_features.py made, with a linear head as the model.

A run takes seconds, and what the photos show is real. Raw and production images are of one population unless the
disease says otherwise. Even seeds have the first set, odd ones the second.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from diseases import (
    EASY,
    Case,
    Disease,
    Plant,
    base_values,
    copied_dev,
    early_stop,
    healthy,
    imbalanced,
    label_noise,
    little_data,
    low_rate,
    with_params,
    without_class,
    wrong_production,
)

from pipeline.diagnosis.findings import (
    CONFOUNDED,
    EARLY_STOP,
    EPOCHS,
    FACT_TELLS,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    MISSING,
    NOTHING_LEARNT,
    RATE_LOW,
    SCENES,
    SLICE,
)
from pipeline.diagnosis.gaps import BIAS, MISMATCH, VARIANCE
from pipeline.manifest import DEV, TEST, TRAIN, TRAIN_DEV

PREFIX = "photos: "
SHARES = {TRAIN: 0.42, TRAIN_DEV: 0.14, DEV: 0.24, TEST: 0.1, "pool": 0.1}
# A head on features that stay, as a new project of photos has it.
HEAD: dict[str, Any] = {
    **EASY,
    "train.model": {"name": "efficientnet_lite0", "trained": "head", "input": 160, "dropout": {"head": 0.2}},
    "train.learning_rate": 0.001,
    "train.batch_size": 32,
    "train.epochs": 30,
    # So few photos leave some points of variance; that is no disease.
    "diagnose.relevant_gap": 0.1,
}


@cache
def features_of(file: Path) -> Mapping[str, npt.NDArray[Any]]:
    """Labels, and embeddings by set and change."""
    with np.load(file) as values:
        return {name: values[name] for name in values.files}


def drawn_photos(file: Path, seed: int, generator: np.random.Generator) -> Case:
    """Photos of one population, dealt out to the splits; `others` are the same photos as another camera takes them."""
    values = features_of(file)
    names = sorted({name.partition("/")[0] for name in values})
    kind = names[seed % len(names)]
    labels = values[f"{kind}/labels"].astype(np.int64)
    ends = np.cumsum([round(share * len(labels)) for share in SHARES.values()])[:-1]
    parts = dict(zip(SHARES, np.split(generator.permutation(len(labels)), ends), strict=True))
    whole = values[f"{kind}/as it is"].astype(np.float32)
    changed = {
        name.partition("/")[2]: {split: values[name][rows].astype(np.float32) for split, rows in parts.items()}
        for name in values
        if name.startswith(f"{kind}/") and name.partition("/")[2] not in {"labels", "as it is"}
    }
    pixels = {split: whole[rows] for split, rows in parts.items()}
    case = Case(pixels, {split: labels[rows] for split, rows in parts.items()}, base_values(), changed=changed)
    return with_params(case, **HEAD)


def camera(change: str) -> Plant:
    """Production is taken by another camera, and none of it is trained on."""

    def plant(case: Case, dose: int, generator: np.random.Generator) -> Case:
        taken = {name: case.changed[f"{change} {dose}"][name] for name in (DEV, TEST, "pool")}
        return with_params(replace(case, pixels={**case.pixels, **taken}), **{"split.production_train_fraction": 0.0})

    return plant


def of_another_look(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many of production's images, of all classes, are drawings, and train has none.

    A cluster is a twelfth of dev, so it can only gain what is worth work where that is less than here elsewhere.
    """

    def some_drawn(name: str) -> npt.NDArray[np.float32]:
        drawn = generator.random(len(case.labels[name])) < share
        return np.where(drawn[:, None], case.changed["drawing 2"][name], case.pixels[name])

    mixed = {name: some_drawn(name) for name in (DEV, TEST, "pool")}
    changes = {"split.production_train_fraction": 0.0, "diagnose.relevant_gap": 0.02}
    return with_params(replace(case, pixels={**case.pixels, **mixed}), **changes)


def few_numbers(case: Case, numbers: int, generator: np.random.Generator) -> Case:
    """A model that sees so few numbers of each image that it cannot hold what there is to learn."""
    directions = generator.normal(size=(next(iter(case.pixels.values())).shape[1], numbers)).astype(np.float32)
    few = replace(case, pixels={name: values @ directions for name, values in case.pixels.items()})
    return with_params(few, **{"train.epochs": 100, "train.learning_rate": 0.01})


def of_one_source(case: Case, dose: str, generator: np.random.Generator) -> Case:
    """A class of which all images, and they alone, are of one source."""
    return replace(case, one_source=True)


def scenes_on_both_sides(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many images of dev show a scene of train, from a step aside."""
    seen = generator.permutation(len(case.labels[DEV]))[: round(share * len(case.labels[DEV]))]
    start = len(case.labels[TRAIN])
    aside = case.pixels[DEV][seen] + generator.normal(0, 0.1, case.pixels[DEV][seen].shape).astype(np.float32)
    pixels = {**case.pixels, TRAIN: np.concatenate([case.pixels[TRAIN], aside])}
    labels = {**case.labels, TRAIN: np.concatenate([case.labels[TRAIN], case.labels[DEV][seen]])}
    pairs = tuple((int(one), start + place) for place, one in enumerate(seen))
    return replace(case, pixels=pixels, labels=labels, scenes=pairs)


PHOTO_DISEASES: Mapping[str, Disease] = {
    PREFIX + "healthy": Disease(healthy, ("dealt out", "again", "and again"), frozenset()),
    PREFIX + "label noise": Disease(label_noise, (0.1, 0.2, 0.3), frozenset({LABEL_NOISE})),
    PREFIX + "production labels": Disease(wrong_production, (0.1, 0.2, 0.3), frozenset({LABEL_NOISE})),
    PREFIX + "early stop": Disease(early_stop, (4, 3, 2), frozenset({EARLY_STOP, EPOCHS})),
    PREFIX + "low rate": Disease(low_rate, (3e-6, 1e-6, 1e-7), frozenset({RATE_LOW, NOTHING_LEARNT, EPOCHS})),
    PREFIX + "imbalance": Disease(imbalanced, (0.05, 0.03, 0.02), frozenset({IMBALANCE})),
    PREFIX + "dev in train": Disease(copied_dev, (0.1, 0.3, 0.6), frozenset({LEAK})),
    PREFIX + "class missing": Disease(without_class, (DEV, DEV, DEV), frozenset({MISSING})),
    PREFIX + "small model": Disease(few_numbers, (12, 6, 3), frozenset({BIAS})),
    PREFIX + "few images": Disease(little_data, (8, 4, 2), frozenset({VARIANCE})),
    PREFIX + "one source": Disease(of_one_source, ("a class",) * 3, frozenset({CONFOUNDED, FACT_TELLS})),
    PREFIX + "scenes": Disease(scenes_on_both_sides, (0.1, 0.3, 0.6), frozenset({SCENES, LEAK})),
    PREFIX + "blurred": Disease(camera("blur"), (0, 1, 2), frozenset({MISMATCH})),
    PREFIX + "failing cluster": Disease(of_another_look, (0.1, 0.2, 0.3), frozenset({SLICE})),
    PREFIX + "dark": Disease(camera("dark"), (0, 1, 2), frozenset({MISMATCH})),
    PREFIX + "another domain": Disease(camera("drawing"), (0, 1, 2), frozenset({MISMATCH})),
}
