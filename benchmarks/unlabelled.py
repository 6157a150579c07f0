"""Do images without a label help, and where do they harm? Few labels, many images, and images of other classes.

    python benchmarks/unlabelled.py --data DIR --cache DIR               # DIR has fruit and trash
    ... --only digits --only letters --ways consistency --seeds 1        # these need no photos
    ... --strange                                                        # half of the classes have no labelled image

Each run draws 10 labelled images a class, leaves the others without a label, and fits what `pipeline init` chooses for
such a set, with and without them. dev chooses as in a project; errors are counted on images of neither, which share no
group with any. Photos have a head on frozen features, which are computed once and kept in --cache; the CPU time that a
project would need for them is added. Digits and letters have a small cnn.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from judged_images import SETS, images_of

from pipeline.data.dataset import RowDataset
from pipeline.data.predictions import predict_rows
from pipeline.images.pixels import encode
from pipeline.metrics.metric import Metric, metric_of
from pipeline.models.files import TrainedModel
from pipeline.project.model_choice import model_choice
from pipeline.project.params_file import Params, check_params
from pipeline.project.params_text import round_trip
from pipeline.randomness import keyed_generator
from pipeline.stages.ingest.params import PngEncoding
from pipeline.training import fitting, semi_supervised
from pipeline.training.features import RowFeatures
from pipeline.training.fit_data import TrainingData
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine

LABELLED = 10
HELD_OUT, MAX_HELD_OUT, MAX_UNLABELLED = 0.4, 1000, 1500
# CPU seconds for the features of a picture (benchmarks/backbone.py).
FEATURE_SECONDS = 0.010
PHOTOS, SIDES = ("fruit", "trash", "cifar10n"), {"digits": 28, "letters": 14}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "pseudo_labels": {"name": "pseudo_labels"},
    "consistency": {"name": "consistency"},
}
HERE = Engine(1)


@dataclass(frozen=True)
class Set:
    """Images: their labels, groups, encoded pictures where those are needed, and features where these are."""

    name: str
    labels: Any
    groups: Any
    files: Any
    features: Any

    def image(self, shard: str, row: int) -> bytes:
        """As a reader of shards gives it."""
        return bytes(self.files[row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--cache", type=Path, default=Path("features"))
    parser.add_argument("--only", action="append", choices=("fruit", "trash", "cifar10n", "digits", "letters"))
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--strange", action="store_true")
    parser.add_argument("--set", action="append", default=[], help="of the way, as threshold=0.9")
    options = parser.parse_args()
    torch.set_num_threads(1)
    more = {
        name: float(value) if "." in value else int(value) for name, value in (one.split("=") for one in options.set)
    }
    found = []
    for name in options.only or ("fruit", "trash", "letters", "digits"):
        images = images_of_set(name, options.data, options.cache)
        for way in options.ways:
            if name in PHOTOS and way == "consistency":
                continue
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                one = run(images, {**WAYS[way], **more}, seed, options.strange)
                found.append({"set": name, "way": way, "seed": seed, **one})
                print(
                    {key: round(value, 4) if isinstance(value, float) else value for key, value in found[-1].items()},
                    flush=True,
                )
    report(pd.DataFrame(found))


def images_of_set(name: str, data: Path, cache: Path) -> Set:
    if name in PHOTOS:
        images = images_of(name, data, cache)
        return Set(name, images.labels, images.groups, None, torch.from_numpy(images.views["plain"][0]))
    pictures, labels, _ = SETS[name][0](data)
    files = [encode(np.ascontiguousarray(one), PngEncoding(name="png")) for one in pictures]
    return Set(name, np.array(labels), np.arange(len(labels)), files, None)


def run(images: Set, way: Mapping[str, Any], seed: int, strange: bool) -> dict[str, Any]:
    """Errors on images that nobody chose by, and CPU seconds, without images without a label and with them."""
    classes = np.unique(images.labels)
    known = classes[: (len(classes) + 1) // 2] if strange else classes
    splits = split(images, known, seed)
    params = chosen_params(images, len(known) * LABELLED, way, seed)
    rows = pd.DataFrame({"id": [f"{number:06}" for number in range(len(images.labels))], "label": images.labels})
    rows = rows.assign(group=images.groups, shard="memory", row=np.arange(len(rows)), split="", copy=np.int32(0))
    rows = rows.assign(weight=np.float32(1))
    parts = {name: rows.iloc[places].reset_index(drop=True) for name, places in splits.items()}
    labels, size, reader = tuple(known.tolist()), params.ingest.size, images
    train, dev = (RowDataset(parts[name], reader, labels, size) for name in ("train", "dev"))  # type: ignore[arg-type]
    unlabelled = parts["unlabelled"].assign(label="")
    data = TrainingData(parts["train"], parts["dev"], labels, params.ingest, train, dev, unlabelled=unlabelled)
    metric = metric_of(params.evaluate.optimizing, labels)
    fits = Fits(images, parts["test"])
    with fits.watching():
        model, fit = semi_supervised.fit_with_unlabelled(data, params.train, metric, HERE)
        kept = fits.errors(model)
    assert fit.unlabelled is not None
    looked_at = 0 if images.features is None else (len(train) + len(dev)) * FEATURE_SECONDS
    most = min(len(unlabelled), getattr(params.train.unlabelled, "max_images", len(unlabelled)))
    more = 0 if images.features is None else most * FEATURE_SECONDS
    first = fits.seconds[0]
    return {
        "without": fits.found[0],
        "with": fits.found[-1],
        "kept": kept,
        "used": bool(fit.unlabelled["kept"]),
        "images": len(unlabelled),
        "labelled": fit.unlabelled["labelled"],
        "seconds": first + looked_at,
        "times": (fits.all_seconds() + looked_at + more) / (first + looked_at),
    }


def split(images: Set, known: Any, seed: int) -> dict[str, Any]:
    """Row numbers: of dev and test, whole groups of known classes; of train, so many a class; and the others."""
    generator = keyed_generator(seed, "split", images.name)
    groups = generator.permutation(np.unique(images.groups))
    held_out = np.isin(images.groups, groups[: int(HELD_OUT * len(groups))])
    for_dev = np.isin(images.groups, groups[: int(HELD_OUT * len(groups)) // 2])
    of_known = np.isin(images.labels, known)
    order = generator.permutation(len(images.labels))
    rest = order[~held_out[order]]
    train = np.concatenate([rest[images.labels[rest] == name][:LABELLED] for name in known])
    places = {"dev": for_dev & of_known, "test": held_out & ~for_dev & of_known}
    found = {name: order[inside[order]][: MAX_HELD_OUT // 2] for name, inside in places.items()}
    others = rest[~np.isin(rest, train)]
    return {**found, "train": np.sort(train), "unlabelled": np.sort(others[:MAX_UNLABELLED])}


def chosen_params(images: Set, rows: int, way: Mapping[str, Any], seed: int) -> Params:
    """What `pipeline init` chooses for the model, beside this repository's params."""
    values = round_trip().load(Path("params.yaml").read_text(encoding="utf-8"))
    size = SIDES.get(images.name, 160)
    for choice in model_choice(size, rows).choices:
        section, key = choice.place.split(".")
        values[section][key] = choice.value
    values["train"] |= {"unlabelled": dict(way), "seed": seed, "threads": 1}
    values["ingest"]["size"] = size
    return check_params(plain(values))


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


