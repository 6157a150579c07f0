"""The plan of copies counts, numbers and names rows; each image's variants are its own."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.augmentation import plan_copies
from pipeline.params import PerImage

FEW = settings(max_examples=25, deadline=None)
# How often balancing left each image in the training rows.
TIMES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4), min_size=1)


def balanced(times: dict[str, int]) -> pd.DataFrame:
    rows = [(name, copy, f"path of {name}", "cat") for name, many in times.items() for copy in range(many)]
    return pd.DataFrame(rows, columns=["id", "copy", "path", "label"]).astype({"copy": "int32"})


def plan_per_image(rows: pd.DataFrame, copies: int) -> pd.DataFrame:
    return plan_copies(rows, PerImage(name="per_image", count=copies), seed=1)


def planned(times: dict[str, int], copies: int) -> list[tuple[str, int]]:
    plan = plan_per_image(balanced(times), copies)
    return list(zip(plan["id"], plan["copy"].tolist(), strict=True))


@given(times=TIMES, copies=st.integers(0, 3))
@FEW
def test_plan_numbers_the_rows_of_an_image_from_0_on(times: dict[str, int], copies: int) -> None:
    wanted = [(name, number) for name in sorted(times) for number in range(times[name] * (1 + copies))]
    assert planned(times, copies) == wanted


@given(times=TIMES, copies=st.integers(0, 3), more=st.integers(0, 3))
@FEW
def test_longer_plan_starts_with_the_shorter_one(times: dict[str, int], copies: int, more: int) -> None:
    shorter, longer = planned(times, copies), planned(times, copies + more)
    for name in times:
        mine = [row for row in shorter if row[0] == name]
        assert [row for row in longer if row[0] == name][: len(mine)] == mine


@given(times=TIMES, copies=st.integers(0, 3), data=st.data())
@FEW
def test_plan_does_not_depend_on_the_order_of_rows(times: dict[str, int], copies: int, data: st.DataObject) -> None:
    rows = balanced(times)
    shuffled = rows.iloc[data.draw(st.permutations(range(len(rows))))]
    pd.testing.assert_frame_equal(plan_per_image(shuffled, copies), plan_per_image(rows, copies))


@given(times=TIMES, copies=st.integers(0, 3))
@FEW
def test_plan_does_not_depend_on_the_index(times: dict[str, int], copies: int) -> None:
    rows = balanced(times)
    # As balancing leaves it: a repeated row stands under its number again.
    repeated = rows.set_axis([0] * len(rows))
    pd.testing.assert_frame_equal(plan_per_image(repeated, copies), plan_per_image(rows, copies))


def test_planned_rows_keep_their_columns() -> None:
    plan = plan_per_image(balanced({"a": 1, "b": 2}), 1)
    assert (plan["path"] == "path of " + plan["id"]).all()
    assert plan["copy"].dtype == np.int32
    assert plan.index.tolist() == list(range(6))
