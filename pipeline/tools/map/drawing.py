"""The panels of a map: the same points in colours of their class, split, source, or whether the model errs.

Points are drawn as pixels inside the drawing, so that any number of them makes a small file. Colours are Petroff's
(2021, arXiv:2107.02270), which people with any colour vision tell apart, with Okabe and Ito's green for his
light grey; shapes alternate, and names of classes stand on the map.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.tools.inline_svg import INK, PAPER, RC, short
from pipeline.tools.map.points import HELD_BACK

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#009e73", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
SHAPES = ("o", "^", "s")
PALE = "#9aa0a6"
# Behind a name on the map: its page's own colour.
NAME_BOX: Any = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.65, "pad": 0.8}
# Kinds with a colour of their own, and names on the map.
MAX_KINDS, MAX_NAMES = len(COLOURS), 30
# In inches, and dots of one; a map takes what the legend leaves.
WIDTH, MAP_WIDTH, HEIGHTS, DOTS = 5.8, 4.1, (2.8, 5.0), 150
# Around the points, of the map's longer side.
EDGE = 0.02
PANELS = ("label", "split", "source", "errors")
TITLES = {"label": "by label", "split": "by split", "source": "by source", "errors": "what the model gets wrong"}
ERRORS = ("right", "wrong on train", "wrong on train_dev", "wrong on dev")


@dataclass(frozen=True)
class Kind:
    """Points that are drawn alike, and their name in the legend."""

    name: str
    rows: pd.DataFrame
    colour: str
    shape: str = "o"
    larger: float = 1.0


def panel_of(points: pd.DataFrame, panel: str) -> Figure | None:
    """One panel; None where there is nothing to tell, as errors without predictions."""
    kinds = _KINDS[panel](points)
    if not kinds:
        return None
    with mpl.rc_context(RC):
        right, top = (float(value) for value in points[["x", "y"]].max())
        height = float(np.clip(MAP_WIDTH * (top + 2 * EDGE) / (right + 2 * EDGE), *HEIGHTS))
        figure = Figure(figsize=(WIDTH, height), dpi=DOTS, layout="constrained")
        axes = figure.subplots()
        size = float(np.clip(9000 / max(len(points), 1), 1.2, 12))
        for kind in kinds:
            axes.scatter(kind.rows["x"], kind.rows["y"], s=size * kind.larger, c=kind.colour, marker=kind.shape,
                         linewidths=0, rasterized=True)  # fmt: skip
        if panel == "label":
            for name, (x, y) in _named(points).items():
                axes.text(x, y, short(name), fontsize=7, ha="center", va="center", color=INK, bbox=NAME_BOX)
        axes.set(xlim=(-EDGE, right + EDGE), ylim=(-EDGE, top + EDGE), aspect="equal")
        axes.set_axis_off()
        handles = [
            axes.scatter(
                [], [], s=28, c=kind.colour, marker=kind.shape, label=f"{short(kind.name)} ({len(kind.rows):,})"
            )
            for kind in kinds
        ]
        figure.legend(handles=handles, loc="outside right upper", fontsize=8, handletextpad=0.2)
    return figure


def _by_class(points: pd.DataFrame) -> list[Kind]:
    shown = points[points["label"] != ""]
    hidden = points[points["label"] == ""]
    rest = [Kind("label not shown", hidden, PALE, larger=0.5)] if len(hidden) else []
    return [*rest, *_largest(shown, "label", "label", "labels")]


def _by_source(points: pd.DataFrame) -> list[Kind]:
    named = points.assign(source=points["source"] + " (" + points["role"] + ")")
    return _largest(named, "source", "source", "sources")


def _by_split(points: pd.DataFrame) -> list[Kind]:
    colours = {HELD_BACK: PALE, "train": COLOURS[0], "train_dev": COLOURS[4], "dev": COLOURS[6]}
    return [
        Kind(split, points[points["split"] == split], colour, shape)
        for (split, colour), shape in zip(colours.items(), ("o", "o", "s", "^"), strict=True)
        if (points["split"] == split).any()
    ]


def _by_errors(points: pd.DataFrame) -> list[Kind]:
    known = points[points["predicted"] != ""]
    if known.empty:
        return []
    wrong = known["label"] != known["predicted"]
    kinds = [Kind(ERRORS[0], known[~wrong], PALE, larger=0.6)]
    for name, colour, shape in zip(ERRORS[1:], (COLOURS[0], COLOURS[4], COLOURS[6]), ("o", "s", "^"), strict=True):
        rows = known[wrong & (known["split"] == name.removeprefix("wrong on "))]
        kinds.append(Kind(name, rows, colour, shape, larger=2.5))
    return kinds


_KINDS: Mapping[str, Callable[[pd.DataFrame], list[Kind]]] = {
    "label": _by_class,
    "split": _by_split,
    "source": _by_source,
    "errors": _by_errors,
}


def _largest(points: pd.DataFrame, column: str, one: str, many: str) -> list[Kind]:
    """The largest kinds with a colour each, the smallest drawn last; the others in grey."""
    counts = points[column].value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))
    if len(names) > MAX_KINDS:
        names, others = names[: MAX_KINDS - 1], names[MAX_KINDS - 1 :]
    else:
        others = []
    rest = f"{len(others)} other {one if len(others) == 1 else many}"
    kinds = [Kind(rest, points[points[column].isin(others)], PALE, "D", 0.8)] if others else []
    return kinds + [
        Kind(name, points[points[column] == name], COLOURS[place], SHAPES[place % len(SHAPES)])
        for place, name in enumerate(names)
    ]


def _named(points: pd.DataFrame) -> Mapping[str, Sequence[float]]:
    """Where the names of the largest classes stand: on the image amid each."""
    shown = points[points["label"] != ""]
    counts = shown["label"].value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))[:MAX_NAMES]
    found = {}
    for name in names:
        part = shown.loc[shown["label"] == name, ["x", "y"]].to_numpy(np.float64)
        amid = np.median(part, axis=0)
        found[name] = part[((part - amid) ** 2).sum(axis=1).argmin()].tolist()
    return found
