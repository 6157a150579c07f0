"""Whole fits of each ensemble to small pictures: what they give, keep on disk, and give again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.data import loader
from pipeline.errors import ParamsError
from pipeline.manifest import BALANCED
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import Limit
from pipeline.models.ensembles import EnsembleNetwork
from pipeline.models.files import load_model, save_model
from pipeline.store.shards import ShardReader
from pipeline.training import features
from pipeline.training.ensembles import fits as fits_module
from pipeline.training.ensembles.fits import Fits, Told
from pipeline.training.ensembles.limits import check_limits_can_hold
from pipeline.training.ensembles.rendering import report_of, sentence_of
from pipeline.training.ensembles.setup import EnsembleFit, Setup, fit_any
from pipeline.training.fit_data import FitParams, training_data
from pipeline.training.fitting import fit_model
from pipeline.workers.engine import Engine
from tests.examples import params, striped, with_columns
from tests.fits import ADAMW
from tests.stored import SIZE, stored, with_copies

CENTROID = {"name": "nearest_centroid", "features": {"name": "pixels", "side": 4}}
FOREST = {
    "name": "random_forest",
    "features": {"name": "pixels", "side": 4},
    "n_estimators": 4,
    "min_samples_leaf": 1,
}
FROZEN = {"name": "efficientnet_lite0", "trained": "head", "input": 32, "dropout": {"head": 0.2}}
ON_EMBEDDING = {"name": "nearest_centroid", "features": {"name": "embedding", "input": 32}}
SMALL: dict[str, Any] = {
    "model.width": 4,
    "model.dropout.blocks": 0.1,
    "epochs": 2,
    "batch_size": 16,
    "optimizer": ADAMW,
    "learning_rate": 0.01,
}
ALWAYS = {"use": "always", "folds": 2}
MEMBERS: list[dict[str, Any]] = [{}, {"seed": 2}, {"seed": 3}]
# It sees halves of pictures, by which two of three classes look alike.
WEAK = {"name": "nearest_centroid", "features": {"name": "pixels", "side": 2}}
SGDR = {"name": "sgdr", "first": 1, "factor": 1, "final": 0.0}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """36 pictures under much noise, each with a variant; dev is the same pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    made = [striped(number % 3, seed=number, noise=100) for number in range(36)]
    return stored(folder, made), folder


def setup_of(images: tuple[pd.DataFrame, Path], ensemble: Any, kept: Path, engine: int = 1, **changes: Any) -> Setup:
    manifest, folder = images
    values = {**SMALL, "ensemble": ensemble, **changes}
    chosen = params(**{"ingest.size": SIZE, **{f"train.{name}": value for name, value in values.items()}})
    sections = chosen.train, chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing
    fit_params = FitParams(*sections, chosen.problem)
    reader = ShardReader(folder)
    data = training_data(with_columns(with_copies(manifest, 1), BALANCED), manifest, reader, fit_params)
    fits = Fits(data, fit_params, kept, Engine(engine))
    metric = metric_of(fit_params.optimizing, data.classes)
    return Setup(data, fit_params, metric, Engine(engine), None, fits, lambda _: None)


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "voting": ({"name": "voting", "members": MEMBERS, **ALWAYS}, {}),
    "stacking": ({"name": "stacking", "members": MEMBERS, "gate": "facts", **ALWAYS}, {}),
    "bagging": ({"name": "bagging", "count": 3, **ALWAYS}, {}),
    "boosting": ({"name": "boosting", "rounds": 2, **ALWAYS}, {"model": WEAK}),
    "snapshots": ({"name": "snapshots", "count": 2, "use": "always"}, {"schedule": SGDR}),
    "average_weights": (
        {"name": "average_weights", "method": {"name": "ema", "decay": 0.9}, "use": "always"},
        {},
    ),
}


