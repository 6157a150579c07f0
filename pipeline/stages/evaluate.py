"""Measures the model on train (as it was photographed), train_dev and dev, and judges it on dev."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.evaluation import confusion_rows, judge, measure_split
from pipeline.core.manifest import DEV, SEEN_SPLITS, SPLIT, check_manifest
from pipeline.core.metrics import confusion_matrix, per_class
from pipeline.core.models import load_model
from pipeline.engine import Engine
from pipeline.loader import predict_rows
from pipeline.params import EvaluateParams
from pipeline.shards import ShardReader
from pipeline.stages import Stage


@dataclass(frozen=True)
class EvaluateOutputs:
    """Predictions of all three splits, metrics, and tables of dev for plots."""

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    confusion: pd.DataFrame
    per_class: pd.DataFrame
    summary: str


def evaluate(
    manifest: pd.DataFrame, originals: ShardReader, model: bytes, params: EvaluateParams, threads: int, engine: Engine
) -> EvaluateOutputs:
    """Metrics of train, train_dev and dev; the limits hold or not on dev."""
    trained = load_model(model)
    predictions = predict_rows(trained, check_manifest(manifest, SPLIT), originals, threads, engine, "evaluate")
    parts = {split: predictions[predictions["split"] == split] for split in SEEN_SPLITS}
    measured = {split: measure_split(part, trained.classes, params) for split, part in parts.items()}
    judged = judge(measured[DEV], len(model), params)
    matrix = confusion_matrix(parts[DEV]["label"].to_numpy(), parts[DEV]["predicted"].to_numpy(), trained.classes)
    values = ", ".join(f"{split} {part[params.optimizing]:.4f}" for split, part in measured.items())
    return EvaluateOutputs(
        predictions=predictions,
        metrics={**measured, **judged},
        confusion=confusion_rows(parts[DEV]),
        per_class=per_class(matrix, trained.classes),
        summary=f"{params.optimizing}: {values}; {'accepted' if judged['accepted'] else 'rejected, a limit is broken'}",
    )


STAGE = Stage(
    name="evaluate",
    function=evaluate,
    params={"params": "evaluate", "threads": "train.threads"},
    reads={"manifest": catalogue.SPLIT, "originals": catalogue.ORIGINALS, "model": catalogue.MODEL},
    writes={
        "predictions": catalogue.PREDICTIONS,
        "metrics": catalogue.EVALUATE_METRICS,
        "confusion": catalogue.CONFUSION,
        "per_class": catalogue.PER_CLASS,
    },
)
