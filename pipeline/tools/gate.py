"""Is the last run's model good enough to ship? Its limits, and its metric beside that of another revision: for CI."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from pipeline.errors import DataError, MissingInputError, ParamsError
from pipeline.manifest import DEV
from pipeline.metrics.comparison import Result, Row, compare
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import key_of
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.tools.history import revision_result, workspace_result
from pipeline.tools.judged_limits import JudgedLimit, judged_limits

POINTS = 100.0


@dataclass(frozen=True)
class Comparison:
    """The metric of this model and of a revision's, on the dev images that both were evaluated on.

    worse: how many points worse this model is; below 0: better. A point is a hundredth of the metric.
    low, high: its 95 % interval; None where dev has too few independent groups.
    images: dev images of both, by id and label; own, other: dev images of each.
    """

    revision: str
    value: float
    other_value: float
    worse: float
    low: float | None
    high: float | None
    images: int
    own: int
    other: int


@dataclass(frozen=True)
class Gate:
    """What holds and what does not.

    broken: a sentence for each limit, and for the comparison, that does not hold; empty: the model passes.
    """

    metric: str
    value: float
    limits: Mapping[str, JudgedLimit]
    comparison: Comparison | None
    broken: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "passed": not self.broken}


def gate(params: EvaluateParams, against: str | None, tolerance: float, beyond_noise: bool) -> Gate:
    """Judge the last run of the current folder.

    Args:
        against: a revision whose model is compared with this one; None: the limits alone decide.
        tolerance: how many points worse than the revision's the model may be, >= 0.
        beyond_noise: whether only a difference counts whose whole 95 % interval is beyond the tolerance.

    Raises:
        ParamsError: the tolerance is no finite number.
        MissingInputError: there is no evaluation here.
        DataError: it is of another model, or was measured by another metric or other limits than params name now;
            or the revision is unknown, has no results of its own, or no dev image in common with this one.
    """
    if not math.isfinite(tolerance):
        raise ParamsError(f"--tolerance is {tolerance}: it must be a number of points")
    own = _usable(workspace_result(), "the last run")
    _check_measured(own.report, params)
    limits = judged_limits(own.report, params)
    broken = [_limit_words(name, limit) for name, limit in sorted(limits.items()) if not limit.held]
    compared = None if against is None else _compared(own, revision_result(against), params)
    if compared is not None:
        worst = compared.low if beyond_noise else compared.worse
        if worst is not None and worst > tolerance:
            broken.append(_worse_words(compared, tolerance))
    key = key_of(params.optimizing)
    return Gate(key, own.report[DEV][key], limits, compared, tuple(broken))


def lines(found: Gate) -> list[str]:
    """What was judged, a sentence each."""
    held = sum(limit.held for limit in found.limits.values())
    said = [f"{found.metric} on dev: {found.value:.4f}"]
    if found.limits:
        said.append(f"{held} of {len(found.limits)} limits hold")
    if found.comparison is not None:
        said.append(_compared_words(found.comparison))
    return said


def _usable(result: Result | None, name: str) -> Result:
    if result is None:
        raise MissingInputError(f"{name} has no evaluation: run `dvc repro`, or `dvc pull` what another machine ran")
    if result.predictions is None:
        raise DataError(f"the results of {name} cannot be judged: {result.missing}")
    return result


def _check_measured(report: Mapping[str, Any], params: EvaluateParams) -> None:
    key = key_of(params.optimizing)
    if key not in report.get(DEV, {}):
        raise DataError(f"the last run did not measure {key}, the metric of params.yaml: run `dvc repro`")


def _compared(own: Result, other: Result, params: EvaluateParams) -> Comparison:
    other = _usable(other, other.name)
    here, there = _dev(own), _dev(other)
    key = ["id", "label"]
    both = here[key].merge(there[key], on=key)
    if both.empty:
        raise DataError(f"this dev has no labelled image in common with that of {other.name}: they cannot be compared")
    rows = {
        row.name: row
        for row in compare(
            [
                replace(own, name="own", predictions=here[here["id"].isin(both["id"])]),
                replace(other, name="other", predictions=there[there["id"].isin(both["id"])]),
            ],
            params,
        )
    }
    mine, theirs = rows["own"], rows["other"]
    if mine.value is None or theirs.value is None:
        raise DataError(f"this run and {other.name} cannot be compared: {mine.note or theirs.note}")
    worse, low, high = _worse(mine, theirs, METRICS.of(params.optimizing).maximise)
    return Comparison(
        other.name, mine.value, theirs.value, worse, low, high, images=len(both), own=len(here), other=len(there)
    )


def _dev(result: Result) -> pd.DataFrame:
    assert result.predictions is not None  # noqa: S101
    dev = result.predictions[result.predictions["split"] == DEV]
    return dev.assign(label=dev["label"].astype(str))


def _worse(mine: Row, theirs: Row, maximise: bool) -> tuple[float, float | None, float | None]:
    """How many points worse mine is, with the ends of its interval."""
    # One of the two is the best, and the other has the difference to it.
    beside, sign = (theirs, 1) if theirs.difference is not None else (mine, -1)
    if not maximise:
        sign = -sign
    ends = [None if end is None else sign * end * POINTS for end in (beside.difference_low, beside.difference_high)]
    if sign < 0:
        ends.reverse()
    return sign * (beside.difference or 0.0) * POINTS, ends[0], ends[1]


def _limit_words(name: str, limit: JudgedLimit) -> str:
    return f"limit {name} is broken: {limit.value:.4f}, must be {limit.rule}"


def _worse_words(found: Comparison, tolerance: float) -> str:
    return f"the model is {found.worse:.1f} points worse than that of {found.revision}; {tolerance:g} are allowed"


def _compared_words(found: Comparison) -> str:
    images = f"on {found.images:,} dev images of both"
    if not found.images == found.own == found.other:
        images += f" (of {found.own:,} here and {found.other:,} there)"
    values = f"{found.revision}: {found.other_value:.4f} there, {found.value:.4f} here, {images}"
    if found.worse == 0:
        return f"{values}: equal"
    direction, sign = ("worse", 1) if found.worse > 0 else ("better", -1)
    if found.low is None or found.high is None:
        certainty = "dev has too few independent groups for an interval"
    else:
        low, high = sorted((sign * found.low, sign * found.high))
        certainty = f"95 % interval {low:.1f} to {high:.1f}" + (", so this may be chance" if low <= 0 else "")
    return f"{values}: {abs(found.worse):.1f} points {direction} ({certainty})"
