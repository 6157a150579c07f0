"""A list of transforms in params.yaml."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

from pipeline.registry import NameOf
from pipeline.section import Section
from pipeline.transforms.presets import PRESETS


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

    preset: Annotated[str, NameOf(PRESETS)]


def _kind_of_item(value: Any) -> str:
    named = "preset" in value if isinstance(value, dict) else isinstance(value, PresetName)
    return "a preset" if named else "a transform"


# The tags have a space, so that errors cannot take them for keys of params.yaml.
AnyTransform = Annotated[
    Annotated[PresetName, Tag("a preset")] | Annotated[Transform, Tag("a transform")], Discriminator(_kind_of_item)
]


def expand(items: Sequence[AnyTransform]) -> tuple[Transform, ...]:
    """The transforms in order, each preset replaced by its list."""
    return tuple(
        transform for item in items for transform in (_listed(item.preset) if isinstance(item, PresetName) else [item])
    )


def _listed(preset: str) -> list[Transform]:
    return [Transform.model_validate(dict(item)) for item in PRESETS[preset].transforms]
