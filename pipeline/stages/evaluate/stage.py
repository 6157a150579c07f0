"""Measure the model on train (without balance and variants), train_dev and dev, and judge it on dev."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.predictions import predict_rows
from pipeline.manifest import DEV, SPLIT, check_manifest
from pipeline.metrics.evaluation import evaluation
from pipeline.metrics.limits import needs_latency
from pipeline.models.files import TrainedModel, load_model
from pipeline.models.latency import latency_of
from pipeline.models.params import Model
from pipeline.stage import Stage
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.reading import digest_of
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class EvaluateOutputs:
    """Predictions of all three splits, metrics, tables for plots; `verdict`: whether the model is accepted."""

    predictions: pd.DataFrame
    metrics: dict[str, Any]
    verdict: dict[str, Any]
    latency: Mapping[str, Any]
    confusion: pd.DataFrame
    per_class: pd.DataFrame
    reliability: pd.DataFrame
    slices: pd.DataFrame
    summary: str


def evaluate(
    manifest: pd.DataFrame,
    originals: ShardReader,
    model: bytes,
    latency: Mapping[str, Any] | None,
    params: EvaluateParams,
    threads: int,
    own: Model,
    engine: Engine,
) -> EvaluateOutputs:
    """Metrics of train, train_dev and dev; the limits hold or not on dev.

    Args:
        latency: what the last run measured, if it did.
        own: train.model, which names the function of a network of the project's own.
    """
    trained = load_model(model, own)
    digest = digest_of(model)
    # Without a limit on time all outs are functions of the inputs.
    time = latency_of(trained, digest, threads, latency) if needs_latency(params) else {}
    facts = {"model_megabytes": len(model) / 1e6}
    if time:
        facts["latency_p95_ms"] = time["latency_p95_ms"]
    predictions = predict_rows(trained, check_manifest(manifest, SPLIT), originals, threads, engine, "evaluate")
    found = evaluation(predictions, manifest, trained.classes, facts, DEV, params, trained.framing)
    return EvaluateOutputs(
        predictions=predictions,
        metrics=found.metrics | thresholds_of(trained),
        verdict={"model": digest, "accepted": found.metrics["accepted"], "broken": found.broken},
        latency=time,
        confusion=found.confusion,
        per_class=found.per_class,
        reliability=found.reliability,
        slices=found.slices,
        summary=found.words,
    )


def thresholds_of(trained: TrainedModel) -> dict[str, Any]:
    """The threshold of each label, chosen on dev, where an image may have several."""
    if trained.thresholds is None:
        return {}
    values = zip(trained.classes, trained.thresholds.values, strict=True)
    return {"thresholds": {name: round(value, 6) for name, value in values}}


STAGE = Stage(
    name="evaluate",
    function=evaluate,
    params={"params": "evaluate", "threads": "train.threads", "own": "train.model"},
    reads={"manifest": catalogue.SPLIT, "originals": catalogue.ORIGINALS, "model": catalogue.MODEL},
    keeps={"latency": catalogue.LATENCY},
    writes={
        "predictions": catalogue.PREDICTIONS,
        "metrics": catalogue.EVALUATE_METRICS,
        "verdict": catalogue.VERDICT,
        "confusion": catalogue.CONFUSION,
        "per_class": catalogue.PER_CLASS,
        "reliability": catalogue.RELIABILITY,
        "slices": catalogue.SLICES,
    },
)
