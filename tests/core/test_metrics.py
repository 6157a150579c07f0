"""Metrics agree with scikit-learn's; intervals resample whole groups and cover what they should."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from pipeline import params
from pipeline.core.metrics import (
    METRICS,
    bootstrap_matrices,
    check_limits,
    class_codes,
    classes_of,
    confusion_matrix,
    interval,
    per_class,
    recalls,
)
from pipeline.errors import DataError
from pipeline.params import Bounds

CLASSES = ("apple", "fig", "pear", "quince")
FEW = settings(max_examples=40, deadline=None)
NAMES = st.sampled_from(CLASSES)
# Pairs of label and prediction; small sets leave classes without images.
PAIRS = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=40).map(
    lambda pairs: tuple(map(np.array, zip(*pairs, strict=True)))
)
Arrays = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def worst_recall(labels: Any, predicted: Any) -> float:
    present = np.unique(labels)
    return float(sklearn_metrics.recall_score(labels, predicted, labels=present, average=None).min())


PEERS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": sklearn_metrics.accuracy_score,
    "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
    "macro_f1": lambda labels, predicted: sklearn_metrics.f1_score(labels, predicted, average="macro"),
    "worst_class_recall": worst_recall,
}


def test_every_metric_of_params_exists_and_every_metric_has_a_peer() -> None:
    assert set(METRICS) == set(PEERS)
    assert set(get_args(params.Metric)) < set(METRICS)
    assert set(get_args(params.Limit)) == {*METRICS, "model_megabytes"}


@pytest.mark.parametrize("name", METRICS)
# scikit-learn warns of predictions that no image has; both leave them out.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@given(pairs=PAIRS)
@FEW
def test_metric_agrees_with_scikit_learn(name: str, pairs: Arrays) -> None:
    assert float(METRICS[name](confusion_matrix(*pairs, CLASSES))) == pytest.approx(PEERS[name](*pairs))


@given(PAIRS)
@FEW
def test_confusion_matrix_and_recalls_agree_with_scikit_learn(pairs: Arrays) -> None:
    matrix = confusion_matrix(*pairs, CLASSES)
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(*pairs, labels=list(CLASSES)))
    peer = sklearn_metrics.recall_score(*pairs, labels=list(CLASSES), average=None, zero_division=np.nan)
    np.testing.assert_allclose(recalls(matrix), peer)


@given(PAIRS)
@FEW
def test_table_of_classes_agrees_with_scikit_learn(pairs: Arrays) -> None:
    table = per_class(confusion_matrix(*pairs, CLASSES), CLASSES)
    precision, recall, _, images = sklearn_metrics.precision_recall_fscore_support(
        *pairs, labels=list(CLASSES), zero_division=np.nan
    )
    assert table["label"].tolist() == list(CLASSES)
    assert table["images"].tolist() == images.tolist()
    np.testing.assert_allclose(table[["recall", "precision"]], np.stack([recall, precision], axis=1))


@pytest.mark.parametrize("name", METRICS)
@given(all_pairs=st.lists(PAIRS, min_size=1, max_size=5))
@FEW
def test_stack_of_matrices_gives_what_each_alone_gives(name: str, all_pairs: list[Arrays]) -> None:
    matrices = [confusion_matrix(*pairs, CLASSES) for pairs in all_pairs]
    alone = [float(METRICS[name](matrix)) for matrix in matrices]
    np.testing.assert_allclose(METRICS[name](np.stack(matrices)), alone)


def test_classes_without_images_do_not_count_as_failed() -> None:
    matrix = confusion_matrix(np.array(["apple", "fig"]), np.array(["apple", "fig"]), CLASSES)
    assert {name: float(metric(matrix)) for name, metric in METRICS.items()} == dict.fromkeys(METRICS, 1.0)
    assert np.isnan(recalls(matrix)).tolist() == [False, False, True, True]


def test_unknown_classes_are_all_named_with_the_known_ones() -> None:
    message = r"^the model does not know the classes kiwi, plum: it was trained on apple, fig, pear, quince$"
    with pytest.raises(DataError, match=message):
        class_codes(np.array(["plum", "apple", "kiwi", "plum"]), CLASSES)


def test_classes_are_those_of_labels_and_predictions() -> None:
    frame = pd.DataFrame({"label": ["pear", "apple"], "predicted": ["fig", "pear"]}, dtype="category")
    assert classes_of(frame) == ("apple", "fig", "pear")


def predictions(right: list[bool], groups: list[str] | None = None) -> pd.DataFrame:
    """Images of two classes by turns, called right or not; each a group of its own unless said."""
    labels = [CLASSES[number % 2] for number in range(len(right))]
    predicted = [CLASSES[(number + 1 - hit) % 2] for number, hit in enumerate(right)]
    names = groups or [f"{number:04}" for number in range(len(right))]
    return pd.DataFrame({"label": labels, "predicted": predicted, "group": names})


def resampled(frame: pd.DataFrame, seed: int = 1, resamples: int = 300, purpose: str = "dev") -> np.ndarray[Any, Any]:
    return bootstrap_matrices(frame, CLASSES[:2], resamples, seed, purpose)


def accuracy_interval(frame: pd.DataFrame, seed: int = 1, resamples: int = 300) -> tuple[float, float]:
    return interval(METRICS["accuracy"](resampled(frame, seed, resamples)))


ORDINARY = predictions([number % 5 != 0 for number in range(200)])


def test_groups_are_drawn_whole() -> None:
    tenfold = pd.concat([ORDINARY] * 10, ignore_index=True)
    np.testing.assert_array_equal(resampled(tenfold), 10 * resampled(ORDINARY))


def test_near_duplicates_do_not_narrow_the_interval() -> None:
    tenfold = pd.concat([ORDINARY] * 10, ignore_index=True)
    apart = tenfold.assign(group=[str(number) for number in range(len(tenfold))])
    low, high = accuracy_interval(ORDINARY)
    assert accuracy_interval(tenfold) == (low, high)
    apart_low, apart_high = accuracy_interval(apart)
    assert apart_high - apart_low < (high - low) / 2


@given(st.permutations(range(60)), st.integers(0, 2**32 - 1))
@FEW
def test_resamples_depend_on_groups_and_seed_and_not_on_row_order(order: list[int], seed: int) -> None:
    frame = predictions([number % 4 != 0 for number in range(60)], [str(number // 3) for number in range(60)])
    np.testing.assert_array_equal(resampled(frame.iloc[order], seed, 20), resampled(frame, seed, 20))


def test_seeds_and_purposes_draw_other_resamples() -> None:
    first = resampled(ORDINARY)
    assert (first != resampled(ORDINARY, seed=2)).any()
    assert (first != resampled(ORDINARY, purpose="train")).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
@FEW
def test_resample_holds_as_many_groups_as_there_are(sizes: list[int]) -> None:
    groups = [str(number) for number, size in enumerate(sizes) for _ in range(size + 1)]
    matrices = resampled(predictions([True] * len(groups), groups), resamples=20)
    largest, smallest = max(sizes) + 1, min(sizes) + 1
    images = matrices.sum(axis=(1, 2))
    assert matrices.shape == (20, 2, 2)
    assert ((len(sizes) * smallest <= images) & (images <= len(sizes) * largest)).all()


@given(seed=st.integers(0, 2**32 - 1), errors=st.integers(1, 49))
@settings(max_examples=15, deadline=None)
def test_interval_holds_the_value_of_ordinary_data(seed: int, errors: int) -> None:
    low, high = accuracy_interval(predictions([number >= errors for number in range(50)]), seed)
    assert low <= 1 - errors / 50 <= high
    assert low < high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).random((200, 80)) < 0.8
    ends = [accuracy_interval(predictions(hits.tolist()), seed) for seed, hits in enumerate(draws)]
    covered = np.mean([low <= 0.8 <= high for low, high in ends])
    assert 0.88 <= covered <= 0.99  # the percentile method is a little narrow on small sets


def test_interval_is_the_middle_95_percent() -> None:
    assert interval(np.arange(1001.0)) == (25.0, 975.0)
    assert interval(np.array([0.5] * 9 + [np.nan])) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("least", "most", "value", "held"),
    [
        pytest.param(0.8, None, 0.8, True, id="at the lower end"),
        pytest.param(0.8, None, np.nextafter(0.8, 0), False, id="just below it"),
        pytest.param(None, 1.0, 1.0, True, id="at the upper end"),
        pytest.param(None, 1.0, np.nextafter(1.0, 2), False, id="just above it"),
        pytest.param(0.2, 0.4, 0.3, True, id="between"),
        pytest.param(0.3, 0.3, 0.3, True, id="exactly"),
        pytest.param(0.2, None, np.nan, False, id="nothing measured is never good enough"),
    ],
)
def test_limits_hold_up_to_their_ends(least: float | None, most: float | None, value: float, held: bool) -> None:
    found = check_limits({"accuracy": value, "macro_f1": 0.0}, {"accuracy": Bounds(min=least, max=most)})
    assert {name: limit.held for name, limit in found.items()} == {"accuracy": held}
    assert found["accuracy"].value == pytest.approx(value, nan_ok=True)
