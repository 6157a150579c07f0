"""Known diseases, and the images that benchmarks/diagnosis.py plants them in.

Healthy images are of one population, dealt out to the splits: the digits 0 to 4 of the sample, or five letters drawn
with random places, sizes and noise. Production is the same as raw unless the disease says otherwise. Photos are as they
are: raw ones and production's, which differ by themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from planted_images import all_photos, blotted, blurred, darkened, digits, letters, rescaled
from ruamel.yaml import YAML

from pipeline.diagnosis.findings import (
    EARLY_STOP,
    EPOCHS,
    HARDER,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    MISSING,
    NOTHING_LEARNT,
    RATE_LOW,
)
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, MISMATCH, VARIANCE
from pipeline.diagnosis.param_changes import changed
from pipeline.images.pixels import Pixels
from pipeline.manifest import DEV, TEST, TRAIN, TRAIN_DEV

# Raw and production photos, a folder a class.
Folders = tuple[Path, Path]
ALONE = "web alone"
SIZES = {TRAIN: 1000, TRAIN_DEV: 300, DEV: 500, TEST: 400, "pool": 300}
EASY: dict[str, Any] = {
    "diagnose.human_error": 0.0,
    "diagnose.relevant_gap": 0.06,
    "evaluate.bootstrap": 500,
    "evaluate.satisficing": {},
    "split.production_train_fraction": 1.0,
    "augment.copies": {"name": "per_image", "count": 0},
    "train.model": {
        "name": "cnn", "depth": 2, "width": 8, "kernel": 3, "activation": "relu", "batch_norm": True,
        "dense": [], "dropout": {"blocks": 0.0, "head": 0.0},
    },
    "balance.strategy": {"name": "none"},
    "train.batch_size": 50,
    "train.epochs": 8,
    "train.patience": None,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Data and params of a run.

    candidates: the best on dev of so many models is taken. production: which images of train and train_dev are of
    production, shape (n,) each; the pool is. copies: number of an image of train -> of the image of dev that it is.
    one_source: the images of one class, and they alone, are of a source of their own. scenes: number of an image of
    dev, and of one of train that shows the same scene.
    changed: by change, what stands for the same images as another camera takes them.
    """

    pixels: dict[str, npt.NDArray[Any]]
    labels: dict[str, npt.NDArray[np.int64]]
    values: dict[str, Any]
    candidates: int = 1
    production: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    copies: Mapping[int, int] = field(default_factory=dict)
    changed: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    one_source: bool = False
    scenes: tuple[tuple[int, int], ...] = ()

    @property
    def classes(self) -> int:
        """How many there are."""
        return 1 + max(int(values.max()) for values in self.labels.values() if len(values))

    @property
    def embedded(self) -> bool:
        """Whether its images are embeddings (n, d), not pixels (n, side, side, 3)."""
        return self.pixels[TRAIN].ndim == 2


Plant = Callable[[Case, Any, np.random.Generator], Case]


@dataclass(frozen=True)
class Disease:
    """What is planted, at which doses, and the names under which it counts as found."""

    plant: Plant
    doses: tuple[Any, Any, Any]
    names: frozenset[str]


def with_params(case: Case, **changes: Any) -> Case:
    """The case with some params set, by their dotted places."""
    return replace(case, values=changed(case.values, changes))


def base_values() -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(
        (Path(__file__).parent.parent / "params.yaml").read_text()
    )
    return values


def drawn(kind: str, seed: int) -> Case:
    """A healthy case: images of one population, dealt out to the splits."""
    total = sum(SIZES.values())
    pixels, labels = digits(seed) if kind == "digits" else letters(total, seed)
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = (dict(zip(SIZES, np.split(values, ends), strict=True)) for values in (pixels, labels))
    return with_params(Case(*parts, values=base_values()), **EASY)


def small_model(case: Case, width: int, generator: np.random.Generator) -> Case:
    model = {"name": "mlp", "depth": 1, "width": width, "activation": "relu", "batch_norm": False}
    return with_params(case, **{"train.model": {**model, "dropout": {"blocks": 0.0, "head": 0.0}}, "train.epochs": 60})


def few_epochs(case: Case, epochs: int, generator: np.random.Generator) -> Case:
    return with_params(case, **{"train.epochs": epochs, "train.learning_rate": 0.0003})


