"""The images of a source: its files in a folder or an archive, with their labels and metadata."""

import json
import posixpath
from collections.abc import Collection
from dataclasses import replace
from typing import Any, assert_never

import pandas as pd
from pathspec import GitIgnoreSpec

from pipeline.errors import DataError, MissingInputError, listing
from pipeline.images.rejection import Rejection
from pipeline.sources.files import Files
from pipeline.sources.label_studio import labels_of, notes_of
from pipeline.sources.listing import Listing, by_folders, by_statements, by_table, without_labels
from pipeline.sources.metadata import attach_metadata, own_names
from pipeline.sources.params import FolderLabels, LabelStudioLabels, NoLabels, SourceParams, TableLabels
from pipeline.sources.scan import Scan
from pipeline.sources.table_errors import table_notes
from pipeline.sources.texts import read_texts
from pipeline.store.tables import MAX_BYTES, READERS

METADATA = "metadata.csv"
# Each of them may say more of images, in the source's own folder.
METADATA_KINDS = tuple(f"metadata{ending}" for ending in READERS)
# Rows of a table for each file, and at any rate: more than one of a file are refused, one by one.
MAX_ROWS_A_FILE, MAX_ROWS = 10, 1_000_000
# Patterns that leave every file; to ask them takes longer than to find it.
ALL = ("*",)


def list_images(files: Files, source: SourceParams, now: pd.Timestamp) -> Listing:
    """List the images of a source with labels and metadata, and its rejected files; nothing is decoded.

    Args:
        now: later times of capture are errors.

    Raises:
        MissingInputError: params.yaml names a table that does not exist.
        DataError: the table breaks rules (the message lists all of them), or there are no files.
    """
    found = files.scan()
    match source.labels:
        case FolderLabels():
            found, metadata = _metadata(files, found, source)
            listed = by_folders(_chosen(found, source), source.role, source.layout, str(files.place))
        case NoLabels():
            found, metadata = _metadata(files, found, source)
            listed = without_labels(_chosen(found, source))
        case TableLabels(file=file, columns=columns) as labels:
            single = {name for name in columns.model_dump().values() if name is not None}
            texts = _texts(files, found, file, single)
            chosen = _chosen(_without(found, file), source)
            left_out = frozenset(found.files).difference(chosen.files)
            return by_table(chosen, texts, labels, source.role, now, f"{files.place}/{file}", left_out)
        case LabelStudioLabels(file=file, unlisted=unlisted):
            tasks = _tasks(files, found, file)
            said = labels_of(tasks, source.labels, f"{files.place}/{file}")
            found, metadata = _metadata(files, _without(found, file), source)
            chosen = _chosen(found, source)
            left_out = frozenset(found.files).difference(chosen.files)
            listed = by_statements(chosen, said, source.role, unlisted, left_out, "task")
            notes = notes_of(tasks, source.labels)
            listed = replace(listed, images=listed.images.drop(columns="row"), notes=notes)
        case unknown:
            assert_never(unknown)
    if metadata is None:
        return replace(listed, images=attach_metadata(listed.images, None, (), now, ""))
    file, table = metadata
    name = f"{files.place}/{file}"
    known = {*found.files, *(path for path, _ in found.refused)}
    images = attach_metadata(listed.images, table, known, now, name)
    notes = (*listed.notes, *table_notes(table, own_names(table)))
    return replace(listed, images=images, notes=notes, groups_from=name)


def named_by_labels(files: Files, source: SourceParams) -> set[str]:
    """The paths that a Label Studio export has tasks for, answered or not; of other labels none."""
    if not isinstance(source.labels, LabelStudioLabels):
        return set()
    file = source.labels.file
    tasks = _tasks(files, files.scan(), file)
    return {one.path for one in labels_of(tasks, source.labels, f"{files.place}/{file}")}


def label_file(files: Files, source: SourceParams) -> str:
    """The file that names the images, for messages."""
    match source.labels:
        case TableLabels(file=file) | LabelStudioLabels(file=file):
            return f"{files.place}/{file}"
        case _:
            return f"{files.place}/{METADATA}"


