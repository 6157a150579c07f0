"""Plots of the page, drawn as tools/inline_svg.py says."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup
from matplotlib.patches import Rectangle

from pipeline.tools.inline_svg import BLUE, INK, ORANGE, RC, page_figure, short, svg_of

ROW = 0.3
MAX_CLASSES, MAX_MATRIX_CLASSES, MAX_NUMBERED = 40, 25, 12
# Images of dev that are drawn, in the order of their numbers.
MAX_POINTS = 1000
# The height of a plot that is as high as it is wide, in inches.
SIDE = 5.2


@mpl.rc_context(RC)
def levels_plot(
    levels: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]] = (), numbers: bool = False
) -> Markup:
    """The error of each level in percent, from human level down to production: interval, and the gap to one above.

    Args:
        numbers: whether errors are of numbers, in their unit.
    """
    figure, axes = page_figure(0.55 + 0.5 * len(levels))
    times, written, change = (1, "{:.3g}", "{:+.2g}") if numbers else (100, "{:.2f} %", "{:+.1f}")
    above = {gap["upper"]: f"\n{gap['name'].replace('_', ' ')}: {change.format(times * gap['value'])}" for gap in gaps}
    errors = [times * level["error"] for level in levels]
    ends = [[times * (level["error"] - level["low"]), times * (level["high"] - level["error"])] for level in levels]
    places = range(len(levels))
    axes.barh(places, errors, color=BLUE, height=0.6)
    axes.errorbar(errors, places, xerr=np.clip(np.transpose(ends), 0, None), fmt="none", ecolor=INK, capsize=3, lw=1)
    axes.set_yticks(places, [f"{level['name']}{above.get(level['name'], '')}" for level in levels])
    for place, level, error in zip(places, levels, errors, strict=True):
        axes.annotate(written.format(error), (times * max(level["high"], level["error"]), place), (5, 0),
                      textcoords="offset points", va="center")  # fmt: skip
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"error {'in the unit of the numbers' if numbers else 'in %'}, with its 95 % interval")
    return svg_of(figure, "levels", "Errors from human level to production")


@mpl.rc_context(RC)
def classes_plot(before: Mapping[str, float], after: Mapping[str, float]) -> Markup:
    """Rows of train by class, by weight, before and after balance; the largest classes if there are many."""
    names = sorted(before, key=lambda name: (-before[name], name))[:MAX_CLASSES]
    figure, axes = page_figure(0.7 + ROW * len(names))
    places = np.arange(len(names))
    axes.barh(places - 0.2, [before[name] for name in names], 0.36, color=BLUE, label="before")
    axes.barh(places + 0.2, [after.get(name, 0) for name in names], 0.36, color=ORANGE, label="after")
    axes.set_yticks(places, [short(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("rows of train, by their weight")
    figure.legend(loc="outside upper center", ncols=2)
    return svg_of(figure, "classes", "Rows of each class before and after balance")


@mpl.rc_context(RC)
def curves_plot(epochs: Sequence[Mapping[str, float]], name: str, kept: int, title: str) -> Markup:
    """Values of train and dev in each epoch, counted from 1, and the epoch whose weights were kept."""
    figure, axes = page_figure(2.5)
    for split, colour, style in (("train", BLUE, "-"), ("dev", ORANGE, "--")):
        values = [epoch.get(f"{split}/{name}", np.nan) for epoch in epochs]
        axes.plot(range(1, len(values) + 1), values, style, color=colour, label=split, marker="o", markersize=3)
    axes.axvline(kept + 1, color=INK, lw=0.8, ls=":")
    axes.grid(axis="y", lw=0.5)
    axes.set_xlabel(f"epoch; kept: {kept + 1}")
    axes.set_ylabel(title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=2)
    return svg_of(figure, f"curve-{name}", f"{title} in each epoch")


@mpl.rc_context(RC)
def confusion_plot(matrix: npt.NDArray[np.float64], classes: Sequence[str]) -> Markup:
    """Shares of each actual class by predicted class; if there are many, the classes with the most mistakes."""
    mistakes = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:MAX_MATRIX_CLASSES])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown, names = shares[np.ix_(chosen, chosen)], [short(classes[number]) for number in chosen]
    side = 1.3 + 0.34 * len(names)
    figure, axes = page_figure(min(side, 7.5))
    for row, column in np.argwhere(shown > 0):
        share = float(shown[row, column])
        colour = BLUE if row == column else ORANGE
        # A faint one is still seen, and figures stay readable on a full one.
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=0.12 + 0.5 * share, lw=0))
        if len(names) <= MAX_NUMBERED:
            count = int(matrix[chosen[row], chosen[column]])
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("called")
    axes.set_ylabel("actual")
    return svg_of(figure, "confusion", "Images of dev by actual and predicted class")


@mpl.rc_context(RC)
def labels_plot(table: pd.DataFrame) -> Markup:
    """F1 of each label with its interval, and its average precision; the worst labels if there are many.

    Args:
        table: with label, f1, f1_low, f1_high and average_precision, a row a label.
    """
    shown = table.sort_values("f1", kind="stable").head(MAX_CLASSES)
    numbers = {name: shown[name].to_numpy(np.float64) for name in ("f1", "f1_low", "f1_high", "average_precision")}
    figure, axes = page_figure(0.7 + ROW * len(shown))
    places = np.arange(len(shown))
    axes.barh(places, numbers["f1"], 0.6, color=BLUE, label="F1")
    ends = np.stack([numbers["f1"] - numbers["f1_low"], numbers["f1_high"] - numbers["f1"]])
    axes.errorbar(numbers["f1"], places, xerr=np.clip(ends, 0, None), fmt="none", ecolor=INK, capsize=3, lw=1)
    axes.plot(numbers["average_precision"], places, "D", color=ORANGE, markersize=5, label="average precision")
    axes.set_yticks(places, [short(str(name)) for name in shown["label"]])
    axes.set_xlim(0, 1.02)
    axes.invert_yaxis()
    axes.set_xlabel("F1 on dev, with its 95 % interval")
    figure.legend(loc="outside upper center", ncols=2)
    return svg_of(figure, "confusion", "F1 and average precision of each label on dev")


@mpl.rc_context(RC)
def numbers_plot(truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64], name: str) -> Markup:
    """Predicted against actual numbers, and the line on which they are equal; of many images some.

    Args:
        truth, predicted: shape (n,). name: of what is measured.
    """
    chosen = np.linspace(0, len(truth) - 1, min(len(truth), MAX_POINTS)).astype(int)
    figure, axes = page_figure(SIDE)
    low, high = (float(limit(np.concatenate([truth, predicted]))) for limit in (np.min, np.max))
    axes.plot([low, high], [low, high], color=INK, lw=0.8, ls="--", label="prediction = number")
    axes.plot(
        truth[chosen], predicted[chosen], "o", color=BLUE, markersize=4, alpha=0.5, mew=0, label="an image of dev"
    )
    axes.grid(lw=0.5)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"{short(name)}, actual")
    axes.set_ylabel(f"{short(name)}, predicted")
    figure.legend(loc="outside upper center", ncols=2)
    return svg_of(figure, "confusion", "Predicted and actual numbers of dev")
