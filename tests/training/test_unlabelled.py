"""Learning from images without a label: labels that spread, variants that agree, and which fit is kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError
from torch import nn

from pipeline.errors import DataError
from pipeline.metrics.metric import metric_of
from pipeline.models.files import save_model
from pipeline.stages.train.params import TrainParams
from pipeline.store.shards import ShardReader
from pipeline.training import semi_supervised
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit_data import FitParams, TrainingData, training_data
from pipeline.training.fitting import fit_model
from pipeline.training.semi_supervised import fit_with_unlabelled
from pipeline.training.training import Fit
from pipeline.training.unlabelled import FROM_LABELLED_ALONE, UNLABELLED
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.stored import SIZE, stored, with_copies

PSEUDO = {"name": "pseudo_labels", "neighbours": 5}
PAIRS = {"name": "consistency", "threshold": 0.4, "epochs": 1.0, "weak": [], "strong": [{"preset": "strong"}]}
BASELINE = {"name": "logistic_regression", "features": {"name": "pixels", "side": 4}, "c": 1.0}
METRIC = metric_of(params().evaluate.optimizing, ("apple", "fig", "pear"))


# Fits


def settings(**changes: Any) -> TrainParams:
    small = {
        "model.width": 4,
        "model.dropout.blocks": 0.1,
        "epochs": 3,
        "batch_size": 6,
        "threads": 1,
        "patience": None,
    }
    return params(
        **{f"train.{name}": value for name, value in {**small, "learning_rate": 0.01, **changes}.items()}
    ).train


def prepared(folder: Path, train: TrainParams, unlabelled: int = 24) -> TrainingData:
    """Nine labelled images, dev, and some without a label."""
    pictures = [striped(number % 3, seed=number) for number in range(39 + unlabelled)]
    rows = stored(folder, pictures)
    chosen = params(**{"ingest.size": SIZE})
    manifest = rows.iloc[:39].assign(split=["train"] * 9 + ["dev"] * 30)
    augmented = with_copies(manifest.iloc[:9], 0).assign(weight=np.float32(1))
    shaping = FitParams(train, chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing, chosen.problem)
    bare = rows.iloc[39:].assign(label="", split="unlabelled").reset_index(drop=True)
    return training_data(augmented, manifest, ShardReader(folder), shaping, bare)


def fitted(folder: Path, train: TrainParams, checkpoint: Any = None) -> tuple[bytes, Fit]:
    model, fit = fit_with_unlabelled(prepared(folder, train), train, METRIC, Engine(1), checkpoint)
    return save_model(model), fit


@pytest.fixture
def unlabelled_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The later fit is kept, whatever dev says."""
    monkeypatch.setattr(semi_supervised._Run, "_better", lambda self, one, other: other)


WAYS: list[Any] = [
    pytest.param({"unlabelled": {**PSEUDO, "rounds": 2}}, id="pseudo_labels"),
    pytest.param({"unlabelled": PAIRS, "mixing": {"name": "mixup", "alpha": 0.5}}, id="consistency"),
]


