"""A planted disease -> what the diagnosis says of it, and what following its first advice brings.

Stands in for the stages between: a small network is fitted to arrays, and a forest on some images doubts their labels,
as the stage label_issues does.
"""

import shlex
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from diseases import ALONE, DISEASES, Case, Disease, Folders, drawn, photos
from photo_diseases import PHOTO_DISEASES, drawn_photos
from planted_fits import Epochs, as_tensor, balanced, best_on_dev, head_of, network_of, predicted, with_copies
from planted_images import SIDE
from ruamel.yaml import YAML
from torch.utils.data import DataLoader, TensorDataset

from pipeline.diagnosis.diagnosis import Diagnosis, diagnosis
from pipeline.diagnosis.error_levels import HUMAN, given, levels_of, measured, metric_of_errors
from pipeline.diagnosis.findings import HARD_SLICE, SMALL_DEV
from pipeline.diagnosis.inputs import Evidence
from pipeline.diagnosis.next_steps import in_order
from pipeline.diagnosis.param_changes import DROPPED, changed
from pipeline.diagnosis.rendering import sentence
from pipeline.diagnosis.run import Run
from pipeline.images.pixels import Pixels
from pipeline.manifest import DEV, PRODUCTION, RAW, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.bootstrap import interval, resamples
from pipeline.metrics.metric import metric_of
from pipeline.project.params_file import Params, check_params
from pipeline.randomness import keyed_generator
from pipeline.stages.label_issues.table import Disagreements, label_issues_table, metrics_of
from pipeline.store.curves import Curves
from pipeline.training.embedded import FOLDS, Rows, mean_out_of_fold
from pipeline.training.folds import folds_of
from pipeline.training.losses import row_weights
from pipeline.training.training import fit

# Images of a split whose labels are checked.
CHECKED = {TRAIN: 600, DEV: 400}
# Places of params that change what is fitted here; other advice (a larger train_dev, say) cannot be followed.
OF_PIXELS = ("augment.", "train.model.trained", "train.model.input")
FOLLOWED = (
    "train.", "augment.copies.", "augment.transforms", "split.production_train_fraction", "evaluate.optimizing",
    "balance.strategy",
)  # fmt: skip
# One network is fitted here, to labelled images.
NOT_FOLLOWED = ("train.ensemble.", "train.unlabelled.")


EVERY: Mapping[str, Disease] = {**DISEASES, **PHOTO_DISEASES}


def run_one(key: tuple[str, int, int], folders: Folders | None = None, features: Path | None = None) -> dict[str, Any]:
    """What came of one planted case: a disease's name, the number of its dose, and a seed.

    Even seeds have digits, odd ones letters.
    """
    name, dose, seed = key
    case = sick(name, dose, seed, folders if name == ALONE else None, features)
    found, called = diagnosed(case, seed)
    dead = [step.command for step in found.steps if step.command and not acts(step.command, case)]
    named = [each.name for each in in_order(found.gaps, found.findings) if each.name not in {SMALL_DEV, HARD_SLICE}]
    step = found.steps[0].command if found.steps else None
    result = {"disease": name, "dose": dose, "seed": seed, "named": named, "step": step}
    result |= {"sentence": sentence(found), "steps": len(found.steps), "dead": dead}
    # What a reader of the plain numbers would say: the largest gap that is worth work, if there is one.
    largest = max(found.gaps, key=lambda gap: gap.value)
    plain = largest.name if largest.value >= found.relevant else None
    result["plain"] = plain in EVERY[name].names
    result["noted"] = sorted({each.name for each in found.findings} & {HARD_SLICE})
    result["among"] = bool({*named} & EVERY[name].names)
    result["first"] = named[:1] != [] and named[0] in EVERY[name].names
    changes = changes_of(step) if step is not None and step.startswith("dvc exp run") else {}
    # The best of many models is none that could be fitted anew.
    if named and changes and followable(changes, case):
        after, _ = fitted(replace(case, values=changed(case.values, changes)), seed)
        gain, low = paired(after[DEV], called)
        result |= {"gain": gain, "helped": low > 0}
    return result


def followable(changes: Mapping[str, Any], case: Case) -> bool:
    """Whether what is changed changes what is fitted here. Behind embeddings there are no pixels and no layers."""
    followed = all(place.startswith(FOLLOWED) and not place.startswith(NOT_FOLLOWED) for place in changes)
    followed = followed and case.candidates == 1
    return followed and not (case.embedded and any(place.startswith(OF_PIXELS) for place in changes))


def acts(command: str, case: Case) -> bool:
    """Whether a command has something to act on: images of production in train, where it is about these."""
    about_production = ("balance.production_weight", "augment.match_production")
    learnt = PRODUCTION in roles_of(case, TRAIN) and case.values["split"]["production_train_fraction"] > 0
    return learnt or not any(place in command for place in about_production)


