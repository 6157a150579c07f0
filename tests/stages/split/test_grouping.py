"""Groups are numbered in the order of appearance, and drawn for by their names."""

import numpy as np
import pandas as pd
import pytest

from pipeline.randomness import keyed_uniform
from pipeline.stages.split.grouping import Groups

NAMES = pd.Series([f"group {number}" for number in np.random.default_rng(1).integers(0, 40, 200)], dtype="str")


@pytest.mark.parametrize("partition", [3, 50, 1000])
@pytest.mark.parametrize("part", [1, 7, 200])
def test_groups_are_those_of_equal_names(partition: int, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stages.split.grouping.PARTITION", partition)
    parts = [NAMES.iloc[start : start + part] for start in range(0, len(NAMES), part)]
    groups = Groups.of(lambda: iter(parts), len(NAMES))
    codes, names = pd.factorize(NAMES)
    assert groups.codes.tolist() == codes.tolist()
    assert len(groups) == len(names)
    assert NAMES[groups.first].tolist() == names.tolist()
    assert groups.uniform(3, "purpose").tolist() == keyed_uniform(3, "purpose", names).tolist()
    chosen = np.arange(len(names)) % 3 == 0
    assert groups.uniform(3, "purpose", chosen).tolist() == keyed_uniform(3, "purpose", names[chosen]).tolist()


def test_no_rows_are_no_groups() -> None:
    groups = Groups.of_column(NAMES.head(0))
    assert (len(groups), groups.uniform(1, "purpose").tolist()) == (0, [])
