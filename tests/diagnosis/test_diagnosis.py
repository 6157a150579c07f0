"""The whole diagnosis of small tables: which findings count, which explain a gap, and which are held back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.diagnosis import diagnosis as module
from pipeline.diagnosis.curves import Training
from pipeline.diagnosis.diagnosis import Diagnosis, diagnosis, not_confounding
from pipeline.diagnosis.findings import CLASS, EARLY_STOP, EPOCHS, HARDER, LABEL_NOISE, LEAK, RATE
from pipeline.diagnosis.gaps import MISMATCH
from pipeline.diagnosis.inputs import Evidence
from pipeline.diagnosis.known_levels import all_levels
from pipeline.errors import DataError
from pipeline.problem.params import Regression
from pipeline.store.curves import Curves
from tests.diagnosis.cases import diagnosing, predictions, run_of
from tests.diagnosis.test_wrong_labels import part
from tests.examples import params

NO_SCENES = pd.DataFrame(columns=["id", "family"])
# Fell throughout, in six of twelve epochs.
FALLING = [0.65, 0.6, 0.54, 0.48, 0.42, 0.36]


def diagnosed(
    wrong: dict[str, tuple[int, int]],
    production: float = 0.3,
    losses: Sequence[float] = (),
    label_issues: Any = None,
    copies: int = 0,
    variants: int | None = None,
) -> Diagnosis:
    """Of so many images and errors by split; dev and a share of the others are of production.

    copies: so many of dev's images are in train. variants: rows of an epoch beside these images; None: not known.
    """
    called = predictions(**wrong).assign(confidence=0.9)
    number = called["id"].str.rpartition("/")[2].astype(int)
    role = np.where((called["split"] == "dev") | ((number * 7) % 10 < 10 * production), "production", "raw")
    manifest = with_facts(called.assign(role=role))
    pictures = manifest["pixels"]
    manifest["pixels"] = pictures.where(
        ~pictures.isin([f"dev/{one:05}" for one in range(copies)]), "train/" + pictures.str[-5:]
    )
    epochs = [{"train/loss": loss, "dev/loss": loss} for loss in losses]
    run = run_of(**{"train.epochs": 12, "train.patience": 3, "balance.strategy": {"name": "none"}})
    params = diagnosing(0.0, 0.05)
    augmented = None if variants is None else {"originals": wrong["train"][0], "variants": variants}
    evidence = Evidence(called, manifest, NO_SCENES, Curves(epochs, 0), label_issues or {}, {}, augmented=augmented)
    levels = all_levels(called, manifest, {}, run.evaluate, params)
    return diagnosis(levels, evidence, run, params)


def with_facts(called: pd.DataFrame) -> pd.DataFrame:
    """A manifest of the images, whose pictures are all alike."""
    frame = called[["id", "group", "split", "label", "role"]].assign(pixels=called["id"], source="all")
    for name in ("width", "height", "brightness", "contrast", "sharpness", "saturation"):
        frame[name] = 9.0
    frame["captured_at"] = pd.Series(pd.NaT, frame.index, dtype="datetime64[ns, UTC]")
    return frame


def names(found: Diagnosis) -> set[str]:
    return {each.name for each in found.findings}


def verdict(found: Diagnosis, name: str) -> str:
    return next((gap.verdict for gap in found.gaps if gap.name == name), "not asked")


ILL: dict[str, tuple[int, int]] = {"train": (1500, 15), "train_dev": (400, 4), "dev": (500, 100)}
POOR: dict[str, tuple[int, int]] = {"train": (1500, 450), "train_dev": (400, 120), "dev": (500, 150)}


def test_steps_are_those_of_all_rows_of_an_epoch() -> None:
    still = [0.6932, 0.6931, 0.6931, 0.6931, 0.6931]
    (few,) = [each for each in diagnosed(POOR, losses=still).findings if each.name == EPOCHS]
    assert "about 60 steps" in few.words
    found = diagnosed(POOR, losses=still, variants=13_500)
    assert EPOCHS not in names(found)
    assert {each.figures["steps"] for each in found.findings if "steps" in each.figures} == {590}


def test_images_of_production_alone_have_no_mismatch() -> None:
    assert verdict(diagnosed(ILL), MISMATCH) == "present"
    assert verdict(diagnosed(ILL, production=1.0), MISMATCH) == "not asked"


def test_an_early_stop_is_said_where_train_is_not_learnt_and_not_where_it_is() -> None:
    assert EARLY_STOP in names(diagnosed(POOR, losses=FALLING))
    assert EARLY_STOP not in names(diagnosed(ILL, losses=FALLING))
    healthy = {"train": (1500, 15), "train_dev": (400, 4), "dev": (500, 5)}
    assert EARLY_STOP not in names(diagnosed(healthy, losses=FALLING))
    # Of few images of dev, hardly one is wrong by chance.
    assert EARLY_STOP in names(diagnosed({**POOR, "dev": (60, 2)}, losses=FALLING))


def noise(role: str) -> dict[str, Any]:
    """What the stage label_issues says of labels of which a fifth of one role is wrong."""
    other = "raw" if role == "production" else "production"
    roles = {role: part(4000, 0.2), other: part(4000, 0.0)}
    return {split: {"roles": roles} for split in ("train", "dev", "together")}


def test_wrong_labels_explain_why_unseen_images_err_less_than_learnt_ones() -> None:
    """No copies are needed for that: a leak is not charged by errors alone."""
    leaky = {"train": (1500, 450), "train_dev": (400, 20), "dev": (500, 25)}
    assert LEAK in names(diagnosed(leaky))
    found = names(diagnosed(leaky, label_issues=noise("raw")))
    assert (LABEL_NOISE in found, LEAK in found) == (True, False)


def test_copies_in_train_are_told_beside_wrong_labels() -> None:
    """They are seen in the pictures, not in errors."""
    found = diagnosed(ILL, label_issues=noise("raw"), copies=40)
    assert LABEL_NOISE in names(found)
    assert [each.figures.get("images") for each in found.findings if each.name == LEAK] == [40]


def test_facts_that_people_named_or_that_classes_are_made_of_may_give_the_class_away() -> None:
    named = run_of(**{"curate.not_confounding": ["source"]})
    assert not_confounding(run_of()) == []
    assert not_confounding(named) == ["source"]
    weight = Regression(name="regression", column="weight")
    assert not_confounding(replace(named, problem=weight)) == ["source", "weight"]
    assert not_confounding(replace(named, problem=params().problem)) == ["source"]


def test_production_is_not_called_harder_while_its_labels_are_wrong() -> None:
    hard = harder_production()
    assert HARDER in names(hard)
    assert verdict(hard, MISMATCH) == "explained"
    noisy = harder_production(noise("production"))
    assert (LABEL_NOISE in names(noisy), HARDER in names(noisy)) == (True, False)
    assert HARDER in names(harder_production(noise("raw")))


def harder_production(label_issues: Any = None) -> Diagnosis:
    """A quarter of production's images is misclassified, learnt or not, and hardly one of raw ones."""
    rows = []
    for split, role, images, errors in (
        *(("train", "raw", 2400, 24), ("train", "production", 600, 150), ("train_dev", "raw", 400, 4)),
        *(("train_dev", "production", 100, 25), ("dev", "production", 600, 150)),
    ):
        frame = predictions(**{split: (images, errors)})
        names_of = [f"{role}/{name}" for name in frame["id"]]
        rows.append(frame.assign(id=names_of, group=names_of, role=role, confidence=0.9))
    called = pd.concat(rows, ignore_index=True)
    manifest = with_facts(called)
    run, params = run_of(), diagnosing(0.0, 0.05)
    evidence = Evidence(called.drop(columns="role"), manifest, NO_SCENES, Curves([], 0), label_issues or {}, {})
    levels = all_levels(evidence.predictions, manifest, {}, run.evaluate, params)
    return diagnosis(levels, evidence, run, params)


