"""What a source holds: its files in a folder or an archive, and what is said of them in labels and tables."""

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any, assert_never

import pandas as pd
from pathspec import GitIgnoreSpec

from pipeline.errors import DataError, MissingInputError, listing
from pipeline.images.rejection import Rejection
from pipeline.sources.files import Files
from pipeline.sources.label_studio import labels_of
from pipeline.sources.listing import Listing, by_folders, by_statements, by_table, without_labels
from pipeline.sources.metadata import attach_metadata
from pipeline.sources.params import FolderLabels, LabelStudioLabels, NoLabels, SourceParams, TableLabels
from pipeline.sources.scan import Scan
from pipeline.sources.texts import read_texts
from pipeline.store.tables import MAX_BYTES, READERS

METADATA = "metadata.csv"
# Patterns that leave every file; to ask them takes longer than to find it.
ALL = ("*",)


def list_images(files: Files, source: SourceParams, now: pd.Timestamp) -> Listing:
    """The images of a source with label and metadata, and what is refused; nothing is decoded.

    Args:
        now: later times of capture are errors.

    Raises:
        MissingInputError: params name a table that is not there.
        DataError: it breaks rules, all of them in the message; or there are no files.
    """
    found = files.scan()
    match source.labels:
        case FolderLabels():
            found, table = _without(found, METADATA), _metadata(files, found)
            listed = by_folders(_chosen(found, source), source.role)
        case NoLabels():
            found, table = _without(found, METADATA), _metadata(files, found)
            listed = without_labels(_chosen(found, source))
        case TableLabels(file=file, columns=columns, unlisted=unlisted):
            single = {name for name in columns.model_dump().values() if name is not None}
            texts = read_texts(_read(files, found, file, READERS), f"{files.place}/{file}", single)
            chosen = _chosen(_without(found, file), source)
            left_out = frozenset(found.files).difference(chosen.files)
            return by_table(chosen, texts, columns, source.role, unlisted, now, f"{files.place}/{file}", left_out)
        case LabelStudioLabels(file=file, unlisted=unlisted):
            said = labels_of(_tasks(files, found, file), source.labels, f"{files.place}/{file}")
            found, table = _without(_without(found, file), METADATA), _metadata(files, found)
            chosen = _chosen(found, source)
            left_out = frozenset(found.files).difference(chosen.files)
            listed = by_statements(chosen, said, source.role, unlisted, left_out, "task")
            listed = replace(listed, images=listed.images.drop(columns="row"))
        case unknown:
            assert_never(unknown)
    known = {*found.files, *(path for path, _ in found.refused)} if table is not None else set()
    images = attach_metadata(listed.images, table, known, now, f"{files.place}/{METADATA}")
    return replace(listed, images=images)


def named_by_labels(files: Files, source: SourceParams) -> set[str]:
    """The paths that a Label Studio export has tasks for, answered or not; of other labels none."""
    if not isinstance(source.labels, LabelStudioLabels):
        return set()
    file = source.labels.file
    tasks = _tasks(files, files.scan(), file)
    return {one.path for one in labels_of(tasks, source.labels, f"{files.place}/{file}")}


def label_file(files: Files, source: SourceParams) -> str:
    """The file that says most of the images, for messages."""
    match source.labels:
        case TableLabels(file=file):
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


def _metadata(files: Files, found: Scan) -> pd.DataFrame | None:
    if METADATA not in found.files:
        return None
    return read_texts(_read(files, found, METADATA, READERS), f"{files.place}/{METADATA}", ())


def _tasks(files: Files, found: Scan, file: str) -> Any:
    try:
        tasks = json.loads(_read(files, found, file, [".json"]))
        # An escape such as \ud800 is no character.
        json.dumps(tasks, ensure_ascii=False).encode()
        return tasks
    except (ValueError, RecursionError) as error:
        raise DataError(f"{files.place}/{file} is damaged, or no JSON file: {error}") from error


def _read(files: Files, found: Scan, file: str, kinds: Collection[str]) -> bytes:
    """The file that speaks of the others; `kinds`: how its name may end."""
    if file not in found.files:
        there = [path for path in found.files if path.lower().endswith(tuple(kinds))]
        known = f"there are {listing(there)}" if there else f"none ends in {', '.join(kinds)}"
        raise MissingInputError(
            f"{files.place} has no file {file!r}, which params.yaml names for its labels: it must lie in the source "
            f"itself, no link to outside; {known}"
        )
    if not file.lower().endswith(tuple(kinds)):
        raise DataError(f"{files.place}/{file}: its name must end in {', '.join(kinds)}, as its content is")
    match files.read(file, MAX_BYTES):
        case Rejection(reason=reason, detail=detail):
            raise DataError(f"{files.place}/{file} cannot be read: {reason}: {detail}")
        case data:
            return data