class Fits:
    """What each fit of a run errs on test, and its CPU seconds; photos' features come from the cache."""

    def __init__(self, images: Set, test: pd.DataFrame) -> None:
        self.images, self.test = images, test
        self.found: list[float] = []
        self.seconds: list[float] = []
        self._begun, self._judging = time.process_time(), 0.0

    def watching(self) -> Any:
        """While this is open, fits are counted."""
        from contextlib import ExitStack
        from unittest.mock import patch

        stack = ExitStack()
        stack.enter_context(patch.object(semi_supervised, "fit_model", partial(self._fitted, fitting.fit_model)))
        if self.images.features is not None:
            for module in (semi_supervised, fitting):
                stack.enter_context(patch.object(module, "computed_features", self._features))
        self._begun = time.process_time()
        return stack

    def all_seconds(self) -> float:
        """CPU seconds of the whole, without counting errors."""
        return self._ended - self._begun - self._judging

    def errors(self, model: TrainedModel) -> float:
        """The share of test that a model errs on."""
        begun = time.process_time()
        self._ended = begun
        if self.images.features is None:
            said = predict_rows(model, self.test, self.images, 1, HERE, "test")["predicted"]  # type: ignore[arg-type]
        else:
            head = list(model.network.children())[-1].eval()
            with torch.no_grad():
                logits = head(self.images.features[self.test["row"].to_numpy()])
            said = np.array(model.classes)[logits.argmax(dim=1).numpy()]
        self._judging += time.process_time() - begun
        return float((np.asarray(said) != self.test["label"].to_numpy()).mean())

    def _fitted(
        self, fit: Any, data: TrainingData, params: Any, metric: Metric, *more: Any
    ) -> tuple[TrainedModel, Fit]:
        begun = time.process_time()
        model, found = fit(data, params, metric, *more)
        self.seconds.append(time.process_time() - begun)
        self.found.append(self.errors(model))
        return model, found

    def _features(self, frozen: Any, dataset: RowDataset, *_: Any) -> RowFeatures:
        return RowFeatures(self.images.features[dataset.rows], torch.arange(len(dataset)))


def report(found: pd.DataFrame) -> None:
    """A row a set and way: errors, how many fewer with the mean's 95 % interval over seeds (t), and CPU."""
    print("\n| set | way | without | with | kept | fewer errors | points, 95 % interval | CPU |")
    print("|---|---|---|---|---|---|---|---|")
    from scipy import stats

    for (name, way), rows in found.groupby(["set", "way"], sort=False):
        gains = (rows["without"] - rows["kept"]).to_numpy()
        half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.nan
        ends = f"{gains.mean() * 100:+.1f} ({(gains.mean() - half) * 100:+.1f} to {(gains.mean() + half) * 100:+.1f})"
        shares = " | ".join(f"{rows[column].mean():.1%}" for column in ("without", "with", "kept"))
        fewer = 1 - rows["kept"].mean() / rows["without"].mean()
        print(f"| {name} | {way} | {shares} | {fewer:.0%} | {ends} | {rows['times'].mean():.1f} times |")


if __name__ == "__main__":
    main()