def test_steps_know_what_the_run_has() -> None:
    """Images of production to weigh, the class that fails, and how much dearer the epochs that were not run are."""
    told = [step.command or "" for step in diagnosed(ILL).steps]
    assert any("production_weight" in command for command in told)
    assert not any("production_weight" in (step.command or "") for step in diagnosed(ILL, production=0.0).steps)
    (patience,) = [step for step in diagnosed(POOR, losses=FALLING).steps if "patience" in (step.command or "")]
    assert patience.cost == "takes about 2 times as long as this training"


def test_predictions_of_other_images_than_the_manifest_are_refused() -> None:
    called = predictions(**ILL)
    manifest = called[["id"]].iloc[5:]
    with pytest.raises(DataError, match=r"^5 of 2400 predictions are of images that the manifest lacks"):
        all_levels(called, manifest, {}, run_of().evaluate, diagnosing())


SWINGS = [2.0, 1.0, 0.8, 1.5, 2.5, 3.0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param(
            {"train": (2000, 60), "train_dev": (400, 12), "dev": (2000, 60)}, False, id="surely, and too little"
        ),
        pytest.param({"train": (2000, 0), "train_dev": (400, 0), "dev": (14, 4)}, False, id="much, and not surely"),
        pytest.param({"train": (2000, 0), "train_dev": (400, 0), "dev": (400, 40)}, True, id="dev"),
        pytest.param({"train": (2000, 200), "train_dev": (400, 0), "dev": (400, 0)}, True, id="train"),
    ],
)
def test_curves_are_read_where_the_model_surely_errs_by_what_is_worth_work(
    wrong: dict[str, tuple[int, int]], told: bool
) -> None:
    assert (RATE in names(diagnosed(wrong, losses=SWINGS))) == told


