"""Sets of images told apart by what they show: planted differences are seen, random splits pass, facts may be alike."""

import numpy as np
import pandas as pd
import pytest

from pipeline.manifest import DEV, PRODUCTION, RAW, TEST
from pipeline.metrics.embedding_domain import embedding_features
from pipeline.metrics.matching import (
    EMBEDDING,
    _features,
    domain_notes,
    measure_matching,
    mismatches,
    summarise_matching,
)
from pipeline.metrics.two_samples import FOLDS, area_test
from tests.metrics.test_matching import LEVEL, photos

WIDTH = 96


def vectors(count: int, seed: int = 0) -> "np.ndarray[tuple[int, int], np.dtype[np.float16]]":
    return np.random.default_rng(seed).random((count, WIDTH)).astype(np.float16)


def test_features_are_few_and_begin_with_1() -> None:
    found = embedding_features(vectors(300))
    assert found.shape == (300, 1 + 64)
    assert (found[:, 0] == 1).all()
    assert (found[:, 1:] ** 2).mean() == pytest.approx(1)
    assert embedding_features(vectors(5)).shape == (5, 5)


def test_values_that_are_no_numbers_count_as_the_mean() -> None:
    damaged = vectors(50)
    damaged[7, 3], damaged[9] = np.nan, np.inf
    found = embedding_features(damaged)
    assert np.isfinite(found).all()
    assert (found[[7, 9], 1:] == 0).all()
    assert np.isfinite(embedding_features(np.full((4, WIDTH), np.nan, np.float16))).all()
    assert (embedding_features(np.ones((4, WIDTH)))[:, 1:] == 0).all()


def test_sides_that_show_the_same_fail_no_more_often_than_the_level() -> None:
    draw = np.random.default_rng(1)
    low = sum(
        area_test(
            embedding_features(vectors(120, seed)), draw.random(120) < 0.5, draw.integers(FOLDS, size=120), seed
        ).p
        < 0.05
        for seed in range(40)
    )
    assert low <= 6


def test_a_comparison_by_vectors_sees_what_facts_do_not() -> None:
    rows, shown = photos(600), vectors(600)
    # Test shows something else.
    shown[(rows["split"] == TEST).to_numpy(), :8] += np.float16(1)
    measured = measure_matching(rows, 1, LEVEL, lambda places: shown[places])
    by_test = measured[measured["comparison"] == "dev_vs_test"].set_index("test")
    assert by_test["matched"].to_dict() == {test: test != EMBEDDING for test in by_test.index}
    assert any(
        "dev can be told from test by what its images show (AUC " in sentence for sentence in mismatches(measured)
    )
    summary = summarise_matching(measured)["dev_vs_test"]
    assert 0.9 < summary["embedding_low"] < summary["embedding_auc"] <= summary["embedding_high"] <= 1
    assert not summary["matched"]
    without = measure_matching(rows, 1, LEVEL)
    assert EMBEDDING not in set(without["test"])
    assert mismatches(without) == []


def test_the_order_of_rows_does_not_count() -> None:
    rows, shown = photos(300), vectors(300)
    measured = measure_matching(rows, 1, LEVEL, lambda places: shown[places])
    order = np.random.default_rng(2).permutation(300)
    again = measure_matching(rows.iloc[order], 1, LEVEL, lambda places: shown[order[places]])
    pd.testing.assert_frame_equal(again, measured)


def roles(shift: float, brighter: float) -> list[str]:
    rows, shown = photos(600), vectors(600)
    raw = np.arange(600) % 2 == 0
    rows["role"], rows["split"] = np.where(raw, RAW, PRODUCTION), np.where(raw, "train", DEV)
    rows.loc[raw, "brightness"] += brighter
    shown[raw, :8] += np.float16(shift)
    return domain_notes(measure_matching(rows, 1, LEVEL, lambda places: shown[places]))


def test_raw_and_production_are_compared_in_words() -> None:
    (content,) = roles(1, 0)
    assert content.startswith("raw and production images are told apart with an AUC of 0.")
    assert content.endswith(": how they were taken hardly differs, what they show does")
    (both,) = roles(1, 5)
    assert "hardly differs" not in both
    assert ", and of 1.00 (0.9" in both
    assert roles(0, 0) == []
    assert domain_notes(measure_matching(photos(200), 1, LEVEL)) == []


def test_vectors_without_numbers_are_the_mean_and_say_nothing() -> None:
    found = embedding_features(np.full((4, 3), np.nan))
    assert found[:, 0].tolist() == [1.0] * 4
    assert not found[:, 1:].any()


def test_components_are_those_of_ten_thousand_vectors_evenly_spread() -> None:
    """Of 10,001 every second: the others, of which all stand in another direction, bring none."""
    even = np.tile([[1.0, 1, 0, 0], [-1, 1, 0, 0]], (2501, 1))
    odd = np.tile([[0.0, 1, 1, 0], [0, 1, -1, 0]], (2500, 1))
    both = np.empty((10_001, 4))
    both[::2], both[1::2] = even[:5001], odd[:5000]
    found = embedding_features(both)
    assert np.ptp(found[::2, 1]) > 1
    assert np.ptp(found[1::2, 1]) < 1e-6
    # Of one fewer all: both directions count.
    whole = embedding_features(both[:10_000])
    assert min(np.ptp(whole[:, place]) for place in (1, 2)) > 1


def test_of_each_side_five_thousand_images_at_most_are_looked_at() -> None:
    side = pd.DataFrame({"id": [f"{number:05}" for number in range(5001)], "place": np.arange(5001)})
    assert len(_features([side], lambda places: np.ones((len(places), 2)))) == 5000