def sick(name: str, dose: int, seed: int, folders: Folders | None = None, features: Path | None = None) -> Case:
    """A planted case, or, where there are folders of photos, a real one."""
    disease = EVERY[name]
    if name in PHOTO_DISEASES:
        assert features is not None
        generator = keyed_generator(seed, "planted", name, dose, "features")
        return disease.plant(drawn_photos(features, seed, generator), disease.doses[dose], generator)
    kind = "photos" if folders else ("digits", "letters")[seed % 2]
    generator = keyed_generator(seed, "planted", name, dose, kind)
    healthy = photos(folders, generator) if folders else drawn(kind, seed)
    return disease.plant(healthy, disease.doses[dose], generator)


def diagnosed(case: Case, seed: int) -> tuple[Diagnosis, pd.DataFrame]:
    """The diagnosis of a case, with test looked at, and the predictions of dev."""
    frames, curves = fitted(case, seed)
    return diagnosis_of(case, seed, frames, curves), frames[DEV]


def diagnosis_of(
    case: Case, seed: int, frames: Mapping[str, pd.DataFrame], curves: Curves, closed: Collection[str] = ()
) -> Diagnosis:
    """The diagnosis of a fitted case.

    Args:
        closed: splits that the diagnosis does not see: test, or none.
    """
    params = seeded(case.values, seed)
    predictions = pd.concat([frames[split] for split in (TRAIN, TRAIN_DEV, DEV)], ignore_index=True)
    classes = tuple(sorted(set(predictions["label"])))
    evaluate, metric = params.evaluate, metric_of_errors(params.evaluate, classes)
    levels = {HUMAN: given(HUMAN, params.diagnose.human_error), **levels_of(predictions, evaluate)}
    if TEST not in closed:
        levels[TEST] = measured(TEST, frames[TEST], metric, classes, evaluate)
    run = Run(params.curate, params.split, params.balance, params.augment, params.train, evaluate)
    manifest = manifest_of(predictions, case)
    vectors = InMemory(case) if case.embedded else None
    evidence = Evidence(predictions, manifest, scenes_of(case), curves, suspected(case, manifest), {}, vectors)
    return diagnosis(levels, evidence, run, params.diagnose)


class InMemory:
    """A case's embeddings, as the diagnosis asks for them: by content, which is an image's id here."""

    def __init__(self, case: Case) -> None:
        self.of_split = {**case.pixels, TRAIN: learnt_images(case)[0]}

    def of(self, contents: Sequence[str]) -> npt.NDArray[Any]:
        """The vector of each, (n, d)."""
        places = [each.split("/") for each in contents]
        return np.stack([self.of_split[split][int(number)] for split, number in places]).astype(np.float16)


