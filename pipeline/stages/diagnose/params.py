"""Params of the stage diagnose."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section, Share


class DiagnoseParams(Section):
    """`human_error`: a share, or `measured` from people's answers. Gaps below `relevant_gap` are ignored."""

    human_error: Share | Literal["measured"]
    relevant_gap: Annotated[float, Field(gt=0, lt=1)]
