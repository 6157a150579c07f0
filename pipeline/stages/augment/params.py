"""Params of the stage augment: how many variants, by which transforms, made when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.registry import one_of
from pipeline.section import Section, Seed, Share
from pipeline.stages.augment.copies import COPIES, Copies
from pipeline.stages.embed.params import Backbone
from pipeline.stages.ingest.params import JpegEncoding, PngEncoding
from pipeline.transforms.params import AnyTransform


@dataclass(frozen=True)
class VariantParams:
    """The params that make variants: `augment.mode`, `augment.transforms` and `augment.seed`."""

    mode: Literal["materialise", "online"]
    transforms: Sequence[AnyTransform]
    seed: int


@dataclass(frozen=True)
class PictureParams:
    """How pictures are made and seen: `ingest.encoding`, `ingest.fit` and `embed.backbone`."""

    encoding: JpegEncoding | PngEncoding
    fit: str
    backbone: Backbone | None


class AugmentParams(Section):
    """New variants of training rows, through `transforms` in order.

    mode: `materialise` makes them once, `online` anew in each epoch of training.
    match_production: raw images are degraded as production's camera does, before the transforms.
    max_failed: share of variants that may come out blank, and of images that may come out unchanged.
    """

    seed: Seed
    mode: Literal["materialise", "online"]
    copies: Annotated[Copies, one_of(COPIES)]
    transforms: Annotated[tuple[AnyTransform, ...], Field(strict=False)]
    match_production: bool
    max_failed: Share

    @property
    def variants(self) -> VariantParams:
        """What makes variants, as one value."""
        return VariantParams(self.mode, self.transforms, self.seed)

    @model_validator(mode="after")
    def _copies_need_transforms(self) -> Self:
        asked = COPIES.of(self.copies).makes_any(self.copies)
        if asked and not self.transforms and not self.match_production:
            raise ValueError("copies without transforms would only repeat images: name a transform, or set copies to 0")
        return self
