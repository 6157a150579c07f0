"""The plan of copies counts, numbers and weighs rows; what is planned for one image is its own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.stages.augment.copies import Copies, PerClass, PerImage, UpTo, plan_copies

FEW = settings(max_examples=50, deadline=None)
LABELS = {"a": "cat", "b": "cat", "c": "cat", "d": "dog", "e": "dog", "f": "emu"}
# How often balancing left each image in the training rows.
TIMES = st.dictionaries(st.sampled_from(sorted(LABELS)), st.integers(1, 4), min_size=1)
PER_IMAGE = st.builds(PerImage, name=st.just("per_image"), count=st.integers(0, 3))
PER_CLASS = st.builds(
    PerClass,
    name=st.just("per_class"),
    counts=st.fixed_dictionaries({}, optional={"cat": st.integers(0, 3)}),
    otherwise=st.integers(0, 3),
)
UP_TO = st.builds(UpTo, name=st.just("up_to"), rows=st.integers(1, 30))
COPIES = PER_IMAGE | PER_CLASS | UP_TO


def balanced(times: dict[str, int], weights: Sequence[float] = (1.0, 1.0, 1.0)) -> pd.DataFrame:
    """Rows as balance leaves them, with a weight for each class."""
    weight_of = dict(zip(("cat", "dog", "emu"), weights, strict=True))
    rows = [
        (name, copy, f"path of {name}", LABELS[name], f"group of {name}", weight_of[LABELS[name]])
        for name, many in times.items()
        for copy in range(many)
    ]
    frame = pd.DataFrame(rows, columns=["id", "copy", "path", "label", "group", "weight"])
    frame["weight"] /= frame["weight"].mean()
    return frame.astype({"copy": "int32", "weight": "float32", "label": "category"})


def has_cats(times: dict[str, int]) -> bool:
    return any(LABELS[name] == "cat" for name in times)


def plan(rows: pd.DataFrame, copies: Copies, seed: int = 1) -> pd.DataFrame:
    if isinstance(copies, PerClass) and "cat" in copies.counts:
        assume((rows["label"] == "cat").any())
    return plan_copies(rows, copies, seed)


def numbered(planned: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(planned["id"], planned["copy"].tolist(), strict=True))


def per_image(count: int) -> PerImage:
    return PerImage(name="per_image", count=count)


def up_to(rows: int) -> UpTo:
    return UpTo(name="up_to", rows=rows)


@given(times=TIMES, copies=st.integers(0, 3))
@FEW
def test_per_image_each_row_gets_its_number_of_variants(times: dict[str, int], copies: int) -> None:
    wanted = [(name, number) for name in sorted(times) for number in range(times[name] * (1 + copies))]
    assert numbered(plan(balanced(times), per_image(copies))) == wanted


@given(times=TIMES, cats=st.integers(0, 3), otherwise=st.integers(0, 3))
@FEW
def test_per_class_each_row_gets_the_number_of_its_class(times: dict[str, int], cats: int, otherwise: int) -> None:
    assume(has_cats(times))
    planned = plan(balanced(times), PerClass(name="per_class", counts={"cat": cats}, otherwise=otherwise))
    for name, rows in planned.groupby("id"):
        variants = cats if LABELS[str(name)] == "cat" else otherwise
        assert len(rows) == times[str(name)] * (1 + variants)


@given(times=TIMES, target=st.integers(1, 40))
@example(times={"a": 2, "b": 1}, target=7)
@FEW
def test_up_to_a_count_each_class_gets_there_and_loses_nothing(times: dict[str, int], target: int) -> None:
    rows = balanced(times)
    before, after = (frame["label"].astype(str).value_counts() for frame in (rows, plan(rows, up_to(target))))
    assert after.to_dict() == {label: max(count, target) for label, count in before.items()}


@given(times=st.fixed_dictionaries(dict.fromkeys("abcdef", st.just(1))), target=st.integers(1, 40))
@FEW
def test_up_to_a_count_rows_of_a_class_differ_by_one_at_most(times: dict[str, int], target: int) -> None:
    planned = plan(balanced(times), up_to(target))
    sizes = planned.groupby("id").size()
    assert max(np.ptp(sizes[[name for name in sizes.index if LABELS[name] == label]]) for label in ("cat", "dog")) <= 1


def test_up_to_a_count_the_seed_says_who_gets_one_more() -> None:
    """With 4 rows wanted of 3 images, one image gets a variant."""
    rows = balanced(dict.fromkeys("abc", 1))
    chosen = {frozenset(plan(rows, up_to(4), seed).query("copy > 0")["id"]) for seed in range(30)}
    assert chosen == {frozenset("a"), frozenset("b"), frozenset("c")}


@given(times=TIMES, copies=COPIES)
@FEW
def test_the_rows_of_an_image_are_numbered_from_0_on(times: dict[str, int], copies: Copies) -> None:
    planned = plan(balanced(times), copies)
    assert planned.index.tolist() == list(range(len(planned)))
    assert planned["copy"].dtype == np.int32
    for _, numbers in planned.groupby("id")["copy"]:
        assert numbers.tolist() == list(range(len(numbers)))


@given(times=TIMES, copies=COPIES)
@FEW
def test_label_group_and_path_are_the_parents(times: dict[str, int], copies: Copies) -> None:
    planned = plan(balanced(times), copies)
    assert (planned["path"] == "path of " + planned["id"]).all()
    assert (planned["group"] == "group of " + planned["id"]).all()
    assert (planned["label"].astype(str) == planned["id"].map(LABELS)).all()


@given(times=TIMES, copies=st.integers(0, 3), more=st.integers(0, 3))
@FEW
def test_longer_plan_starts_with_the_shorter_one(times: dict[str, int], copies: int, more: int) -> None:
    shorter, longer = (numbered(plan(balanced(times), per_image(count))) for count in (copies, copies + more))
    for name in times:
        mine = [row for row in shorter if row[0] == name]
        assert [row for row in longer if row[0] == name][: len(mine)] == mine


@given(times=TIMES, copies=COPIES, others=TIMES)
@FEW
def test_an_image_keeps_its_plan_when_others_come(
    times: dict[str, int], copies: Copies, others: dict[str, int]
) -> None:
    """By per_image and per_class; up to a count, fewer variants of each are needed, with the same numbers."""
    before = plan(balanced(times), copies)
    after = plan(balanced({**others, **times}), copies)
    same = numbered(after[after["id"].isin(before["id"])])
    if isinstance(copies, UpTo):
        assert set(same) <= set(numbered(before))
    else:
        assert same == numbered(before)


@given(times=TIMES, copies=COPIES, data=st.data())
@FEW
def test_plan_does_not_depend_on_the_order_of_rows(times: dict[str, int], copies: Copies, data: st.DataObject) -> None:
    rows = balanced(times)
    shuffled = rows.iloc[data.draw(st.permutations(range(len(rows))))]
    pd.testing.assert_frame_equal(plan(shuffled, copies), plan(rows, copies))


@given(times=TIMES, copies=COPIES)
@FEW
def test_plan_does_not_depend_on_the_index(times: dict[str, int], copies: Copies) -> None:
    rows = balanced(times)
    # As balancing leaves it: a repeated row stands under its number again.
    pd.testing.assert_frame_equal(plan(rows.set_axis([0] * len(rows)), copies), plan(rows, copies))


@given(times=TIMES, copies=COPIES)
@FEW
def test_a_variant_weighs_what_its_parent_does(times: dict[str, int], copies: Copies) -> None:
    assert set(plan(balanced(times), copies)["weight"]) == {1.0}


def shares(frame: pd.DataFrame) -> dict[str, float]:
    sums = frame["weight"].groupby(frame["label"].astype(str)).sum()
    return dict(sums / sums.sum())


@given(times=TIMES, copies=COPIES, weights=st.tuples(*[st.floats(0.1, 10)] * 3))
@FEW
def test_classes_that_balancing_weighed_keep_their_share(
    times: dict[str, int], copies: Copies, weights: tuple[float, float, float]
) -> None:
    rows = balanced(times, weights)
    assume(np.ptp(rows.groupby("label", observed=True)["weight"].mean()) > 0.01)
    planned = plan(rows, copies)
    assert planned["weight"].dtype == np.float32
    assert planned["weight"].mean() == pytest.approx(1, rel=1e-5)
    assert shares(planned) == pytest.approx(shares(rows), rel=1e-5)


def test_the_same_number_of_copies_for_all_leaves_weights_to_the_last_bit() -> None:
    rows = balanced({"a": 1, "d": 3, "f": 2}, (0.3, 1.7, 2.2))
    assert set(plan(rows, per_image(3))["weight"]) == set(rows["weight"])


def test_a_class_that_train_does_not_have_is_named() -> None:
    # A category without rows is no class of train.
    rows = balanced(dict.fromkeys("abcdef", 1)).query("label != 'emu'")
    copies = PerClass(name="per_class", counts={"cat": 1, "emu": 2, "fox": 3}, otherwise=0)
    message = r"^augment\.copies\.counts names classes that train does not have: emu, fox; its classes are cat, dog$"
    with pytest.raises(ParamsError, match=message):
        plan_copies(rows, copies, 1)


@pytest.mark.parametrize("copies", [up_to(1_000_000_000), per_image(100)])
def test_more_rows_than_a_manifest_holds_are_refused(copies: Copies) -> None:
    rows = balanced({"a": 1, "d": 1}).iloc[np.zeros(200_000, int)]
    with pytest.raises(
        ParamsError, match=r"^augment\.copies would give [\d,]+ rows, but a manifest has at most 20,000,000: ask"
    ):
        plan_copies(rows, copies, 1)
