"""Intervals hold near 1, with groups, and for every metric; where too few groups tell there is none."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from pydantic import TypeAdapter
from scipy import stats

from pipeline.metrics.influence import clustered_variance, image_influence, ranking_influence
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.mean_intervals import difference_interval, effective_images, mean_interval, share_interval
from pipeline.metrics.metric import Metric, metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions

TWO, TEN = ("a", "b"), tuple("abcdefghij")
EVERY: list[tuple[Any, tuple[str, ...]]] = [
    ("accuracy", TEN),
    ("balanced_accuracy", TEN),
    ("macro_f1", TEN),
    ("worst_class_recall", TEN),
    ("matthews_correlation", TEN),
    ("log_loss", TEN),
    ("macro_pr_auc", TEN),
    ("pr_auc", TWO),
    ({"name": "class_recall", "label": "a"}, TWO),
    ({"name": "class_pr_auc", "label": "a"}, TEN),
    ({"name": "mean_cost", "costs": {"a": {"b": 9.0}}, "otherwise": 1.0}, TEN),
]
# The intervals of test_the_interval_of_known_images_in_groups_stays_what_it_is.
PINNED = [
    (0.8293, 0.9095),
    (0.8125, 0.9067),
    (0.808, 0.9074),
    (0.6143, 0.9527),
    (0.7911, 0.8973),
    (0.5035, 0.7519),
    (0.8476, 0.9357),
    (0.8996, 0.9777),
    (0.8464, 0.949),
    (0.8271, 0.9991),
    (0.088, 0.4632),
]


def metric(choice: Any, classes: tuple[str, ...] = TEN) -> Metric:
    return metric_of(TypeAdapter[Any](AnyMetric).validate_python(choice), classes)


def answers(share: float, images: int, classes: tuple[str, ...] = TEN, seed: int = 1) -> Predictions:
    """Images of classes by turns, a share of them called right, with less certainty where not."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % len(classes)
    right = generator.random(images) < share
    predicted = np.where(right, labels, (labels + generator.integers(1, len(classes), images)) % len(classes))
    sure = np.where(right, generator.uniform(0.6, 1, images), generator.uniform(0.5, 0.8, images))
    probabilities = np.repeat(((1 - sure) / (len(classes) - 1))[:, None], len(classes), axis=1)
    probabilities[np.arange(images), predicted] = sure
    return Predictions(classes, labels, predicted, probabilities)


def alone(images: int) -> "pd.Series[Any]":
    return pd.Series(np.arange(images))


def test_all_right_of_a_hundred_leaves_room_for_doubt() -> None:
    found = metric_interval(metric("accuracy"), answers(1, 100), alone(100))
    assert found is not None
    assert found[0] == pytest.approx(0.025 ** (1 / 100))
    assert found[1] == 1.0


@pytest.mark.parametrize(("choice", "classes"), EVERY, ids=str)
def test_no_metric_is_sure_because_nothing_went_wrong(choice: Any, classes: tuple[str, ...]) -> None:
    chosen, seen = metric(choice, classes), answers(1, 200, classes)
    found = metric_interval(chosen, seen, alone(200))
    assert found is not None
    width = found[1] - found[0]
    assert width > 0.005
    assert found[0] <= chosen.value(seen) <= found[1]


@pytest.mark.parametrize(("choice", "classes"), EVERY, ids=str)
def test_more_images_narrow_and_copies_do_not(choice: Any, classes: tuple[str, ...]) -> None:
    chosen, seen = metric(choice, classes), answers(0.8, 400, classes)
    assert seen.probabilities is not None
    copied = Predictions(
        classes, np.tile(seen.labels, 5), np.tile(seen.predicted, 5), np.tile(seen.probabilities, (5, 1))
    )
    once = metric_interval(chosen, seen, alone(400))
    together = metric_interval(chosen, copied, pd.Series(np.tile(np.arange(400), 5)))
    apart = metric_interval(chosen, copied, alone(2000))
    assert once is not None
    assert together is not None
    assert apart is not None
    widths = [ends[1] - ends[0] for ends in (once, together, apart)]
    # Areas of single images are bounded by the number of images of the class as well.
    assert widths[1] == pytest.approx(widths[0], rel=0.25 if chosen.interval == "ranking" else 0.06)
    assert widths[2] < 0.6 * widths[0]


