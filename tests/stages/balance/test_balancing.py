"""Balancing is choosing rows; every strategy keeps one contract."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.stages.balance.balancing import count_classes
from pipeline.stages.balance.strategies import STRATEGIES
from tests.stages.balance.choosing import (
    CLEANERS,
    FEW,
    OTHERS,
    WEIGHTS,
    choose,
    counts_after,
    each_strategy,
    manifest,
    manifests,
    named,
    params,
    train_of,
)


def test_every_strategy_of_params_is_tested() -> None:
    assert sorted(OTHERS) == sorted(STRATEGIES)


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_rows_are_positions_of_train_sorted_by_id(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    assert set(chosen.rows) <= set(train_of(rows).index)
    ids = rows["id"].iloc[chosen.rows].tolist()
    assert ids == sorted(ids)


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS, seed=st.integers(0, 2**32 - 1))
@FEW
def test_same_rows_and_params_choose_alike_in_any_order(
    strategy: str, rows: pd.DataFrame, production_weight: float, seed: int
) -> None:
    chosen = params(strategy, seed, production_weight)
    shuffled = rows.sample(frac=1, random_state=seed).reset_index(drop=True)
    assert named(shuffled, choose(shuffled, chosen)) == named(rows, choose(rows, chosen))


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_categories_choose_as_texts_do(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    chosen = params(strategy, production_weight=production_weight)
    # Unsorted, and one of them unused: codes are no names.
    labels = pd.CategoricalDtype(["quince", "unused", "fig", "apple", "pear"])
    coded = rows.astype({"label": labels, "role": "category", "split": "category"})
    assert named(coded, choose(coded, chosen)) == named(rows, choose(rows, chosen))
    objects = rows.astype(dict.fromkeys(rows.columns, object))
    assert named(objects, choose(objects, chosen)) == named(rows, choose(rows, chosen))


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_copies_of_each_row_count_up_from_0(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    times = Counter(chosen.rows.tolist())
    expected = sorted((row, copy) for row, number in times.items() for copy in range(number))
    assert sorted(zip(chosen.rows.tolist(), chosen.copies.tolist(), strict=True)) == expected
    assert chosen.copies.dtype == np.int32


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_no_class_is_lost(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    assert set(counts_after(rows, chosen)) == set(train_of(rows)["label"])


@each_strategy
@given(rows=manifests())
@FEW
def test_imbalance_by_weight_does_not_grow(strategy: str, rows: pd.DataFrame) -> None:
    chosen = choose(rows, params(strategy))
    before = train_of(rows)["label"].value_counts()
    after = count_classes(rows, chosen.rows, chosen.weights)["weight"]
    assert after.max() / after.min() <= before.max() / before.min() * 1.000001


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_repeats_are_even(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    """No image stands k + 2 times while another of its class and role, not cleaned away, stands k times."""
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    train = train_of(rows)
    standing = train.loc[sorted(set(chosen.rows))] if strategy in CLEANERS else train
    times = pd.Series(Counter(chosen.rows.tolist())).reindex(standing.index, fill_value=0)
    spread = times.groupby([standing["label"], standing["role"]]).agg(["min", "max"])
    assert (spread["max"] - spread["min"] <= 1).all()
    if production_weight == 1:
        spread = times.groupby(standing["label"]).agg(["min", "max"])
        assert (spread["max"] - spread["min"] <= 1).all()


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_a_production_row_counts_so_many_times_as_a_raw_one(
    strategy: str, rows: pd.DataFrame, production_weight: float
) -> None:
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    drawn = rows.iloc[chosen.rows].assign(weight=chosen.weights)
    # What the draw chose from: a cleaner's rows, or all.
    source = rows.loc[sorted(set(chosen.rows))] if strategy in CLEANERS else train_of(rows)
    for label, mine in drawn.groupby("label"):
        roles = source.loc[source["label"] == label, "role"].value_counts().reindex(["raw", "production"], fill_value=0)
        mass = roles["production"] * production_weight
        expected = mine["weight"].sum() * mass / (mass + roles["raw"])
        assert abs(mine.loc[mine["role"] == "production", "weight"].sum() - expected) <= 0.5 + 1e-3


@each_strategy
@given(rows=manifests(), production_weight=WEIGHTS)
@FEW
def test_weights_are_1_on_average(strategy: str, rows: pd.DataFrame, production_weight: float) -> None:
    chosen = choose(rows, params(strategy, production_weight=production_weight))
    assert chosen.weights.dtype == np.float32
    assert chosen.weights.mean() == pytest.approx(1, rel=1e-5)
    assert STRATEGIES[strategy].weighs or (chosen.weights == 1).all()


@each_strategy
def test_even_classes_stay_even(strategy: str) -> None:
    rows = manifest({"apple": 10, "fig": 10})
    assert counts_after(rows, choose(rows, params(strategy))) == {"apple": 10, "fig": 10}


@each_strategy
def test_one_class_alone_stays(strategy: str) -> None:
    rows = manifest({"apple": 10})
    assert choose(rows, params(strategy)).rows.tolist() == list(range(10))


@each_strategy
def test_an_empty_train_is_refused(strategy: str) -> None:
    rows = manifest({"apple": 0}, elsewhere=3)
    with pytest.raises(DataError, match=r"^the manifest has no rows in train: run `dvc repro split`$"):
        choose(rows, params(strategy))