def little_data(case: Case, images: int, generator: np.random.Generator) -> Case:
    """So many training images of each class."""
    labels = case.labels[TRAIN]
    kept = np.concatenate([np.flatnonzero(labels == label)[:images] for label in range(case.classes)])
    fewer = {TRAIN: case.pixels[TRAIN][kept], "pool": case.pixels["pool"][:0]}
    of_them = {TRAIN: labels[kept], "pool": case.labels["pool"][:0]}
    few = replace(case, pixels={**case.pixels, **fewer}, labels={**case.labels, **of_them})
    return with_params(few, **{"train.epochs": 30, "train.batch_size": 10})


def production(change: Callable[[Pixels, Any], Pixels]) -> Plant:
    """Production looks otherwise, and none of it is trained on."""

    def plant(case: Case, dose: Any, generator: np.random.Generator) -> Case:
        changed = {name: np.stack([change(one, dose) for one in case.pixels[name]]) for name in (DEV, TEST, "pool")}
        return with_params(replace(case, pixels={**case.pixels, **changed}), **{"split.production_train_fraction": 0.0})

    return plant


def leaked_test(case: Case, share: float, generator: np.random.Generator) -> Case:
    """Copies of test, in other light, among training images with so much noise that they are learnt by heart."""
    sizes = {TRAIN: 300, TEST: 300, "pool": 0}
    noisy = {name: blotted(values[: sizes.get(name)], generator) for name, values in case.pixels.items()}
    labels = {name: values[: sizes.get(name)] for name, values in case.labels.items()}
    chosen = generator.permutation(300)[: round(share * 300)]
    noisy[TRAIN] = np.concatenate([noisy[TRAIN], np.asarray(noisy[TEST][chosen] * 0.95, np.uint8)])
    labels[TRAIN] = np.concatenate([labels[TRAIN], labels[TEST][chosen]])
    model = {**case.values["train"]["model"], "width": 24}
    return with_params(replace(case, pixels=noisy, labels=labels), **{"train.epochs": 30, "train.model": model})


def tuned_dev(case: Case, candidates: int, generator: np.random.Generator) -> Case:
    """The best of many models on a dev of 100 images."""
    pixels, labels = {**case.pixels, DEV: case.pixels[DEV][:100]}, {**case.labels, DEV: case.labels[DEV][:100]}
    return replace(case, pixels=pixels, labels=labels, candidates=candidates)