def _chosen(found: Scan, source: SourceParams) -> Scan:
    """The files that the patterns leave; the others are ignored."""
    if source.include == ALL and not source.exclude:
        return found
    include, exclude = GitIgnoreSpec.from_lines(source.include), GitIgnoreSpec.from_lines(source.exclude)
    kept = tuple(path for path in found.files if include.match_file(path) and not exclude.match_file(path))
    rest = set(found.files).difference(kept)
    return replace(found, files=kept, ignored=(*found.ignored, *((path, "left_out") for path in sorted(rest))))


def _without(found: Scan, file: str) -> Scan:
    """The files without the one that speaks of them."""
    if file not in found.files:
        return found
    rest = tuple(path for path in found.files if path != file)
    return replace(found, files=rest, ignored=(*found.ignored, (file, "table")))


def _metadata(files: Files, found: Scan, source: SourceParams) -> tuple[Scan, tuple[str, pd.DataFrame] | None]:
    """The files without the table that says more of them; its name and its rows.

    Raises:
        DataError: there are several, or some that would not be read.
    """
    name = _metadata_name(found, source)
    exclude = GitIgnoreSpec.from_lines(source.exclude)
    unread = [
        f"{path} ({reason})"
        for path, reason in found.refused
        if posixpath.basename(path).lower() in METADATA_KINDS and not exclude.match_file(path)
    ]
    if unread:
        raise DataError(
            f"{files.place} has metadata tables that cannot be read, so that groups and columns would be lost: "
            f"{listing(unread)}. Put the file itself there, or exclude it: `exclude: "
            f'["{posixpath.basename(unread[0].partition(" (")[0])}"]`'
        )
    elsewhere = [
        path
        for path in _chosen(found, source).files
        if path != name and posixpath.basename(path).lower() in METADATA_KINDS
    ]
    if elsewhere:
        way_out = "put its rows there, with this folder before each file_name" if name is None else "join them"
        raise DataError(
            f"{files.place} has metadata tables that would be ignored: {listing(elsewhere)}. A source has one such "
            f"table, called {' or '.join(METADATA_KINDS)} and directly in the source's "
            f'folder: {way_out}. Or exclude them: `exclude: ["{posixpath.basename(elsewhere[0])}"]`'
        )
    if name is None:
        return found, None
    return _without(found, name), (name, _texts(files, found, name, ()))


def _metadata_name(found: Scan, source: SourceParams) -> str | None:
    # A table of this name may be among the images' own files, if patterns leave it out.
    names = [name for name in METADATA_KINDS if name in found.files]
    chosen = [name for name in names if name == METADATA or name in _chosen(found, source).files]
    return chosen[0] if chosen else None


def _texts(files: Files, found: Scan, file: str, single: Collection[str]) -> pd.DataFrame:
    """The rows of a table in the source."""
    max_rows = max(MAX_ROWS, MAX_ROWS_A_FILE * len(found.files))
    return read_texts(_read(files, found, file, READERS), f"{files.place}/{file}", single, max_rows)


def _tasks(files: Files, found: Scan, file: str) -> Any:
    try:
        tasks = json.loads(_read(files, found, file, [".json"]))
        # An escape such as \ud800 is no character.
        json.dumps(tasks, ensure_ascii=False).encode()
        return tasks
    except (ValueError, RecursionError) as error:
        raise DataError(f"{files.place}/{file} is damaged or not a JSON file: {error}") from error


def _read(files: Files, found: Scan, file: str, kinds: Collection[str]) -> bytes:
    """The file that speaks of the others; `kinds`: how its name may end."""
    if file not in found.files:
        there = [path for path in found.files if path.lower().endswith(tuple(kinds))]
        known = f"there are {listing(there)}" if there else f"none ends in {', '.join(kinds)}"
        raise MissingInputError(
            f"{files.place} has no file {file!r}, which params.yaml names for its labels. It must be inside the source "
            f"and not a link to another place; {known}"
        )
    if not file.lower().endswith(tuple(kinds)):
        raise DataError(f"{files.place}/{file}: its name must end in {', '.join(kinds)}, according to its content")
    match files.read(file, MAX_BYTES):
        case Rejection(reason=reason, detail=detail):
            raise DataError(f"{files.place}/{file} cannot be read: {reason}: {detail}")
        case data:
            return data
