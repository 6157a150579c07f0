"""Evaluate the model on the test set and record it. In final/dvc.yaml, so that a plain `dvc repro` never does so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.data.predictions import predict_rows
from pipeline.manifest import SPLIT, TEST, check_manifest
from pipeline.metrics.evaluation import ends_in_words, evaluation
from pipeline.metrics.limits import without_latency
from pipeline.metrics.metric import key_of
from pipeline.models.files import load_model
from pipeline.models.params import Model
from pipeline.stage import Group, Stage
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.final_evaluation.access import (
    check_access,
    corrected,
    evaluations_with,
    params_digest,
    rows_digest,
)
from pipeline.stages.final_evaluation.params import FinalEvaluationParams
from pipeline.store.ledger import LedgerEntry
from pipeline.store.reading import digest_of
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class FinalEvaluationOutputs:
    """All test evaluations so far; predictions on the test set, its metrics, and tables for plots."""

    ledger: list[LedgerEntry]
    predictions: pd.DataFrame
    metrics: dict[str, Any]
    confusion: pd.DataFrame
    slices: pd.DataFrame
    summary: str


@dataclass(frozen=True)
class AccessParams:
    """Which models may be evaluated on test, and how: `final_evaluation`, `evaluate` and two of `train`.

    own: train.model, which names the function of a network of the project's own.
    """

    rules: FinalEvaluationParams
    evaluate: EvaluateParams
    threads: int
    own: Model


def final_evaluation(
    manifest: pd.DataFrame,
    originals: ShardReader,
    model: bytes,
    verdict: Mapping[str, Any],
    ledger: list[LedgerEntry],
    params: AccessParams,
    engine: Engine,
) -> FinalEvaluationOutputs:
    """Metrics of the test set, by the rules of dev, with an interval corrected for the number of test evaluations."""
    digests = {"model": digest_of(model), "params": params_digest(params.evaluate), "test": rows_digest(manifest)}
    told = check_access(ledger, digests["model"], verdict, params.rules)
    count = evaluations_with(ledger, digests["model"])
    trained = load_model(model, params.own)
    predictions = predict_rows(trained, check_manifest(manifest, SPLIT), originals, params.threads, engine, "test")
    facts = {"model_megabytes": len(model) / 1e6}
    judged_by = without_latency(params.evaluate)
    found = evaluation(predictions, manifest, trained.classes, facts, TEST, judged_by, trained.framing)
    interval = corrected(predictions, trained.classes, count, params.evaluate)
    entry = LedgerEntry(
        when=pd.Timestamp.now("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
        **digests,
        metric=key_of(params.evaluate.optimizing),
        value=found.metrics["optimizing"],
        low=interval["low"],
        high=interval["high"],
        accepted=found.metrics["accepted"],
        told=told,
    )
    known = any(earlier.is_of(**digests) for earlier in ledger)
    return FinalEvaluationOutputs(
        ledger=ledger if known else [*ledger, entry],
        predictions=predictions,
        metrics={**found.metrics, "looks": count, "corrected": interval},
        confusion=found.confusion,
        slices=found.slices,
        summary=f"{found.words}; test evaluation {count}, "
        f"its interval corrected for that: {ends_in_words(interval['low'], interval['high'])}",
    )


STAGE = Stage(
    name="final_evaluation",
    function=final_evaluation,
    params={
        "params": Group(
            AccessParams,
            {"rules": "final_evaluation", "evaluate": "evaluate", "threads": "train.threads", "own": "train.model"},
        )
    },
    reads={
        "manifest": catalogue.SPLIT_TEST,
        "originals": catalogue.ORIGINALS,
        "model": catalogue.MODEL,
        "verdict": catalogue.VERDICT,
    },
    keeps={"ledger": catalogue.LEDGER},
    writes={
        "predictions": catalogue.TEST_PREDICTIONS,
        "metrics": catalogue.TEST_METRICS,
        "confusion": catalogue.TEST_CONFUSION,
        "slices": catalogue.TEST_SLICES,
    },
)
