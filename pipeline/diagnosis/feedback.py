"""Tables that people fill in: which class they see in an image, and what happened to images in live production.

Both become predictions: columns label, predicted, group, and split, the level that they measure.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from pipeline.diagnosis.error_levels import HUMAN, PRODUCTION
from pipeline.diagnosis.spreadsheet_values import same_name
from pipeline.errors import DataError, listing
from pipeline.manifest import TRAIN, TRAIN_DEV
from pipeline.metrics.predictions import probability_columns
from pipeline.names import clean, key
from pipeline.problem.label_sets import NONE, SEPARATOR, LabelNames, joined
from pipeline.problem.quantities import Quantity, number_of, text_of

IMAGE, ANSWER, PREDICTED, ACTUAL, GROUP = "image", "answer", "predicted", "actual", "group"


# The level that each file measures.
FILES = {"answers.csv": HUMAN, "outcomes.csv": PRODUCTION}


class Cells(Protocol):
    """A table as it was read: columns of texts by name, and the number of each row for messages."""

    @property
    def columns(self) -> Mapping[str, Sequence[str]]: ...

    @property
    def rows(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Table:
    """The same with the file's name."""

    name: str
    columns: Mapping[str, Sequence[str]]
    rows: Sequence[int]


def tables_of(files: Mapping[str, Cells]) -> dict[str, Table]:
    """The tables by the level that they measure."""
    return {FILES[name]: Table(f"feedback/{name}", cells.columns, cells.rows) for name, cells in files.items()}


def answers(table: Table, manifest: pd.DataFrame, classes: Collection[str]) -> pd.DataFrame:
    """People's answers as predictions of the images that they were asked about; several of one image are welcome.

    Args:
        manifest: of train, train_dev and dev; an image is named by its id or its path in its source.

    Raises:
        DataError: columns that are missing, images and classes that nobody knows; all of them.
    """
    _check_columns(table, (IMAGE, ANSWER))
    places = _places(manifest)
    problems = [
        *_odd(
            table, IMAGE, places, "name no image of train, train_dev or dev (by id, or by a path that one source has)"
        ),
        *_odd(table, ANSWER, known_cells(table, ANSWER, classes), f"have an answer that is {not_one_of(classes)}"),
    ]
    _refuse(table, problems)
    images = manifest.iloc[[places[image] for image in table.columns[IMAGE]]]
    frame = pd.DataFrame({"label": images["label"].astype(str), "predicted": cells_of(table, ANSWER, classes)})
    frame = _with_numbers(frame, classes)
    return frame.assign(group=images["group"].astype(str), split=HUMAN).reset_index(drop=True)


def outcomes(table: Table, manifest: pd.DataFrame, classes: Collection[str]) -> pd.DataFrame:
    """Outcomes of live production as predictions.

    Images have any names, each its own; those of one `group`, where there is such a column, count as one draw.

    Raises:
        DataError: columns that are missing, an image twice, images that the model has learnt, unknown classes; all.
    """
    _check_columns(table, (IMAGE, PREDICTED, ACTUAL))
    images = list(table.columns[IMAGE])
    learnt = set(manifest.loc[manifest["split"].isin([TRAIN, TRAIN_DEV]), "id"].astype(str))
    problems = [
        *_odd(
            table,
            PREDICTED,
            known_cells(table, PREDICTED, classes),
            f"have a predicted {not_had(classes)}",
        ),
        *_odd(table, ACTUAL, known_cells(table, ACTUAL, classes), f"have an actual {not_had(classes)}"),
    ]
    twice = [
        f"row {row} ({image!r})"
        for row, image, again in zip(table.rows, images, pd.Series(images).duplicated(), strict=True)
        if again
    ]
    problems += [f"{len(twice)} images are listed twice: {listing(twice)}"] if twice else []
    empty = [f"row {row}" for row, image in zip(table.rows, images, strict=True) if not image]
    problems += [f"{len(empty)} rows name no image: {listing(empty)}"] if empty else []
    known = [f"row {row} ({image!r})" for row, image in zip(table.rows, images, strict=True) if image in learnt]
    problems += (
        [f"{len(known)} images are in train or train_dev, so they are not outcomes: {listing(known)}"] if known else []
    )
    _refuse(table, problems)
    columns = {"label": ACTUAL, "predicted": PREDICTED}
    frame = pd.DataFrame({name: cells_of(table, column, classes) for name, column in columns.items()})
    frame = _with_numbers(frame, classes)
    # Draws that look the same are one: as two they would make an interval too narrow.
    groups = [key(group) or image for group, image in zip(table.columns.get(GROUP, images), images, strict=True)]
    return frame.assign(group=groups, split=PRODUCTION)


