"""Params of the stage label_issues: the models that check the labels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.models.baselines import BASELINES, Baseline
from pipeline.registry import one_of
from pipeline.section import Section, Seed


class OwnModel(Section):
    """The model of `train`, fitted again for each fold."""

    name: Literal["own"]


AnyNoiseModel = Annotated[
    Baseline | OwnModel, one_of(*(row.params for row in BASELINES.values() if row.finds_label_issues), OwnModel)
]


class LabelIssuesParams(Section):
    """The model that is fitted to all folds of train but one, and asked about that one; null folds leave train out.

    second: another that must doubt as well, or null.
    """

    seed: Seed
    folds: Annotated[int, Field(ge=2, le=20)] | None
    model: AnyNoiseModel
    second: AnyNoiseModel | None

    @model_validator(mode="after")
    def _another_seconds(self) -> Self:
        if self.second == self.model:
            raise ValueError(
                "second is the same as model and would disagree with the same labels: choose another model, or null"
            )
        return self
