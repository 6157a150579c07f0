"""Params of the stage label_issues: the models that check the labels."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.section import Section, Seed
from pipeline.stages.label_issues.models import AnyLabelModel, LinearOnEmbeddings


class LabelIssuesParams(Section):
    """The model that is fitted to all folds of train but one, and asked about that one; null folds leave train out.

    second: another that must doubt as well, or null.
    """

    seed: Seed
    folds: Annotated[int, Field(ge=2, le=20)] | None
    model: AnyLabelModel
    second: AnyLabelModel | None

    @model_validator(mode="after")
    def _another_seconds(self) -> Self:
        if self.second == self.model:
            raise ValueError(
                "second is the same as model, so it would disagree with the same labels: choose another model, or null"
            )
        return self


def needs_vectors(params: LabelIssuesParams) -> bool:
    """Whether a model of params looks at embeddings."""
    return any(isinstance(model, LinearOnEmbeddings) for model in (params.model, params.second))
