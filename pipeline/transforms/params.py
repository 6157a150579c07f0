"""A list of transforms in params.yaml."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from pipeline.section import Section


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
