"""Sections of the page on the model: training curves, what it confuses, and slices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.manifest import DEV
from pipeline.metrics.confusion import confusion_matrix, per_class
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import key_of
from pipeline.metrics.number_evaluation import per_bin
from pipeline.metrics.number_measures import numbers_of
from pipeline.metrics.predictions import checked_predictions, classes_of
from pipeline.models.baselines import Baseline
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.project.params_file import Params
from pipeline.tools.report import plots
from pipeline.tools.report.sheets import read

MAX_PAIRS, MAX_WORST, MAX_SLICES = 10, 20, 60


def curves(params: Params) -> Mapping[str, Any]:
    """The plots of training, and the numbers of the last epoch."""
    found = read(catalogue.CURVES)
    if not found.epochs:
        raise ValueError("no epochs")
    titles = [("loss", "loss"), ("optimizing metric", "optimizing")]
    baseline = isinstance(params.train.model, Baseline) and len(found.epochs) == 1
    shown = [] if baseline else titles
    return {
        "plots": [plots.curves_plot(found.epochs, name, found.kept, title) for title, name in shown],
        "model": params.train.model.name,
        "titles": titles,
        "last": found.epochs[-1],
        "ensemble": _ensemble(),
    }


def _ensemble() -> Mapping[str, Any] | None:
    """What became of an ensemble; None without one, and in a run that is older than ensembles."""
    if not Path(catalogue.ENSEMBLE.path).exists():
        return None
    found: Mapping[str, Any] = read(catalogue.ENSEMBLE)
    return None if found["name"] == "none" else found


def confusion(_: Params) -> Mapping[str, Any]:
    """The confusion matrix of dev; of labels, or of numbers, what stands for it."""
    predictions = read(catalogue.PREDICTIONS)
    dev = predictions[predictions["split"] == DEV]
    classes = classes_of(predictions)
    if isinstance(classes, LabelNames):
        return _labels()
    if isinstance(classes, Quantity):
        return _numbers(dev, classes)
    matrix = confusion_matrix(dev["label"].to_numpy(), dev["predicted"].to_numpy(), classes)
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = [divmod(int(cell), len(classes)) for cell in np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]]
    return {
        "plot": plots.confusion_plot(matrix, classes),
        "several": False,
        "measured": False,
        "classes": len(classes),
        "shown": min(len(classes), plots.MAX_MATRIX_CLASSES),
        "pairs": [
            {
                "actual": classes[actual],
                "called": classes[called],
                "images": int(wrong[actual, called]),
                "of": int(matrix[actual].sum()),
            }
            for actual, called in pairs
            if wrong[actual, called]
        ],
        "worst": per_class(matrix, classes).sort_values("recall", kind="stable").head(MAX_WORST).to_dict("records"),
    }


def _labels() -> Mapping[str, Any]:
    """Instead of the confusion matrix, where an image may have several labels: each label by itself."""
    table: pd.DataFrame = read(catalogue.PER_CLASS)
    # Empty cells, of labels without an image or an interval, are read as texts.
    numbers = [name for name in table.columns if name != "label"]
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    return {
        "plot": plots.labels_plot(table),
        "classes": len(table),
        "shown": min(len(table), plots.MAX_CLASSES),
        "several": True,
        "measured": False,
        "pairs": [],
        "worst": table.sort_values("f1", kind="stable").head(MAX_WORST).to_dict("records"),
    }


def _numbers(dev: pd.DataFrame, quantity: Quantity) -> Mapping[str, Any]:
    """Instead of the confusion matrix, where images have numbers: predicted and actual ones."""
    seen = checked_predictions(dev, quantity)
    numbers = numbers_of(seen)
    order = np.argsort(numbers.truth, kind="stable")
    return {
        "plot": plots.numbers_plot(numbers.truth[order], numbers.predicted[order], quantity[0]),
        "measured": True,
        "shown": min(len(dev), plots.MAX_POINTS),
        "images": len(dev),
        "parts": per_bin(seen, dev["group"]).to_dict("records"),
    }


def slices(params: Params) -> Mapping[str, Any]:
    """The slices of dev, the worst first."""
    table = read(catalogue.SLICES)
    table = table[table["split"] == DEV]
    # Numbers are not right or wrong: their slices are shown by the metric.
    rates = pd.to_numeric(table["error_rate"], errors="coerce")
    values = pd.to_numeric(table["optimizing"], errors="coerce")
    measured = bool(rates.isna().all()) and len(table) > 0
    worst = values if not METRICS.of(params.evaluate.optimizing).maximise else -values
    table = table.assign(error_rate=rates, optimizing=values, worst=worst if measured else rates)
    table = table.sort_values("worst", ascending=False, kind="stable")
    rows = [
        {
            "column": str(row["column"]),
            "value": str(row["bar"]).removeprefix(f"{row['split']} {row['column']}="),
            "images": int(row["images"]),
            "error_rate": float(row["optimizing"] if measured else row["error_rate"]),
        }
        for row in table.head(MAX_SLICES).to_dict("records")
    ]
    key = key_of(params.evaluate.optimizing)
    return {"rows": rows, "more": len(table) - len(rows), "measured": key if measured else ""}