@pytest.fixture
def pixels(images: tuple[pd.DataFrame, Path]) -> torch.Tensor:
    made = np.stack([striped(number % 3, seed=500 + number) for number in range(12)])
    return torch.from_numpy(made).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_one_model_and_the_same_each_time(
    kind: str, images: tuple[pd.DataFrame, Path], tmp_path: Path, pixels: torch.Tensor
) -> None:
    ensemble, changes = KINDS[kind]
    found = fit_any(setup_of(images, ensemble, tmp_path / "one", **changes))
    assert found.outcome is not None
    assert found.outcome.kept, found.outcome
    assert isinstance(found.model.network, EnsembleNetwork) == (kind != "average_weights")
    assert sum(row["weight"] for row in found.outcome.members) > 0
    file = save_model(found.model)
    again = load_model(file)
    with torch.inference_mode():
        np.testing.assert_allclose(again.network(pixels).softmax(dim=1).sum(dim=1), 1, atol=1e-5)
    assert save_model(fit_any(setup_of(images, ensemble, tmp_path / "other", **changes)).model) == file


def test_workers_change_nothing(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    ensemble, _ = KINDS["voting"]
    one, two = (fit_any(setup_of(images, ensemble, tmp_path / str(count), count)) for count in (1, 2))
    assert save_model(one.model) == save_model(two.model)
    assert one.outcome == two.outcome


def test_without_an_ensemble_the_model_is_what_it_was(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    setup = setup_of(images, {"name": "none"}, tmp_path / "kept")
    found = fit_any(setup)
    alone, _ = fit_model(setup.data, setup.train, setup.metric, Engine(1))
    assert save_model(found.model) == save_model(alone)
    assert not (tmp_path / "kept").exists()
    assert (sentence_of(found.outcome), report_of(found.outcome)["name"]) == ("", "none")


@pytest.mark.parametrize("kind", KINDS)
def test_where_it_does_not_help_the_single_model_is_kept(
    kind: str, images: tuple[pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be without an ensemble, byte by byte."""
    ensemble, changes = KINDS[kind]
    if "members" in ensemble:
        ensemble = {**ensemble, "members": [{"seed": 2}, {"seed": 3}]}
        changes = {**changes, "seed": 2}
    monkeypatch.setattr("pipeline.training.ensembles.gain.Gain.beyond_noise", property(lambda _: False))
    found = fit_any(setup_of(images, {**ensemble, "use": "if_better"}, tmp_path / "kept", **changes))
    assert found.outcome is not None
    assert not found.outcome.kept
    [kept] = [row["member"] for row in found.outcome.members if row["weight"] == 1]
    seed = {"seed: 2": 2, "seed: 3": 3}.get(str(kept))
    changes = {**changes, **({"seed": seed} if seed else {})}
    single = fit_any(setup_of(images, {"name": "none"}, tmp_path / "none", **changes))
    assert save_model(found.model) == save_model(single.model)
    assert "no ensemble" in sentence_of(found.outcome)
    assert "not lower beyond noise" in sentence_of(found.outcome)


def test_another_choice_of_members_fits_the_new_ones_alone(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    ensemble = {"name": "voting", "members": MEMBERS, **ALWAYS, "max_members": 3}
    first = setup_of(images, ensemble, tmp_path)
    fit_any(first)
    first.fits.drop_stale()
    again = setup_of(images, ensemble, tmp_path)
    fit_any(again)
    assert (first.fits.made > 6, again.fits.made) == (True, 0)
    assert again.fits.seconds == pytest.approx(first.fits.seconds)
    stacked = setup_of(images, {"name": "stacking", "members": [*MEMBERS, {"model": FOREST}], **ALWAYS}, tmp_path)
    fit_any(stacked)
    # The forest out of fold, and it and whatever voting did not take fitted to all.
    assert 2 <= stacked.fits.made <= 2 + 4


def test_a_run_that_was_killed_goes_on_with_what_is_missing(
    images: tuple[pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble, _ = KINDS["voting"]
    whole = save_model(fit_any(setup_of(images, ensemble, tmp_path / "whole")).model)
    left, predicted = iter(range(3)), fits_module._predicted

    def killed(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return predicted(*arguments)

    monkeypatch.setattr(fits_module, "_predicted", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_any(setup_of(images, ensemble, tmp_path / "killed"))
    monkeypatch.undo()
    goes_on = setup_of(images, ensemble, tmp_path / "killed")
    assert save_model(fit_any(goes_on).model) == whole
    all_fits = setup_of(images, ensemble, tmp_path / "third")
    fit_any(all_fits)
    assert goes_on.fits.made == all_fits.fits.made - 3


def test_fits_to_other_rows_go_once_a_run_is_finished(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    (tmp_path / "older").mkdir()
    (tmp_path / "older/fit.pt").write_bytes(b"1")
    setup = setup_of(images, KINDS["bagging"][0], tmp_path, model=CENTROID)
    fit_any(setup)
    setup.fits.drop_stale()
    [folder] = tmp_path.iterdir()
    assert folder.name != "older"
    assert {path.suffix for path in folder.iterdir()} == {".pt"}


def test_frozen_layers_see_each_picture_once_for_all_members(
    images: tuple[pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    distinct = loader.distinct_pictures

    def counted(dataset: Any, *others: Any) -> Any:
        asked.append(len(dataset))
        return distinct(dataset, *others)

    monkeypatch.setattr(features, "distinct_pictures", counted)
    ensemble = {"name": "voting", "members": [{}, {"model": ON_EMBEDDING}], **ALWAYS}
    setup = setup_of(images, ensemble, tmp_path, model=FROZEN)
    found = fit_any(setup)
    assert asked == [72, 36]
    assert isinstance(found.model.network, EnsembleNetwork)
    assert len(found.model.network.stems) == 1


def limit(name: str, most: float) -> dict[str, Limit]:
    return {"small": Limit.model_validate({"metric": {"name": name}, "min": None, "max": most})}


def test_a_limit_that_no_ensemble_can_hold_is_said_before_training(
    images: tuple[pd.DataFrame, Path], tmp_path: Path
) -> None:
    said: list[str] = []
    setup = setup_of(images, KINDS["voting"][0], tmp_path)
    setup = Setup(setup.data, setup.params, setup.metric, setup.engine, None, setup.fits, said.append)
    check_limits_can_hold(setup, limit("model_megabytes", 10.0))
    assert said == []
    check_limits_can_hold(setup, limit("latency_p95_ms", 10_000.0))
    bags = setup_of(images, {"name": "bagging", "count": 20}, tmp_path)
    one = len(save_model(fit_any(setup_of(images, {"name": "none"}, tmp_path)).model)) / 1e6
    with pytest.raises(ParamsError, match=r"takes at least .* MB, with 20 members, and evaluate\.satisficing\.small"):
        check_limits_can_hold(bags, limit("model_megabytes", 2 * one))
    boosting = setup_of(images, {"name": "boosting", "rounds": 20}, tmp_path)
    boosting = Setup(boosting.data, boosting.params, boosting.metric, boosting.engine, None, boosting.fits, said.append)
    check_limits_can_hold(boosting, limit("model_megabytes", 4 * one))
    assert len(said) == 1
    assert "with 20 members the ensemble takes" in said[0]


def test_training_that_ends_early_leaves_nothing_to_average(images: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    swa = {"name": "average_weights", "method": {"name": "swa", "start": 0.9}}
    found: EnsembleFit = fit_any(setup_of(images, swa, tmp_path, epochs=20, patience=1, learning_rate=1e-6))
    assert found.outcome is not None
    assert "before there was anything to combine" in found.outcome.why


def test_it_is_told_how_many_models_are_to_be_fitted_and_are_left() -> None:
    lines: list[str] = []
    times = iter([0.0, 20.0, 40.0, 60.0, 80.0])
    told = Told("ensemble: out of fold", 4, 1, lines.append, lambda: next(times))
    for _ in range(4):
        told.count(None, None)
    assert lines == [
        "train: ensemble: out of fold: 4 models to fit, 1 kept from before",
        "train: ensemble: out of fold: 2 of 4 models fitted, less than a minute left",
    ]
