"""The stage label_issues: planted wrong labels are listed, the same for any number of workers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import DEV, TRAIN
from pipeline.stages.label_issues.stage import Images, LabelIssuesOutputs, label_issues
from pipeline.store.shards import ShardReader
from pipeline.store.vectors import Embeddings, Vectors
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.stored import CLASSES, SIZE, predicted, stored

COUNT = 150
FOREST = {"name": "random_forest", "features": {"name": "pixels", "side": 8}, "n_estimators": 20, "min_samples_leaf": 1}
# Their labels are the next class's.
WRONG = {TRAIN: [3, 20, 41, 64, 90], DEV: [143, 147]}


class Given(Embeddings):
    """Vectors that say the class of each image, under noise, or none at all; contents are numbers."""

    def __init__(self, strength: float | None) -> None:
        super().__init__(Path(), catalogue.EMBEDDED)
        object.__setattr__(self, "strength", strength)

    def of(self, contents: Sequence[str]) -> Vectors | None:
        strength: float | None = vars(self)["strength"]
        if strength is None:
            return None
        numbers = np.array([int(content) for content in contents])
        noise = np.random.default_rng(5).normal(size=(COUNT, 8))
        noise[np.arange(COUNT), np.arange(COUNT) % 3] += strength
        found: Vectors = noise[numbers].astype(np.float16)
        return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, ShardReader, pd.DataFrame]:
    """A manifest of train and dev with some wrong labels, its pictures, and a good model's predictions of dev."""
    folder = tmp_path_factory.mktemp("label_issues")
    manifest = stored(folder, [striped(number % 3, seed=number) for number in range(COUNT)])
    truth = manifest["label"].tolist()
    labels = [
        CLASSES[(CLASSES.index(label) + (number in WRONG[TRAIN] + WRONG[DEV])) % 3]
        for number, label in enumerate(truth)
    ]
    manifest = manifest.assign(
        sha256=[str(number) for number in range(COUNT)],
        label=labels,
        role="raw",
        split=[TRAIN if number < 120 else DEV for number in range(COUNT)],
    )
    return manifest, ShardReader(folder), predicted(manifest, truth)


def run(
    planted: tuple[pd.DataFrame, ShardReader, pd.DataFrame],
    changes: dict[str, Any] | None = None,
    engine: Engine | None = None,
    strength: float | None = None,
) -> LabelIssuesOutputs:
    manifest, originals, predictions = planted
    chosen = params(
        **{
            "ingest.size": SIZE,
            "train.epochs": 3,
            "train.batch_size": 16,
            "label_issues.model": FOREST,
            **(changes or {}),
        }
    )
    images = Images(originals, Given(strength), chosen.ingest, chosen.problem)
    return label_issues(
        manifest,
        images,
        predictions,
        chosen.label_issues,
        chosen.train,
        chosen.evaluate.optimizing,
        engine or Engine(1),
    )


def numbers(found: LabelIssuesOutputs, split: str) -> set[int]:
    table = found.table[found.table["split"] == split]
    return {int(Path(image).stem) for image in table["id"]}


def test_planted_labels_of_both_splits_are_listed_and_no_others(planted: Any) -> None:
    found = run(planted)
    assert numbers(found, TRAIN) == set(WRONG[TRAIN])
    assert numbers(found, DEV) == set(WRONG[DEV])
    right = [CLASSES[int(Path(image).stem) % 3] for image in found.table["id"]]
    assert found.table["suggested"].tolist() == right
    assert found.metrics["train"]["label_issues"] == 5
    assert found.summary.splitlines()[:2] == [
        "dev: 2 of 30 labels may be wrong; train: 5 of 120 labels may be wrong",
        "  checked by random forest on pixels, which agrees with 95.3% of them",
    ]
    assert found.sheet.startswith(b"\x89PNG")


def test_any_number_of_workers_and_order_of_rows_gives_the_same(planted: Any) -> None:
    manifest, originals, predictions = planted
    order = np.random.default_rng(3).permutation(COUNT)
    found = run(planted)
    again = run((manifest.iloc[order], originals, predictions.iloc[order]), engine=Engine(2))
    assert (again.table.to_csv(), again.sheet, again.metrics) == (found.table.to_csv(), found.sheet, found.metrics)


def test_without_folds_dev_alone_is_looked_at(planted: Any) -> None:
    found = run(planted, {"label_issues.folds": None})
    assert set(found.table["split"]) == {DEV}
    assert list(found.metrics) == ["model", DEV]
    assert found.metrics["model"]["name"] == "cnn, the model of train"


