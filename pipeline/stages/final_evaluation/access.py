"""Access to the test set: which models may be evaluated on it, how many were, and what that does to the interval."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import FinalEvaluationError, listing
from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import checked_predictions
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.final_evaluation.params import FinalEvaluationParams
from pipeline.store.ledger import LedgerEntry


def evaluations_with(evaluations: Sequence[LedgerEntry], model: str) -> int:
    """How many different models the test set will have seen, this one included; the same model again adds none."""
    return len({entry.model for entry in evaluations} | {model})


def check_access(
    evaluations: Sequence[LedgerEntry], model: str, verdict: Mapping[str, Any], params: FinalEvaluationParams
) -> str:
    """Check whether the model may be evaluated on test; the rules that were set to allow it, comma-separated.

    Args:
        verdict: of the last evaluation: `model`, `accepted`, `broken`.

    Raises:
        FinalEvaluationError: the model is not accepted, or the limit of test evaluations is reached; all reasons are
            named.
    """
    problems, told = [], []
    if verdict.get("model") != model:
        problems.append("the last evaluation is of a different model: run `dvc repro evaluate`")
    elif not verdict["accepted"]:
        if params.rejected_model == "refuse":
            problems.append(
                f"the model is not accepted: on dev it breaks {listing(verdict['broken'])}. "
                "Make one that holds all limits, or set final_evaluation.rejected_model to allow"
            )
        told.append("rejected_model")
    others = {entry.model for entry in evaluations} - {model}
    if model not in {entry.model for entry in evaluations} and len(others) >= params.max_test_evaluations:
        if params.beyond_max_test_evaluations == "refuse":
            problems.append(
                f"the test set was already evaluated with {len(others)} models "
                f"(final_evaluation.max_test_evaluations: {params.max_test_evaluations}). Evaluating more "
                "selects models on it, and its score becomes optimistic. Collect new test images, or set "
                "final_evaluation.beyond_max_test_evaluations to allow"
            )
        told.append("beyond_max_test_evaluations")
    if problems:
        raise FinalEvaluationError("the test set stays closed: " + "; ".join(problems))
    return ",".join(told)


def corrected(
    predictions: pd.DataFrame, classes: tuple[str, ...], evaluations: int, params: EvaluateParams
) -> dict[str, float | None]:
    """The optimizing metric's interval at level 1 - 0.05 / evaluations.

    Bonferroni's correction (Dunn, 1961): with so wide an interval for each of `evaluations` models chosen
    without the others' results, all of them hold together in 95 % of cases. It does not undo a choice made *because* of
    earlier results (Dwork et al., 2015): that takes new images. None where fewer than 15 independent groups tell.
    """
    seen = checked_predictions(predictions, classes)
    metric = metric_of(params.optimizing, classes)
    low, high = metric_interval(metric, seen, predictions["group"], ALPHA / evaluations) or (None, None)
    return {"low": low, "high": high, "level": 1 - ALPHA / evaluations}


def rows_digest(manifest: pd.DataFrame) -> str:
    """SHA-256 of which images a manifest has, with their content and labels, whatever their order."""
    columns = (manifest[name].astype(str) for name in ("id", "sha256", "label"))
    rows = sorted("\x1f".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256("\x1e".join(rows).encode()).hexdigest()


def params_digest(params: EvaluateParams) -> str:
    """SHA-256 of the params that define the metrics."""
    return hashlib.sha256(params.model_dump_json().encode()).hexdigest()
