"""What each piece of advice changes, and where it changes nothing: one row a case, from params to params."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.diagnosis import data_changes as data
from pipeline.diagnosis import shortcut_changes as shortcuts
from pipeline.diagnosis import training_changes as training
from pipeline.diagnosis.param_changes import DROPPED, Changes
from pipeline.diagnosis.run import Confounder, Run
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
MOBILENET = {
    "name": "mobilenet_v2", "weights": "w.pth", "sha256": "0" * 64, "frozen": True, "input": 32,
    "dropout": {"head": 0.1},
}  # fmt: skip
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


def copies(count: int, **values: Any) -> Run:
    """So many variants of each image by one transform, or by those given."""
    transforms = values.get("transforms", [{"name": "HorizontalFlip", "p": 0.5}])
    return run(**{"augment.copies": {"name": "per_image", "count": count}, "augment.transforms": transforms})


def of_fact(column: str | None, in_dev: int, mixed: bool = True) -> Confounder:
    return Confounder(column, mixed=mixed, in_dev=in_dev, cell=0)


LIGHT = {"augment.transforms": [{"preset": "light"}]}


@pytest.mark.parametrize(
    ("change", "given", "expected"),
    [
        (training.wider, run(), {"train.model.width": 16}),
        (training.deeper, run(), {"train.model.depth": 3}),
        (training.hidden_layer, run(), {"train.model.dense": [128]}),
        (training.hidden_layer, run(**{"train.model": {**CNN, "dense": [8]}}), None),
        (training.focal, run(), {"train.loss.name": "focal", "train.loss.gamma": 2.0}),
        (training.focal, run(**{"train.loss": {"name": "focal", "gamma": 1.0}}), None),
        (training.longer, run(), {"train.epochs": 20}),
        (training.longer, run({"stopped_early": True}), None),
        (training.less_dropout, run(), {"train.model.dropout.blocks": 0.1}),
        (training.no_penalty, run(), {"train.l1": 0.0, "train.l2": 0.0}),
        (training.batch_norm, run(), {"train.model.batch_norm": True}),
        (training.more_dropout, run(), {"train.model.dropout.blocks": 0.45}),
        (
            training.more_dropout,
            run(**{"train.model": {**CNN, "dropout": {"blocks": 0.4, "head": 0.0}}}),
            {"train.model.dropout.blocks": 0.5},
        ),
        (training.more_dropout, run(**{"train.model": LITE0}), {"train.model.dropout.head": 0.45}),
        (training.thaw, run(), None),
        (training.thaw, run(**{"train.model": MOBILENET}), {"train.model.frozen": False}),
        (training.several_seeds, run(**{"train.model": MOBILENET}), None),
        (training.several_seeds, run(**{"train.model": LITE0}), None),
        (
            training.several_seeds,
            run(**{"train.model": {**MOBILENET, "frozen": False}}),
            {"train.ensemble.name": "voting", "train.ensemble.members": [{}], "train.ensemble.seeds": 4},
        ),
        (
            training.learn_unlabelled,
            run({"unlabelled": 9}, **{"train.model": MOBILENET}),
            {"train.unlabelled.name": "pseudo_labels"},
        ),
        (
            training.thaw,
            run(**{"train.model": LITE0}),
            {"train.model.trained": "all", "train.learning_rate": 0.003},
        ),
        (
            training.thaw,
            run(**{"train.model": LITE0, "train.learning_rate": 0.00302}),
            {"train.model.trained": "all"},
        ),
        (
            training.thaw,
            run(**{"train.model": LITE0, "train.learning_rate": 0.00304}),
            {"train.model.trained": "all", "train.learning_rate": 0.003},
        ),
        (training.more_decay, run(), {"train.l2": 0.0001}),
        (training.more_decay, run(**{"train.l2": 0.001}), {"train.l2": 0.01}),
        (training.more_decay, run(**{"train.optimizer": ADAMW}), {"train.optimizer.weight_decay": 0.5}),
        (
            training.more_decay,
            run(**{"train.optimizer": {**ADAMW, "weight_decay": 0.0}}),
            {"train.optimizer.weight_decay": 0.01},
        ),
        (training.mixup, run(), {"train.mixing.name": "mixup", "train.mixing.alpha": 0.2}),
        (training.mixup, run(**{"train.mixing": {"name": "cutmix", "alpha": 1.0}}), None),
        (data.match_production, run(), {"augment.match_production": True}),
        (data.match_production, run({"groups": {RAW: 500}}), None),
        (data.match_production, run({"groups": {RAW: 500, PRODUCTION: 44}}), None),
        (data.match_production, run({"groups": {RAW: 45, PRODUCTION: 45}}), {"augment.match_production": True}),
        (data.production_weight, run(**{"balance.production_weight": 3.0}), {"balance.production_weight": 6.0}),
        (data.production_weight, run({"groups": {PRODUCTION: 5}}), None),
        (data.newest, run({"dated": True}), {"split.method": "newest"}),
        (data.newest, run(), None),
        (training.lower_rate, run(), {"train.learning_rate": 0.01}),
        (training.higher_rate, run(), {"train.learning_rate": 0.09}),
        (training.much_higher_rate, run(), {"train.learning_rate": 0.9}),
        (training.much_higher_rate, run(**{"train.learning_rate": 0.04}), None),
        (training.smaller_batches, run(), {"train.batch_size": 16}),
        (training.smaller_batches, run(**{"train.batch_size": 16}), None),
        (training.no_patience, run(), {"train.patience": None}),
        (training.no_patience, run(**{"train.patience": None}), None),
        (training.keep_last, run(), {"train.keep": "last"}),
        (training.keep_best, run(), {"train.keep": "best"}),
        (training.momentum, run(), {"train.optimizer.momentum": 0.9}),
        (training.momentum, run(**{"train.optimizer": {**SGD, "momentum": 0.5}}), None),
        (training.clip, run(), {"train.clip_norm": 1.0}),
        (training.clip, run(**{"train.clip_norm": 5.0}), None),
        (data.by_class, run(), {"evaluate.optimizing": "balanced_accuracy"}),
        (data.by_class, run(**{"evaluate.optimizing": {"name": "class_recall", "label": "fig"}}), None),
        (data.more_copies, copies(0), {"augment.copies.count": 4}),
        (data.more_copies, copies(1), {"augment.copies.count": 4}),
        (data.more_copies, copies(2), {"augment.copies.count": 8}),
        (data.more_copies, copies(26), {"augment.copies.count": 100}),
        (data.more_copies, copies(0, transforms=[]), None),
        (data.first_copies, copies(0, transforms=[]), {**LIGHT, "augment.copies.count": 4}),
        (data.first_copies, copies(0), None),
        (data.online, copies(2), {"augment.mode": "online"}),
        (data.online, copies(0, transforms=[]), None),
        (data.all_production, run(), {"split.production_train_fraction": 1.0}),
        (data.group_copies, run(), {"curate.near_duplicates": "group"}),
        (shortcuts.group_scenes, run(**{"split.frozen_from": None}), {"curate.scenes": "group"}),
        (shortcuts.split_anew, run(**{"split.frozen_from": None}), None),
        (
            shortcuts.split_anew,
            run(**{"split.frozen_from": "old.csv"}),
            {"split.frozen_from": None, "curate.scenes": "group"},
        ),
        (shortcuts.group_scenes, run(**{"split.frozen_from": "old.csv"}), None),
        (
            shortcuts.slice_by_fact,
            run({"confounder": of_fact("meta_camera", 2)}),
            {"evaluate.slices": ["meta_camera"]},
        ),
        (shortcuts.slice_by_fact, run({"confounder": of_fact("meta_camera", 1)}), None),
        (shortcuts.slice_by_fact, run({"confounder": of_fact("source", 2)}), None),
        (shortcuts.slice_by_fact, run({"confounder": of_fact(None, 2)}), None),
        (shortcuts.slice_by_fact, run(), None),
        (shortcuts.weights_within, run({"confounder": of_fact("meta_camera", 2, mixed=False)}), None),
        (
            training.average_weights,
            run(),
            {"train.ensemble.name": "average_weights", "train.ensemble.method": {"name": "ema", "decay": 0.99}},
        ),
        (
            training.several_seeds,
            run(),
            {"train.ensemble.name": "voting", "train.ensemble.members": [{}], "train.ensemble.seeds": 4},
        ),
        (training.learn_unlabelled, run({"images": {RAW: 60, PRODUCTION: 40}, "unlabelled": 49}), None),
        (
            training.learn_unlabelled,
            run({"images": {RAW: 60, PRODUCTION: 40}, "unlabelled": 50}),
            {"train.unlabelled.name": "consistency"},
        ),
        (training.learn_unlabelled, run({"images": {RAW: 100}}), None),
        (training.learn_unlabelled, run({"unlabelled": 0}), None),
        (training.learn_unlabelled, run({"unlabelled": 1}), {"train.unlabelled.name": "consistency"}),
        (training.much_higher_rate, run(**{"train.learning_rate": 1 / 30}), {"train.learning_rate": 1.0}),
        (training.smaller_batches, run(**{"train.batch_size": 17}), {"train.batch_size": 4}),
        (training.weigh_class, run({"failing": "fig"}), {"train.class_weights.fig": 2.0}),
        (training.weigh_class, run({"failing": "a fig"}), None),
        (training.weigh_class, run({"failing": "Yes"}), None),
        (
            training.weigh_class,
            run({"failing": "fig"}, **{"train.class_weights": {"fig": 3.0}}),
            {"train.class_weights.fig": 6.0},
        ),
        (training.weigh_class, run(), None),
        (
            training.weigh_small_class,
            run({"failing": "fig", "counts": {"fig": 4, "date": 5}}),
            {"train.class_weights.fig": 2.0},
        ),
        (training.weigh_small_class, run({"failing": "fig", "counts": {"fig": 5, "date": 5}}), None),
        # Predicted too often already.
        (
            training.weigh_small_class,
            run({"failing": "fig", "counts": {"fig": 4, "date": 5}, "seldom_small": False}),
            None,
        ),
        (training.focal_for_small, run({"seldom_small": True}), {"train.loss.name": "focal", "train.loss.gamma": 2.0}),
        (training.focal_for_small, run({"seldom_small": False}), None),
        (
            data.oversample_small,
            run({"seldom_small": True}, **{"balance.strategy": {"name": "none"}}),
            {"balance.strategy.name": "oversample", "balance.strategy.target": {"name": "majority"}},
        ),
        (data.oversample_small, run({"seldom_small": False}, **{"balance.strategy": {"name": "none"}}), None),
        (training.weigh_small_class, run({"failing": "fig", "counts": {"fig": 6, "date": 5}}), None),
        (training.smoothing, run({"bold": True}), {"train.label_smoothing": 0.1}),
        (
            training.smoothing,
            run({"bold": True}, **{"train.label_smoothing": 0.3}),
            {"train.label_smoothing": 0.3},
        ),
        (training.smoothing, run({"bold": False}), None),
        (training.smoothing, run(), None),
        (training.no_smoothing, run({"bold": False}), {"train.label_smoothing": 0.0}),
        (training.no_smoothing, run({"bold": True}), None),
        (training.no_smoothing, run(), None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_advice_changes_what_it_says(change: Callable[[Run], Changes], given: Run, expected: Changes) -> None:
    assert change(given) == expected


@pytest.mark.parametrize(
    "change",
    [
        training.wider, training.deeper, training.hidden_layer, training.focal, training.longer, training.less_dropout,
        training.no_penalty, training.batch_norm, training.adamw, training.residual, training.thaw,
        training.more_dropout,
        training.more_decay, training.mixup, training.lower_rate, training.higher_rate, training.much_higher_rate,
        training.smaller_batches, training.no_patience, training.keep_last, training.keep_best, training.momentum,
        training.clip, training.smoothing, training.no_smoothing, data.online, training.cost_sensitive,
    ],
)  # fmt: skip
def test_nothing_of_training_changes_for_a_model_that_is_not_trained_in_epochs(
    change: Callable[[Run], Changes],
) -> None:
    assert change(run({"bold": True}, **{"train.model": FOREST})) is None


def test_another_optimizer_drops_what_it_does_not_have() -> None:
    found = training.adamw(run())
    assert found == {
        "train.optimizer.momentum": DROPPED, "train.optimizer.nesterov": DROPPED, "train.optimizer.name": "adamw",
        "train.optimizer.beta1": 0.9, "train.optimizer.beta2": 0.999, "train.optimizer.weight_decay": 0.01,
        "train.learning_rate": 0.001,
    }  # fmt: skip
    assert training.adamw(run(**{"train.optimizer": ADAMW})) is None


@pytest.mark.parametrize(("large", "told"), [(1.2, False), (1.21, True)])
def test_classes_are_repeated_only_if_they_are_uneven(large: float, told: bool) -> None:
    counts = {"counts": {"a": 100, "b": int(100 * large)}}
    found = data.oversample(run(counts, **{"balance.strategy": {"name": "none"}}))
    assert (found is not None) == told
    assert (
        data.oversample(run(counts, **{"balance.strategy": {"name": "oversample", "target": {"name": "majority"}}}))
        is None
    )


@pytest.mark.parametrize(("cell", "told"), [(20, True), (19, False)])
def test_splits_are_stratified_only_by_facts_with_enough_images_of_each_class(cell: int, told: bool) -> None:
    shop = Confounder("meta_shop", mixed=True, in_dev=2, cell=cell)
    found = stratify_by_fact(run({"confounder": shop}, **{"split.min_per_class": 5, "split.stratify_by": []}))
    assert found == ({"split.stratify_by": ["shop"]} if told else None)
