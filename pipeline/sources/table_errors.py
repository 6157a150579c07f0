"""What spreadsheets, columns of floats and slips of the keyboard do to the cells of a table, in words."""

from typing import Any

import pandas as pd

from pipeline.errors import listing
from pipeline.sources.params import Columns

# 2.02611E+14 for 202611210001234
_CUT_SHORT = r"\d(\.\d+)?[eE]\+\d+"


def table_errors(table: pd.DataFrame, columns: Columns) -> list[str]:
    """A sentence for each kind of slip in the columns that say what a row means; all of them are there, as texts.

    Two labels, or two groups, that look the same are a class too many, or a patient who is split apart.
    """
    numbers = pd.Series(range(1, len(table) + 1), index=table.index)
    problems = []
    empty = numbers[table[columns.path].str.strip() == ""]
    if len(empty):
        problems.append(f"{columns.path} is empty in {len(empty)} rows: {listing(empty)}")
    for column, what in ((columns.label, "labels"), (columns.group, "groups")):
        if column is None:
            continue
        texts = table[column]
        wide = texts[texts != texts.str.strip()].unique()
        if len(wide):
            problems.append(f"{what} with blanks at their ends: {listing(map(repr, wide))}; remove these")
        short = numbers[texts.str.fullmatch(_CUT_SHORT)]
        if len(short):
            first: Any = texts.iloc[short.iloc[0] - 1]
            problems.append(
                f"{column} has numbers that a spreadsheet or a float cut short, such as {first}, in {len(short)} rows: "
                f"{listing(short)}; make the column one of texts and bring the digits back"
            )
    return problems
