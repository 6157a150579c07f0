"""The base class of all sections of params.yaml (closed, frozen, strict), and types that several sections use."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from pipeline.names import clean, fault, shown

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class LeadingZeros(int):
    """A whole number that params.yaml has with zeros in front, which a name would lose: 007."""


def _as_text(value: Any) -> Any:
    """Classes may be called 0 and 1, which are numbers in YAML; what is no text otherwise stands in quotes."""
    if isinstance(value, LeadingZeros):
        raise ValueError(f"YAML reads this as the number {value}, without its zeros: put it in quotes")
    return str(value) if type(value) is int else value


def _as_name(label: str) -> str:
    if (wrong := fault(label)) is not None:
        raise ValueError(f"the label {shown(label)} {wrong}")
    return clean(label)


# What a cell of a table or a column of the manifest has.
Value = Annotated[str, Field(min_length=1), BeforeValidator(_as_text)]
# A class's name, as ingest takes it.
Label = Annotated[Value, AfterValidator(_as_name)]


def _once(values: Any, check: ValidatorFunctionWrapHandler) -> Any:
    checked = check(values)
    if len(checked) < len(values):
        raise ValueError('a class is listed twice: 7 and "7" are the same class, and so are names that look the same')
    return checked


# Of a mapping by Label.
EACH_ONCE = WrapValidator(_once)


class Section(BaseModel):
    """A section of params.yaml: unknown keys, type conversions, NaN and later changes are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
