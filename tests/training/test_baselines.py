"""Baselines: what scikit-learn learnt, as tensors, is what is stored, loaded and used."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression as Logistic

from pipeline.errors import DataError
from pipeline.models.baselines import BASELINES as TABLE_OF_BASELINES
from pipeline.models.baselines import Baseline, features_of
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.prediction import predict
from pipeline.randomness import keyed_seed
from pipeline.training.baselines import TrainRows, fit_baseline
from pipeline.training.training import Fit
from tests.examples import params
from tests.fits import CLASSES, DEV, images, loader, measured, metric_named, train_params, weights

TRAIN = images(40, seed=1)
PIXELS = {"name": "pixels", "side": 4}
BASELINES: dict[str, dict[str, Any]] = {
    "majority_class": {},
    "nearest_centroid": {"features": PIXELS},
    "logistic_regression": {"features": PIXELS, "c": 1.0},
    "random_forest": {"features": PIXELS, "n_estimators": 20, "min_samples_leaf": 2},
    "gradient_boosting": {"features": PIXELS, "max_iter": 5, "max_leaf_nodes": 7, "learning_rate": 0.3},
}
LEARNING = [name for name in BASELINES if name != "majority_class"]


def baseline(name: str, classes: int = CLASSES, **extra_columns: Any) -> Fit:
    train = train_params(model={"name": name, **BASELINES[name], **extra_columns})
    assert isinstance(train.model, Baseline)
    rows = torch.utils.data.TensorDataset(*(part[TRAIN.tensors[1] < classes] for part in TRAIN.tensors))
    dev = torch.utils.data.TensorDataset(*(part[DEV.tensors[1] < classes] for part in DEV.tensors))
    ones = np.ones(len(rows), np.float32)
    metric = metric_named("accuracy")
    rows_of_train = TrainRows(loader(rows), ones, ones > 0)
    return fit_baseline(train.model, rows_of_train, loader(dev), train, metric, classes, lambda _: None)


def probabilities(fit: Fit, classes: int = CLASSES) -> Any:
    dev = DEV.tensors[0][DEV.tensors[1] < classes]
    return predict(fit.network, [(dev, torch.zeros(len(dev)))], 1, lambda _: None)


def test_every_baseline_is_tried() -> None:
    assert list(BASELINES) == [name for name, row in TABLE_OF_BASELINES.items() if row.fit is not None]


@pytest.mark.parametrize("name", LEARNING)
def test_every_baseline_learns_what_can_be_learnt_and_twice_alike(name: str) -> None:
    first, second = baseline(name), baseline(name)
    assert measured(first.network, images(20, seed=3)) > 0.9
    assert weights(first.network) == weights(second.network)
    (epoch,) = first.epochs
    assert epoch["dev/optimizing"] == pytest.approx(measured(first.network, DEV))
    assert 0 <= epoch["train/loss"] < 1.2


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("classes", [2, 3])
def test_loaded_baseline_is_the_saved_one(name: str, classes: int) -> None:
    fit = baseline(name, classes)
    changes = {"ingest.size": 16, "train.model": {"name": name, **BASELINES[name]}}
    chosen = params(**changes)
    names = ("apple", "fig", "pear")[:classes]
    data = save_model(TrainedModel(fit.network, names, chosen.ingest, chosen.train.model))
    loaded = load_model(data)
    assert (loaded.classes, loaded.params) == (names, chosen.train.model)
    np.testing.assert_array_equal(
        predict(loaded.network, [(DEV.tensors[0], DEV.tensors[1])], 1, lambda _: None),
        predict(fit.network, [(DEV.tensors[0], DEV.tensors[1])], 1, lambda _: None),
    )
    assert save_model(loaded) == data
    with pytest.raises(DataError, match=r"^the model file is damaged"):
        load_model(data[:-9])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logistic_regression", "random_forest", "gradient_boosting"])
def test_probabilities_are_those_of_scikit_learn(name: str, classes: int) -> None:
    seed = keyed_seed(train_params().seed, "baseline")
    theirs: dict[str, Any] = {
        "logistic_regression": Logistic(C=1.0, max_iter=300),
        "random_forest": RandomForestClassifier(20, min_samples_leaf=2, random_state=seed),
        "gradient_boosting": HistGradientBoostingClassifier(
            learning_rate=0.3, max_iter=5, max_leaf_nodes=7, early_stopping=False, random_state=seed
        ),
    }
    model = train_params(model={"name": name, **BASELINES[name]}).model
    assert isinstance(model, Baseline)
    features = features_of(model)
    keep, dev = TRAIN.tensors[1] < classes, DEV.tensors[1] < classes
    seen, new = (features(rows.tensors[0][kept]).numpy() for rows, kept in ((TRAIN, keep), (DEV, dev)))
    if name == "logistic_regression":
        mean, deviation = seen.mean(axis=0), seen.std(axis=0)
        seen, new = (seen - mean) / deviation, (new - mean) / deviation
    expected = theirs[name].fit(seen, TRAIN.tensors[1][keep].numpy()).predict_proba(new)
    np.testing.assert_allclose(probabilities(baseline(name, classes), classes), expected, atol=2e-4)


def test_majority_is_counted_without_repeats() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 1])
    rows = torch.utils.data.TensorDataset(TRAIN.tensors[0][:6], labels)
    train = train_params(model={"name": "majority_class"})
    assert isinstance(train.model, Baseline)
    first = np.array([True, True, True, False, False, False])
    rows_of_train = TrainRows(loader(rows), np.ones(6, np.float32), first)
    found = fit_baseline(train.model, rows_of_train, loader(DEV), train, metric_named("accuracy"), 3, lambda _: None)
    assert probabilities(found).argmax(axis=1).tolist() == [0] * len(DEV)


def test_colours_do_not_see_places() -> None:
    model = train_params(model={"name": "nearest_centroid", "features": {"name": "colours", "bins": 4}}).model
    assert isinstance(model, Baseline)
    features = features_of(model)
    pixels = TRAIN.tensors[0][:5]
    torch.testing.assert_close(features(pixels), features(pixels.flip(2).transpose(2, 3)))
    torch.testing.assert_close(features(pixels).sum(dim=1), torch.ones(5))
    assert features(pixels).shape == (5, 64)


@pytest.mark.parametrize("name", ["left", "roots", "feature", "depth"])
def test_a_tree_that_leads_nowhere_is_a_damaged_file(name: str) -> None:
    fit = baseline("random_forest")
    chosen = params(**{"ingest.size": 16, "train.model": {"name": "random_forest", **BASELINES["random_forest"]}})
    fit.network.get_buffer(f"1.{name}").view(-1)[0] = 10**6
    data = save_model(TrainedModel(fit.network, ("a", "b", "c"), chosen.ingest, chosen.train.model))
    with pytest.raises(DataError, match=r"^the model file is damaged .*names what is not there"):
        load_model(data)
