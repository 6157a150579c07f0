"""Params of the stage suspects: who doubts a label."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.models import GradientBoosting, LogisticRegression, NearestCentroid, RandomForest
from pipeline.params.section import Section, Seed


class OwnModel(Section):
    """The model of `train`, fitted anew to each part of train."""

    name: Literal["own"]


AnyDoubter = Annotated[
    NearestCentroid | LogisticRegression | RandomForest | GradientBoosting | OwnModel, Field(discriminator="name")
]


class SuspectsParams(Section):
    """The model that is fitted to all folds of train but one, and asked about that one; null folds leave train out."""

    seed: Seed
    folds: Annotated[int, Field(ge=2, le=20)] | None
    model: AnyDoubter
