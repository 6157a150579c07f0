"""Metrics and limits in params.yaml."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.section import EACH_ONCE, Label, Section, Value

MetricName = Literal[
    "accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall", "pr_auc", "macro_pr_auc", "log_loss"
]


Cost = Annotated[float, Field(ge=0)]


def _tagged(choice: Any) -> Any:
    """A choice without arguments may stand as its bare name."""
    return {"name": choice} if isinstance(choice, str) else choice


class Plain(Section):
    """A metric without arguments."""

    name: MetricName


class ClassRecall(Section):
    """Share of the images of one class that are called so."""

    name: Literal["class_recall"]
    label: Label


class ClassPrAuc(Section):
    """Area under the precision-recall curve of one class against all others."""

    name: Literal["class_pr_auc"]
    label: Label


class MeanCost(Section):
    """What mistakes cost on average: `costs[actual][called]`, `otherwise` for other mistakes, 0 where right."""

    name: Literal["mean_cost"]
    costs: Annotated[Mapping[Label, Annotated[Mapping[Label, Cost], EACH_ONCE]], EACH_ONCE]
    otherwise: Cost


class SliceError(Section):
    """Share of wrong calls among dev's images with a value in a column."""

    name: Literal["slice_error"]
    column: Annotated[str, Field(min_length=1)]
    value: Value


class ModelFact(Section):
    """What needs no labels: the size of the model's file, its time for an image."""

    name: Literal["model_megabytes", "latency_p95_ms"]


AnyMetric = Annotated[
    Plain | ClassRecall | ClassPrAuc | MeanCost, Field(discriminator="name"), BeforeValidator(_tagged)
]


AnyMeasure = Annotated[
    Plain | ClassRecall | ClassPrAuc | MeanCost | SliceError | ModelFact,
    Field(discriminator="name"),
    BeforeValidator(_tagged),
]


class Limit(Section):
    """A measure that must be at least `min`, at most `max`, or both; null means no bound on that side."""

    metric: AnyMeasure
    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min and max are both null: give one of them a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max, got {self.min} and {self.max}")
        return self
