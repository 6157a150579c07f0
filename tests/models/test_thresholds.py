"""Thresholds of labels: the best on dev, and dev's own predictions without them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipeline.data.predictions import prediction_table
from pipeline.models.thresholds import HALF, Thresholds, best_threshold, cross_fitted
from pipeline.problem.label_sets import LabelNames, texts_of

NAMES = LabelNames(("bar", "cross"))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=12, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_other_threshold_is_better(rows: list[tuple[int, bool]]) -> None:
    probabilities = np.array([(value + 0.5) / 10 for value, _ in rows])
    truth = np.array([there for _, there in rows])
    if min(truth.sum(), (~truth).sum()) < 5:
        assert best_threshold(truth, probabilities, "f1") == HALF
        return
    chosen = [probabilities >= best_threshold(truth, probabilities, kind) for kind in ("f1", "accuracy")]
    others = [probabilities >= cut for cut in np.arange(0, 1.01, 0.1)]
    assert f1_score(truth, chosen[0]) >= max(f1_score(truth, each, zero_division=0) for each in others) - 1e-9
    assert (truth == chosen[1]).mean() >= max((truth == each).mean() for each in others) - 1e-9


def test_thresholds_of_noise_flatter_those_who_chose_them_and_not_the_cross_fitted() -> None:
    """Of labels that nothing tells, what all of dev chose seems better than a guess; what the others chose does not."""
    flattered, honest = [], []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        truth, probabilities = generator.random((120, 2)) < 0.5, generator.random((120, 2))
        groups = np.array([f"{seed}-{number}" for number in range(120)])
        own = Thresholds.chosen(truth, probabilities, "accuracy").sets(probabilities)
        others = cross_fitted(texts_of(truth, NAMES), groups, probabilities, NAMES, "accuracy")
        flattered.append((own == truth).mean())
        honest.append((others == truth).mean())
    assert np.mean(flattered) > 0.54
    assert abs(np.mean(honest) - 0.5) < 0.015


def test_dev_alone_gets_cross_fitted_sets_and_a_group_never_chooses_for_itself() -> None:
    generator = np.random.default_rng(3)
    truth = generator.random((200, 2)) < [0.5, 0.2]
    probabilities = np.clip(0.3 * truth + 0.5 * generator.random((200, 2)), 0, 1).astype(np.float32)
    rows = pd.DataFrame({"id": [f"{n:03}" for n in range(200)], "label": texts_of(truth, NAMES), "split": "dev"})
    rows["group"] = rows["id"]
    thresholds = Thresholds.chosen(truth, probabilities.astype(np.float64), "f1")
    dev = prediction_table(rows, NAMES, probabilities, thresholds=thresholds)
    train = prediction_table(rows.assign(split="train"), NAMES, probabilities, thresholds=thresholds)
    assert train["predicted"].tolist() == texts_of(thresholds.sets(probabilities.astype(np.float64)), NAMES).tolist()
    assert 0 < (dev["predicted"] != train["predicted"]).sum() < 60
    changed = rows.assign(label=rows["label"].where(rows["id"] != "007", "bar|cross"))
    again = prediction_table(changed, NAMES, probabilities, thresholds=thresholds)
    assert again["predicted"].iloc[7] == dev["predicted"].iloc[7]
    # The probability of the predicted set, labels apart.
    yes = np.where(thresholds.sets(probabilities.astype(np.float64)), probabilities, 1 - probabilities)
    assert train["confidence"].to_numpy() == pytest.approx(yes.prod(axis=1))


def test_a_header_without_a_threshold_for_each_label_is_refused() -> None:
    header = Thresholds((0.25, 0.5), "f1").as_header()
    assert Thresholds.of_header(header, 2) == Thresholds((0.25, 0.5), "f1")
    for values in ([0.5], [0.5, 1.5], [0.5, float("nan")]):
        with pytest.raises(ValueError, match="threshold between 0 and 1"):
            Thresholds.of_header({**header, "values": values}, 2)