def label_noise(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many labels of all images are another class, any."""
    labels = {}
    for name, values in case.labels.items():
        wrong = generator.random(len(values)) < share
        others = (values + generator.integers(1, case.classes, len(values))) % case.classes
        labels[name] = np.where(wrong, others, values)
    return replace(case, labels=labels)


def wrong_production(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many labels of production alone are another class: in train's pool, in dev and in test."""
    labels = dict(case.labels)
    for name in (DEV, TEST, "pool"):
        wrong = generator.random(len(labels[name])) < share
        others = (labels[name] + generator.integers(1, case.classes, len(labels[name]))) % case.classes
        labels[name] = np.where(wrong, others, labels[name])
    return replace(case, labels=labels)


def early_stop(case: Case, patience: int, generator: np.random.Generator) -> Case:
    """A slow rate, and patience on 60 images of dev."""
    pixels, labels = {**case.pixels, DEV: case.pixels[DEV][:60]}, {**case.labels, DEV: case.labels[DEV][:60]}
    few = replace(case, pixels=pixels, labels=labels)
    slow = {"train.learning_rate": 0.0001, "train.epochs": 60, "train.patience": patience, "train.batch_size": 200}
    return with_params(few, **slow)


def low_rate(case: Case, rate: float, generator: np.random.Generator) -> Case:
    return with_params(case, **{"train.learning_rate": rate})


def harder_production(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many images of production show two classes at once, in train as in dev: nobody can tell which is meant."""
    pixels = dict(case.pixels)
    for name in (DEV, TEST, "pool"):
        hard = np.flatnonzero(generator.random(len(pixels[name])) < share)
        other = generator.permutation(len(pixels[name]))[: len(hard)]
        mixed = pixels[name].copy()
        mixed[hard] = np.maximum(pixels[name][hard], pixels[name][other])
        pixels[name] = mixed
    return replace(case, pixels=pixels)


def imbalanced(case: Case, share: float, generator: np.random.Generator) -> Case:
    """Two classes have so small a share of their training images; dev has all of its own."""
    pixels, labels = dict(case.pixels), dict(case.labels)
    for name in (TRAIN, TRAIN_DEV, "pool"):
        kept = (labels[name] > 1) | (generator.random(len(labels[name])) < share)
        pixels[name], labels[name] = pixels[name][kept], labels[name][kept]
    return with_params(replace(case, pixels=pixels, labels=labels), **{"balance.strategy": {"name": "none"}})


def copied_dev(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many images of dev stand in train, too."""
    count = round(share * len(case.labels[DEV]))
    start = len(case.labels[TRAIN])
    pixels = {**case.pixels, TRAIN: np.concatenate([case.pixels[TRAIN], case.pixels[DEV][:count]])}
    labels = {**case.labels, TRAIN: np.concatenate([case.labels[TRAIN], case.labels[DEV][:count]])}
    return replace(case, pixels=pixels, labels=labels, copies={start + number: number for number in range(count)})


def without_class(case: Case, split: str, generator: np.random.Generator) -> Case:
    """A split has no image of a class."""
    pixels, labels = dict(case.pixels), dict(case.labels)
    kept = labels[split] != 1
    return replace(case, pixels={**pixels, split: pixels[split][kept]}, labels={**labels, split: labels[split][kept]})


def healthy(case: Case, dose: str, generator: np.random.Generator) -> Case:
    """The same images, dealt out anew."""
    sizes = [len(case.labels[name]) for name in SIZES]
    order = generator.permutation(sum(sizes))
    ends = np.cumsum(sizes)[:-1]
    pixels, labels = (np.concatenate([values[name] for name in SIZES])[order] for values in (case.pixels, case.labels))
    parts = (dict(zip(SIZES, np.split(values, ends), strict=True)) for values in (pixels, labels))
    return Case(*parts, values=case.values)


def photos(folders: Folders, generator: np.random.Generator) -> Case:
    """Photos: train and train_dev are raw, dev, test and pool production. A larger network is fitted, for longer."""
    parts: dict[str, tuple[Pixels, npt.NDArray[np.int64]]] = {}
    for folder, names, ends in zip(folders, ((TRAIN, TRAIN_DEV), (DEV, TEST, "pool")), (0.75, (0.4, 0.6)), strict=True):
        pixels, labels = all_photos(folder)
        order = generator.permutation(len(labels))
        cuts = (np.atleast_1d(ends) * len(labels)).astype(int)
        parts |= {
            name: (pixels[those], labels[those]) for name, those in zip(names, np.split(order, cuts), strict=True)
        }
    case = Case({name: one for name, (one, _) in parts.items()}, {name: of for name, (_, of) in parts.items()}, {})
    model = {**EASY["train.model"], "depth": 3, "width": 16}
    return with_params(replace(case, values=base_values()), **{**EASY, "train.model": model, "train.epochs": 25})


def web_alone(case: Case, dose: str, generator: np.random.Generator) -> Case:
    """No photo of production is trained on."""
    return with_params(case, **{"split.production_train_fraction": 0.0})


DISEASES: Mapping[str, Disease] = {
    "healthy": Disease(healthy, ("dealt out", "again", "and again"), frozenset()),
    "label noise": Disease(label_noise, (0.1, 0.2, 0.4), frozenset({LABEL_NOISE})),
    "production labels": Disease(wrong_production, (0.1, 0.2, 0.3), frozenset({LABEL_NOISE})),
    "early stop": Disease(early_stop, (4, 3, 2), frozenset({EARLY_STOP, EPOCHS})),
    "low rate": Disease(low_rate, (3e-6, 1e-6, 1e-7), frozenset({RATE_LOW, NOTHING_LEARNT})),
    "harder production": Disease(harder_production, (0.3, 0.5, 0.8), frozenset({HARDER, BIAS})),
    "imbalance": Disease(imbalanced, (0.05, 0.03, 0.02), frozenset({IMBALANCE})),
    "dev in train": Disease(copied_dev, (0.1, 0.3, 0.6), frozenset({LEAK})),
    "class missing": Disease(without_class, (DEV, DEV, DEV), frozenset({MISSING})),
    "small model": Disease(small_model, (3, 2, 1), frozenset({BIAS})),
    "few epochs": Disease(few_epochs, (3, 2, 1), frozenset({EPOCHS})),
    "little data": Disease(little_data, (12, 6, 3), frozenset({VARIANCE})),
    "blur": Disease(production(blurred), (1.0, 1.5, 2.5), frozenset({MISMATCH})),
    "dark": Disease(production(darkened), (0.5, 0.3, 0.15), frozenset({MISMATCH})),
    "rescaled": Disease(production(rescaled), (10, 8, 6), frozenset({MISMATCH})),
    "leaked test": Disease(leaked_test, (0.3, 0.6, 1.0), frozenset({LEAK})),
    "tuned dev": Disease(tuned_dev, (100, 1000, 10000), frozenset({DEV_OVERFIT})),
    ALONE: Disease(web_alone, ("dealt out", "again", "and again"), frozenset({MISMATCH})),
}
