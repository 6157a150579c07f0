"""Metrics of the confusion matrix and of probabilities agree with scikit-learn's, for one weighting and for many."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from pipeline.metrics.class_measures import matthews_correlation, mean_cost
from pipeline.metrics.confusion import confusion_matrix, per_class, recalls
from pipeline.metrics.measures import METRICS
from pipeline.metrics.predictions import Predictions
from pipeline.metrics.probability_measures import SMALLEST, class_pr_auc, log_loss, macro_pr_auc

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
    "matthews_correlation": sklearn_metrics.matthews_corrcoef,
}


OF_MATRICES: dict[str, Callable[[Any], Any]] = {
    name: row.of_matrices
    for name, row in METRICS.items()
    if row.of_matrices is not None and set(row.params.model_fields) == {"name"}
}


def test_every_metric_of_a_matrix_has_a_peer() -> None:
    assert set(OF_MATRICES) == set(PEERS)


@pytest.mark.parametrize("name", OF_MATRICES)
# scikit-learn warns of predictions that no image has; both leave them out.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@given(pairs=PAIRS)
@FEW
def test_metric_agrees_with_scikit_learn(name: str, pairs: Arrays) -> None:
    assert float(OF_MATRICES[name](confusion_matrix(*pairs, CLASSES))) == pytest.approx(PEERS[name](*pairs))


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


@pytest.mark.parametrize("name", OF_MATRICES)
@given(all_pairs=st.lists(PAIRS, min_size=1, max_size=5))
@FEW
def test_stack_of_matrices_gives_what_each_alone_gives(name: str, all_pairs: list[Arrays]) -> None:
    matrices = [confusion_matrix(*pairs, CLASSES) for pairs in all_pairs]
    alone = [float(OF_MATRICES[name](matrix)) for matrix in matrices]
    np.testing.assert_allclose(OF_MATRICES[name](np.stack(matrices)), alone)


def test_classes_without_images_do_not_count_as_failed() -> None:
    matrix = confusion_matrix(np.array(["apple", "fig"]), np.array(["apple", "fig"]), CLASSES)
    assert {name: float(metric(matrix)) for name, metric in OF_MATRICES.items()} == dict.fromkeys(OF_MATRICES, 1.0)
    assert np.isnan(recalls(matrix)).tolist() == [False, False, True, True]


def test_correlation_is_none_where_all_are_one_class_and_lowest_where_two_are_swapped() -> None:
    both = np.array([[0.0, 5.0], [5.0, 0.0]])
    one_label, one_prediction = np.array([[7.0, 3.0], [0.0, 0.0]]), np.array([[7.0, 0.0], [3.0, 0.0]])
    found = matthews_correlation(np.stack([both, both.T[::-1], one_label, one_prediction, np.zeros((2, 2))]))
    assert found.tolist() == [-1, 1, 0, 0, 0]


@st.composite
def weighted_rows(draw: st.DrawFn) -> tuple[Predictions, Any]:
    """Images with probabilities, ties among them, and how often each counts."""
    images = draw(st.integers(1, 30))
    labels = np.array(draw(st.lists(st.integers(0, 3), min_size=images, max_size=images)))
    steps = st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any)
    parts = np.array(draw(st.lists(steps, min_size=images, max_size=images)), np.float64)
    probabilities = parts / parts.sum(axis=1, keepdims=True)
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=images, max_size=images).filter(any)))
    return Predictions(CLASSES, labels, probabilities.argmax(axis=1), probabilities), weights


@given(weighted_rows())
@FEW
def test_log_loss_agrees_with_scikit_learn(rows: tuple[Predictions, Any]) -> None:
    checked_predictions, weights = rows
    assert checked_predictions.probabilities is not None
    clipped = np.clip(checked_predictions.probabilities, SMALLEST, 1.0)
    given_to_label = clipped[np.arange(len(weights)), checked_predictions.labels]
    # scikit-learn's own clipping depends on the dtype, and it warns of rows that no longer sum to 1.
    peer = np.average(-np.log(given_to_label), weights=weights)
    assert log_loss(checked_predictions, weights[None])[0] == pytest.approx(peer)
    inside = (checked_predictions.probabilities > 0).all(axis=1)
    if inside.any() and weights[inside].any():
        part = Predictions(
            CLASSES,
            checked_predictions.labels[inside],
            checked_predictions.predicted[inside],
            checked_predictions.probabilities[inside],
        )
        sklearn = sklearn_metrics.log_loss(
            part.labels, part.probabilities, labels=range(4), sample_weight=weights[inside]
        )
        assert log_loss(part, weights[inside][None])[0] == pytest.approx(sklearn)


@given(weighted_rows(), st.integers(0, 3))
@FEW
def test_pr_auc_agrees_with_scikit_learn(rows: tuple[Predictions, Any], label: int) -> None:
    checked_predictions, weights = rows
    assert checked_predictions.probabilities is not None
    found = class_pr_auc(checked_predictions, weights[None], label)[0]
    positives = checked_predictions.labels == label
    if not weights[positives].any():
        assert np.isnan(found)
        return
    peer = sklearn_metrics.average_precision_score(
        positives, checked_predictions.probabilities[:, label], sample_weight=weights
    )
    assert found == pytest.approx(peer)


@given(weighted_rows())
@FEW
def test_rows_that_count_twice_are_rows_that_stand_twice(rows: tuple[Predictions, Any]) -> None:
    checked_predictions, weights = rows
    assert checked_predictions.probabilities is not None
    times = np.repeat(np.arange(len(weights)), weights)
    repeated = Predictions(
        CLASSES,
        checked_predictions.labels[times],
        checked_predictions.predicted[times],
        checked_predictions.probabilities[times],
    )
    both = np.stack([weights, np.ones_like(weights)])
    for metric in (log_loss, macro_pr_auc):
        found = metric(checked_predictions, both)
        assert found[0] == pytest.approx(metric(repeated, np.ones((1, len(times)), np.int64))[0])
        assert found[1] == pytest.approx(metric(checked_predictions, both[1:])[0])


def test_cost_is_that_of_each_mistake() -> None:
    costs = np.array([[0.0, 5.0], [1.0, 0.0]])
    assert mean_cost(np.array([[7.0, 2.0], [1.0, 0.0]]), costs) == pytest.approx((2 * 5 + 1) / 10)


def test_the_table_of_metrics_says_what_each_is_about() -> None:
    """Advice, limits and intervals rest on these."""

    def those(fact: str, value: Any = True) -> set[str]:
        return {name for name, row in METRICS.items() if getattr(row, fact) == value}

    alike = {"accuracy", "subset_accuracy", "level_accuracy", "log_loss", "mean_distance", "mean_cost"}
    assert those("counts_images_alike") == alike
    assert those("is_worst") == {"worst_class_recall"}
    errors = {"mean_absolute_error", "root_mean_squared_error"}
    assert those("maximise", False) == {"log_loss", "mean_distance", "mean_cost"} | errors
    no_shares = {"matthews_correlation", "log_loss", "mean_distance", "quadratic_kappa", "mean_cost", "r2"} | errors
    assert those("is_share", False) == no_shares
    assert (those("guards", "all"), those("guards", "label")) == ({"worst_class_recall"}, {"class_recall"})
    assert those("classes", 2) == {"pr_auc"}
    of_labels = {name for name, row in METRICS.items() if row.of_labels is not None}
    of_one = {"class_recall", "class_f1", "class_pr_auc"}
    assert of_labels == {"macro_f1", "macro_pr_auc", "worst_class_recall", *of_one}
    assert {name for name, row in METRICS.items() if row.of_sets is not None} == {"micro_f1", "subset_accuracy"}