def test_advice_knows_the_facts_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 90 of 300 figs of dev are called apples, of which there are as many, by a model that is too sure."""
    called = predictions(train=(1500, 15), train_dev=(400, 4), dev=(600, 6)).assign(confidence=0.99)
    number = called["id"].str.rpartition("/")[2].astype(int)
    called.loc[(called["split"] == "dev") & (called["label"] == "fig") & (number < 180), "predicted"] = "apple"
    manifest = with_facts(
        called.assign(role=np.where((called["split"] == "dev") | (number < 300), "production", "raw"))
    )
    # Every other image of train shares its group with the next one.
    manifest["group"] = manifest["id"].where(manifest["split"] != "train", "g" + (number // 2).astype(str))
    manifest["captured_at"] = manifest["captured_at"].mask(
        manifest["role"] == "production", pd.Timestamp("2026-01-01", tz="UTC")
    )
    heard: dict[str, Any] = {}
    monkeypatch.setattr(module, "next_steps", lambda gaps, found, levels, run: heard.setdefault("run", run) and [])
    monkeypatch.setattr(module, "read_curves", lambda epochs, training: heard.setdefault("training", training) and [])
    run = run_of(
        **{"train.epochs": 12, "train.batch_size": 64, "train.keep": "best", "train.schedule": {"name": "constant"}}
    )
    evidence = Evidence(called, manifest, NO_SCENES, Curves([{"train/loss": 0.6, "dev/loss": 0.6}] * 7, 3), {}, {})
    levels = all_levels(called, manifest, {}, run.evaluate, diagnosing(0.0, 0.05))
    found = diagnosis(levels, evidence, run, diagnosing(0.0, 0.05))
    assert CLASS in names(found)
    facts = {
        "stopped_early": True, "dated": True, "groups": {"raw": 600, "production": 150}, "epochs_run": 7,
        "counts": {"apple": 750, "fig": 750}, "images": {"raw": 1200, "production": 300}, "dev_errors": 93,
        "unlabelled": None, "failing": "fig", "bold": True, "confounder": None, "seldom_small": None,
    }  # fmt: skip
    assert {name: getattr(heard["run"], name) for name in facts} == facts
    assert heard["training"] == Training(
        asked=12, steps=24, classes=2, kept=3, chosen=True, dev_images=600, steady=True, guessing=None
    )


def test_production_images_without_a_time_give_no_dates() -> None:
    manifest = pd.DataFrame({"role": ["production", "production", "raw"]})
    times = pd.Series([pd.Timestamp("2026-01-01", tz="UTC"), pd.NaT, pd.NaT])
    assert not module._dated(manifest.assign(captured_at=times))
    assert module._dated(manifest.assign(captured_at=times.ffill()))
    assert not module._dated(manifest.assign(captured_at=times.ffill(), role="raw"))


@pytest.mark.parametrize(("predicted", "seldom"), [("apple", True), ("fig", False)])
def test_advice_knows_whether_small_classes_are_predicted_too_seldom(
    monkeypatch: pytest.MonkeyPatch, predicted: str, seldom: bool
) -> None:
    """Of train a hundredth are figs, of dev half."""
    called = predictions(train=(1500, 15), train_dev=(400, 4), dev=(400, 0)).assign(confidence=0.9)
    number = called["id"].str.rpartition("/")[2].astype(int)
    rare = (called["split"] != "dev") & (number % 100 != 1)
    called.loc[rare, ["label", "predicted"]] = "apple"
    called.loc[(called["split"] == "dev") & (number < 60), "predicted"] = predicted
    heard: dict[str, Any] = {}
    monkeypatch.setattr(module, "next_steps", lambda gaps, found, levels, run: heard.setdefault("run", run) and [])
    manifest, run = with_facts(called.assign(role="production")), run_of()
    levels = all_levels(called, manifest, {}, run.evaluate, diagnosing(0.0, 0.05))
    diagnosis(levels, Evidence(called, manifest, NO_SCENES, Curves([], 0), {}, {}), run, diagnosing(0.0, 0.05))
    assert heard["run"].seldom_small is seldom