@pytest.mark.parametrize(
    ("choice", "classes", "ends"),
    [
        pytest.param(choice, classes, ends, id=str(choice))
        for (choice, classes), ends in zip(EVERY, PINNED, strict=True)
    ],
)
def test_the_interval_of_known_images_in_groups_stays_what_it_is(
    choice: Any, classes: tuple[str, ...], ends: tuple[float, float]
) -> None:
    """85 of 100 are right, in groups of one to seven. coverage.py has shown that intervals made so hold the truth."""
    groups = np.repeat(np.arange(90), np.arange(90) % 7 + 1)[:300]
    found = metric_interval(metric(choice, classes), answers(0.85, 300, classes), pd.Series(groups))
    assert found == pytest.approx(ends, abs=6e-5)


def without_the_last(classes: tuple[str, ...]) -> Predictions:
    """The last class has no image, and is called."""
    seen = answers(0.8, 300, classes, seed=5)
    labels = np.where(seen.labels == len(classes) - 1, 0, seen.labels)
    return Predictions(classes, labels, seen.predicted, seen.probabilities)


# Where intervals are made in another way: single images, pairs that hardly err, few groups with a class without images.
ELSEWHERE: dict[str, list[tuple[float, float] | None]] = {
    "alone": [
        (0.8847, 0.9959), (0.7123, 1.0), (0.65, 1.0), (0.3588, 0.9996), (0.6366, 1.0), (0.2475, 0.5992),
        (0.7413, 0.9926), (0.8693, 1.0), (0.8843, 1.0), None, (0.0041, 0.5174),
    ],
    "pairs": [
        (0.9636, 0.9932), (0.9245, 0.9962), (0.9218, 0.9967), (0.8308, 0.9982), (0.9148, 0.9962), (0.2507, 0.3488),
        (0.9448, 0.9936), (0.9643, 0.9988), (0.9426, 0.9918), (0.8653, 0.9991), (0.0068, 0.0973),
    ],
    "few groups": [
        (0.652, 0.7813), (0.6395, 0.8329), (0.5853, 0.8128), (0.2823, 0.6151), (0.5736, 0.8098), (0.9325, 1.4414),
        (0.7227, 0.8552), None, (0.4611, 0.585), (0.4771, 0.7348), (0.1692, 1.3604),
    ],
}  # fmt: skip


