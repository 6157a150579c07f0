"""The model that a new project starts with, and how it is trained."""

import math
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ParamsError
from pipeline.project.params_template import Choice

DROPOUT = {"blocks": 0.1, "head": 0.2}
_LAYERS = {"kernel": 3, "activation": "relu", "batch_norm": True, "dropout": DROPOUT}
_PIXELS = {"name": "pixels", "side": 16}
# What photos begin with, and images of more pixels per side than these are taken for photos.
BACKBONE, MAX_SMALL_SIDE = "efficientnet_lite0", 64
# What --model may name, with the params that such a model begins with.
MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"name": "cnn", "depth": 4, "width": 16, "dense": [], **_LAYERS},
    "resnet": {"name": "resnet", "depth": 4, "blocks": 1, "width": 16, **_LAYERS},
    "mlp": {
        **{"name": "mlp", "depth": 2, "width": 256, "activation": "relu", "batch_norm": True},
        "dropout": {"blocks": 0.2, "head": 0.0},
    },
    BACKBONE: {"name": BACKBONE, "trained": "head", "input": 160, "dropout": {"head": 0.2}},
    "majority_class": {"name": "majority_class"},
    "nearest_centroid": {"name": "nearest_centroid", "features": _PIXELS},
    "logistic_regression": {"name": "logistic_regression", "features": _PIXELS, "c": 0.1},
    "random_forest": {"name": "random_forest", "features": _PIXELS, "n_estimators": 200, "min_samples_leaf": 1},
    "gradient_boosting": {
        **{"name": "gradient_boosting", "features": _PIXELS, "max_iter": 100, "max_leaf_nodes": 15},
        "learning_rate": 0.1,
    },
}
# Pixels a side that the model gains by: a network from scratch learns little from larger ones, and waits longer.
MAX_SIDE = 96
# The same of one that was trained with 224: half as many pixels take half the time, at little loss.
MAX_PRETRAINED_SIDE = 160
# Steps of the optimizer that a network from scratch wants, and epochs that it gets.
STEPS, EPOCHS = 1500, (12, 60)
# Of an output layer on features that stay.
HEAD_EPOCHS, HEAD_PATIENCE = 30, 8


@dataclass(frozen=True)
class ModelChoice:
    """Params of the section train, and the limit that makes sense for this model."""

    choices: list[Choice]
    max_megabytes: float
    why_megabytes: str


def model_choice(size: int, rows: int, wanted: str | None = None, seen: str = "") -> ModelChoice:
    """The model for pictures of `size` pixels per side.

    Args:
        rows: of train, about, with variants and repeats.
        wanted: the model that the command line, or a trial, speaks for.
        seen: what the trial showed, if it was that.

    Raises:
        ParamsError: `wanted` names none that can begin without a file.
    """
    name = model_name(size, wanted)
    batch = _batch_size(rows)
    steps = max(1, rows // batch)
    if name == BACKBONE:
        return _pretrained(size, batch, steps, seen or ("as --model says" if wanted else "these are photos"))
    epochs = min(EPOCHS[1], max(EPOCHS[0], math.ceil(STEPS / steps)))
    from_scratch = f"a network from scratch, for pictures of {size} pixels"
    why = f"{seen}: a network from scratch" if seen else "as --model says" if wanted else from_scratch
    choices = [
        Choice("train.model", _fitting(MODELS[name], size), why),
        Choice("train.learning_rate", 0.003 if name == "cnn" else 0.002),
        Choice("train.schedule", {"name": "cosine", "final": 0.0}, "few epochs end well on a falling rate"),
        Choice("train.batch_size", batch, f"about {rows:,} rows per epoch: smaller batches are more steps"),
        Choice("train.epochs", epochs, f"some {epochs * steps:,} steps"),
        Choice("train.patience", max(6, epochs // 3)),
    ]
    return ModelChoice(choices, 20.0, "Networks from scratch stay far below 20 MB")


def max_side(wanted: str | None) -> int:
    """The most pixels per side that are worth their time for large images and the model that somebody wants, if any."""
    return MAX_PRETRAINED_SIDE if wanted in (None, BACKBONE) else MAX_SIDE


def model_name(size: int, wanted: str | None) -> str:
    """The model that is wanted, or the one that images of this size begin with.

    Raises:
        ParamsError: `wanted` names none that can begin without a file.
    """
    if wanted is not None and wanted not in MODELS:
        raise ParamsError(
            f"--model {wanted}: there are {', '.join(MODELS)}. A model that needs a file of weights is set in "
            "params.yaml, at train.model"
        )
    return wanted or (BACKBONE if size > MAX_SMALL_SIDE else "cnn")


def _pretrained(size: int, batch: int, steps: int, why: str) -> ModelChoice:
    """The output layer alone is trained: it needs few epochs, and each takes seconds."""
    model = {**MODELS[BACKBONE], "input": max(MAX_PRETRAINED_SIDE, min(size, 224))}
    of_layers = "pretrained on ImageNet; trains its output layer"
    choices = [
        Choice("train.model", model, f"{why}: {of_layers}"),
        Choice("train.learning_rate", 0.003),
        Choice("train.schedule", {"name": "cosine", "final": 0.0}, "few epochs end well on a falling rate"),
        Choice("train.batch_size", batch),
        Choice("train.epochs", HEAD_EPOCHS, f"about {HEAD_EPOCHS * steps:,} steps for the output layer"),
        Choice("train.patience", HEAD_PATIENCE),
    ]
    return ModelChoice(choices, 20.0, "EfficientNet-Lite0 has 14 MB")


def _batch_size(rows: int) -> int:
    return next((batch for least, batch in ((20_000, 128), (4_000, 64), (128, 32)) if rows >= least), 8)


def _fitting(model: dict[str, Any], size: int) -> dict[str, Any]:
    """With no more halvings than leave something of the picture."""
    if model["name"] not in ("cnn", "resnet"):
        return model
    return {**model, "depth": min(model["depth"], max(1, size.bit_length() - 3))}
