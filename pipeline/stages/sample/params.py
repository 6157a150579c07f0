"""Params of the stage sample."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Section, Seed


class SampleParams(Section):
    """The demonstration data; `raw_imbalance` is largest over smallest raw class (1 = even)."""

    seed: Seed
    raw_imbalance: Annotated[float, Field(ge=1, le=100)]
