"""What every row of every table of levers must do, whatever it is: fit, count, draw, plan, advise."""

import inspect
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pipeline.diagnosis import data_changes, shortcut_changes, training_changes
from pipeline.diagnosis.param_changes import changed, sections_of, values_of
from pipeline.errors import ParamsError
from pipeline.issues import ISSUES
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import metric_of, plain_metrics
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions
from pipeline.models.baseline_fits import Rows
from pipeline.models.baselines import BASELINES, FEATURES, Baseline, Features, baseline_of, features_of
from pipeline.models.building import build_model
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.models.params import AnyModel
from pipeline.registry import Choice, Registry
from pipeline.stages.augment.copies import COPIES, Copies, plan_copies
from pipeline.stages.balance.balancing import choose_rows
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.balance.strategies import STRATEGIES, Strategy
from pipeline.stages.balance.targets import TARGETS, Target
from pipeline.stages.train.params import TrainParams
from pipeline.training.loss_functions import LOSSES
from pipeline.training.mixing import MIXINGS, Mixing, mix
from pipeline.training.optimizers import OPTIMIZERS, Optimizer, build_optimizer
from pipeline.training.schedules import SCHEDULES, Schedule, rate_factor
from pipeline.transforms.params import PresetName, expand
from pipeline.transforms.presets import PRESETS
from pipeline.transforms.transforms import build_transform
from tests.diagnosis.cases import run_of
from tests.examples import params_values
from tests.levers import EXAMPLES, NUMBERS, example

CLASSES = ("apple", "fig", "pear")
PIXELS = torch.arange(6 * 3 * 16 * 16).reshape(6, 3, 16, 16).remainder(251).to(torch.uint8)


