"""Plots of the page: SVG that takes its ink from the page, so that it can be read on light and on dark paper.

matplotlib draws them, because what it makes stands in the page as it is: no script, no network, and it prints.
Text stays text, in the fonts of the reader, who may have letters that matplotlib's own lacks.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# Stand-ins in the drawing, and what the page's style has for each.
# Blue and orange are told apart with any colour vision (Okabe and Ito, 2008).
INK, RULE, BLUE, ORANGE = "#010203", "#040506", "#0072b2", "#d55e00"
STYLE = {INK: "currentColor", RULE: "var(--rule)", BLUE: "var(--blue)", ORANGE: "var(--orange)"}
RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "page",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": RULE,
    "legend.frameon": False,
}
WIDTH, ROW = 5.2, 0.3
MAX_CLASSES, MAX_MATRIX_CLASSES, MAX_NUMBERED = 40, 25, 12
MAX_LETTERS = 24
NO_METADATA: Any = {"Date": None, "Creator": None, "Format": None, "Type": None}


def short(name: str) -> str:
    """A name as it fits beside a bar: control characters as escapes, the middle of a long one left out."""
    plain = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
    half = MAX_LETTERS // 2
    return plain if len(plain) <= MAX_LETTERS else f"{plain[:half]}…{plain[-half:]}"


@mpl.rc_context(RC)
def levels_plot(levels: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]] = ()) -> Markup:
    """The error of each level in percent, from human level down to production: interval, and the gap to one above."""
    figure, axes = _figure(0.55 + 0.5 * len(levels))
    above = {gap["upper"]: f"\n{gap['name'].replace('_', ' ')}: {100 * gap['value']:+.1f}" for gap in gaps}
    errors = [100 * level["error"] for level in levels]
    ends = [[100 * (level["error"] - level["low"]), 100 * (level["high"] - level["error"])] for level in levels]
    places = range(len(levels))
    axes.barh(places, errors, color=BLUE, height=0.6)
    axes.errorbar(errors, places, xerr=np.clip(np.transpose(ends), 0, None), fmt="none", ecolor=INK, capsize=3, lw=1)
    axes.set_yticks(places, [f"{level['name']}{above.get(level['name'], '')}" for level in levels])
    for place, level, error in zip(places, levels, errors, strict=True):
        axes.annotate(f"{error:.2f} %", (100 * max(level["high"], level["error"]), place), (5, 0),
                      textcoords="offset points", va="center")  # fmt: skip
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    axes.set_xlabel("error in %, with its 95 % interval")
    return _svg(figure, "levels", "Errors from human level to production")


@mpl.rc_context(RC)
def classes_plot(before: Mapping[str, float], after: Mapping[str, float]) -> Markup:
    """Rows of train by class, by weight, before and after balance; the largest classes if there are many."""
    names = sorted(before, key=lambda name: (-before[name], name))[:MAX_CLASSES]
    figure, axes = _figure(0.7 + ROW * len(names))
    places = np.arange(len(names))
    axes.barh(places - 0.2, [before[name] for name in names], 0.36, color=BLUE, label="before")
    axes.barh(places + 0.2, [after.get(name, 0) for name in names], 0.36, color=ORANGE, label="after")
    axes.set_yticks(places, [short(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("rows of train, by their weight")
    figure.legend(loc="outside upper center", ncols=2)
    return _svg(figure, "classes", "Rows of each class before and after balance")


@mpl.rc_context(RC)
def curves_plot(epochs: Sequence[Mapping[str, float]], name: str, kept: int, title: str) -> Markup:
    """Values of train and dev in each epoch, counted from 1, and the epoch whose weights were kept."""
    figure, axes = _figure(2.5)
    for split, colour, style in (("train", BLUE, "-"), ("dev", ORANGE, "--")):
        values = [epoch.get(f"{split}/{name}", np.nan) for epoch in epochs]
        axes.plot(range(1, len(values) + 1), values, style, color=colour, label=split, marker="o", markersize=3)
    axes.axvline(kept + 1, color=INK, lw=0.8, ls=":")
    axes.grid(axis="y", lw=0.5)
    axes.set_xlabel(f"epoch; kept: {kept + 1}")
    axes.set_ylabel(title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=2)
    return _svg(figure, f"curve-{name}", f"{title} in each epoch")


@mpl.rc_context(RC)
def confusion_plot(matrix: npt.NDArray[np.float64], classes: Sequence[str]) -> Markup:
    """Shares of each actual class by predicted class; if there are many, the classes with the most mistakes."""
    mistakes = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    chosen = np.sort(np.argsort(-mistakes, kind="stable")[:MAX_MATRIX_CLASSES])
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown, names = shares[np.ix_(chosen, chosen)], [short(classes[number]) for number in chosen]
    side = 1.3 + 0.34 * len(names)
    figure, axes = _figure(min(side, 7.5))
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
    return _svg(figure, "confusion", "Images of dev by actual and predicted class")


def _figure(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, name: str, title: str) -> Markup:
    """The figure as an element of a page, its ids apart from other figures'."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Letters that its font lacks are the reader's fonts' to draw.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata=NO_METADATA, transparent=True)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' xmlns(:xlink)?="[^"]*"| version="[^"]*"', "", drawing)
    drawing = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", drawing)
    drawing = re.sub(r'<svg width="[^"]*" height="[^"]*"|<svg height="[^"]*"', "<svg", drawing, count=1)
    drawing = re.sub(r' width="[0-9.]+pt"| height="[0-9.]+pt"', "", drawing, count=2)
    # The reader's own fonts; matplotlib has measured with one that is wider than most.
    drawing = re.sub(r"font-family: [^;\"]*;? ?", "", drawing)
    for stand_in, colour in STYLE.items():
        drawing = drawing.replace(stand_in, colour)
    label = Markup('<svg role="img" aria-label="{}"').format(title)
    return Markup(drawing.replace("<svg", str(label), 1))  # noqa: S704 - matplotlib has escaped all text in it
