"""Check the limits of params.yaml against the last evaluation, and describe the results.

The evaluation's own report says whether its limits held, and they may have been others: a bound that was moved since
then is judged anew, and a measure that was changed has to be measured first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import catalogue
from pipeline.errors import DataError, listing
from pipeline.metrics.limits import holds
from pipeline.metrics.params import Limit
from pipeline.project.params_file import PARAMS_FILE
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.dvc_lock import LOCK, Stages, locked_stages
from pipeline.store.reading import read_bytes
from pipeline.yaml_values import yaml_values

EVALUATE, OPTIMIZING, LIMITS, METRIC = "evaluate", "optimizing", "satisficing", "metric"


@dataclass(frozen=True)
class JudgedLimit:
    """A limit with its measured value, its bounds in params.yaml (None: no bound), and whether it holds."""

    value: float
    min: float | None
    max: float | None
    held: bool

    @property
    def rule(self) -> str:
        """The bounds in words."""
        return rule_of(self.min, self.max)


def judged_limits(report: Mapping[str, Any], params: EvaluateParams) -> dict[str, JudgedLimit]:
    """Each limit of params, judged by what the report says was measured.

    Raises:
        DataError: the last evaluation measured other limits, or something else under the name of one.
    """
    measured = report.get("limits", {})
    if set(measured) != set(params.satisficing):
        raise DataError(f"{catalogue.EVALUATE_METRICS.path} does not have the limits of {PARAMS_FILE}: run `dvc repro`")
    if other := measured_otherwise(locked_stages(Path(LOCK)), _params_here()):
        raise DataError(
            f"the last evaluation measured something else than {PARAMS_FILE} asks for now ({listing(other, 3)}): run "
            "`dvc repro`"
        )
    return {name: _judged(limit, measured[name]["value"]) for name, limit in params.satisficing.items()}


def measured_otherwise(stages: Stages, params: Any) -> list[str]:
    """The places of params.yaml whose metric is another one than evaluate ran with, by dvc.lock; none without it."""
    locked = stages.get(EVALUATE, {}).get("params", {}).get(EVALUATE)
    then, now = (_measures(values) for values in (locked, params.get(EVALUATE) if isinstance(params, dict) else None))
    return sorted(place for place in then.keys() & now.keys() if then[place] != now[place])


def rule_of(low: float | None, high: float | None) -> str:
    """Bounds in words."""
    ends = [("at least", low), ("at most", high)]
    return " and ".join(f"{words} {end:g}" for words, end in ends if end is not None)


def _params_here() -> Any:
    return yaml_values(read_bytes(PARAMS_FILE).decode()) if PARAMS_FILE.is_file() else None


def _judged(limit: Limit, value: float) -> JudgedLimit:
    return JudgedLimit(value, limit.min, limit.max, holds(limit, value))


def _measures(section: Any) -> dict[str, Any]:
    """Place -> metric as it is written; a bare name and a mapping with nothing but it are the same."""
    if not isinstance(section, Mapping):
        return {}
    limits = section.get(LIMITS)
    written = {f"{EVALUATE}.{OPTIMIZING}": section.get(OPTIMIZING)}
    if isinstance(limits, Mapping):
        written |= {
            f"{EVALUATE}.{LIMITS}.{name}.{METRIC}": one.get(METRIC)
            for name, one in limits.items()
            if isinstance(one, Mapping)
        }
    return {place: {"name": metric} if isinstance(metric, str) else metric for place, metric in written.items()}
