"""Pictures of a search: its history, what each param explains, and which values good trials had."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from pipeline.tools.inline_svg import BLUE, INK, ORANGE, RC, RULE, page_figure, short

# Columns of the table of trials that are no params.
OTHERS = ("trial", "state", "value", "broken", "epochs", "seconds", "reason")
# The share of trials that is shown as the best ones; numbers whose ends differ by more are drawn by their logarithm.
BEST, LOGARITHMIC = 0.2, 8.0
MAX_PARAMS, MAX_TICKS = 12, 5


def history(trials: pd.DataFrame, maximise: bool) -> pd.DataFrame:
    """Trials that ended with a model, in order: trial, value, and the best so far of those that hold all limits."""
    done = trials[trials["value"].notna()].sort_values("trial")
    holds = done["broken"].fillna("").astype(str) == ""
    held = done["value"].where(holds)
    best = (held.cummax() if maximise else held.cummin()).ffill()
    return pd.DataFrame({"trial": done["trial"], "value": done["value"], "holds": holds, "best": best})


@mpl.rc_context(RC)
def history_figure(trials: pd.DataFrame, metric: str, maximise: bool) -> Figure:
    """The value of each trial, and the best so far."""
    figure, axes = page_figure(2.5)
    found = history(trials, maximise)
    for holds, colour, marker, label in ((True, BLUE, "o", "holds all limits"), (False, ORANGE, "x", "breaks a limit")):
        part = found[found["holds"] == holds]
        if len(part):
            axes.plot(part["trial"], part["value"], marker, color=colour, markersize=4, label=label)
    axes.plot(found["trial"], found["best"], color=INK, lw=1, drawstyle="steps-post", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{metric} on dev")
    axes.grid(axis="y", lw=0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


@mpl.rc_context(RC)
def importances_figure(importances: Mapping[str, float]) -> Figure:
    """How much of the differences between trials each param explains, the most important one first."""
    shown = sorted(importances.items(), key=lambda item: -item[1])[:MAX_PARAMS]
    figure, axes = page_figure(0.7 + 0.3 * len(shown))
    axes.barh(range(len(shown)), [value for _, value in shown], color=BLUE, height=0.6)
    axes.set_yticks(range(len(shown)), [short(name) for name, _ in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the differences that it explains")
    return figure


@mpl.rc_context(RC)
def parallel_figure(trials: pd.DataFrame, metric: str, maximise: bool) -> Figure:
    """A line per trial through its values and its result; the best fifth of trials in colour."""
    done = trials[trials["value"].notna()].reset_index(drop=True)
    names = [name for name in done.columns if name not in OTHERS][:MAX_PARAMS]
    scales = [_scale(done[name].tolist()) for name in [*names, "value"]]
    order = done["value"].rank(ascending=not maximise, method="first").to_numpy()
    best = order <= max(1, round(BEST * len(done)))
    figure, axes = page_figure(3.2)
    for chosen, colour, width in ((~best, RULE, 0.6), (best, BLUE, 1.2)):
        for row in np.flatnonzero(chosen):
            axes.plot(range(len(scales)), [places[row] for places, _ in scales], color=colour, lw=width, alpha=0.8)
    for column, (_, ticks) in enumerate(scales):
        axes.axvline(column, color=INK, lw=0.8)
        for place, label in ticks:
            axes.annotate(label, (column, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xticks(range(len(scales)), [_place(name) for name in names] + [f"{metric}\non dev"])
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(scales) - 0.5)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def _place(name: str) -> str:
    return "\n".join(short(part) for part in name.rsplit(".", 1))


def _scale(values: Sequence[Any]) -> tuple[npt.NDArray[np.float64], list[tuple[float, str]]]:
    """Where each value stands on its axis, in [0, 1], and the labels of the axis."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
    if np.isnan(numbers).any():
        texts = sorted({str(value) for value in values})
        steps = dict(zip(texts, np.linspace(0, 1, len(texts)) if len(texts) > 1 else [0.5], strict=True))
        return np.array([steps[str(value)] for value in values]), [
            (place, short(text)) for text, place in steps.items()
        ]
    low, high = numbers.min(), numbers.max()
    if low == high:
        return np.full(len(numbers), 0.5), [(0.5, f"{low:.4g}")]
    as_logs = low > 0 and high / low > LOGARITHMIC
    drawn, ends = (np.log(numbers), np.log([low, high])) if as_logs else (numbers, np.array([low, high]))
    inner = np.linspace(ends[0], ends[1], MAX_TICKS)
    ticks = [((place - ends[0]) / (ends[1] - ends[0]), f"{np.exp(place) if as_logs else place:.3g}") for place in inner]
    return (drawn - ends[0]) / (ends[1] - ends[0]), ticks