def each(table: Registry[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", list(table.values()), ids=list(table))


# What each does


def layers() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@each(OPTIMIZERS)
def test_an_optimizer_takes_each_parameter_once_and_moves_it(row: Choice[Optimizer]) -> None:
    network = layers()
    network[1].bias.requires_grad_(False)  # type: ignore[index]
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = build_optimizer(network, example(row), 0.1)
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters() if parameter.requires_grad)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    (network(torch.randn(5, 3, generator=torch.Generator().manual_seed(1))) ** 3).sum().backward()
    optimizer.step()
    moved = [not torch.equal(parameter, old) for parameter, old in zip(network.parameters(), before, strict=True)]
    assert moved == [True, False, True, True, True, True]


@each(SCHEDULES)
def test_a_schedule_starts_at_the_full_rate_and_stays_within_it(row: Choice[Schedule]) -> None:
    rates = [rate_factor(example(row), 0.0, 8, epoch, batch, 4) for epoch in range(8) for batch in range(4)]
    assert rates[0] == 1
    assert all(0 <= rate <= 1 for rate in rates)


@pytest.mark.parametrize("name", [name for name, row in SCHEDULES.items() if row.needs_epochs])
def test_a_schedule_that_needs_epochs_is_told_if_there_are_none(name: str) -> None:
    param = str(SCHEDULES[name].needs_epochs)
    values = {**params_values()["train"], "schedule": {"name": name, **EXAMPLES[name], param: 12}, "epochs": 12}
    with pytest.raises(ValidationError, match=rf"schedule\.{param} must be below the 12 epochs after warm-up, got 12"):
        TrainParams.model_validate(values)


@each(MIXINGS)
def test_mixing_keeps_the_batch_or_pairs_its_rows(row: Choice[Mixing]) -> None:
    mixed = mix(PIXELS, example(row), 1, 0, 0)
    if mixed is not None:
        assert mixed.pixels.shape == PIXELS.shape
        assert sorted(mixed.partners.tolist()) == list(range(len(PIXELS)))
        assert 0 <= mixed.share <= 1
    assert (mixed is None) == (row.name == "none")


@each(NETWORKS)
def test_a_network_has_a_logit_for_each_class(row: Any) -> None:
    network = build_model(example(row), 3, 16, np.zeros(3), np.ones(3), 1).eval()
    assert network(PIXELS).shape == (6, 3)
    assert issubclass(row.params, Network)
    assert row.wider is None or row.wider(4) > 4
    changed = {**example(row).model_dump(), **(row.instead or {})}
    known = NETWORKS[changed["name"]].params.model_fields
    assert TypeAdapter[Any](AnyModel).validate_python({name: changed[name] for name in known})


@each(BASELINES)
def test_a_baseline_is_fitted_and_stored_as_tensors(row: Any) -> None:
    model: Baseline = example(row)
    labels = np.arange(6) % 3
    features = features_of(model)(PIXELS).numpy()
    ones = np.ones(6, np.float32)
    if row.fit_numbers is not None:
        numbers = row.fit_numbers(model, Rows(features, labels.astype(np.float32), ones, ones > 0), 1)
        assert baseline_of(model, numbers)(PIXELS).shape == (6, 1)
    if row.fit is None:
        return
    tensors = row.fit(model, Rows(features, labels, ones, ones > 0), 3, 1)
    network = baseline_of(model, tensors)
    assert {name.removeprefix("1."): value for name, value in network.state_dict().items()}.keys() == tensors.keys()
    assert network(PIXELS).shape == (6, 3)
    assert torch.isfinite(network(PIXELS)).all()


@each(FEATURES)
def test_features_are_numbers_of_each_picture_by_itself(row: Any) -> None:
    seen: Features = example(row)
    layer = row.layer(seen)
    assert layer(PIXELS).ndim == 2
    torch.testing.assert_close(layer(PIXELS[2:3]), layer(PIXELS)[2:3])


def answers(share: float, seed: int = 1) -> Predictions:
    """Images of which so many are called right; of two classes or of three."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(CLASSES), size=300)
    probabilities = generator.dirichlet(np.ones(len(CLASSES)), size=300)
    right = generator.random(300) < share
    probabilities[right] = (0.1 * probabilities + 0.9 * np.eye(len(CLASSES))[labels])[right]
    return Predictions(CLASSES, labels, probabilities.argmax(axis=1), probabilities)


@each(METRICS)
def test_a_metric_knows_what_is_better_and_has_an_interval(row: Any) -> None:
    choice: MetricParams = example(row)
    if row.of_numbers is not None:
        with pytest.raises(ParamsError, match=r"is about numbers \(problem regression\): take another one"):
            metric_of(choice, CLASSES)
        return
    if row.of_sets is not None:
        assert row.of_matrices is None
        assert row.of_rows is None
        with pytest.raises(ParamsError, match="is for images with several labels"):
            metric_of(choice, CLASSES)
        return
    if row.classes is not None:
        assert len(list(plain_metrics(CLASSES[: row.classes]))) == len(list(plain_metrics(CLASSES))) + 1
        return
    assert (row.of_matrices is None) != (row.of_rows is None)
    metric = metric_of(choice, CLASSES if row.name != "class_pr_auc" else ("0", "1", "2"))
    good, poor = (metric.value(answers(share)) for share in (0.9, 0.3))
    assert metric.better(good, poor)
    assert metric.maximise or not row.is_share
    assert not row.is_share or all(0 <= value <= 1 for value in (good, poor, metric.value(answers(0, seed=3))))
    resampled = metric.resampled(answers(0.9), pd.Series(map(str, range(300))), 200, 1, "dev")
    assert np.quantile(resampled, 0.01) < good < np.quantile(resampled, 0.99)
    assert not metric.better(float(np.median(resampled)), metric.value(perfect()))


def perfect() -> Predictions:
    labels = answers(1).labels
    return Predictions(CLASSES, labels, labels, np.eye(len(CLASSES))[labels])


def test_a_metric_without_arguments_may_stand_as_its_bare_name() -> None:
    for name, row in METRICS.items():
        if set(row.params.model_fields) == {"name"}:
            assert TypeAdapter[Any](AnyMetric).validate_python(name) == row.params(name=name)


def manifest(sizes: dict[str, int]) -> pd.DataFrame:
    """Rows of train, a production one after two raw ones."""
    rows = [
        {"id": f"{label}-{number:02}", "label": label, "role": "production" if number % 3 == 2 else "raw"}
        for label, size in sizes.items()
        for number in range(size)
    ]
    return pd.DataFrame(rows).assign(split="train")


@each(STRATEGIES)
def test_a_strategy_keeps_every_class_and_does_not_depend_on_the_order_of_rows(row: Any) -> None:
    rows = manifest({"apple": 20, "fig": 8, "pear": 12})
    params = BalanceParams(seed=1, production_weight=1.0, strategy=example(row))
    pictures = np.random.default_rng(1).integers(0, 255, (len(rows), 4), dtype=np.uint8)
    pictures[:, 0] = rows["label"].map({"apple": 40, "fig": 60, "pear": 90}) + pictures[:, 0] % 40
    chosen = choose_rows(rows, params, lambda places: pictures[places])
    order = np.random.default_rng(2).permutation(len(rows))
    again = choose_rows(rows.iloc[order].reset_index(drop=True), params, lambda places: pictures[order][places])
    ids = rows["id"].to_numpy()
    assert set(rows["label"].iloc[chosen.rows]) == {"apple", "fig", "pear"}
    assert sorted(ids[chosen.rows]) == sorted(ids[order][again.rows])
    assert chosen.weights.mean() == pytest.approx(1)
    # The smallest class loses nothing.
    assert (rows["label"].iloc[chosen.rows] == "fig").sum() >= 8
    strategy: Strategy = example(row)
    assert (row.sizes(strategy, np.array([20, 8, 12])) > 0).all()


@each(TARGETS)
def test_a_target_is_a_number_of_rows(row: Any) -> None:
    target: Target = example(row)
    assert row.rows(target, np.array([20, 8, 12]), lambda ratio: round(20 * ratio)) in {5, 8, 10, 12, 20}
    assert row.raises or row.lowers


@each(COPIES)
def test_a_policy_plans_variants_and_says_whether_it_asks_for_any(row: Any) -> None:
    copies: Copies = example(row)
    rows = manifest({"apple": 4, "fig": 2}).assign(copy=np.int32(0), weight=np.float32(1))
    planned = plan_copies(rows, copies, 1)
    assert row.makes_any(copies) == (len(planned) > len(rows))
    assert (planned["copy"] == 0).sum() == len(rows)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_list_of_transforms(name: str) -> None:
    assert len(build_transform(expand([PresetName(preset=name)]))) == len(PRESETS[name].transforms)


FACTS = ("blur", "luma_1", "luma_5", "luma_99", "information", "colour_99", "width", "height")


@pytest.mark.parametrize("name", ISSUES)
def test_an_issue_has_a_value_of_each_image_and_a_level(name: str) -> None:
    images = pd.DataFrame({"source": ["web"] * 3, **{fact: [10.0, 20.0, 40.0] for fact in FACTS}})
    values = ISSUES[name].value(images)
    assert values.shape == (3,)
    found = ISSUES[name].found(values, float(np.median(values)))
    assert found.sum() <= 1
    level = params_values()["curate"]["issues"][name]
    assert TypeAdapter(ISSUES[name].level).validate_python(level) == level


# Advice


PLACES: list[tuple[str, Registry[Any]]] = [
    ("augment.copies", COPIES),
    ("balance.strategy", STRATEGIES),
    ("evaluate.optimizing", METRICS),
    ("train.loss", LOSSES),
    ("train.mixing", MIXINGS),
    ("train.model", BASELINES),
    ("train.model", NETWORKS),
    ("train.optimizer", OPTIMIZERS),
    ("train.schedule", SCHEDULES),
]


@pytest.mark.parametrize(
    ("place", "row"),
    [pytest.param(place, row, id=f"{place}: {row.name}") for place, table in PLACES for row in table.values()],
)
def test_advice_can_follow_any_choice(place: str, row: Choice[Any]) -> None:
    """What it would change is there, and the new value breaks no rule."""
    costs = {"evaluate.optimizing": example(METRICS["mean_cost"]).model_dump(mode="json")}
    of_numbers = [getattr(row, name, None) for name in ("of_numbers", "of_errors")]
    beside = NUMBERS if any(of_numbers) or getattr(row, "fit", ...) is None else costs if place == "train.loss" else {}
    run = run_of(**{**beside, place: example(row).model_dump(mode="json")})
    advice = [
        function
        for module in (data_changes, shortcut_changes, training_changes)
        for function in vars(module).values()
        if inspect.isfunction(function) and list(inspect.signature(function).parameters) == ["run"]
    ]
    changes = [each for each in (function(run) for function in advice) if each]
    assert changes
    for each in changes:
        after = changed(values_of(run), each)
        for name, section in sections_of(run).items():
            type(section).model_validate(after[name])


@pytest.mark.parametrize(
    "name", [name for name, row in OPTIMIZERS.items() if "weight_decay" in row.params.model_fields]
)
def test_advice_on_decay_is_on_the_optimizers_own(name: str) -> None:
    run = run_of(**{"train.optimizer": {"name": name, **EXAMPLES[name], "weight_decay": 0.5}})
    assert training_changes.more_decay(run) == {"train.optimizer.weight_decay": 5}
