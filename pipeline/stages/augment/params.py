"""Params of the stage augment: how many variants, by which transforms, made when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.section import EACH_ONCE, Label, Section, Seed, Share
from pipeline.transforms.params import AnyTransform

MAX_COPIES = 100


Copies = Annotated[int, Field(ge=0, le=MAX_COPIES)]


class PerImage(Section):
    """So many variants of each row."""

    name: Literal["per_image"]
    count: Copies


class PerClass(Section):
    """So many variants of each row of the classes named, and `otherwise` of the others."""

    name: Literal["per_class"]
    counts: Annotated[Mapping[Label, Copies], EACH_ONCE]
    otherwise: Copies


class UpTo(Section):
    """As many variants as bring each class to `rows` rows, dealt out evenly over its rows."""

    name: Literal["up_to"]
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)]


@dataclass(frozen=True)
class VariantParams:
    """What makes variants: `augment.mode`, `augment.transforms` and `augment.seed`."""

    mode: Literal["materialise", "online"]
    transforms: Sequence[AnyTransform]
    seed: int


class AugmentParams(Section):
    """New variants of training rows, through `transforms` in order.

    mode: `materialise` makes them once, `online` anew in each epoch of training.
    match_production: raw images are degraded as production's camera does, before the transforms.
    max_failed: share of variants that may come out blank, and of images that may come out unchanged.
    """

    seed: Seed
    mode: Literal["materialise", "online"]
    copies: Annotated[PerImage | PerClass | UpTo, Field(discriminator="name")]
    transforms: Annotated[tuple[AnyTransform, ...], Field(strict=False)]
    match_production: bool
    max_failed: Share

    @property
    def variants(self) -> VariantParams:
        """What makes variants, as one value."""
        return VariantParams(self.mode, self.transforms, self.seed)

    @model_validator(mode="after")
    def _copies_need_transforms(self) -> Self:
        match self.copies:
            case PerImage(count=0):
                asked = False
            case PerClass(counts=counts, otherwise=otherwise):
                asked = any([*counts.values(), otherwise])
            case _:
                asked = True
        if asked and not self.transforms and not self.match_production:
            raise ValueError("copies without transforms would repeat images: name a transform or set copies to 0")
        return self
