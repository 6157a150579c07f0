"""Metrics and limits in params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric_params import MetricParams
from pipeline.registry import one_of
from pipeline.section import Section, Value


def _tagged(choice: Any) -> Any:
    """A choice without arguments may stand as its bare name."""
    return {"name": choice} if isinstance(choice, str) else choice


class SliceError(Section):
    """Error rate on dev's images with a given value in a column."""

    name: Literal["slice_error"]
    column: Annotated[str, Field(min_length=1)]
    value: Value


class ModelFact(Section):
    """A value that needs no labels: the size of the model's file, or its time per image."""

    name: Literal["model_megabytes", "latency_p95_ms"]


AnyMetric = Annotated[MetricParams, one_of(METRICS), BeforeValidator(_tagged)]
AnyMeasure = Annotated[
    MetricParams | SliceError | ModelFact, one_of(METRICS, SliceError, ModelFact), BeforeValidator(_tagged)
]


class Limit(Section):
    """A measure that must be at least `min`, at most `max`, or both; null means no bound on that side."""

    metric: AnyMeasure
    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min and max are both null: set at least one of them to a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max, got {self.min} and {self.max}")
        return self
