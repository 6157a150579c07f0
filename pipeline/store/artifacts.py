"""Artifacts: the kinds of files and folders that stages read and write, each with its reader and writer.

No file contains a host name, time or absolute path: DVC compares bytes.
"""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import DataError, MissingInputError
from pipeline.store.reading import check_regular, maker, read_bytes
from pipeline.store.refusals import refusals
from pipeline.store.spreadsheets import embeddable, safe, unembedded, unsafe
from pipeline.store.writing import write_bytes, write_text
from pipeline.yaml_values import shortened


@dataclass(frozen=True)
class Artifact:
    """A file or folder, with the functions that read it and write it (to the given path)."""

    path: str
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], None]
    cached: bool = True
    """Whether DVC keeps it in its cache; if not, Git may keep it, or it is made again."""
    metrics: bool = False
    """Whether `dvc metrics` shows it."""
    verified: bool = False
    """Whether its checksum stands in its stage's checksums.json (see verified.py)."""

    def named(self, **names: str) -> "Artifact":
        """The same artifact with the `{placeholders}` of its path filled in."""
        return replace(self, path=self.path.format(**names))


def uncached(artifact: Artifact) -> Artifact:
    """The same artifact, kept out of DVC's cache."""
    return replace(artifact, cached=False)


def metrics(path: str, schema: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a small report with a given schema, kept in Git and shown by `dvc metrics`."""
    return replace(report(path, schema), cached=False, metrics=True)


def table(path: str) -> Artifact:
    """An artifact: a data frame in a CSV file, for people and for DVC's plots."""

    def read(place: Path) -> pd.DataFrame:
        check_regular(place)
        try:
            return pd.read_csv(place, keep_default_na=False)
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`") from error
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{place} is not a readable CSV file ({error}): run `{maker(place)}`") from error

    def write(frame: pd.DataFrame, place: Path) -> None:
        write_text(frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC), place)

    return Artifact(path, read, write)


def spreadsheet(path: str) -> Artifact:
    """A table for people that is safe to open: no spreadsheet program runs a cell (see spreadsheets.py)."""
    plain = table(path)

    def read(place: Path) -> pd.DataFrame:
        return _mapped(plain.read(place), unsafe)

    def write(frame: pd.DataFrame, place: Path) -> None:
        plain.write(_mapped(frame, safe), place)

    return Artifact(path, read, write)


def plotted(path: str) -> Artifact:
    """A spreadsheet that DVC's plots embed: DVC escapes nothing, so no cell may end the script that it stands in."""
    plain = spreadsheet(path)

    def read(place: Path) -> pd.DataFrame:
        return _mapped(plain.read(place), unembedded)

    def write(frame: pd.DataFrame, place: Path) -> None:
        plain.write(_mapped(frame, embeddable), place)

    return Artifact(path, read, write)


def _mapped(frame: pd.DataFrame, function: Callable[[str], str]) -> pd.DataFrame:
    """With the function's value for each text."""
    # Columns of users' tables travel with their names.
    return frame.map(lambda cell: function(cell) if isinstance(cell, str) else cell).rename(columns=function)


def report(path: str, schema: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a JSON object, keys sorted, NaN and Infinity refused.

    Args:
        schema: what must be in it to be read; without one, the readers check it.
    """

    def read(place: Path) -> Any:
        check_regular(place)
        try:
            value = json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not readable JSON ({error}): run `{maker(place)}`") from error
        check_schema(value, schema, place)
        return value

    def write(value: Mapping[str, Any], place: Path) -> None:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        write_text(text + "\n", place)

    return Artifact(path, read, write)


def check_schema(value: Any, schema: TypeAdapter[Any] | None, place: Path) -> None:
    """Raise DataError unless a report fits its schema: otherwise it is damaged, edited or of another version."""
    try:
        if schema is not None:
            schema.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise DataError(
            f"{place} does not have the form that this version writes ({shortened(where)}: "
            f"{first['msg'].lower()}): it is damaged, edited or of another version; run `{maker(place)}`"
        ) from None


def text(path: str) -> Artifact:
    """An artifact: a text for people to read."""

    def read(place: Path) -> str:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read_bytes(place).decode()

    return Artifact(path, read, write_text)


def folder(path: str, read: Callable[[Path], Any], write: Callable[[Any, Path], None]) -> Artifact:
    """An artifact: a folder of files that belong together."""

    def read_checked(place: Path) -> Any:
        if not place.is_dir():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read(place)

    def write_whole(value: Any, place: Path) -> None:
        with refusals(place):
            place.mkdir()
            write(value, place)

    return Artifact(path, read_checked, write_whole)


def texts(path: str) -> Artifact:
    """An artifact: {file name: text} of a folder; written only."""

    def write(files: Mapping[str, str], place: Path) -> None:
        for name, value in files.items():
            write_text(value, place / name)

    return folder(path, lambda place: sorted(entry.name for entry in place.iterdir()), write)


def folder_of_folders(path: str, *files: Artifact) -> Artifact:
    """An artifact, read only: {folder name: what reads the files in it} of the folders in a folder.

    Nothing is read before it is asked for: a folder that nobody needs may be damaged.
    """

    def read(place: Path) -> dict[str, Callable[[], tuple[Any, ...]]]:
        folders = sorted(entry for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
        return {entry.name: partial(read_one, entry) for entry in folders if (entry / names[0]).exists()}

    def read_one(entry: Path) -> tuple[Any, ...]:
        return tuple(file.read(entry / name) for file, name in zip(files, names, strict=True))

    names = [Path(file.path).name for file in files]
    return read_only(path, read)


def read_only(path: str, read: Callable[[Path], Any]) -> Artifact:
    """An artifact that no stage writes as a whole: a folder of several outs, or of shards."""

    def write(_: Any, place: Path) -> None:
        raise NotImplementedError(f"{place} is put together from other outs")

    return Artifact(path, read, write)


def binary(path: str) -> Artifact:
    """An artifact: bytes."""

    def read(place: Path) -> bytes:
        if not place.exists():
            raise MissingInputError(f"{place} is missing: run `{maker(place)}`")
        return read_bytes(place)

    return Artifact(path, read, write_bytes)
