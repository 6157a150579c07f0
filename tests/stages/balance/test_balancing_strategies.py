"""What each strategy promises: counts of its target, its own laws, and the same rows in every version."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler

from pipeline.errors import ParamsError
from pipeline.stages.balance.balancing import count_classes
from tests.stages.balance.choosing import (
    FEW,
    OTHERS,
    WEIGHTS,
    choose,
    counts_after,
    manifest,
    manifests,
    named,
    params,
    train_of,
)

UNEVEN = {"apple": 100, "fig": 40, "pear": 30, "quince": 10}


@pytest.mark.parametrize(
    ("strategy", "target", "counts"),
    [
        ("oversample", {"name": "majority"}, [100, 100, 100, 100]),
        ("oversample", {"name": "median"}, [100, 40, 35, 35]),
        ("oversample", {"name": "count", "rows": 60}, [100, 60, 60, 60]),
        ("oversample", {"name": "count", "rows": 250}, [250, 250, 250, 250]),
        ("oversample", {"name": "ratio", "value": 0.35}, [100, 40, 35, 35]),
        ("oversample", {"name": "ratio", "value": 0.301}, [100, 40, 31, 31]),
        ("undersample", {"name": "minority"}, [10, 10, 10, 10]),
        ("undersample", {"name": "median"}, [35, 35, 30, 10]),
        ("undersample", {"name": "count", "rows": 1}, [1, 1, 1, 1]),
        ("undersample", {"name": "count", "rows": 1000}, [100, 40, 30, 10]),
        ("undersample", {"name": "ratio", "value": 0.3}, [33, 33, 30, 10]),
        ("both", {"name": "majority"}, [100, 100, 100, 100]),
        ("both", {"name": "minority"}, [10, 10, 10, 10]),
        ("both", {"name": "median"}, [35, 35, 35, 35]),
        ("both", {"name": "count", "rows": 50}, [50, 50, 50, 50]),
        ("both", {"name": "ratio", "value": 0.25}, [70, 40, 30, 18]),
        ("both", {"name": "ratio", "value": 1.0}, [35, 35, 35, 35]),
        ("near_miss", {"name": "minority"}, [10, 10, 10, 10]),
        ("near_miss", {"name": "count", "rows": 35}, [35, 35, 30, 10]),
        ("near_miss", {"name": "ratio", "value": 0.5}, [20, 20, 20, 10]),
    ],
)
def test_classes_have_the_counts_of_the_target(strategy: str, target: dict[str, Any], counts: list[int]) -> None:
    rows = manifest(UNEVEN)
    chosen = choose(rows, params(strategy, **{**OTHERS[strategy], "target": target}))
    assert counts_after(rows, chosen) == dict(zip(UNEVEN, counts, strict=True))


@pytest.mark.parametrize("strategy", ["oversample", "undersample", "both"])
@given(rows=manifests(), ratio=st.floats(0.01, 1))
@FEW
def test_ratio_holds_afterwards(strategy: str, rows: pd.DataFrame, ratio: float) -> None:
    after = counts_after(rows, choose(rows, params(strategy, target={"name": "ratio", "value": ratio}))).values()
    assert min(after) / max(after) >= ratio - 1e-6


@pytest.mark.parametrize(("strategy", "peer"), [("oversample", RandomOverSampler), ("undersample", RandomUnderSampler)])
@given(rows=manifests())
@FEW
def test_class_counts_are_those_of_imbalanced_learn(strategy: str, peer: Any, rows: pd.DataFrame) -> None:
    labels = train_of(rows)["label"].to_numpy(dtype=object)
    _, theirs = peer(random_state=0).fit_resample(np.zeros((len(labels), 1)), labels)
    assert counts_after(rows, choose(rows, params(strategy))) == dict(Counter(theirs))


@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_oversampling_drops_nothing(rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params("oversample", production_weight=production_weight))
    assert set(chosen.rows) == set(train_of(rows).index)


@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_none_drops_nothing_and_repeats_production_alone(rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params("none", production_weight=production_weight))
    assert set(chosen.rows) == set(train_of(rows).index)
    assert set(rows["role"].iloc[chosen.rows[chosen.copies > 0]]) <= {"production"}


@given(rows=manifests())
@FEW
def test_undersampling_repeats_nothing(rows: pd.DataFrame) -> None:
    assert choose(rows, params("undersample")).copies.max() == 0


@pytest.mark.parametrize("strategy", ["undersample", "oversample"])
def test_more_images_hardly_change_what_is_chosen(strategy: str) -> None:
    few = manifest({"apple": 1000, "fig": 300})
    more = manifest({"apple": 1010, "fig": 300})
    target = {"name": "count", "rows": 400}
    one, other = (
        Counter(entry[:2] for entry in named(rows, choose(rows, params(strategy, target=target))))
        for rows in (few, more)
    )
    assert sum((one - other).values()) <= 10


@pytest.mark.parametrize("strategy", ["oversample", "undersample", "both"])
def test_another_seed_chooses_other_rows(strategy: str) -> None:
    rows = manifest(UNEVEN)
    one, other = (choose(rows, params(strategy, seed)).rows.tolist() for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize(
    ("strategy", "production_weight", "expected"),
    [
        pytest.param("oversample", 1.0, "0 1 2 2 3 3 3 4 4 4 4 5 6 7 8 9 10 10 10 11 11", id="oversample"),
        pytest.param("undersample", 1.0, "1 2 3 4 9 10", id="undersample"),
        pytest.param("both", 1.0, "1 2 3 4 4 8 9 10 11", id="both"),
        pytest.param("none", 2.5, "0 0 1 1 1 2 2 2 3 3 4 4 4 5 6 7 8 9 10 11", id="production counts 2.5 times"),
    ],
)
def test_rows_are_the_same_in_every_version(strategy: str, production_weight: float, expected: str) -> None:
    rows = manifest({"apple": 5, "fig": 2}, {"apple": 2, "fig": 1, "pear": 2})
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    assert " ".join(map(str, chosen.rows)) == expected


def test_weights_balance_the_classes_and_raise_production() -> None:
    rows = manifest({"apple": 6, "fig": 1}, {"apple": 1, "fig": 2})
    chosen = choose(rows, params("weights"))
    assert chosen.rows.tolist() == list(range(10))
    # scikit-learn's formula: n / (k n_c).
    assert chosen.weights.tolist() == pytest.approx([10 / (2 * {"apple": 7, "fig": 3}[name]) for name in rows["label"]])
    raised = rows.assign(weight=choose(rows, params("weights", production_weight=3.0)).weights)
    by_cell = raised.groupby(["label", "role"])["weight"].first()
    assert by_cell["apple", "production"] == pytest.approx(3 * by_cell["apple", "raw"])
    assert raised.groupby("label")["weight"].sum().tolist() == pytest.approx([5, 5])


def test_weights_within_a_column_balance_the_classes_of_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = manifest({"apple": 6, "fig": 4})
    # What one class has alone keeps its weight.
    rows["source"] = ["a", "a", "a", "a", "b", "c", "a", "b", "b", "b"]
    weighed = rows.assign(weight=choose(rows, params("weights_within", column="source")).weights)
    assert weighed.groupby(["source", "label"])["weight"].sum().to_dict() == pytest.approx(
        {("a", "apple"): 2.5, ("a", "fig"): 2.5, ("b", "apple"): 2, ("b", "fig"): 2, ("c", "apple"): 1}
    )
    one_value = choose(rows.assign(source="a"), params("weights_within", column="source")).weights
    assert one_value.tolist() == choose(rows, params("weights")).weights.tolist()
    many = rows.assign(source=[str(number) for number in range(len(rows))])
    monkeypatch.setattr("pipeline.stages.balance.balancing.MAX_VALUES", 9)
    with pytest.raises(ParamsError, match="has 10 values in train, but may have at most 9"):
        choose(many, params("weights_within", column="source"))


def test_production_is_repeated_and_counts_in_targets() -> None:
    rows = manifest({"apple": 10, "fig": 4}, {"apple": 2, "fig": 1})
    chosen = choose(rows, params("oversample", production_weight=3.0))
    # 10 + 3 x 2 rows of apple are the most; fig's 16 are 3/7 production.
    cells = rows.iloc[chosen.rows].groupby(["label", "role"]).size().to_dict()
    assert cells == {
        ("apple", "production"): 6, ("apple", "raw"): 10, ("fig", "production"): 7, ("fig", "raw"): 9,
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["oversample", "both"])
def test_more_rows_than_a_manifest_holds_are_refused(strategy: str) -> None:
    target = {"name": "count", "rows": 10_000_001}
    message = (
        r"^balance would give 20,000,002 rows \(2 classes of up to 10,000,001\), "
        r"but at most 20,000,000 are allowed: "
        r"lower balance\.strategy\.target or balance\.production_weight, or use the strategy weights$"
    )
    with pytest.raises(ParamsError, match=message):
        choose(manifest({"apple": 4, "fig": 3}), params(strategy, target=target))


def test_classes_are_counted_by_role_and_weight() -> None:
    rows = manifest({"fig": 2, "apple": 1}, {"fig": 1})
    counted = count_classes(rows, np.array([0, 0, 1, 2, 3]), np.array([1.0, 1.0, 0.5, 2.0, 3.0]))
    assert counted.to_dict("index") == {
        "apple": {"rows": 1, "weight": 0.5, "production": 0.0},
        "fig": {"rows": 4, "weight": 7.0, "production": 2.0},
    }
