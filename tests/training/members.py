"""Values of each lever of training that tests go through: models, optimizers, schedules, mixings."""

from typing import Any

import pytest

from pipeline.models.networks import NETWORKS as TABLE_OF_NETWORKS
from pipeline.registry import Registry
from pipeline.training.mixing import MIXINGS as TABLE_OF_MIXINGS
from pipeline.training.optimizers import OPTIMIZERS as TABLE_OF_OPTIMIZERS
from pipeline.training.schedules import SCHEDULES as TABLE_OF_SCHEDULES
from pipeline.training.schedules import Schedule
from tests.fits import (
    train_params,
)

SHAPE = {"width": 4, "activation": "relu", "batch_norm": True, "dropout": {"blocks": 0.1, "head": 0.1}}
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"depth": 2, "kernel": 3, "dense": [8], **SHAPE},
    "resnet": {"depth": 2, "blocks": 1, "kernel": 3, **SHAPE},
    "block_cnn": {"depth": 2, "kernels": [3, 5], "shortcuts": [False, True], **SHAPE},
    "mlp": {"depth": 2, **SHAPE, "width": 32},
}
OWN = {"factory": {"factory": "tests.own_networks:build", "arguments": {"width": 16}, "normalise": "train"}}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.9, "momentum": 0.0},
    "adam": {"beta1": 0.9, "beta2": 0.99},
    "adamw": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01},
    "nadam": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "decoupled": True},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"every": 4, "factor": 0.5},
    "cosine": {"final": 0.1},
    "sgdr": {"first": 2, "factor": 2, "final": 0.0},
}
MIXINGS: dict[str, dict[str, Any]] = {"none": {}, "mixup": {"alpha": 0.2}, "cutmix": {"alpha": 0.2}}
CHOICES: dict[str, tuple[dict[str, dict[str, Any]], Registry[Any]]] = {
    "model": ({**MODELS, **OWN}, TABLE_OF_NETWORKS),
    "optimizer": (OPTIMIZERS, TABLE_OF_OPTIMIZERS),
    "schedule": (SCHEDULES, TABLE_OF_SCHEDULES),
    "mixing": (MIXINGS, TABLE_OF_MIXINGS),
}
MEMBERS: list[tuple[str, Any]] = [
    (lever, {"name": name, **rest}) for lever, (table, _) in CHOICES.items() for name, rest in table.items()
]


def named(value: Any) -> str:
    return str(value["name"] if isinstance(value, dict) else value)


NETWORKS = [
    pytest.param({"name": name, **rest, "batch_norm": batch_norm}, id=f"{name}, norm {batch_norm}")
    for name, rest in MODELS.items()
    for batch_norm in (True, False)
]


def schedule(name: str, **extra_columns: Any) -> Schedule:
    return train_params(epochs=100, schedule={"name": name, **SCHEDULES[name], **extra_columns}).schedule
