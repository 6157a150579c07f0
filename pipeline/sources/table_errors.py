"""What spreadsheets, columns of floats, programs and slips of the keyboard do to the cells of a table, in words."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from pipeline.errors import listing
from pipeline.names import NOTHING, TableSlice, take_groups, take_labels
from pipeline.sources.params import Columns

# 2.02611E+14 for 202611210001234
_CUT_SHORT = r"\d(\.\d+)?[eE]\+\d+"
# What stands between the labels of a cell that has several.
_BETWEEN = re.compile("[|;,]")


def table_errors(table: pd.DataFrame, columns: Columns) -> list[str]:
    """A sentence for each kind of slip in the columns that say what a row means; all of them are there, as texts.

    Two labels, or two groups, that look the same are a class too many, or a patient who is split apart.
    """
    numbers = pd.Series(range(1, len(table) + 1), index=table.index)
    problems = []
    empty = numbers[table[columns.path].str.strip() == ""]
    if len(empty):
        problems.append(f"{columns.path} is empty in {len(empty)} rows: {listing(empty)}")
    for column, taken in _taken(table, columns):
        texts = table[column]
        problems += taken.problems
        nothing = texts[texts.str.strip().isin(NOTHING)]
        if len(nothing):
            problems.append(
                f"{column} has what programs write for an empty cell ({listing(sorted(set(nothing)))}) in "
                f"{len(nothing)} rows: {listing(numbers[nothing.index])}. Leave these cells empty; if it is a name, "
                "write another one"
            )
        short = numbers[texts.str.fullmatch(_CUT_SHORT)]
        if len(short):
            first: Any = texts.iloc[short.iloc[0] - 1]
            problems.append(
                f"{column} has numbers that a spreadsheet or a float cut short, such as {first}, in {len(short)} rows: "
                f"{listing(short)}; make the column one of texts and bring the digits back"
            )
    return problems


def table_notes(table: pd.DataFrame, columns: Columns) -> tuple[str, ...]:
    """A sentence for each way in which labels and groups are taken otherwise than they are written."""
    notes = [note for _, taken in _taken(table, columns) for note in taken.notes]
    labels = table[columns.label].unique().tolist() if columns.label else []
    joined = sorted(label for label in labels if re.search("[|;]", label) and label not in several_labels(labels))
    if joined:
        notes.append(f"labels that may be several in one cell are each a class of its own: {listing(joined)}")
    return tuple(notes)


def several_labels(labels: Collection[str]) -> set[str]:
    """The labels that are several others of them in one cell, such as cat|dog beside cat and dog."""
    known = set(labels)
    several = set()
    for label in known:
        parts = {part.strip() for part in _BETWEEN.split(label)} - {""}
        if len(parts) > 1 and parts <= known:
            several.add(label)
    return several


def named_rows(labels: Iterable[str]) -> list[str]:
    """A sentence, if labels that nobody can leave empty are what programs write for nothing."""
    found = Counter(label for label in labels if label in NOTHING)
    names = ", ".join(f"{name} ({count} images)" for name, count in sorted(found.items()))
    return [f"classes with a name that programs write for an empty cell: {names}. Are they classes?"] if found else []


def _taken(table: pd.DataFrame, columns: Columns) -> list[tuple[str, TableSlice]]:
    """The columns of labels and groups, as far as there are any, with what their values are taken for."""
    return [
        (column, take(table[column].unique().tolist()))
        for column, take in ((columns.label, take_labels), (columns.group, take_groups))
        if column is not None
    ]
