"""Measures the model on test. In final/dvc.yaml, so that no plain `dvc repro` looks at test."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.evaluation import evaluation
from pipeline.core.limits import without_latency
from pipeline.core.manifest import SPLIT, TEST, check_manifest
from pipeline.core.models import load_model
from pipeline.engine import Engine
from pipeline.loader import predict_rows
from pipeline.params import EvaluateParams
from pipeline.shards import ShardReader
from pipeline.stages import Stage


@dataclass(frozen=True)
class TestOutputs:
    """Predictions of test, its metrics, and rows for a confusion plot."""

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    confusion: pd.DataFrame
    slices: pd.DataFrame
    summary: str


def test(
    manifest: pd.DataFrame, originals: ShardReader, model: bytes, params: EvaluateParams, threads: int, engine: Engine
) -> TestOutputs:
    """Metrics of test, by the same rules as dev's."""
    trained = load_model(model)
    predictions = predict_rows(trained, check_manifest(manifest, SPLIT), originals, threads, engine, "test")
    facts = {"model_megabytes": len(model) / 1e6}
    found = evaluation(predictions, manifest, trained.classes, facts, TEST, without_latency(params))
    return TestOutputs(
        predictions=predictions,
        metrics=found.metrics,
        confusion=found.confusion,
        slices=found.slices,
        summary=found.words,
    )


STAGE = Stage(
    name="test",
    function=test,
    params={"params": "evaluate", "threads": "train.threads"},
    reads={"manifest": catalogue.SPLIT_TEST, "originals": catalogue.ORIGINALS, "model": catalogue.MODEL},
    writes={
        "predictions": catalogue.TEST_PREDICTIONS,
        "metrics": catalogue.TEST_METRICS,
        "confusion": catalogue.TEST_CONFUSION,
        "slices": catalogue.TEST_SLICES,
    },
)
