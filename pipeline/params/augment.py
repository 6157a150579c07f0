"""Params of the stage augment."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from pipeline.params.section import Section, Seed

MOST_COPIES = 100


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


class AugmentParams(Section):
    """`copies` new variants of each training image, through `transforms` in order."""

    seed: Seed
    copies: Annotated[int, Field(ge=0, le=MOST_COPIES)]
    transforms: Annotated[tuple[Transform, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _copies_need_transforms(self) -> Self:
        if self.copies and not self.transforms:
            raise ValueError("copies without transforms would repeat images: name a transform or set copies to 0")
        return self
