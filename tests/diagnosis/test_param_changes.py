"""What each piece of advice changes, and where it changes nothing: one row a case, from params to params."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.diagnosis import param_changes as changes
from pipeline.diagnosis.param_changes import DROPPED, FINE_TUNING_RATE, Changes, Confounder, Run
from pipeline.diagnosis.shortcut_changes import stratify_by_fact
from pipeline.manifest import PRODUCTION, RAW
from tests.diagnosis.cases import run_of

CNN = {
    "name": "cnn", "depth": 2, "width": 8, "kernel": 3, "activation": "relu", "batch_norm": False, "dense": [],
    "dropout": {"blocks": 0.2, "head": 0.1},
}  # fmt: skip
FOREST = {
    "name": "random_forest", "features": {"name": "pixels", "side": 8}, "n_estimators": 20, "min_samples_leaf": 1,
}  # fmt: skip
LITE0 = {"name": "efficientnet_lite0", "trained": "head", "input": 160, "dropout": {"head": 0.2}}
SGD = {"name": "sgd", "momentum": 0.0, "nesterov": False}
ADAMW = {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.05}
TRAIN: dict[str, Any] = {
    "train.model": CNN, "train.optimizer": SGD, "train.learning_rate": 0.03, "train.batch_size": 64,
    "train.epochs": 10, "train.patience": 3, "train.mixing": {"name": "none"}, "train.l1": 0.0, "train.l2": 0.0,
    "train.label_smoothing": 0.0, "train.clip_norm": None, "train.keep": "best", "train.class_weights": {},
}  # fmt: skip


def run(facts: dict[str, Any] | None = None, /, **values: Any) -> Run:
    made = run_of(**{**TRAIN, **values})
    return Run(**{**vars(made), **(facts or {})})


@pytest.mark.parametrize(
    ("change", "given", "expected"),
    [
        (changes.wider, run(), {"train.model.width": 16}),
        (changes.deeper, run(), {"train.model.depth": 3}),
        (changes.hidden_layer, run(), {"train.model.dense": [changes.HIDDEN_UNITS]}),
        (changes.hidden_layer, run(**{"train.model": {**CNN, "dense": [8]}}), None),
        (changes.focal, run(), {"train.loss.name": "focal", "train.loss.gamma": 2.0}),
        (changes.focal, run(**{"train.loss": {"name": "focal", "gamma": 1.0}}), None),
        (changes.longer, run(), {"train.epochs": 20}),
        (changes.longer, run({"stopped_early": True}), None),
        (changes.less_dropout, run(), {"train.model.dropout.blocks": 0.1}),
        (changes.no_penalty, run(), {"train.l1": 0.0, "train.l2": 0.0}),
        (changes.batch_norm, run(), {"train.model.batch_norm": True}),
        (changes.more_dropout, run(), {"train.model.dropout.blocks": 0.45}),
        (
            changes.more_dropout,
            run(**{"train.model": {**CNN, "dropout": {"blocks": 0.4, "head": 0.0}}}),
            {"train.model.dropout.blocks": 0.5},
        ),
        (changes.more_dropout, run(**{"train.model": LITE0}), {"train.model.dropout.head": 0.45}),
        (changes.thaw, run(), None),
        (
            changes.thaw,
            run(**{"train.model": LITE0}),
            {"train.model.trained": "all", "train.learning_rate": 0.003},
        ),
        (
            changes.thaw,
            run(**{"train.model": LITE0, "train.learning_rate": 10 * FINE_TUNING_RATE}),
            {"train.model.trained": "all"},
        ),
        (changes.more_decay, run(), {"train.l2": 0.0001}),
        (changes.more_decay, run(**{"train.l2": 0.001}), {"train.l2": 0.01}),
        (changes.more_decay, run(**{"train.optimizer": ADAMW}), {"train.optimizer.weight_decay": 0.5}),
        (
            changes.more_decay,
            run(**{"train.optimizer": {**ADAMW, "weight_decay": 0.0}}),
            {"train.optimizer.weight_decay": 0.01},
        ),
        (changes.mixup, run(), {"train.mixing.name": "mixup", "train.mixing.alpha": 0.2}),
        (changes.mixup, run(**{"train.mixing": {"name": "cutmix", "alpha": 1.0}}), None),
        (changes.match_production, run(), {"augment.match_production": True}),
        (changes.match_production, run({"groups": {RAW: 500}}), None),
        (changes.production_weight, run(**{"balance.production_weight": 3.0}), {"balance.production_weight": 6.0}),
        (changes.production_weight, run({"groups": {PRODUCTION: 5}}), None),
        (changes.newest, run({"dated": True}), {"split.method": "newest"}),
        (changes.newest, run(), None),
        (changes.lower_rate, run(), {"train.learning_rate": 0.01}),
        (changes.higher_rate, run(), {"train.learning_rate": 0.09}),
        (changes.much_higher_rate, run(), {"train.learning_rate": 0.9}),
        (changes.much_higher_rate, run(**{"train.learning_rate": 0.04}), None),
        (changes.smaller_batches, run(), {"train.batch_size": 16}),
        (changes.smaller_batches, run(**{"train.batch_size": 16}), None),
        (changes.no_patience, run(), {"train.patience": None}),
        (changes.no_patience, run(**{"train.patience": None}), None),
        (changes.keep_last, run(), {"train.keep": "last"}),
        (changes.keep_best, run(), {"train.keep": "best"}),
        (changes.momentum, run(), {"train.optimizer.momentum": 0.9}),
        (changes.momentum, run(**{"train.optimizer": {**SGD, "momentum": 0.5}}), None),
        (changes.clip, run(), {"train.clip_norm": 1.0}),
        (changes.clip, run(**{"train.clip_norm": 5.0}), None),
        (changes.by_class, run(), {"evaluate.optimizing": "balanced_accuracy"}),
        (changes.weigh_class, run({"failing": "fig"}), {"train.class_weights.fig": 2.0}),
        (
            changes.weigh_class,
            run({"failing": "fig"}, **{"train.class_weights": {"fig": 3.0}}),
            {"train.class_weights.fig": 6.0},
        ),
        (changes.weigh_class, run(), None),
        (changes.smoothing, run({"bold": True}), {"train.label_smoothing": 0.1}),
        (changes.smoothing, run({"bold": True}, **{"train.label_smoothing": 0.3}), {"train.label_smoothing": 0.3}),
        (changes.smoothing, run({"bold": False}), None),
        (changes.smoothing, run(), None),
        (changes.no_smoothing, run({"bold": False}), {"train.label_smoothing": 0.0}),
        (changes.no_smoothing, run({"bold": True}), None),
        (changes.no_smoothing, run(), None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_advice_changes_what_it_says(change: Callable[[Run], Changes], given: Run, expected: Changes) -> None:
    assert change(given) == expected


@pytest.mark.parametrize(
    "change",
    [
        changes.wider, changes.deeper, changes.hidden_layer, changes.focal, changes.longer, changes.less_dropout,
        changes.no_penalty, changes.batch_norm, changes.adamw, changes.residual, changes.thaw, changes.more_dropout,
        changes.more_decay, changes.mixup, changes.lower_rate, changes.higher_rate, changes.much_higher_rate,
        changes.smaller_batches, changes.no_patience, changes.keep_last, changes.keep_best, changes.momentum,
        changes.clip, changes.smoothing, changes.no_smoothing, changes.online, changes.cost_sensitive,
    ],
)  # fmt: skip
def test_nothing_of_training_changes_for_a_model_that_is_not_trained_in_epochs(
    change: Callable[[Run], Changes],
) -> None:
    assert change(run({"bold": True}, **{"train.model": FOREST})) is None


def test_another_optimizer_drops_what_it_does_not_have() -> None:
    found = changes.adamw(run())
    assert found == {
        "train.optimizer.momentum": DROPPED, "train.optimizer.nesterov": DROPPED, "train.optimizer.name": "adamw",
        "train.optimizer.beta1": 0.9, "train.optimizer.beta2": 0.999, "train.optimizer.weight_decay": 0.01,
        "train.learning_rate": 0.001,
    }  # fmt: skip
    assert changes.adamw(run(**{"train.optimizer": ADAMW})) is None


@pytest.mark.parametrize(("large", "told"), [(1.2, False), (1.21, True)])
def test_classes_are_repeated_only_if_they_are_uneven(large: float, told: bool) -> None:
    counts = {"counts": {"a": 100, "b": int(100 * large)}}
    found = changes.oversample(run(counts, **{"balance.strategy": {"name": "none"}}))
    assert (found is not None) == told
    assert (
        changes.oversample(run(counts, **{"balance.strategy": {"name": "oversample", "target": {"name": "majority"}}}))
        is None
    )


@pytest.mark.parametrize(("cell", "told"), [(20, True), (19, False)])
def test_splits_are_stratified_only_by_facts_with_enough_images_of_each_class(cell: int, told: bool) -> None:
    shop = Confounder("meta_shop", mixed=True, in_dev=2, cell=cell)
    found = stratify_by_fact(run({"confounder": shop}, **{"split.min_per_class": 5, "split.stratify_by": []}))
    assert found == ({"split.stratify_by": ["shop"]} if told else None)
