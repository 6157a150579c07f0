"""Error analysis: write a sheet of the misclassified images and a table for tags, and rank the tags."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import catalogue
from pipeline.data.pictures import pictures_of
from pipeline.diagnosis.error_tags import NOTES, OWN, SIZE, TAGS, TagGain, errors_of, rank_tags, read_tags, tag_table
from pipeline.errors import DataError, MissingInputError, ParamsError, listing
from pipeline.manifest import SEEN_SPLITS
from pipeline.metrics.metric import key_of
from pipeline.sheets.contact_sheets import MAX_GALLERY_IMAGES, gallery
from pipeline.sheets.drawing import Cell
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.reading import read_bytes
from pipeline.store.spreadsheets import read_spreadsheet, spreadsheet_bytes
from pipeline.store.writing import write_files
from pipeline.tools.lineage import check_is_of_model

ID = "id"
# Where the table lies, if nobody says otherwise.
ERRORS_TABLE = Path("errors.csv")


@dataclass(frozen=True)
class Ranking:
    """Tags ranked by the gain of fixing them at most, and how many of the split's errors have a tag."""

    split: str
    metric: str
    images: int
    errors: int
    tagged: int
    gains: Sequence[TagGain]
    notes: Sequence[str]

    def as_json(self) -> Mapping[str, Any]:
        """The same as values for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "notes"}


def write_errors(split: str, csv: Path, sheet: Path, columns: Sequence[str]) -> str:
    """Write both files, or none, and return what to do with them.

    Raises:
        ParamsError: there is no such split, or a column's name is taken; the table is there and has tags.
        PipelineError: evaluate has not run, or pixels cannot be read.
    """
    _check_split(split)
    _check_columns(columns)
    if csv.resolve() == sheet.resolve():
        raise ParamsError(f"--csv and --sheet both name {csv}: give each a file of its own")
    _keep_tags(csv)
    predictions = _predictions()
    errors = errors_of(predictions, split)
    if errors.empty:
        return f"{split} has no misclassified images: nothing to write"
    count = int((predictions["split"] == split).sum())
    contents = {sheet: errors_sheet(errors, split, count), csv: spreadsheet_bytes(tag_table(errors, columns))}
    write_files(contents)
    which = "the largest errors first" if SIZE in errors else "are misclassified, the most confident first"
    what = f"put an x in the columns {listing(columns)}" if columns else f"fill in {TAGS!r} with commas between tags"
    return (
        f"{sheet}, {csv}: {len(errors):,} of {count:,} images of {split}{', ' if SIZE in errors else ' '}{which}. "
        f"Check them, {what}, and run `pipeline errors --tags {csv}" + ("`" if split == "dev" else f" --split {split}`")
    )


def errors_sheet(errors: pd.DataFrame, split: str, count: int) -> bytes:
    """The first misclassified images, with number, label, prediction and confidence under each."""
    shown = errors.iloc[:MAX_GALLERY_IMAGES]
    measured = SIZE in errors
    captions = [
        (
            f"{number}: {label}",
            f"{'predicted' if measured else 'called'} {predicted}",
            f"off by {last:.3g}" if measured else f"confidence {last:.2f}",
        )
        for number, (label, predicted, last) in enumerate(
            shown[["label", "predicted", SIZE if measured else "confidence"]].itertuples(index=False), 1
        )
    ]
    manifest = catalogue.SPLIT.read(Path(catalogue.SPLIT.path))
    originals = catalogue.ORIGINALS.read(Path(catalogue.ORIGINALS.path))
    pictures = pictures_of(shown["id"].astype(str).tolist(), manifest, originals)
    cells = [Cell(pixels, words) for pixels, words in zip(pictures, captions, strict=True)]
    lines = [
        f"{len(errors):,} of {count:,} images of {split}, the most confident predictions first.",
        "Under each: its number in the table, its label, the predicted class and its probability.",
    ]
    if measured:
        lines = [
            f"{count:,} images of {split}, the largest errors first.",
            "Under each: its number in the table, its own number, the predicted one, and how far that is off.",
        ]
        return gallery(f"Errors of {split}", lines, cells, len(errors))
    return gallery(f"Misclassified images of {split}", lines, cells, len(errors))


def ranking(split: str, table: Path, params: EvaluateParams) -> Ranking:
    """Rank the tags of a filled-in table.

    Raises:
        MissingInputError: the table does not exist.
        DataError: it is ambiguous, or belongs to another model.
    """
    _check_split(split)
    predictions = _predictions()
    errors = errors_of(predictions, split)
    if not table.is_file():
        raise MissingInputError(f"{table} is missing or not a file: `pipeline errors --csv {table}` writes it")
    read = read_spreadsheet(read_bytes(table), str(table), ID)
    tags = read_tags(read.columns, read.rows, errors, str(table))
    if not tags:
        raise DataError(f"{table} has no tags yet: fill in {TAGS!r}, or put an x in the columns of tags")
    count = int((predictions["split"] == split).sum())
    gains = rank_tags(predictions, split, tags, params)
    return Ranking(split, key_of(params.optimizing), count, len(errors), len(tags), gains, read.notes)


def has_tags(table: Path) -> bool:
    """Whether a file is a table of errors in which somebody has filled in something."""
    try:
        return table.is_file() and bool(_filled(table))
    except DataError:
        return False


def print_ranking(found: Ranking, console: Console) -> None:
    """Print it, and what the figures mean."""
    table = Table(title=f"what fixing the errors of {found.split} could gain at most", title_justify="left")
    table.add_column("tag", overflow="fold")
    # An error less is a share of accuracy, whatever the metric.
    beside = [] if found.metric == "accuracy" else ["accuracy"]
    for column in ("images", "of errors", found.metric, "95 % interval", *beside):
        table.add_column(escape(column), justify="right", no_wrap=True)
    for one in found.gains:
        ends = "too few groups" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
        figures = [f"{one.images:,}", f"{one.share:.1%}", f"+{one.gain:.4f}", ends]
        table.add_row(escape(one.tag), *figures, *([f"+{one.accuracy:.4f}"] if beside else []))
    console.print(table)
    console.print(f"{found.errors:,} of {found.images:,} images are misclassified; {found.tagged:,} of them tagged.")
    if found.tagged < found.errors:
        console.print(f"{found.errors - found.tagged:,} without a tag: gains can only grow as you tag them.")
    console.print("An image counts for each of its tags, so gains do not add up.")


def _predictions() -> pd.DataFrame:
    check_is_of_model()
    found: pd.DataFrame = catalogue.PREDICTIONS.read(Path(catalogue.PREDICTIONS.path))
    return found


def _check_split(split: str) -> None:
    if split not in SEEN_SPLITS:
        why = "; errors on the test set are never shown, so that its score stays unbiased" if split == "test" else ""
        raise ParamsError(f"no such split {split!r}: choose one of {listing(SEEN_SPLITS)}{why}")


def _check_columns(columns: Sequence[str]) -> None:
    names = [column.strip().casefold() for column in columns]
    bad = [
        repr(column)
        for column, name in zip(columns, names, strict=True)
        if not name or name in {*OWN, SIZE, TAGS, NOTES} or names.count(name) > 1
    ]
    if bad:
        raise ParamsError(
            f"--column {listing(bad)}: each column needs a unique name, other than {listing([*OWN, TAGS, NOTES], 10)}"
        )


def _keep_tags(csv: Path) -> None:
    """Refuse to overwrite a table with tags or a file that is not such a table."""
    if not csv.exists():
        return
    try:
        filled = _filled(csv)
    except DataError as error:
        raise ParamsError(f"{csv} exists and is not a table of errors: give --csv another name ({error})") from error
    if filled:
        raise ParamsError(
            f"{csv} exists and has tags (column {listing(filled)}): give --csv another name, move the file away, "
            f"or rank them with `pipeline errors --tags {csv}`"
        )


def _filled(table: Path) -> list[str]:
    """The columns of people's own in which a cell is filled in."""
    read = read_spreadsheet(read_bytes(table), str(table), ID)
    return [name for name, cells in read.columns.items() if name not in OWN and any(map(str.strip, cells))]
