"""All tables of levers, and params of each row to try it with."""

from typing import Any

from pipeline.data.formats.table import DATA_FORMATS
from pipeline.issues import ISSUES
from pipeline.metrics.measures import METRICS
from pipeline.models.baselines import BASELINES, FEATURES
from pipeline.models.export import MODEL_FORMATS
from pipeline.models.networks import NETWORKS
from pipeline.problem.problem import PROBLEMS
from pipeline.registry import Choice, Registry
from pipeline.stages.augment.copies import COPIES
from pipeline.stages.balance.strategies import STRATEGIES
from pipeline.stages.balance.targets import TARGETS
from pipeline.stages.label_issues.models import LABEL_MODELS
from pipeline.training.ensembles.kinds import AVERAGES
from pipeline.training.ensembles.table import ENSEMBLES
from pipeline.training.loss_functions import LOSSES
from pipeline.training.mixing import MIXINGS
from pipeline.training.optimizers import OPTIMIZERS
from pipeline.training.schedules import SCHEDULES
from pipeline.training.unlabelled import UNLABELLED
from pipeline.transforms.presets import PRESETS
from pipeline.tuning.methods import METHODS
from pipeline.tuning.ranges import RANGES

TABLES: dict[str, Registry[Any]] = {
    "pipeline.data.formats.table.DATA_FORMATS": DATA_FORMATS,
    "pipeline.issues.ISSUES": ISSUES,
    "pipeline.metrics.measures.METRICS": METRICS,
    "pipeline.models.baselines.BASELINES": BASELINES,
    "pipeline.models.baselines.FEATURES": FEATURES,
    "pipeline.models.export.MODEL_FORMATS": MODEL_FORMATS,
    "pipeline.models.networks.NETWORKS": NETWORKS,
    "pipeline.stages.augment.copies.COPIES": COPIES,
    "pipeline.stages.balance.strategies.STRATEGIES": STRATEGIES,
    "pipeline.stages.balance.targets.TARGETS": TARGETS,
    "pipeline.stages.label_issues.models.LABEL_MODELS": LABEL_MODELS,
    "pipeline.problem.problem.PROBLEMS": PROBLEMS,
    "pipeline.training.ensembles.kinds.AVERAGES": AVERAGES,
    "pipeline.training.ensembles.table.ENSEMBLES": ENSEMBLES,
    "pipeline.training.loss_functions.LOSSES": LOSSES,
    "pipeline.training.mixing.MIXINGS": MIXINGS,
    "pipeline.training.optimizers.OPTIMIZERS": OPTIMIZERS,
    "pipeline.training.schedules.SCHEDULES": SCHEDULES,
    "pipeline.training.unlabelled.UNLABELLED": UNLABELLED,
    "pipeline.transforms.presets.PRESETS": PRESETS,
    "pipeline.tuning.methods.METHODS": METHODS,
    "pipeline.tuning.ranges.RANGES": RANGES,
}
SHAPE = {"depth": 1, "width": 4, "activation": "relu", "batch_norm": True, "dropout": {"blocks": 0.1, "head": 0.1}}
SEEN = {"features": {"name": "pixels", "side": 2}}
MEDIAN = {"target": {"name": "median"}}
# Params of each row beside its name, in the order of the tables; rows that are not here have none.
EXAMPLES: dict[str, dict[str, Any]] = {
    "classes": {"rename": {"fig": "fico"}, "merge": {"pome": ["apple", "pear"]}, "one_against_rest": "pome"},
    "multi_label": {"none": "nothing"},
    "ordinal": {"rename": {"fig": "fico"}, "merge": {}, "order": ["fico", "apple", "pear"], "output": "softmax"},
    "hierarchy": {"rename": {}, "merge": {}, "tree": {"pome": {"apple": None, "pear": None}, "fig": None}}
    | {"output": "softmax"},
    "mean_distance": {"order": ["fig", "apple", "pear"], "tree": None},
    "quadratic_kappa": {"order": ["fig", "apple", "pear"]},
    "level_accuracy": {"level": 1, "tree": {"pome": {"apple": None, "pear": None}, "fig": None}},
    "bins": {"column": "ripeness", "edges": [0.0, 3.0, 7.0], "names": ["low", "high"]},
    "regression": {"column": None, "values": {"apple": 1.0, "fig": 2.5}},
    "linear": {"low": 0.0, "high": 0.5},
    "log": {"low": 0.001, "high": 0.1},
    "int": {"low": 8, "high": 32, "step": 8},
    "choice": {"values": ["best", "last"]},
    "list": {"values": [3, 5], "length": 2},
    "architecture": {"epochs": 4, "candidates": 2, "sampling": "controller"},
    "grid": {"points": 3},
    "count": {"rows": 5},
    "ratio": {"value": 0.5},
    "class_recall": {"label": "fig"},
    "class_f1": {"label": "fig"},
    "class_pr_auc": {"label": 1},
    "mean_cost": {"costs": {"fig": {"apple": 5.0}}, "otherwise": 1.0},
    "pixels": {"side": 2},
    "colours": {"bins": 2},
    "embedding": {"input": 32},
    "nearest_centroid": SEEN,
    "logistic_regression": {**SEEN, "c": 1.0},
    "random_forest": {**SEEN, "n_estimators": 2, "min_samples_leaf": 1},
    "gradient_boosting": {**SEEN, "max_iter": 2, "max_leaf_nodes": 3, "learning_rate": 0.1},
    "average": {"value": "median"},
    "ridge": {**SEEN, "alpha": 1.0},
    "linear_on_embeddings": {"otherwise": {"name": "nearest_centroid", **SEEN}},
    "cnn": {**SHAPE, "kernel": 3, "dense": [4]},
    "resnet": {**SHAPE, "kernel": 3, "blocks": 1},
    "block_cnn": {**SHAPE, "kernels": [3, 5], "shortcuts": [False, True]},
    "mlp": SHAPE,
    "mobilenet_v2": {"weights": "w.pth", "sha256": "0" * 64, "frozen": True, "input": 32, "dropout": {"head": 0.1}},
    "efficientnet_lite0": {"trained": "last", "input": 32, "dropout": {"head": 0.1}, "backbone_rate": 0.5},
    "factory": {"factory": "tests.own_networks:build", "arguments": {"width": 4}, "normalise": "imagenet"},
    "per_image": {"count": 1},
    "per_class": {"counts": {"apple": 2}, "otherwise": 1},
    "up_to": {"rows": 30},
    "oversample": MEDIAN,
    "undersample": MEDIAN,
    "both": MEDIAN,
    "weights_within": {"column": "role"},
    "edited_nearest_neighbours": {"neighbours": 2, "drop_if": "any"},
    "neighbourhood_cleaning_rule": {"neighbours": 2},
    "near_miss": {"version": 1, "neighbours": 2, **MEDIAN},
    "focal": {"gamma": 2.0},
    "cost_sensitive": {"strength": 1.0},
    "huber": {"delta": 1.0},
    "mixup": {"alpha": 0.5},
    "cutmix": {"alpha": 0.5},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.9, "momentum": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.99},
    "adamw": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01},
    "nadam": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "decoupled": True},
    "step": {"every": 2, "factor": 0.5},
    "cosine": {"final": 0.1},
    "ema": {"decay": 0.9},
    "swa": {"start": 0.5},
    "average_weights": {"method": {"name": "ema", "decay": 0.9}, "use": "if_better"},
    "snapshots": {"count": 2, "use": "if_better"},
    "voting": {"members": [{}, {"seed": 2}], "seeds": 1, "folds": 2, "use": "if_better", "max_members": 2},
    "bagging": {"count": 2, "folds": 2, "use": "if_better"},
    "stacking": {"members": [{}], "seeds": 2, "folds": 2, "use": "if_better", "gate": "facts"},
    "boosting": {"rounds": 2, "learning_rate": 0.5, "folds": 2, "use": "if_better"},
    "pseudo_labels": {
        **{"neighbours": 5, "threshold": 0.2, "quota": 0.5, "weight": 0.5, "rounds": 2},
        "max_images": 100,
    },
    "consistency": {
        **{"threshold": 0.9, "ratio": 2, "weight": 0.5, "epochs": 1.0},
        **{"weak": [], "strong": [{"preset": "strong"}, {"name": "Blur"}]},
    },
    "sgdr": {"first": 2, "factor": 2, "final": 0.0},
}


def example(row: Choice[Any]) -> Any:
    """The params of a row."""
    return row.params.model_validate({"name": row.name, **EXAMPLES.get(row.name, {})})


# Params of a project whose images have numbers, where these differ from the demonstration's.
NUMBERS: dict[str, Any] = {
    "problem": {"name": "regression"},
    "balance.strategy": {"name": "none"},
    "train.loss": {"name": "squared_error"},
    "evaluate.optimizing": "mean_absolute_error",
    "evaluate.satisficing": {},
}
