"""Params of the stage balance."""

from typing import Annotated

from pydantic import Field

from pipeline.registry import one_of
from pipeline.section import Section, Seed
from pipeline.stages.balance.strategies import STRATEGIES, Strategy


class BalanceParams(Section):
    """How classes and roles are balanced in the training rows.

    production_weight: each production row counts as so many raw ones of its class, in class sizes,
    targets and draws alike: it stands so many times as often as they do, to the nearest row. The
    strategy `weights` puts it into the loss instead. 1 = off.
    """

    seed: Seed
    production_weight: Annotated[float, Field(ge=1, le=100)]
    strategy: Annotated[Strategy, one_of(STRATEGIES)]
