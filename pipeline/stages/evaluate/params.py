"""Params of the stages that judge a model: evaluate, diagnose and final_evaluation."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from pipeline.metrics.params import AnyMetric, Limit
from pipeline.section import Section, Seed


class EvaluateParams(Section):
    """One optimizing metric, measured on dev, and limits that must hold there, each under a name of your choice.

    slices: columns of the manifest whose values are measured one by one.
    """

    seed: Seed
    optimizing: AnyMetric
    satisficing: Mapping[Annotated[str, Field(min_length=1)], Limit]
    slices: Annotated[tuple[str, ...], Field(strict=False)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
