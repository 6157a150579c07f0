"""Every table of levers keeps its contract: rows are written out, explained, offered in params.yaml, and work."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pipeline.issues import ISSUES
from pipeline.metrics.measures import METRICS, MetricParams
from pipeline.metrics.metric import metric_of, plain_metrics
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions
from pipeline.models.baselines import BASELINES, FEATURES, Baseline, Features, Rows, baseline_of, features_of
from pipeline.models.building import build_model
from pipeline.models.networks import NETWORKS, Network
from pipeline.models.params import AnyModel
from pipeline.registry import Choice, NameOf, Registry, one_of
from pipeline.section import Section
from pipeline.stages.augment.copies import COPIES, Copies, plan_copies
from pipeline.stages.balance.balancing import choose_rows
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.balance.strategies import STRATEGIES, TARGETS, Strategy, Target
from pipeline.stages.train.params import TrainParams
from pipeline.training.mixing import MIXINGS, Mixing, mix
from pipeline.training.optimizers import OPTIMIZERS, Optimizer, build_optimizer
from pipeline.training.schedules import SCHEDULES, Schedule, rate_factor
from pipeline.transforms.params import PresetName, expand
from pipeline.transforms.presets import PRESETS
from pipeline.transforms.transforms import build_transform
from tests.examples import REPOSITORY, params_values

TABLES: dict[str, Registry[Any]] = {
    "pipeline.issues.ISSUES": ISSUES,
    "pipeline.metrics.measures.METRICS": METRICS,
    "pipeline.models.baselines.BASELINES": BASELINES,
    "pipeline.models.baselines.FEATURES": FEATURES,
    "pipeline.models.networks.NETWORKS": NETWORKS,
    "pipeline.stages.augment.copies.COPIES": COPIES,
    "pipeline.stages.balance.strategies.STRATEGIES": STRATEGIES,
    "pipeline.stages.balance.strategies.TARGETS": TARGETS,
    "pipeline.training.mixing.MIXINGS": MIXINGS,
    "pipeline.training.optimizers.OPTIMIZERS": OPTIMIZERS,
    "pipeline.training.schedules.SCHEDULES": SCHEDULES,
    "pipeline.transforms.presets.PRESETS": PRESETS,
}
HEAVY = ("albumentations", "cv2", "dvclive", "imblearn", "lightning", "matplotlib", "scipy", "sklearn", "torch")
SHAPE = {"depth": 1, "width": 4, "activation": "relu", "batch_norm": True, "dropout": {"blocks": 0.1, "head": 0.1}}
SEEN = {"features": {"name": "pixels", "side": 2}}
MEDIAN = {"target": {"name": "median"}}
# Params of each row beside its name, in the order of the tables; rows that are not here have none.
EXAMPLES: dict[str, dict[str, Any]] = {
    "count": {"rows": 5},
    "ratio": {"value": 0.5},
    "class_recall": {"label": "fig"},
    "class_pr_auc": {"label": 1},
    "mean_cost": {"costs": {"fig": {"apple": 5.0}}, "otherwise": 1.0},
    "pixels": {"side": 2},
    "colours": {"bins": 2},
    "nearest_centroid": SEEN,
    "logistic_regression": {**SEEN, "c": 1.0},
    "random_forest": {**SEEN, "n_estimators": 2, "min_samples_leaf": 1},
    "gradient_boosting": {**SEEN, "max_iter": 2, "max_leaf_nodes": 3, "learning_rate": 0.1},
    "cnn": {**SHAPE, "kernel": 3},
    "resnet": {**SHAPE, "kernel": 3, "blocks": 1},
    "mlp": SHAPE,
    "mobilenet_v2": {"weights": "w.pth", "sha256": "0" * 64, "frozen": True, "input": 32, "dropout": {"head": 0.1}},
    "per_image": {"count": 1},
    "per_class": {"counts": {"apple": 2}, "otherwise": 1},
    "up_to": {"rows": 30},
    "oversample": MEDIAN,
    "undersample": MEDIAN,
    "both": MEDIAN,
    "edited_nearest_neighbours": {"neighbours": 2, "drop_if": "any"},
    "neighbourhood_cleaning_rule": {"neighbours": 2},
    "near_miss": {"version": 1, "neighbours": 2, **MEDIAN},
    "mixup": {"alpha": 0.5},
    "cutmix": {"alpha": 0.5},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.9, "momentum": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.99},
    "adamw": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01},
    "nadam": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "decoupled": True},
    "step": {"every": 2, "factor": 0.5},
    "cosine": {"final": 0.1},
    "sgdr": {"first": 2, "factor": 2, "final": 0.0},
}
CHOICES = {place: table for place, table in TABLES.items() if isinstance(next(iter(table.values())), Choice)}
ROWS = [
    pytest.param(table[name], id=f"{place.rpartition('.')[2]}: {name}")
    for place, table in TABLES.items()
    for name in table
]
ROWS_WITH_PARAMS = [
    pytest.param(row, id=f"{place.rpartition('.')[2]}: {row.name}")
    for place, table in CHOICES.items()
    for row in table.values()
]
CLASSES = ("apple", "fig", "pear")
PIXELS = torch.arange(6 * 3 * 16 * 16).reshape(6, 3, 16, 16).remainder(251).to(torch.uint8)


def example(row: Choice[Any]) -> Any:
    """The params of a row."""
    return row.params.model_validate({"name": row.name, **EXAMPLES.get(row.name, {})})


def each(table: Registry[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", list(table.values()), ids=list(table))


# Tables


def assignments() -> Iterator[tuple[str, ast.Call]]:
    """The place and the value of every registry in the package, as its source has it."""
    for path in sorted((REPOSITORY / "pipeline").rglob("*.py")):
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Registry":
                yield f"{module}.{ast.unparse(target)}", value


def test_every_registry_of_the_package_is_tried_here() -> None:
    found = dict(assignments())
    assert sorted(found) == sorted(TABLES)
    for place, table in TABLES.items():
        module, _, name = place.rpartition(".")
        assert getattr(importlib.import_module(module), name) is table


@pytest.mark.parametrize(("place", "call"), [pytest.param(*each, id=each[0]) for each in assignments()])
def test_rows_are_written_out_and_name_their_functions(place: str, call: ast.Call) -> None:
    """So that the version of a stage's code can take in the rows that params choose, and no others."""
    [rows] = call.args
    assert isinstance(rows, ast.Tuple)
    assert len(rows.elts) == len(TABLES[place])
    for row in rows.elts:
        assert isinstance(row, ast.Call)
        assert not any(isinstance(node, ast.Lambda | ast.Starred | ast.Attribute) for node in ast.walk(row))


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^two rows have one name: \['light', 'light'\]$"):
        Registry([PRESETS["light"], PRESETS["light"]])