@pytest.mark.parametrize("where", ELSEWHERE)
def test_intervals_of_known_images_elsewhere_stay_what_they_are(where: str) -> None:
    for (choice, classes), ends in zip(EVERY, ELSEWHERE[where], strict=True):
        seen, groups = {
            "alone": lambda names: (answers(0.95, 60, names, seed=3), alone(60)),
            "pairs": lambda names: (answers(0.98, 400, names, seed=4), pd.Series(np.arange(400) // 2)),
            "few groups": lambda names: (without_the_last(names), pd.Series(np.arange(300) // 15)),
        }[where](classes)
        if ends is None and where == "few groups":
            continue  # pr_auc of a class without images is not defined
        found = metric_interval(metric(choice, classes), seen, groups)
        assert (found is None) == (ends is None)
        assert found is None or found == pytest.approx(ends, abs=6e-5), choice


def test_groups_of_one_size_have_the_design_effect_of_their_correlation() -> None:
    """Kish (1965): 1 + (m - 1) times the correlation, and Student's quantile for groups that are few."""
    generator = np.random.default_rng(7)
    of_groups = np.repeat(generator.normal(size=200), 4)
    values = of_groups + generator.normal(size=800)
    codes = np.repeat(np.arange(200), 4)
    sums = (values - values.mean()).reshape(200, 4).sum(axis=1)
    effect = float((sums**2).sum()) * 200 / 199 / 800 / values.var()
    # One more group that errs as a whole is thought of, in part.
    effect += 0.1 * (4 * (values.max() - values.mean())) ** 2 / (800 * values.var())
    correlation = (effect - 1) / 3
    variances = np.full(200, 4 * (1 + 3 * correlation))
    freedom = variances.sum() ** 2 / (variances**2).sum() - 1
    student = (stats.norm.isf(0.025) / stats.t.isf(0.025, freedom)) ** 2
    assert effective_images(values, codes) == pytest.approx(800 / effect * student)
    # A tenth of the images that err, and a group that errs more often than by chance: never more than all images.
    assert effective_images(values, np.arange(800)) == 800


def test_levels_of_a_loss_are_put_together_by_their_correlation() -> None:
    """Two levels: what is lost above 0, and what above 1 more; the second can only be reached with the first."""
    losses = np.repeat([0.0, 1.0, 3.0], [60, 25, 15])
    exact = [stats.binomtest(hits, 100).proportion_ci(0.95, "exact") for hits in (40, 15)]
    shares, steps = np.array([0.4, 0.15]), np.array([1.0, 2.0])
    correlation = np.sqrt(0.15 / 0.85 / (0.4 / 0.6))
    down, up = steps * (shares - [one.low for one in exact]), steps * ([one.high for one in exact] - shares)
    reach = [np.sqrt((side**2).sum() + 2 * correlation * side.prod()) for side in (down, up)]
    found = mean_interval(losses, np.arange(100), 3.0, 0.05)
    assert found == pytest.approx((0.7 - reach[0], 0.7 + reach[1]))


def test_many_levels_of_a_loss_are_few_and_hardly_change_the_interval() -> None:
    losses = np.random.default_rng(2).exponential(1, 2000)
    exact = losses.mean() + np.array([-1.96, 1.96]) * losses.std() / np.sqrt(2000)
    found = mean_interval(losses, np.arange(2000), float(losses.max()), 0.05)
    assert found == pytest.approx(tuple(exact), abs=0.03)


@pytest.mark.parametrize("hits", [0, 1, 37, 99, 100])
def test_a_share_has_the_exact_interval(hits: int) -> None:
    exact = stats.binomtest(hits, 100).proportion_ci(0.95, "exact")
    assert share_interval(hits / 100, 100, 0.05) == pytest.approx((exact.low, exact.high))
    losses = np.r_[np.ones(hits), np.zeros(100 - hits)]
    assert mean_interval(losses, np.arange(100), 1.0, 0.05) == pytest.approx((exact.low, exact.high))


def test_the_minimum_of_classes_is_bounded_by_limits_that_hold_together() -> None:
    found = metric_interval(metric("worst_class_recall"), answers(1, 200), alone(200))
    assert found is not None
    assert found[0] == pytest.approx(0.025 ** (1 / 20))
    assert found[1] == 1.0
    seen = answers(1, 200)
    wrong = seen.predicted.copy()
    wrong[:100:10] = 1
    found = metric_interval(metric("worst_class_recall"), Predictions(TEN, seen.labels, wrong, None), alone(200))
    own, shared = share_interval(0.5, 20, 0.05), share_interval(0.5, 20, 0.005)
    assert found == pytest.approx((own[0], shared[1]))


@pytest.mark.parametrize(("groups", "told"), [(14, False), (15, True)])
def test_fewer_than_fifteen_groups_give_no_interval(groups: int, told: bool) -> None:
    found = metric_interval(metric("accuracy"), answers(0.8, 150), pd.Series(np.arange(150) % groups))
    assert (found is not None) is told


def test_groups_count_that_tell_about_the_metric() -> None:
    recall = metric({"name": "class_recall", "label": "a"}, TWO)
    assert metric_interval(recall, answers(0.8, 28, TWO), alone(28)) is None
    assert metric_interval(recall, answers(0.8, 30, TWO), alone(30)) is not None


def test_the_interval_does_not_depend_on_the_order_of_images() -> None:
    seen, groups = answers(0.8, 300), pd.Series(np.arange(300) // 3)
    order = np.random.default_rng(1).permutation(300)
    assert seen.probabilities is not None
    mixed = Predictions(TEN, seen.labels[order], seen.predicted[order], seen.probabilities[order])
    for choice, classes in EVERY:
        if classes == TEN:
            chosen = metric(choice)
            assert metric_interval(chosen, mixed, groups[order]) == metric_interval(chosen, seen, groups)


@pytest.mark.parametrize(("choice", "classes"), EVERY, ids=str)
def test_influences_are_what_leaving_an_image_out_changes(choice: Any, classes: tuple[str, ...]) -> None:
    chosen, seen = metric(choice, classes), answers(0.7, 240, classes)
    influence = image_influence(chosen, seen)
    assert influence.mean() == pytest.approx(0, abs=1e-5)
    weights: npt.NDArray[np.int64] = 100 * np.ones((24, 240), np.int64)
    weights[np.arange(24), np.arange(24)] += 1
    changes = (chosen.values(seen, weights) - chosen.value(seen)) * (24000 + 1)
    assert changes == pytest.approx(influence[:24], abs=0.02 * np.abs(influence).max())


def test_average_precision_with_ties_is_the_metric() -> None:
    seen = answers(0.7, 100, TWO)
    assert seen.probabilities is not None
    tied = Predictions(TWO, seen.labels, seen.predicted, seen.probabilities.round(1))
    assert ranking_influence(tied, 1)[0] == pytest.approx(metric("pr_auc", TWO).value(tied))


def test_a_difference_has_the_limits_of_both() -> None:
    """Newcombe's (1998) second example: 9 of 10 and 3 of 10, with Wilson's limits."""
    found = difference_interval(0.9, (0.5958, 0.9821), 0.3, (0.1078, 0.6032))
    assert found == pytest.approx((0.1705, 0.8090), abs=2e-4)
    dependent = difference_interval(0.9, (0.5958, 0.9821), 0.3, (0.1078, 0.6032), 0.5)
    assert dependent[0] > found[0]
    assert dependent[1] < found[1]


def test_a_variance_over_groups_is_that_of_their_sums() -> None:
    """Two groups of two images: sums 3 and -3, twice the squares, over the square of the images."""
    found = clustered_variance(np.array([1.0, 2.0, -1.0, -2.0]), np.array([0, 0, 1, 1]))
    assert found == pytest.approx(2 * (9 + 9) / 16)
    assert clustered_variance(np.array([1.0, -1.0]), np.array([0, 0])) == 0


@pytest.mark.parametrize(
    ("right", "size", "expected"),
    [(40, 1, {"balanced_accuracy": (0.9119, 1.0), "macro_f1": (0.318, 1.0)}),
     (30, 1, {"balanced_accuracy": (0.5802, 0.8791), "macro_f1": (0.2381, 0.5373)}),
     (30, 2, {"balanced_accuracy": (0.4412, 0.9539), "macro_f1": (0.1799, 0.6049)})],
)  # fmt: skip
def test_a_set_of_one_class_alone_leaves_room_for_doubt(
    right: int, size: int, expected: dict[str, tuple[float, float]]
) -> None:
    """Its mistakes are called other classes, of which no image is there. As sure as the share of the class."""
    predicted = np.where(np.arange(40) < right, 0, 1)
    seen = Predictions(("a", "b", "c"), np.zeros(40, np.intp), predicted, None)
    groups = pd.Series(np.arange(40) // size)
    found = {name: metric_interval(metric(name, seen.classes), seen, groups) for name in expected}
    assert found == {name: pytest.approx(ends, abs=6e-5) for name, ends in expected.items()}
    if size == 1:
        assert found["balanced_accuracy"] == pytest.approx(share_interval(right / 40, 40, 0.05), abs=0.01)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("balanced_accuracy", (0.3342, 1.0)), ("macro_f1", (0.2551, 1.0)), ("worst_class_recall", (0.0852, 0.8746)),
        ("matthews_correlation", (0.2864, 1.0)),
    ],
)  # fmt: skip
def test_intervals_of_more_classes_than_groups_stay_what_they_are(name: str, ends: tuple[float, float]) -> None:
    classes = tuple(f"{number:02}" for number in range(20))
    number, labels = np.arange(160), np.arange(160) % 20
    predicted = np.where(np.random.default_rng(3).random(160) < 0.8, labels, (labels + 1) % 20)
    groups = pd.Series(number // 20 * 2 + number % 2)
    seen = Predictions(classes, labels, predicted, None)
    assert metric_interval(metric(name, classes), seen, groups) == pytest.approx(ends, abs=6e-5)
