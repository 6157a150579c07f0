"""The sentences that compare a search of architectures with a random one."""

import pandas as pd
import pytest

from pipeline.tools.tune.beside_random import BesideRandom, Side, lines_beside_random

NONE_HOLDS = Side(trials=2, seconds=4.0, best=None, corrected=None)
ONE_HOLDS = Side(trials=2, seconds=4.0, best=0.5, corrected=None)


@pytest.mark.parametrize(
    ("search", "random", "why"),
    [
        (NONE_HOLDS, NONE_HOLDS, "needs a network of each that holds all limits"),
        (ONE_HOLDS, NONE_HOLDS, "needs a network of each that holds all limits"),
        (NONE_HOLDS, ONE_HOLDS, "needs a network of each that holds all limits"),
        (ONE_HOLDS, ONE_HOLDS, "Too few independent groups in dev"),
    ],
    ids=["neither", "search only", "random only", "both"],
)
def test_why_the_two_are_not_compared(search: Side, random: Side, why: str) -> None:
    found = BesideRandom(search, random, None, None, 0, 0, pd.DataFrame())
    assert why in lines_beside_random(found, "accuracy")[-1]
