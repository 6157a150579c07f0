"""Params of a search; no stage reads them."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.section import Count, Section, Seed
from pipeline.tuning.methods import METHODS, AnyMethod
from pipeline.tuning.ranges import AnyRange

# Sections whose params a trial can change in memory, and the mode of augment that needs no stage to run.
SECTIONS = ("train", "augment", "balance")
# What shapes a result and is no choice of a model: another seed is luck, and threads change last digits.
FIXED = ("train.seed", "train.threads", "augment.seed", "augment.mode", "balance.seed")


class TuneParams(Section):
    """Which params `pipeline tune` varies, and how.

    space: dotted place in params.yaml, such as train.learning_rate -> range.
    epochs: of each trial; null: those of train.epochs.
    prune: end a trial early if it is worse than half of the earlier ones at the same epoch.
    """

    seed: Seed
    method: AnyMethod
    space: Mapping[Annotated[str, Field(pattern=r"^[a-z_0-9]+(\.[a-z_0-9]+)+$")], AnyRange]
    epochs: Count | None
    prune: bool

    @model_validator(mode="after")
    def _places_can_vary(self) -> Self:
        places = list(self.space)
        problems = [
            f"{place} cannot vary: a trial changes params of {' and '.join(SECTIONS)} alone, in memory"
            for place in places
            if place.partition(".")[0] not in SECTIONS
        ]
        problems += [f"{place} must not vary: it is no choice of a model" for place in places if place in FIXED]
        if self.epochs is not None and "train.epochs" in self.space:
            problems.append("train.epochs varies, and epochs sets it: make epochs null")
        problems += [
            f"{inner} lies in {outer}: only one of them can vary"
            for outer in places
            for inner in places
            if inner.startswith(f"{outer}.")
        ]
        problems += METHODS.of(self.method).problems(self.space)
        if problems:
            raise ValueError("; ".join(problems))
        return self
