"""Compare all results of a repository in one table: the best model first, and which differences are noise."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.errors import MissingInputError
from pipeline.metrics.comparison import Row, compare
from pipeline.metrics.metric import key_of
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.timing import in_words
from pipeline.tools.history import results
from pipeline.yaml_values import shortened

# Params that are named beside a row; the others are counted.
MAX_CHANGED = 4
# Columns of a terminal that has room for all of the table's.
WIDE = 100


def comparison(params: EvaluateParams, commits: int, foreign: bool = False) -> list[Row]:
    """A row a result, in the order in which they should be read.

    Args:
        foreign: whether results on data that have no dev image in common with the newest ones are listed as well, as
            those that a clone of another project brings.

    Raises:
        MissingInputError: there are no results at all.
    """
    rows = [row for row in compare(results(commits), params) if row.own or foreign]
    if not rows:
        raise MissingInputError("there are no results to compare: run `dvc repro`, or `dvc exp run`")
    return rows


def as_json(rows: Sequence[Row], params: EvaluateParams) -> Mapping[str, Any]:
    """The rows as values for JSON."""
    return {"metric": key_of(params.optimizing), "rows": [asdict(row) for row in rows]}


def print_table(rows: Sequence[Row], params: EvaluateParams, console: Console) -> None:
    """Print the rows, and below them the notes that do not fit."""
    name = key_of(params.optimizing)
    table = Table(title=f"{escape(name)} on dev", title_justify="left")
    table.add_column("model", overflow="fold")
    for column in (name, "95 % interval", "minus the best"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    # On a narrow terminal names matter more; --json has the times.
    timed = console.width >= WIDE and any(row.seconds is not None for row in rows)
    if timed:
        table.add_column("training", justify="right", no_wrap=True)
    table.add_column("is", no_wrap=True)
    for number, row in enumerate(rows):
        if number and rows[number - 1].accepted and not row.accepted:
            table.add_section()
        value = "" if row.value is None else f"{row.value:.4f}"
        state = ", ".join([*(["rejected"] if row.accepted is False else []), *([row.standing] if row.standing else [])])
        interval, difference = _ends(row.low, row.high), _ends(row.difference_low, row.difference_high, sign="+")
        took = [] if not timed else ["" if row.seconds is None else in_words(row.seconds)]
        table.add_row(*map(escape, [row.name, value, interval, difference, *took, state or "not compared"]))
    console.print(table)
    named = next((row.name for row in rows if row.standing == "best"), "")
    for row in rows:
        if row.changed:
            console.print(escape(f"{row.name}: unlike {named}, {_changes(row.changed)}"), soft_wrap=True)
    for row in rows:
        words = [f"breaks {', '.join(row.broken)}"] if row.broken else []
        if row.note or words:
            console.print(
                escape(f"{row.name}: {'; '.join([*words, *([row.note] if row.note else [])])}"), soft_wrap=True
            )
    if any(row.standing == "within noise" for row in rows):
        console.print(
            "within noise: the interval of the difference, on the same dev images, contains 0. "
            "The intervals of all models hold together at 95 %"
        )
    if named and not any(row.accepted for row in rows):
        console.print("No model is accepted, so all are compared with the best rejected one")


def _changes(changed: Mapping[str, Any]) -> str:
    told = [f"{name} {shown(value)}" for name, value in list(changed.items())[:MAX_CHANGED]]
    more = len(changed) - len(told)
    return ", ".join([*told, *([f"and {more} more params (--json has all)"] if more else [])])


def shown(value: Any) -> str:
    """A param's value in a line."""
    return "absent" if value is None else shortened(str(value))


def _ends(low: float | None, high: float | None, sign: str = "") -> str:
    return "" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"