def test_reading_params_imports_nothing_that_takes_a_second() -> None:
    code = (
        "import sys; from pipeline.project.params_file import load_params; load_params(); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Rows


@pytest.mark.parametrize("row", ROWS_WITH_PARAMS)
def test_params_of_a_row_can_be_built_and_are_explained(row: Choice[Any]) -> None:
    assert example(row).name == row.name
    assert get_args(row.params.model_fields["name"].annotation) == (row.name,)
    assert "__doc__" in vars(row.params)
    assert str(row.params.__doc__).strip().split("\n")[0].endswith(".")
    assert set(row.params.model_fields) == {"name", *EXAMPLES.get(row.name, {})}


@pytest.mark.parametrize("row", ROWS)
def test_params_yaml_or_a_guide_names_each_row(row: Any) -> None:
    texts = [(REPOSITORY / "params.yaml").read_text(encoding="utf-8")]
    texts += [
        path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    ]
    assert any(re.search(rf"(?<![\w-]){re.escape(row.name)}(?![\w-])", text) for text in texts)


@pytest.mark.parametrize("table", CHOICES.values(), ids=CHOICES)
def test_a_row_that_is_not_there_is_answered_with_those_that_are(table: Registry[Any]) -> None:
    choice = TypeAdapter(Annotated[Section, one_of(table)])
    for row in table.values():
        assert choice.validate_python(example(row).model_dump(mode="json")) == example(row)
        assert choice.dump_python(example(row)) == example(row).model_dump()
        assert table.of(example(row)) is row
    with pytest.raises(ValidationError) as caught:
        choice.validate_python({"name": "best"})
    [error] = caught.value.errors()
    assert error["type"] == "union_tag_invalid"
    assert error["ctx"]["expected_tags"] == ", ".join(map(repr, table))


def test_a_field_by_a_table_keeps_its_type_and_its_order() -> None:
    class Row(Section):
        name: str

    class One(Row):
        name: Literal["one"]
        size: int

    class Holder(Section):
        item: Annotated[Row, one_of(Registry([Choice(One)]), OwnChoice)] | None

    assert get_type_hints(Holder)["item"] == Row | None
    assert Holder.model_validate({"item": None}).item is None
    assert Holder.model_validate({"item": {"name": "own"}}).model_dump()["item"] == {"name": "own"}
    assert list(Holder.model_validate({"item": {"size": 1, "name": "one"}}).model_dump()["item"]) == ["name", "size"]


class OwnChoice(Section):
    """A choice beside those of a table."""

    name: Literal["own"]


def test_a_name_of_a_table_is_answered_like_a_literal() -> None:
    literal: Any = Literal[tuple(PRESETS)]
    by_table, by_hand = TypeAdapter[Any](Annotated[str, NameOf(PRESETS)]), TypeAdapter[Any](literal)
    problems = []
    for choice in (by_table, by_hand):
        assert choice.validate_python("light") == "light"
        with pytest.raises(ValidationError) as caught:
            choice.validate_python("foto")
        problems.append(caught.value.errors(include_url=False))
    assert problems[0] == problems[1]


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
    assert TypeAdapter[Any](AnyModel).validate_python(changed)


@each(BASELINES)
def test_a_baseline_is_fitted_and_stored_as_tensors(row: Any) -> None:
    model: Baseline = example(row)
    labels = np.arange(6) % 3
    features = features_of(model)(PIXELS).numpy()
    tensors = row.fit(model, Rows(features, labels, np.ones(6, np.float32), np.ones(6, np.bool_)), 3, 1)
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
