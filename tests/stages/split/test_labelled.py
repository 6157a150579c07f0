"""Splits of images with several labels: enough images of each label, the rarest first."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.manifest import DEV, TEST, TRAIN
from pipeline.problem.label_sets import NONE, LabelNames, all_names, membership, texts_of
from pipeline.stages.split.labelled import Labelled
from pipeline.stages.split.splitting import assign_splits
from tests.examples import curated
from tests.splits import split_params

NAMES = LabelNames(("bar", "cross", "ring"))


def several(seed: int, shares: list[float], production: int = 400, raw: int = 100) -> pd.DataFrame:
    """Images with labels of these shares, independent of one another."""
    rows = curated({"x": raw}, {"x": production})
    truth = np.random.default_rng(seed).random((len(rows), 3)) < shares
    return rows.assign(label=texts_of(truth, NAMES))


def counts(manifest: pd.DataFrame, split: str) -> list[int]:
    texts = manifest.loc[manifest["split"] == split, "label"].to_numpy(str)
    return [int(count) for count in membership(texts, NAMES).sum(axis=0)]


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_each_label_has_the_minimum_and_follows_the_shares(seed: int) -> None:
    manifest = several(seed, [0.5, 0.3, 0.08])
    params = split_params(seed, least=8)
    assigned = assign_splits(manifest, params, several=True).assigned
    for split in (DEV, TEST):
        assert min(counts(assigned, split)) >= 8
    assert min(counts(assigned, TRAIN)) > 0
    # In any order of rows the same.
    shuffled = manifest.sample(frac=1, random_state=seed)
    again = assign_splits(shuffled, params, several=True).assigned
    assert again.set_index("id")["split"].sort_index().equals(assigned.set_index("id")["split"].sort_index())


def test_without_several_each_set_would_be_a_class_of_its_own() -> None:
    manifest = several(1, [0.5, 0.3, 0.08])
    with pytest.raises(DataError, match=r"without raw images: cross\|ring"):
        assign_splits(manifest, split_params(1, least=8))


def test_labels_that_lack_images_or_a_role_are_named() -> None:
    with pytest.raises(DataError, match=r"label ring has \d production images in dev"):
        assign_splits(several(1, [0.5, 0.3, 0.01]), split_params(1, least=8), several=True)
    manifest = several(1, [0.5, 0.3, 0.2])
    production = manifest["role"] == "production"
    without = manifest["label"].where(~production, manifest["label"].str.replace("ring", "cross"))
    truth = membership(without.to_numpy(str), all_names(without))
    lacking = manifest.assign(label=texts_of(truth, all_names(without)))
    with pytest.raises(DataError, match="without production images, so dev and test cannot measure them: ring"):
        assign_splits(lacking, split_params(1), several=True)
    dropped = assign_splits(lacking, split_params(1, one_sided_classes="drop"), several=True)
    assert dropped.excluded["label"].str.contains("ring").all()
    assert len(dropped.excluded) == lacking["label"].str.contains("ring").sum()


def test_the_rarest_label_of_each_image_and_how_many_have_each() -> None:
    labels = pd.Series(["bar", "bar|ring", NONE, "bar|cross", "cross", "bar", "cross|ring", ""])
    found = Labelled.of(labels, several=True)
    assert found.names == NAMES
    assert found.counts(np.ones(8, bool)).tolist() == [4, 3, 2]
    rarest = found.rarest()
    assert rarest is not None
    assert rarest.tolist() == ["bar", "ring", "", "cross", "cross", "bar", "ring", ""]
    assert [each.tolist() for each in found.members(np.arange(8))] == [[1, 6], [3, 4, 6], [0, 1, 3, 5]]
    assert found.having(np.array([False, False, True])).tolist() == [
        False,
        True,
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    plain = Labelled.of(labels, several=False)
    assert plain.rarest() is None
    assert plain.counts(np.ones(8, bool)).sum() == 8
