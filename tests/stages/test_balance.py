"""balance: only rows of train, evened out or not, and the counts before and after."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.manifest import BALANCED, SPLIT, check_manifest, counts_per_label
from pipeline.errors import DataError
from pipeline.stages.balance import BalanceOutputs, balance
from tests.examples import curated, params, with_columns

STRATEGIES = ["none", "oversample", "undersample"]


def split_rows(counts: dict[str, int]) -> pd.DataFrame:
    """A manifest with so many rows of each label in train, and two rows of each in train_dev and in dev."""
    frame = curated({label: count + 4 for label, count in counts.items()}, {})
    place = frame.groupby("label").cumcount()
    split = place.map({0: "dev", 1: "dev", 2: "train_dev", 3: "train_dev"}).fillna("train")
    return with_columns(frame.assign(split=split), SPLIT)


def balanced(manifest: pd.DataFrame, strategy: str, seed: int = 1) -> BalanceOutputs:
    return balance(manifest, params(**{"balance.strategy": {"name": strategy}, "balance.seed": seed}).balance)


@pytest.mark.parametrize(("strategy", "rows"), [("none", [6, 2, 3]), ("oversample", [6] * 3), ("undersample", [2] * 3)])
def test_counts_are_those_that_the_strategy_promises(strategy: str, rows: list[int]) -> None:
    outputs = balanced(split_rows({"cat": 6, "dog": 2, "emu": 3}), strategy)
    after = dict(zip(["cat", "dog", "emu"], rows, strict=True))
    assert counts_per_label(outputs.manifest) == after
    assert outputs.metrics == {
        "before": {"rows": 11, "imbalance": 3.0},
        "after": {"rows": sum(rows), "imbalance": max(rows) / min(rows)},
    }
    assert outputs.counts.to_dict("records") == [
        {"label": label, "when": when, "rows": count}
        for when, counts in (("before", {"cat": 6, "dog": 2, "emu": 3}), ("after", after))
        for label, count in counts.items()
    ]
    assert outputs.summary.startswith(f"11 rows -> {sum(rows)}, largest class {max(rows) / min(rows):.3g} times the ")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.sampled_from(STRATEGIES), st.integers(0, 2**32 - 1))
def test_only_rows_of_train_stay_and_each_repeat_has_a_number_of_its_own(
    counts: list[int], strategy: str, seed: int
) -> None:
    manifest = split_rows({f"class {number}": count for number, count in enumerate(counts)})
    rows = check_manifest(balanced(manifest, strategy, seed).manifest, BALANCED, unique=("id", "copy"))
    train = manifest[manifest["split"] == "train"].set_index("id")
    assert set(rows["id"]) <= set(train.index)
    assert strategy == "undersample" or set(rows["id"]) == set(train.index)
    pd.testing.assert_frame_equal(rows.set_index("id").drop(columns="copy"), train.loc[rows["id"]])
    for _, copies in rows.groupby("id")["copy"]:
        assert copies.tolist() == list(range(len(copies)))
    even = counts_per_label(rows).values()
    assert strategy == "none" or len(set(even)) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_order_of_rows_does_not_count(strategy: str) -> None:
    manifest = split_rows({"cat": 9, "dog": 2})
    shuffled = manifest.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        balanced(shuffled, strategy).manifest.reset_index(drop=True),
        balanced(manifest, strategy).manifest.reset_index(drop=True),
    )


@pytest.mark.parametrize("strategy", ["oversample", "undersample"])
def test_another_seed_chooses_other_rows(strategy: str) -> None:
    manifest = split_rows({"cat": 30, "dog": 10})
    one, same, other = (balanced(manifest, strategy, seed).manifest["id"].tolist() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_manifest_without_splits_is_refused() -> None:
    with pytest.raises(DataError, match=r"^the manifest lacks the columns split: make it again with `dvc repro`$"):
        balanced(split_rows({"cat": 2, "dog": 2}).drop(columns="split"), "none")
