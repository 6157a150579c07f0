"""Params of the stage diagnose."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section


class DiagnoseParams(Section):
    """`human_error`: or `measured` from people's answers. Gaps below `relevant_gap` are ignored.

    Both are shares of images; where images have numbers (problem regression), errors in the unit of the numbers.
    """

    human_error: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["measured"]
    relevant_gap: Annotated[float, Field(gt=0, allow_inf_nan=False)]
