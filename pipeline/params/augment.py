"""Params of the stage augment: how many variants, by which transforms, made when."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from pipeline.params.section import EACH_ONCE, Label, Section, Seed, Share

MOST_COPIES = 100
Copies = Annotated[int, Field(ge=0, le=MOST_COPIES)]


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


class Transform(BaseModel):
    """One albumentations transform: `name`, and its arguments under the library's own names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    # pydantic checks extra values only where their type says how.
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(min_length=1)]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the transform, as params.yaml has them."""
        return dict(self.model_extra or {})


class PresetName(Section):
    """A list of transforms that ships with the pipeline; `pipeline params --expanded` shows it."""

    preset: Literal["light", "photo", "document", "digits"]


def _kind_of_item(value: Any) -> str:
    named = "preset" in value if isinstance(value, dict) else isinstance(value, PresetName)
    return "a preset" if named else "a transform"


# The tags have a space, so that errors cannot take them for keys of params.yaml.
AnyTransform = Annotated[
    Annotated[PresetName, Tag("a preset")] | Annotated[Transform, Tag("a transform")], Discriminator(_kind_of_item)
]


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