def test_the_own_model_doubts_as_well(planted: Any) -> None:
    found = run(planted, {"label_issues.model": {"name": "own"}, "label_issues.folds": 2, "train.epochs": 8})
    assert len(numbers(found, TRAIN) & set(WRONG[TRAIN])) >= 3
    assert len(numbers(found, TRAIN) - set(WRONG[TRAIN])) <= 2


def test_a_model_that_recognises_few_images_estimates_nothing(planted: Any) -> None:
    blind = {"name": "nearest_centroid", "features": {"name": "colours", "bins": 2}}
    found = run(planted, {"label_issues.model": blind})
    assert found.metrics["together"]["accuracy"] < 0.5
    assert "labels are listed" in found.summary
    assert "too few to tell how many labels are wrong" in found.summary
    assert "estimated share" not in found.summary


def test_what_a_second_model_does_not_doubt_is_no_suspect(planted: Any) -> None:
    blind = {"name": "nearest_centroid", "features": {"name": "colours", "bins": 2}}
    for first, second in ((FOREST, blind), (blind, FOREST)):
        found = run(planted, {"label_issues.model": first, "label_issues.second": second})
        assert len(found.table) == 0
        assert found.metrics["train"]["wrong_share"] <= run(planted).metrics["train"]["wrong_share"]


LINEAR = {"name": "linear_on_embeddings", "otherwise": {"name": "nearest_centroid", "features": FOREST["features"]}}


def test_vectors_that_tell_the_classes_check_the_labels(planted: Any) -> None:
    found = run(planted, {"label_issues.model": LINEAR}, strength=9.0)
    assert numbers(found, TRAIN) == set(WRONG[TRAIN])
    assert numbers(found, DEV) == set(WRONG[DEV])
    model = found.metrics["model"]
    assert model["name"] == "logistic regression and nearest neighbours on embeddings"
    assert model["accuracies"]["logistic regression and nearest neighbours on embeddings"] == pytest.approx(143 / 150)
    assert model["why"].startswith("nearest centroid on pixels agrees with fewer: ")
    assert model["why"] in found.summary


def test_vectors_that_tell_the_classes_worse_than_pixels_do_not(planted: Any) -> None:
    model = {**LINEAR, "otherwise": FOREST}
    found, other = run(planted, {"label_issues.model": model}, strength=0.1), run(planted)
    assert found.table.equals(other.table)
    assert found.metrics["model"]["name"] == "random forest on pixels"
    assert found.metrics["model"]["why"].startswith(
        "logistic regression and nearest neighbours on embeddings agrees with fewer: "
    )
    assert [found.metrics[name] for name in (TRAIN, DEV)] == [other.metrics[name] for name in (TRAIN, DEV)]


def test_without_vectors_the_other_model_checks_and_that_is_said(planted: Any) -> None:
    found = run(planted, {"label_issues.model": {**LINEAR, "otherwise": FOREST}})
    assert found.table.equals(run(planted).table)
    assert found.metrics["model"]["why"] == "there are no embeddings (embed.backbone: null)"


@pytest.mark.parametrize("model", [FOREST, {"name": "own"}, LINEAR], ids=lambda model: model["name"])
def test_a_class_of_one_group_is_not_judged(planted: Any, model: dict[str, Any]) -> None:
    manifest, originals, predictions = planted
    pears = manifest["label"] == "pear"
    alone = manifest.assign(group=manifest["group"].mask(pears, "one"))
    found = run(
        (alone, originals, predictions),
        {"label_issues.model": model, "label_issues.folds": 3, "train.epochs": 1},
        strength=9.0,
    )
    assert found.metrics["train"]["not_checked"] == (pears & (manifest["split"] == TRAIN)).sum()


def test_a_model_that_fails_on_dev_does_not_accuse_its_labels(planted: Any) -> None:
    manifest, originals, _ = planted
    # As after a mismatch: it calls each apple of dev a pear, and is sure of it.
    called = manifest["label"].where(manifest["label"] != "apple", "pear")
    found = run((manifest, originals, predicted(manifest, called.tolist())))
    assert numbers(found, DEV) <= set(WRONG[DEV])
    assert numbers(run((manifest, originals, predicted(manifest, called.tolist())), {"label_issues.folds": None}), DEV)


def test_predictions_of_other_images_are_refused(planted: Any) -> None:
    manifest, originals, predictions = planted
    with pytest.raises(
        DataError, match="the predictions do not belong to the manifest's dev: run `dvc repro evaluate`"
    ):
        run((manifest.iloc[:-5], originals, predictions))
