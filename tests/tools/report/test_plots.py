"""Plots take their ink from the page, are the same each time, and bear any name and any number of classes."""

from collections.abc import Callable

import numpy as np
import pytest
from markupsafe import Markup

from pipeline.tools.inline_svg import short
from pipeline.tools.report.plots import classes_plot, confusion_plot, curves_plot, levels_plot
from tests.pages import SVG, parsed

NAMES = ["$\\frac{x", "$x^2$", "<b>&\"'", "a\nb\x00c", "\u202eabc", "x" * 300, "\u540d\u524d", "", " "]
LEVEL = {"name": "dev", "error": 0.1, "low": 0.05, "high": 0.2, "images": 10}


def matrix(count: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    values = np.random.default_rng(0).integers(0, 5, (count, count)).astype(float)
    return values + np.diag(np.full(count, 20.0))


PLOTS: dict[str, Callable[[], Markup]] = {
    "levels": lambda: levels_plot([LEVEL, {**LEVEL, "name": "production", "error": 1.0, "low": 1.0, "high": 1.0}]),
    "levels without errors": lambda: levels_plot([{**LEVEL, "error": 0.0, "low": 0.0, "high": 0.0}]),
    "classes": lambda: classes_plot(dict.fromkeys(NAMES, 3.0), dict.fromkeys(NAMES, 4.0)),
    "many classes": lambda: classes_plot({str(n): n for n in range(500)}, {str(n): 500 for n in range(500)}),
    "curves": lambda: curves_plot([{"train/loss": 1.0, "dev/loss": 2.0}] * 3, "loss", 1, "loss"),
    "a curve that ran away": lambda: curves_plot([{"train/loss": float("nan")}], "loss", 0, "loss"),
    "confusion": lambda: confusion_plot(matrix(len(NAMES)), NAMES),
    "one class": lambda: confusion_plot(matrix(1), ["a"]),
    "a large confusion": lambda: confusion_plot(matrix(100), [str(number) for number in range(100)]),
}


@pytest.mark.parametrize("name", PLOTS)
def test_plots_are_the_same_each_time_in_the_inks_of_the_page(name: str) -> None:
    drawing = PLOTS[name]()
    assert drawing == PLOTS[name]()
    assert drawing.startswith('<svg role="img" aria-label="')
    assert "currentColor" in drawing
    for absent in ("#010203", "#040506", "#0072b2", "#d55e00", "http", "<metadata", "<style", "<script"):
        assert absent not in drawing
    assert parsed(drawing).tags <= SVG


def test_names_stand_in_plots_as_they_are() -> None:
    text = parsed(PLOTS["classes"]()).text
    for name in ("$\\frac{x", "$x^2$", "<b>&\"'", "a\\nb\\x00c", "\\u202eabc", "\u540d\u524d"):
        assert name in text


def test_long_names_keep_both_ends() -> None:
    assert short("a" * 30 + "b" * 30) == "a" * 12 + "…" + "b" * 12
    assert short("name") == "name"