def known_cells(table: Table, column: str, classes: Collection[str]) -> Collection[str]:
    """The cells that a column may have: classes; where an image may have several labels, any set of them and (none).

    Where images have numbers, numbers. Labels are compared as ingest takes them: other bytes for the same letters, and
    what nobody sees, make no other one.
    """
    if isinstance(classes, Quantity):
        return [cell for cell in table.columns[column] if number_of(cell) is not None]
    if not isinstance(classes, LabelNames):
        return [*classes, *dict.fromkeys(cell for cell in table.columns[column] if cell and clean(cell) in classes)]
    sets = (cell for cell in table.columns[column] if cell and {*map(clean, cell.split(SEPARATOR))} <= {*classes})
    return [*classes, NONE, *dict.fromkeys(sets)]


def cells_of(table: Table, column: str, classes: Collection[str]) -> list[str]:
    """The cells of a column; sets of labels with their names in order, numbers as manifests have them."""
    cells = list(table.columns[column])
    if isinstance(classes, Quantity):
        return [text_of(float(cell)) for cell in cells]
    if not isinstance(classes, LabelNames):
        return [clean(cell) for cell in cells]
    return [cell if cell == NONE else joined(map(clean, cell.split(SEPARATOR))) for cell in cells]


def not_one_of(classes: Collection[str]) -> str:
    """What a cell is that is none of those known."""
    return "not a number" if isinstance(classes, Quantity) else "not a class of the model"


def not_had(classes: Collection[str]) -> str:
    """The same of a class that people name."""
    return "value that is not a number" if isinstance(classes, Quantity) else "class that the model does not have"


def _with_numbers(frame: pd.DataFrame, classes: Collection[str]) -> pd.DataFrame:
    """With the column of predicted numbers, where images have them."""
    if not isinstance(classes, Quantity):
        return frame
    [column] = probability_columns(classes)
    return frame.assign(**{column: frame["predicted"].astype(float)})


def _check_columns(table: Table, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(
            f"{table.name} lacks the columns {listing(map(repr, missing))}: its first line must name "
            f"{', '.join(needed)}, and names {listing(table.columns)}"
        )
    if not table.rows:
        raise DataError(f"{table.name} has no rows: fill it in, or remove it")


def _places(manifest: pd.DataFrame) -> dict[str, int]:
    """The row of each id, and of each path that one source alone has."""
    paths = manifest["path"].astype(str)
    alone = ~paths.duplicated(keep=False)
    places = {path: place for place, path in enumerate(paths) if alone.iloc[place]}
    return {**places, **{image: place for place, image in enumerate(manifest["id"].astype(str))}}


def _odd(table: Table, column: str, known: Collection[str], what: str) -> list[str]:
    rows = [(row, cell) for row, cell in zip(table.rows, table.columns[column], strict=True) if cell not in known]
    if not rows:
        return []
    named = listing(f"row {row} ({cell!r})" for row, cell in rows)
    return [f"{len(rows)} of {len(table.rows)} rows {what}: {named}{_hint(rows[0][1], known)}"]


def _hint(cell: str, known: Collection[str]) -> str:
    changed = [name for name in known if cell and same_name(cell, name)]
    if changed:
        return (
            f", did you mean {changed[0]}? Spreadsheet programs turn such names into numbers or dates: import the "
            "column as text"
        )
    near = difflib.get_close_matches(cell, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _refuse(table: Table, problems: Sequence[str]) -> None:
    if problems:
        raise DataError(f"{table.name} cannot be used:\n  " + "\n  ".join(problems) + "\nFix or remove these rows")
