"""Figures of matplotlib as elements of a page: SVG that takes its ink from the page, on light and on dark paper.

matplotlib draws them, because what it makes stands in the page as it is: no script, no network, and it prints.
Text stays text, in the fonts of the reader, who may have letters that matplotlib's own lacks.
"""

import io
import re
import warnings
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

# Stand-ins in the drawing, and what the page's style has for each.
# Blue and orange are told apart with any colour vision (Okabe and Ito, 2008).
INK, RULE, BLUE, ORANGE, PAPER = "#010203", "#040506", "#0072b2", "#d55e00", "#070809"
STYLE = {
    INK: "currentColor",
    RULE: "var(--rule)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    PAPER: "var(--paper)",
}
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
# Inches, as matplotlib counts.
WIDTH = 5.2
MAX_LETTERS = 24
NO_METADATA: Any = {"Date": None, "Creator": None, "Format": None, "Type": None}


def page_figure(height: float) -> tuple[Figure, Any]:
    """A figure as wide as the page has room for, and its axes; height: in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def short(name: str) -> str:
    """A name as it fits beside a bar: control characters as escapes, the middle of a long one left out."""
    plain = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
    half = MAX_LETTERS // 2
    return plain if len(plain) <= MAX_LETTERS else f"{plain[:half]}…{plain[-half:]}"


def svg_of(figure: Figure, name: str, title: str) -> Markup:
    """The figure as an element of a page, its ids apart from other figures'."""
    buffer = io.StringIO()
    # Ids are made while it is saved, with the salt of these settings.
    with mpl.rc_context(RC), warnings.catch_warnings():
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
