"""Curate's report on confounding: a table of all facts, and messages and pictures of those that are reported."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import ParamsError, listing
from pipeline.images.pixels import Pixels
from pipeline.manifest import EXTRA_COLUMNS
from pipeline.metrics.confounding import named, rows_of_part, sampled
from pipeline.metrics.fact_rules import ALL
from pipeline.metrics.facts import Coded, coded, column_name, fact_names
from pipeline.metrics.giving_away import Strength
from pipeline.sheets.drawing import Cell, Section, Sheet, Strip, sheet_png

COLUMNS = ["fact", "of", "share", "low", "high", "accuracy", "largest_class", "classes", "confounding", "images"]
# They bound the size of the sheet.
MAX_FACTS, MAX_VALUES, MAX_CLASSES, SHEET_COLUMNS = 4, 8, 4, 8
# Facts that the run tells of; the table has all.
MAX_TOLD = 3

ReadPicture = Callable[[str, int], Pixels]
"""(shard, row) -> the normalised picture."""


def check_fact_names(names: Sequence[str], rows: pd.DataFrame) -> frozenset[str]:
    """The facts of `curate.not_confounding` by their columns.

    Raises:
        ParamsError: some are neither a fact nor a column of a table.
    """
    known = fact_names(rows)
    columns = {name: f"{EXTRA_COLUMNS}{name}" if f"{EXTRA_COLUMNS}{name}" in known else name for name in names}
    unknown = [name for name, column in columns.items() if column not in known]
    if unknown:
        raise ParamsError(
            f"curate.not_confounding names facts that do not exist: {listing(unknown)}; the facts are "
            f"{listing(map(column_name, known), 40)}"
        )
    return frozenset(columns.values())


def confounding_table(strengths: Sequence[Strength]) -> pd.DataFrame:
    """A row for each fact, strongest first; columns COLUMNS."""
    rows = [
        (
            *(column_name(one.fact), one.part),
            *(round(value, 6) for value in (one.share, one.low, one.high, one.accuracy, one.majority)),
            *(", ".join(one.classes), "yes" if one.named else "no", one.images),
        )
        for one in strengths
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def confounding_metrics(strengths: Sequence[Strength]) -> dict[str, Any]:
    """How many facts were looked at and are named, and the share of classes that each gives away."""
    return {
        "facts": len(strengths),
        "named": sum(one.named for one in strengths),
        "share": {column_name(one.fact): round(one.share, 6) for one in strengths},
    }


def confounding_notes(strengths: Sequence[Strength], sheet: str) -> Iterator[str]:
    """A sentence for each of the strongest facts that give classes away.

    Args:
        sheet: the path of their pictures.
    """
    for one in named(strengths)[:MAX_TOLD]:
        of = "" if one.part == ALL else f" (of {one.part} images)"
        content = ", unless your classes really differ in this" if one.shown else ""
        yield (
            f"confounding: {one.words} alone{of} {one.gives_away}. A model can learn it instead of the class{content}: "
            f"see {sheet}"
        )


def confounding_sheet(images: pd.DataFrame, strengths: Sequence[Strength], read: ReadPicture) -> bytes:
    """A PNG file: of each named fact its values, and of each value some pictures of its classes.

    Args:
        images: those that the strengths were measured on, with shard and row.
    """
    shown = named(strengths)
    rows = sampled(images)
    sections = [_section(rows_of_part(rows, one.part), one, read) for one in shown[:MAX_FACTS]]
    return sheet_png(Sheet("Confounding", _lines(strengths), sections, SHEET_COLUMNS))


def _lines(strengths: Sequence[Strength]) -> list[str]:
    if not strengths:
        return ["There are too few classes or images to tell, or no fact has two values."]
    if named(strengths):
        return [
            (
                "Facts of the images that give their class away. A model can learn such a fact instead of the "
                "class: check whether your classes really differ in it, or only the way in which their images "
                "were made."
            )
        ]
    one = strengths[0]
    return [f"No fact gives the classes away. The strongest is {one.words}, with a share of {one.share:.0%}."]


def _section(rows: pd.DataFrame, one: Strength, read: ReadPicture) -> Section:
    fact = coded(rows, one.fact, rows["label"].nunique())
    strips = [] if fact is None else [_strip(rows, fact, value, read) for value in _frequent(fact)]
    of = "" if one.part == ALL else f" of {one.part} images"
    left = 0 if fact is None else len(np.unique(fact.codes)) - len(strips)
    heading = f"{one.words}{of}: {one.gives_away}{f'; {left} more values' if left else ''}"
    return Section(f"{heading[0].upper()}{heading[1:]}", strips)


def _frequent(fact: Coded) -> list[int]:
    """The most frequent values, in the order of the values."""
    counts = np.bincount(fact.codes, minlength=len(fact.names))
    return sorted(np.lexsort((np.arange(len(counts)), -counts))[: min(MAX_VALUES, int((counts > 0).sum()))].tolist())


def _strip(rows: pd.DataFrame, fact: Coded, value: int, read: ReadPicture) -> Strip:
    inside = rows[fact.codes == value]
    counts = inside["label"].astype(str).value_counts()
    labels = sorted(counts.index, key=lambda label: (-counts[label], label))
    told = ", ".join(f"{label} {counts[label] / len(inside):.0%}" for label in labels[:MAX_CLASSES])
    more = f" and {len(labels) - MAX_CLASSES} more classes" if len(labels) > MAX_CLASSES else ""
    # Turn by turn, so that rare classes are seen, too.
    turn = inside.assign(turn=inside.groupby(inside["label"].astype(str)).cumcount())
    rank = inside["label"].astype(str).map({label: number for number, label in enumerate(labels)})
    order: npt.NDArray[np.intp] = np.lexsort((rank.to_numpy(), turn["turn"].to_numpy()))
    chosen = inside.iloc[order[:SHEET_COLUMNS]]
    places = chosen[["shard", "row", "id", "label", "role"]].itertuples(index=False, name=None)
    cells = [Cell(read(shard, row), (image_id, str(label)), role) for shard, row, image_id, label, role in places]
    return Strip(f"{fact.names[value]}: {len(inside):,} images: {told}{more}", cells)