def suspected(case: Case, manifest: pd.DataFrame) -> dict[str, Any]:
    """What the stage label_issues says of train and dev, from some of their images: a forest, cross-validated.

    Of embeddings a linear model and neighbours, as the stage has them.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    parts = {TRAIN: learnt_images(case), DEV: (case.pixels[DEV], case.labels[DEV])}
    chosen = {
        split: keyed_generator(1, "checked", split).permutation(len(labels))[: CHECKED[split]]
        for split, (_, labels) in parts.items()
    }
    pixels = np.concatenate([parts[split][0][those] for split, those in chosen.items()])
    labels = np.concatenate([parts[split][1][those] for split, those in chosen.items()])
    split = np.repeat(list(chosen), [len(those) for those in chosen.values()])
    ids = [f"{split}/{number:05}" for split, those in chosen.items() for number in those.tolist()]
    rows = manifest.set_index("id").loc[ids].reset_index().assign(label=labels.astype(str))
    if case.embedded:
        groups = np.arange(len(labels)).astype(str)
        of_all = Rows(pixels, labels, np.ones(len(labels), np.float32), groups, case.classes)
        found = mean_out_of_fold(of_all, folds_of(labels.astype(str), groups, FOLDS, 1), 1)
    else:
        step = pixels.shape[1] // 7
        # The channels of digits and letters are alike.
        channels = pixels[..., :1] if (pixels[..., 0] == pixels[..., 2]).all() else pixels
        features = channels[:, ::step, ::step].reshape(len(labels), -1)
        folds = StratifiedKFold(max(2, min(5, int(np.bincount(labels).min()))), shuffle=True, random_state=1)
        forest = RandomForestClassifier(40, random_state=1)
        found = cross_val_predict(forest, features, labels, cv=folds, method="predict_proba")
    doubts = [
        Disagreements(name, rows[split == name].reset_index(drop=True), labels[split == name], [found[split == name]])
        for name in (DEV, TRAIN)
    ]
    names = tuple(map(str, range(found.shape[1])))
    return metrics_of(doubts, label_issues_table(doubts, manifest, names))


def fitted(case: Case, seed: int) -> tuple[dict[str, pd.DataFrame], Curves]:
    """Predictions by split, and the curves."""
    params = seeded(case.values, seed)
    pixels, labels = learnt_images(case)
    names = tuple(string.ascii_lowercase[: int(labels.max()) + 1])
    seen, learnt = with_copies(*balanced(pixels, labels, params), params)
    weights = row_weights(np.ones(len(learnt), np.float32), learnt, names, params.train.class_weights)
    rows = TensorDataset(as_tensor(seen), torch.from_numpy(learnt), torch.from_numpy(weights))
    train = Epochs(rows, params.train)
    dev = DataLoader(TensorDataset(as_tensor(case.pixels[DEV]), torch.from_numpy(case.labels[DEV])), batch_size=256)
    network = head_of(seen, len(names), params) if case.embedded else network_of(pixels, len(names), params)
    metric = metric_of(params.evaluate.optimizing, names)
    done = fit(network, train, dev, params.train, metric, len(names), lambda _: None)
    sets = {split: (case.pixels[split], case.labels[split]) for split in (TRAIN_DEV, DEV, TEST)}
    sets[TRAIN] = (pixels, labels)
    probabilities = {split: predicted(done.network, one) for split, (one, _) in sets.items()}
    if case.candidates > 1:
        probabilities = best_on_dev(probabilities, case, params.train.seed)
    return {split: frame_of(split, probabilities[split], sets[split][1], names) for split in sets}, Curves(
        done.epochs, done.epoch
    )


def frame_of(
    split: str, found: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], names: tuple[str, ...]
) -> pd.DataFrame:
    ids = [f"{split}/{number:05}" for number in range(len(labels))]
    said = {"label": np.array(names)[labels], "predicted": np.array(names)[found.argmax(axis=1)]}
    return pd.DataFrame({"id": ids, "group": ids, "split": split, **said, "confidence": found.max(axis=1)})


def manifest_of(frame: pd.DataFrame, case: Case) -> pd.DataFrame:
    """What the diagnosis looks at; of the pictures' facts nothing is known here.

    The roles of train are the case's: its own images raw, unless it says otherwise, and the pool's production.
    """
    role = np.where(frame["split"] == DEV, PRODUCTION, RAW)
    for split in (TRAIN, TRAIN_DEV):
        here = np.flatnonzero(frame["split"] == split)
        role[here] = roles_of(case, split)[: len(here)]
    # A fact that gives a class away: its images, and they alone, are of another source.
    source = np.where((frame["label"] == "a") & case.one_source, "other", "all")
    facts = {"source": source, "width": SIDE, "height": SIDE, "brightness": 0.0, "contrast": 0.0, "sharpness": 0.0}
    columns = frame[["id", "group", "split", "label"]].assign(
        role=role, pixels=frame["id"], sha256=frame["id"], saturation=0.0, **facts
    )
    # Copies of dev in train are the same pictures.
    for place, copied in case.copies.items():
        columns.loc[columns["id"] == f"{TRAIN}/{place:05}", "pixels"] = f"{DEV}/{copied:05}"
    return columns.assign(captured_at=pd.Series(pd.NaT, columns.index, dtype="datetime64[ns, UTC]"))


def scenes_of(case: Case) -> pd.DataFrame:
    """What curate says of scenes: each image of dev that shows one of train, and that one."""
    pairs = [(f"{DEV}/{seen:05}", f"{TRAIN}/{learnt:05}", family) for family, (seen, learnt) in enumerate(case.scenes)]
    rows = [(name, str(family)) for one, other, family in pairs for name in (one, other)]
    return pd.DataFrame(rows, columns=["id", "family"])


def roles_of(case: Case, split: str) -> list[str]:
    """The role of each image of train or train_dev."""
    of_production = case.production.get(split, np.zeros(len(case.labels[split]), np.bool_))
    roles = [PRODUCTION if one else RAW for one in of_production]
    return [*roles, *[PRODUCTION] * len(case.labels["pool"])] if split == TRAIN else roles


def learnt_images(case: Case) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """What train has: its own images, and production's pool as far as params want it."""
    pixels, labels = case.pixels[TRAIN], case.labels[TRAIN]
    if case.values["split"]["production_train_fraction"] > 0:
        pixels, labels = np.concatenate([pixels, case.pixels["pool"]]), np.concatenate([labels, case.labels["pool"]])
    return pixels, labels


def paired(after: pd.DataFrame, before: pd.DataFrame) -> tuple[float, float]:
    """The gain in dev's accuracy, and the lower end of its 95 % interval."""
    right = [(frame["label"] == frame["predicted"]).to_numpy(np.float64) for frame in (after, before)]
    gain = right[0] - right[1]
    drawn = np.concatenate([part @ gain for part in resamples(before["group"], 1000, 1, "gain")]) / len(gain)
    return float(gain.mean()), interval(drawn)[0]


def changes_of(command: str) -> dict[str, Any]:
    """The places and values that a command sets, as DVC would."""
    changes = {}
    for setting in shlex.split(command)[4::2]:
        place, _, value = setting.lstrip("+~").partition("=")
        changes[place] = DROPPED if setting.startswith("~") else YAML(typ="safe", pure=True).load(value)
    return changes


def seeded(values: Mapping[str, Any], seed: int) -> Params:
    return check_params(changed(values, {"train.seed": seed}))
