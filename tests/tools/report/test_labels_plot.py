"""The plot of labels, where an image may have several."""

import pandas as pd

from pipeline.tools.report import plots


def test_the_plot_of_labels_has_each_of_them_even_without_an_interval() -> None:
    table = pd.DataFrame(
        {
            "label": ["bar", "ring"],
            "f1": [0.9, float("nan")],
            "f1_low": [0.8, float("nan")],
            "f1_high": [0.95, float("nan")],
            "average_precision": [0.97, float("nan")],
        }
    )
    drawn = str(plots.labels_plot(table))
    assert "F1 and average precision of each label on dev" in drawn
    assert drawn.count("<svg") == 1
