"""Params of the stages that judge a model: evaluate, diagnose and test."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.section import Section, Seed, Share

Metric = Literal["accuracy", "balanced_accuracy", "macro_f1"]
Limit = Literal["accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall", "model_megabytes"]


class Bounds(Section):
    """A limit: at least `min`, at most `max`, or both; null means no bound on that side."""

    min: float | None
    max: float | None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min and max are both null: give one of them a number")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max, got {self.min} and {self.max}")
        return self


class EvaluateParams(Section):
    """One optimizing metric, measured on dev, and limits that must hold there."""

    seed: Seed
    optimizing: Metric
    satisficing: Mapping[Limit, Bounds]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]


class DiagnoseParams(Section):
    """`human_error` as a share; gaps below `relevant_gap` are not worth a team's week."""

    human_error: Share
    relevant_gap: Annotated[float, Field(gt=0, lt=1)]
