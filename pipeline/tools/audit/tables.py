"""Read the rows of manifests and of tables of other tools, and where each image is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline import names
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.names import as_utf8
from pipeline.store.arrow import open_foreign
from pipeline.store.reading import read_bytes
from pipeline.store.tables import READERS, lists
from pipeline.tools.audit.leaks import COLUMNS, OPTIONAL, OWN, table_problems


@dataclass(frozen=True)
class FilePlace:
    """An image file: a path as a table gives it, and the folder that it must lie in."""

    root: Path
    path: str


@dataclass(frozen=True)
class ShardPlace:
    """A normalised image of this pipeline."""

    shard: str
    row: int


Place = FilePlace | ShardPlace


def read_tables(manifests: Sequence[Path], root: Path | None) -> tuple[pd.DataFrame, list[Place]]:
    """Read the rows of all tables as tools/audit/leaks.py describes them, and where each image is stored.

    Raises:
        MissingInputError: tables are missing; the message lists all of them.
        DataError: tables cannot be used; the message lists all reasons.
    """
    kinds = ", ".join(sorted([".arrow", *READERS]))
    missing = [str(path) for path in manifests if not path.is_file()]
    if missing:
        raise MissingInputError(f"no such table: {listing(missing)}; name files, ending in {kinds}")
    problems: list[str] = []
    frames: list[pd.DataFrame] = []
    places: list[Place] = []
    for path in manifests:
        try:
            columns = _columns(path)
        except KeyError:
            problems.append(f"{path}: unknown kind of table {path.suffix!r}; its name must end in {kinds}")
        except DataError as error:
            problems.append(str(error))
        else:
            frame, found = _rows_of(path, columns, root or path.parent)
            problems += table_problems(str(path), [as_utf8(name) for name in columns], frame)
            frames.append(frame)
            places += found
    if problems:
        raise DataError("the tables cannot be audited:\n  " + "\n  ".join(problems))
    return _as_taken(pd.concat(frames, ignore_index=True)), places


def _rows_of(path: Path, columns: Mapping[str, Sequence[Any]], root: Path) -> tuple[pd.DataFrame, list[Place]]:
    known = [name for name in (*COLUMNS, *OPTIONAL) if name in columns]
    texts = {name: [_text(value) for value in columns[name]] for name in known}
    count = max(map(len, columns.values()), default=0)
    if set(columns) >= OWN:
        texts["path"] = keys = [_text(value) for value in columns["id"]]
        places: list[Place] = [
            ShardPlace(str(shard), -1 if row is None else int(row))
            for shard, row in zip(columns["shard"], columns["row"], strict=True)
        ]
    else:
        raw = [str(value) for value in columns.get("path", [""] * count)]
        places = [FilePlace(root, value) for value in raw]
        keys = [as_utf8(f"{root}/{PurePosixPath(value)}") for value in raw]
    if "sha256" in texts:
        texts["sha256"] = [value and value.lower() for value in texts["sha256"]]
    frame = pd.DataFrame({"table": as_utf8(str(path)), "row": range(1, count + 1), "key": keys, **texts})
    absent = [name for name in OPTIONAL if name not in texts]
    return frame.astype(dict.fromkeys(texts, object)).assign(**dict.fromkeys(absent)), places


def _as_taken(rows: pd.DataFrame) -> pd.DataFrame:
    """Labels as ingest takes them, and one name for the parts of a split that are called alike: Train and train."""
    labels = {name: names.clean(name) or name for name in rows["label"].dropna().unique()}
    first: dict[str, str] = {}
    for name in sorted(rows["split"].dropna().unique()):
        first.setdefault(names.key(name), name)
    splits = {name: first[names.key(name)] for name in rows["split"].dropna().unique()}
    predicted = {name: names.clean(name) or name for name in rows["predicted"].dropna().unique()}
    taken = {"label": labels, "split": splits, "predicted": predicted}
    return rows.assign(**{column: rows[column].map(known) for column, known in taken.items()})


def _columns(path: Path) -> dict[str, list[Any]]:
    """The values of known columns, the names of others."""
    needed = {*COLUMNS, *OPTIONAL, *OWN}
    if path.suffix.lower() == ".arrow":
        return lists(open_foreign(path), needed)
    return READERS[path.suffix.lower()](read_bytes(path), str(path), needed)


def _text(value: Any) -> str | None:
    """A cell as text that can be printed; None if it is empty."""
    if isinstance(value, float):
        value = None if np.isnan(value) else int(value) if value.is_integer() else value
    return None if value is None or not str(value).strip() else as_utf8(str(value))
