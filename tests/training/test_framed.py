"""Models that know how classes relate learn what they are for, and are fitted like any others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from pipeline.data.predictions import predict_rows
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import checked_predictions
from pipeline.problem.class_tree import checked_tree, leaves
from pipeline.problem.framing import Framing, Nested, Ranked
from pipeline.problem.problem import framed as framed_classes
from pipeline.store.shards import ShardReader
from pipeline.training import framed
from pipeline.training.embedded import Rows, cross_fitted, linear
from pipeline.training.fit_data import FitParams, training_data
from pipeline.training.fitting import fit_model
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.fits import ADAMW
from tests.stored import SIZE, stored, with_copies

TREE = checked_tree({"fruit": {"pome": ["apple", "pear"], "fig": None}, "car": None})
NESTED = Nested(name="nested", output="cascade", tree=TREE)
RANKED = Ranked(name="ranked", output="cumulative")


def ordered(images: int, seed: int, classes: int = 4, apart: float = 2.0) -> Rows:
    """Vectors along one direction, cut into classes of equal size."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(0, 1, (images, 16))
    numbers = apart * vectors[:, 0] + generator.logistic(0, 1, images)
    labels = np.searchsorted(np.quantile(numbers, np.arange(1, classes) / classes), numbers)
    return Rows(vectors.astype(np.float32), labels, np.ones(images, np.float32), np.arange(images).astype(str), classes)


def test_the_slopes_of_the_cumulative_loss_are_right() -> None:
    generator = np.random.default_rng(0)
    numbers, ranks, weights = generator.normal(size=12), generator.integers(0, 4, 12), generator.random(12)
    cuts = np.array([-1.0, 0.3, 1.5])

    def of_cuts(place: Any) -> Any:
        return framed._log_losses(numbers, place, ranks, weights)

    def of_numbers(place: Any) -> Any:
        return framed._log_losses(place, cuts, ranks, weights)

    assert check_grad(lambda at: of_cuts(at)[0], lambda at: of_cuts(at)[2], cuts) < 1e-5
    assert check_grad(lambda at: of_numbers(at)[0], lambda at: of_numbers(at)[1], numbers) < 1e-5


def test_of_planted_ranks_a_cumulative_link_finds_the_direction() -> None:
    rows, others = ordered(300, 0), ordered(2000, 1)
    found = framed.cumulative_link(rows, 0.03, others.vectors)
    assert np.allclose(found.sum(axis=1), 1)
    own = np.arange(len(others.labels)), others.labels
    plain = linear(rows, 0.03, others.vectors)
    assert -np.log(found[own]).mean() < -np.log(plain[own]).mean()


@pytest.mark.parametrize("framing", [RANKED, NESTED])
def test_models_of_framings_take_weights_groups_and_classes_without_rows(framing: Framing) -> None:
    rows = ordered(120, 0)
    found = cross_fitted(framed.embedded_model(framing), rows, rows.vectors, seed=1, threads=1)
    assert np.allclose(found.own.sum(axis=1), 1)
    assert (found.own.argmax(axis=1) == rows.labels).mean() > 0.4
    few = rows.part(rows.labels != 2)
    absent = framed.embedded_model(framing).fit(few, 0.03, rows.vectors)
    assert (absent[:, 2] == 0).all()
    assert np.allclose(absent.sum(axis=1), 1)
    one = framed.embedded_model(framing).fit(rows.part(rows.labels == 1), 0.03, rows.vectors)
    assert (one[:, 1] == 1).all()
    vectors, labels, weights, groups = (
        np.repeat(each, 2, axis=0) for each in (rows.vectors, rows.labels, rows.weights, rows.groups)
    )
    doubled = Rows(vectors, labels, weights, groups, 4)
    heavy = replace(rows, weights=np.full(120, 2, np.float32))
    np.testing.assert_allclose(
        framed.embedded_model(framing).fit(heavy, 0.003, rows.vectors),
        framed.embedded_model(framing).fit(doubled, 0.003, rows.vectors),
        atol=0.02,
    )


def test_a_cascade_has_a_model_a_group() -> None:
    """The first choice is that of a model of the widest groups alone."""
    rows = ordered(200, 0)
    found = framed.cascade(TREE)(rows, 0.03, rows.vectors)
    widest = Rows(rows.vectors, np.where(rows.labels == 3, 1, 0), rows.weights, rows.groups, 2)
    np.testing.assert_allclose(found[:, :3].sum(axis=1), linear(widest, 0.03, rows.vectors)[:, 0])
    assert leaves(TREE)[3] == "car"


@pytest.mark.parametrize(
    "problem",
    [
        {"name": "ordinal", "order": ["pear", "apple", "fig"]},
        {"name": "hierarchy", "tree": {"pome": ["pear", "apple"], "fig": None}},
    ],
    ids=["ordinal", "hierarchy"],
)
def test_a_network_is_fitted_counted_and_asked_in_one_way(problem: dict[str, Any], tmp_path: Path) -> None:
    rows = stored(tmp_path, [striped(number % 3, seed=number) for number in range(60)])
    rows = rows.assign(split=["train" if number < 45 else "dev" for number in range(60)])
    small: dict[str, Any] = {"model.width": 8, "model.depth": 1, "epochs": 6, "batch_size": 15, "learning_rate": 0.03}
    small = {**small, "optimizer": ADAMW, "keep": "last", "patience": None}
    chosen = params(
        **{f"train.{name}": value for name, value in small.items()},
        **{"ingest.size": SIZE, "problem": problem, "evaluate.optimizing": "mean_distance"},
    )
    train = with_copies(rows[rows["split"] == "train"], 0).assign(weight=np.float32(1))
    rules = FitParams(chosen.train, chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing, chosen.problem)
    data = training_data(train, rows, ShardReader(tmp_path), rules)
    assert (data.classes, data.framing) == framed_classes(chosen.problem, ["apple", "fig", "pear"])
    metric = metric_of(rules.optimizing, data.classes)
    trained, fit = fit_model(data, chosen.train, metric, Engine(1))
    assert (trained.classes, trained.framing) == (data.classes, data.framing)
    table = predict_rows(trained, data.dev_rows, data.dev.images, 1, Engine(1), "test")
    value = metric.value(checked_predictions(table, data.classes))
    assert fit.epochs[fit.epoch]["dev/optimizing"] == pytest.approx(value)
    assert value < 0.5
