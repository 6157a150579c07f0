"""Params of the stage sample."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Section, Seed


class SampleParams(Section):
    """The demonstration data; `raw_imbalance`, at least 1, is the size of the largest raw class over the smallest."""

    seed: Seed
    raw_imbalance: Annotated[float, Field(ge=1, le=100)]
