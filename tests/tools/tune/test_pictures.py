"""Pictures of a search: what they show of trials."""

import numpy as np
import pandas as pd
import pytest

from pipeline.tools.tune.pictures import history, history_figure, importances_figure, parallel_figure

TRIALS = pd.DataFrame(
    {
        "trial": [0, 1, 2, 3, 4],
        "state": ["complete", "complete", "pruned", "complete", "complete"],
        "value": [0.5, 0.9, np.nan, 0.7, 0.6],
        "broken": [None, "small", "", "", ""],
        "epochs": 3,
        "seconds": 1.0,
        "train.learning_rate": [0.0001, 0.001, 0.01, 0.1, 0.1],
        "train.optimizer": ["sgd", "adam", "sgd", "adam", "sgd"],
        "train.l2": 0.5,
        "reason": "",
    }
)


@pytest.mark.parametrize(("maximise", "best"), [(True, [0.5, 0.5, 0.7, 0.7]), (False, [0.5, 0.5, 0.5, 0.5])])
def test_the_best_so_far_holds_all_limits(maximise: bool, best: list[float]) -> None:
    found = history(TRIALS, maximise)
    assert found["trial"].tolist() == [0, 1, 3, 4]
    assert found["holds"].tolist() == [True, False, True, True]
    assert found["best"].tolist() == best


def test_a_search_is_drawn_with_one_point_a_trial() -> None:
    lines = history_figure(TRIALS, "accuracy", maximise=True).axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [3, 1, 4]  # type: ignore[arg-type]


def test_each_trial_is_a_line_through_its_values() -> None:
    """Rates by their logarithm, choices in order, what never varies in the middle; the best one in colour, last."""
    axes = parallel_figure(TRIALS, "accuracy", maximise=True).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "train\nlearning_rate",
        "train\noptimizer",
        "train\nl2",
        "accuracy\non dev",
    ]
    lines = [np.asarray(line.get_ydata(), float).round(3).tolist() for line in axes.lines[:4]]
    assert lines == [[0.0, 1.0, 0.5, 0.0], [1.0, 0.0, 0.5, 0.5], [1.0, 1.0, 0.5, 0.25], [0.333, 0.0, 0.5, 1.0]]


def test_the_most_important_param_is_first() -> None:
    axes = importances_figure({"a": 0.2, "b": 0.7, "c": 0.1}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "a", "c"]
    assert axes.get_xlim() == (0, 1)
