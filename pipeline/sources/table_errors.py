"""Find typical errors in users' tables: from spreadsheets, float columns, programs and typing."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from pipeline.errors import listing
from pipeline.names import NOTHING, TakenNames, clean, take_groups, take_labels
from pipeline.problem.label_sets import SEPARATOR, joined
from pipeline.sources.params import Columns, TableLabels

# 2.02611E+14 for 202611210001234
_CUT_SHORT = r"\d(\.\d+)?[eE]\+\d+"
# What stands between the labels of a cell that has several.
_BETWEEN = re.compile("[|;,]")


def table_errors(table: pd.DataFrame, columns: Columns) -> list[str]:
    """One message per kind of error in the path, label and group columns, which are all there, as texts.

    Two spellings of one label would be an extra class; two spellings of one group would be split apart.
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
                f"{column} has a text that programs write for an empty cell ({listing(sorted(set(nothing)))}) in "
                f"{len(nothing)} rows: {listing(numbers[nothing.index])}. Leave these cells empty, or choose another "
                "name"
            )
        short = numbers[texts.str.fullmatch(_CUT_SHORT)]
        if len(short):
            first: Any = texts.iloc[short.iloc[0] - 1]
            problems.append(
                f"{column} has numbers that a spreadsheet or a float cut short, such as {first}, in {len(short)} rows: "
                f"{listing(short)}; format the column as text and restore the digits"
            )
    return problems


def set_errors(table: pd.DataFrame, labels: TableLabels) -> list[str]:
    """One message per kind of error in cells that hold several labels."""
    column, separator = labels.columns.label, labels.separator
    if column is None or separator is None:
        return []
    rows = pd.Series(range(1, len(table) + 1), index=table.index)
    parts = table[column].str.strip().map(lambda text: [clean(part) for part in text.split(separator)] if text else [])
    problems = []
    if len(empty := rows[parts.map(lambda names: "" in names)]):
        problems.append(
            f"{column} has {separator!r} with no label on one side in {len(empty)} rows: {listing(empty)}. Write a "
            "label on both sides, or remove it"
        )
    if len(barred := rows[parts.map(lambda names: any(SEPARATOR in name for name in names))]):
        problems.append(
            f"{column} has {SEPARATOR} inside of a label in {len(barred)} rows: {listing(barred)}. It stands between "
            "labels in the pipeline's own files: choose other names"
        )
    return problems


def set_of_cell(text: str, separator: str) -> str:
    """The set of labels in a cell, as one text; of an empty cell none."""
    return joined(clean(name) for name in text.split(separator)) if text else ""


def table_notes(table: pd.DataFrame, columns: Columns, separator: str | None = None) -> tuple[str, ...]:
    """One note per way in which labels and groups are read differently from how they are written."""
    notes = [note for _, taken in _taken(table, columns) for note in taken.notes]
    labels = table[columns.label].unique().tolist() if columns.label and separator is None else []
    joined = sorted(label for label in labels if re.search("[|;]", label) and label not in several_labels(labels))
    if joined:
        notes.append(f"cells that may hold several labels count as one class each: {listing(joined)}")
    return tuple(notes)


def several_labels(labels: Collection[str]) -> set[str]:
    """The labels that consist of several other labels, such as cat|dog if there are cat and dog."""
    known = set(labels)
    several = set()
    for label in known:
        parts = {part.strip() for part in _BETWEEN.split(label)} - {""}
        if len(parts) > 1 and parts <= known:
            several.add(label)
    return several


def named_rows(labels: Iterable[str]) -> list[str]:
    """A note if class folders are named like an empty cell, such as nan."""
    found = Counter(label for label in labels if label in NOTHING)
    names = ", ".join(f"{name} ({count} images)" for name, count in sorted(found.items()))
    return [f"classes named like an empty cell of some programs: {names}. Are they classes?"] if found else []


def _taken(table: pd.DataFrame, columns: Columns) -> list[tuple[str, TakenNames]]:
    """The columns of labels and groups, as far as there are any, with what their values are taken for."""
    return [
        (column, take(table[column].unique().tolist()))
        for column, take in ((columns.label, take_labels), (columns.group, take_groups))
        if column is not None
    ]