@pytest.mark.parametrize("changes", WAYS)
def test_a_fit_that_is_stopped_anywhere_goes_on_to_the_same_bytes(
    changes: dict[str, Any], tmp_path: Path, unlabelled_wins: None
) -> None:
    train = settings(**changes)
    whole, fit = fitted(tmp_path, train)
    assert fit.unlabelled is not None

    class Every(Checkpoint):
        """Keeps a copy of each state, in the middle of epochs, too."""

        states: ClassVar[list[bytes]] = []

        def due(self) -> bool:
            return True

        def save(self, key: str, state: Any) -> None:
            super().save(key, state)
            self.states.append(self.path.read_bytes())

    path = tmp_path / "checkpoint.pt"
    assert fitted(tmp_path, train, checkpoint=Every(path).under("key"))[0] == whole
    chosen = Every.states[:: max(1, len(Every.states) // 4)]
    assert len(chosen) >= 4
    for state in chosen:
        path.write_bytes(state)
        again, seen = fitted(tmp_path, train, checkpoint=Checkpoint(path).under("key"))
        assert again == whole
        assert (seen.epochs, seen.unlabelled) == (fit.epochs, fit.unlabelled)


@pytest.mark.parametrize("way", [PSEUDO, PAIRS], ids=lambda way: way["name"])
@pytest.mark.parametrize("helps", [False, True])
def test_dev_says_whether_images_without_a_label_are_learnt_from(
    way: dict[str, Any], helps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they do not help, the model is that of labelled images alone, bit for bit."""
    train = settings(unlabelled=way, epochs=1)
    without = fit_model(prepared(tmp_path, train), train, METRIC, Engine(1))
    values = {False: [0.7, 0.7], True: [0.6, 0.7]}[helps]
    monkeypatch.setattr(semi_supervised, "_on_dev", lambda fit: values[fit.seconds < 0 or fit is not first[0]])
    first: list[Fit] = []
    real: Callable[..., Any] = fit_model

    def noted(*arguments: Any) -> Any:
        found = real(*arguments)
        first.append(found[1])
        return found

    monkeypatch.setattr(semi_supervised, "fit_model", noted)
    model, fit = fitted(tmp_path, train)
    assert (model == save_model(without[0])) == (not helps)
    assert fit.unlabelled is not None
    assert fit.unlabelled["kept"] == helps
    assert (fit.unlabelled["dev_without"], fit.unlabelled["dev_with"]) == tuple(values)


@pytest.mark.parametrize("model", [None, BASELINE], ids=["network", "baseline"])
def test_most_labels_of_images_that_look_alike_are_right(model: dict[str, Any] | None, tmp_path: Path) -> None:
    train = settings(unlabelled=PSEUDO, epochs=8, **({} if model is None else {"model": model}))
    facts = fitted(tmp_path, train)[1].unlabelled
    assert facts is not None
    assert (facts["images"], facts["labelled"], facts["left_out"]) == (24, 24, 0.0)
    assert {name: each["images"] for name, each in facts["classes"].items()} == {"apple": 8, "fig": 8, "pear": 8}
    assert all(0 < each["certainty"] <= 1 for each in facts["classes"].values())


def test_a_network_learns_from_images_without_a_label(tmp_path: Path, unlabelled_wins: None) -> None:
    """Its loss on dev falls, and the share of them that it learns from is told of each epoch."""
    fit = fitted(tmp_path, settings(unlabelled={**PAIRS, "epochs": 2.0}, epochs=8))[1]
    assert len(fit.epochs) == 8 + 16
    assert fit.epoch >= 8
    used = [epoch["train/unlabelled_used"] for epoch in fit.epochs]
    assert used[:8] == [0] * 8
    assert 0 < used[8] <= used[-1] == 1
    assert fit.epochs[-1]["dev/loss"] < fit.epochs[0]["dev/loss"]


def test_images_of_which_no_label_is_certain_change_nothing(tmp_path: Path) -> None:
    train = settings(unlabelled={**PSEUDO, "neighbours": 32, "threshold": 1.0}, epochs=1)
    model, fit = fitted(tmp_path, train)
    assert fit.unlabelled is not None
    assert (fit.unlabelled["labelled"], fit.unlabelled["kept"]) == (0, False)
    assert "dev_with" not in fit.unlabelled
    assert model == save_model(fit_model(prepared(tmp_path, train), train, METRIC, Engine(1))[0])


def test_without_such_images_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.unlabelled is pseudo_labels, and no production image without a label"):
        prepared(tmp_path, settings(unlabelled=PSEUDO), unlabelled=0)
    assert prepared(tmp_path, settings(), unlabelled=0).unlabelled is None
    assert prepared(tmp_path, settings(), unlabelled=3).unlabelled is None


def test_baselines_have_no_variants_to_agree_on() -> None:
    with pytest.raises(
        ValidationError, match="unlabelled consistency needs a network, and model is logistic_regression"
    ):
        TrainParams.model_validate({**settings().model_dump(), "model": BASELINE, "unlabelled": PAIRS})


def test_a_factory_is_asked_for_its_logits() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 3)))
    assert semi_supervised._output_layer(network, own=True) == 2
    assert semi_supervised._output_layer(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), own=False) == 1


def test_each_way_says_whether_it_learns() -> None:
    assert [name for name, row in UNLABELLED.items() if not row.learns] == [FROM_LABELLED_ALONE]
    assert {name: row.learns for name, row in UNLABELLED.items()} == {
        "none": False,
        "pseudo_labels": True,
        "consistency": True,
    }
    assert replace(UNLABELLED["pseudo_labels"], propose=None).learns is False
