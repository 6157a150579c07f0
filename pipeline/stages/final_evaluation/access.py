"""The test set's vault: who may look, how often it was done, and what that does to the interval."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import VaultError, listing
from pipeline.metrics.bootstrap import interval
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import judged
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.final_evaluation.params import TestParams
from pipeline.store.ledger import Look

MOST_RESAMPLES = 100_000
ALPHA = 0.05


def looks_with(looks: Sequence[Look], model: str) -> int:
    """Different models that will have been looked at once this one was; the same again is no new look."""
    return len({look.model for look in looks} | {model})


def check_look(looks: Sequence[Look], model: str, verdict: Mapping[str, Any], params: TestParams) -> str:
    """The rules that were set to allow this look, comma-separated.

    Args:
        verdict: of the last evaluation: `model`, `accepted`, `broken`.

    Raises:
        VaultError: the model is not accepted, or too many were looked at; all reasons are named.
    """
    problems, told = [], []
    if verdict.get("model") != model:
        problems.append("the last evaluation is of another model: run `dvc repro evaluate`")
    elif not verdict["accepted"]:
        if params.rejected_model == "refuse":
            problems.append(
                f"the model is not accepted: on dev it breaks {listing(verdict['broken'])}. "
                "Make one that holds all limits, or set test.rejected_model to allow"
            )
        told.append("rejected_model")
    known = model in {look.model for look in looks}
    if not known and len({look.model for look in looks}) >= params.max_looks:
        if params.beyond_max_looks == "refuse":
            problems.append(
                f"models looked at: {len({look.model for look in looks})}, test.max_looks is {params.max_looks}: "
                "who looks again and again chooses by test, and its number says ever less. Collect new test "
                "images, or set test.beyond_max_looks to allow"
            )
        told.append("beyond_max_looks")
    if problems:
        raise VaultError("test stays closed: " + "; ".join(problems))
    return ",".join(told)


def corrected(
    predictions: pd.DataFrame, classes: tuple[str, ...], looks: int, params: EvaluateParams
) -> dict[str, float]:
    """The optimizing metric's interval at level 1 - 0.05 / looks.

    Bonferroni's correction (Dunn, 1961): with so wide an interval for each of `looks` models chosen
    without the others' results, all of them hold together in 95 % of cases. It does not undo a choice made *because* of
    earlier results (Dwork et al., 2015): that takes new images.
    """
    seen = judged(predictions, classes)
    # The tails of the interval keep as many resamples as those of a single look.
    count = min(params.bootstrap * looks, MOST_RESAMPLES)
    values = metric_of(params.optimizing, classes).resampled(
        seen, predictions["group"], count, params.seed, str(predictions["split"].iloc[0])
    )
    low, high = interval(values, ALPHA / looks)
    return {"low": low, "high": high, "level": 1 - ALPHA / looks}


def rows_digest(manifest: pd.DataFrame) -> str:
    """SHA-256 of which images a manifest has, with their content and labels, whatever their order."""
    columns = (manifest[name].astype(str) for name in ("id", "sha256", "label"))
    rows = sorted("\x1f".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256("\x1e".join(rows).encode()).hexdigest()


def params_digest(params: EvaluateParams) -> str:
    """SHA-256 of the rules by which is measured."""
    return hashlib.sha256(params.model_dump_json().encode()).hexdigest()
