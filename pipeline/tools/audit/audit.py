"""Read manifests of this pipeline or tables of other tools, inspect their images, and audit the split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue, names
from pipeline.errors import DataError, LeakError, MissingInputError, StorageError, listing
from pipeline.images import perceptual
from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels
from pipeline.images.rejection import Rejection
from pipeline.stages.curate import similarity
from pipeline.stages.curate.alignment import portrait
from pipeline.stages.ingest.params import IngestParams, JpegEncoding, PngEncoding
from pipeline.store.arrow import open_foreign
from pipeline.store.artifacts import report
from pipeline.store.reading import read_bytes, sha256_of
from pipeline.store.shards import ShardReader
from pipeline.store.tables import READERS, lists
from pipeline.store.writing import replacing
from pipeline.tools.audit.leaks import (
    COLUMNS,
    OPTIONAL,
    OWN,
    Report,
    audit_report,
    check_splits,
    table_problems,
    verdict,
)
from pipeline.tools.audit.scenes import SIDE, scene_names, scenes_across, shown_in, write_sheet, write_table
from pipeline.tools.image_files import made_safely
from pipeline.workers.codec_messages import codec_messages
from pipeline.workers.engine import Engine

# How a file is decoded for comparison: the whole picture, whatever its shape. Limits are wide, because a file that
# cannot be looked at fails the audit, and stand here, because an audit needs no params.yaml.
_PNG = PngEncoding(name="png")
SMALL = IngestParams(
    size=64,
    fit="stretch",
    encoding=_PNG,
    background=(255, 255, 255),
    codec_warnings="accept",
    max_missing=0.0,
    max_pixels=200_000_000,
    max_side=200_000_000,
    max_aspect=200_000_000,
    max_bytes=500_000_000,
    max_expansion=1,
    max_seconds=60,
    max_memory_mb=4_000,
    max_rejected=1.0,
)
# And for scenes, where it was looked at already.
LARGE = SMALL.model_copy(update={"size": SIDE, "encoding": JpegEncoding(name="jpeg", quality=90)})
# Files that a worker hashes in one go.
TOGETHER = 64


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


@dataclass(frozen=True)
class Inspection:
    """The digest, views and portrait of an image, as far as asked for, or why they are missing."""

    sha256: str | None
    seen: tuple[Pixels, Pixels] | None
    reason: str
    side: int = 0
    """Pixels of its shorter side; 0 if it was not decoded."""


@dataclass(frozen=True)
class SceneOptions:
    """Whether scenes are looked for, and the files in which pairs of different splits are listed and shown."""

    search: bool
    table: Path | None = None
    sheet: Path | None = None


NO_SCENE_SEARCH = SceneOptions(False)


@dataclass(frozen=True)
class PlacePictures:
    """Pictures of rows by their number, encoded; of files that could be looked at."""

    places: Sequence[Place]
    reader: ShardReader

    def __call__(self, row: int) -> bytes:
        place = self.places[row]
        if isinstance(place, ShardPlace):
            return self.reader.image(place.shard, place.row)
        found = normalise(read_bytes(place.root / place.path), LARGE, codec_messages)
        if isinstance(found, Rejection):
            raise DataError(f"{place.path} was changed while the audit read it: run it again")
        return found.image


def find(
    manifests: Sequence[Path],
    root: Path | None,
    near: bool,
    min_per_class: int,
    engine: Engine,
    scenes: SceneOptions = NO_SCENE_SEARCH,
) -> Report:
    """Audit the split that the tables describe together.

    Args:
        scenes: whether images of one scene are looked for, and where its table and sheet go. Needs `near`.

    Raises:
        MissingInputError: a table, or a shard that a table points at, is missing.
        DataError: the tables cannot be used; the message lists all reasons.
    """
    rows, places = read_tables(manifests, root)
    check_splits(rows)
    hashed = rows["sha256"].notna().to_numpy()
    tasks = dict.fromkeys(places, False) if near else {}
    tasks |= {place: True for place, known in zip(places, hashed, strict=True) if not known}
    shards = [(root or Path()) / folder for folder in (catalogue.ORIGINALS.path, catalogue.COPIES.path)]
    inspections = _inspect_all(tasks, near, ShardReader(*shards), engine)
    seen = [inspections.get(place, Inspection(None, None, "")) for place in places]
    rows["content"] = rows["sha256"].where(hashed, [one.sha256 for one in seen])
    rows["family"], plain = _families(rows, [one.seen for one in seen])
    unchecked = rows.assign(reason=[_shown(one.reason) for one in seen])
    if not (near and scenes.search):
        return audit_report(rows, unchecked[unchecked["reason"] != ""], min_per_class, near, plain)
    pictures = PlacePictures(places, ShardReader(*shards))
    found = scenes_across(rows, [one.side for one in seen], _hashes([one.seen for one in seen]), pictures, engine)
    rows["scene"] = scene_names(len(rows), found.pairs)
    if scenes.table is not None:
        write_table(rows, found.pairs, scenes.table)
    if scenes.sheet is not None:
        write_sheet(rows, found.pairs, pictures, scenes.sheet)
    return {
        **audit_report(rows, unchecked[unchecked["reason"] != ""], min_per_class, near, plain, found.compared > 0),
        "scenes": {
            "pairs": len(found.pairs),
            "shown_in": shown_in(rows, found.pairs),
            "too_small": found.untold,
            "not_checked": found.reason,
        },
    }


def outcome(report: Report) -> None:
    """Raise LeakError or DataError unless the audit passed.

    Raises:
        LeakError: an image leaks from one split into another.
        DataError: there is no leak among the readable images, but some images cannot be read.
    """
    if report["leaks"]:
        raise LeakError(verdict(report))
    if report["unchecked"]:
        raise DataError(verdict(report))


def write_json(found: Report, path: Path) -> None:
    """Write the report to a file, completely or not at all."""
    with replacing(path) as half:
        report(str(path)).write(found, half)


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
            problems += table_problems(str(path), [_shown(name) for name in columns], frame)
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
        keys = [_shown(f"{root}/{PurePosixPath(value)}") for value in raw]
    if "sha256" in texts:
        texts["sha256"] = [value and value.lower() for value in texts["sha256"]]
    frame = pd.DataFrame({"table": _shown(str(path)), "row": range(1, count + 1), "key": keys, **texts})
    absent = [name for name in OPTIONAL if name not in texts]
    return frame.astype(dict.fromkeys(texts, object)).assign(**dict.fromkeys(absent)), places


def _as_taken(rows: pd.DataFrame) -> pd.DataFrame:
    """Labels as ingest takes them, and one name for the parts of a split that are called alike: Train and train."""
    labels = {name: names.clean(name) or name for name in rows["label"].dropna().unique()}
    first: dict[str, str] = {}
    for name in sorted(rows["split"].dropna().unique()):
        first.setdefault(names.key(name), name)
    splits = {name: first[names.key(name)] for name in rows["split"].dropna().unique()}
    return rows.assign(label=rows["label"].map(labels), split=rows["split"].map(splits))


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
    return None if value is None or not str(value).strip() else _shown(str(value))


def _shown(text: str) -> str:
    """What is no UTF-8 as \\udcff, so that any file can hold the text."""
    return text.encode(errors="backslashreplace").decode()


def _inspect_all(
    tasks: Mapping[Place, bool], decode: bool, reader: ShardReader, engine: Engine
) -> dict[Place, Inspection]:
    items = list(tasks.items())
    if decode:
        make = partial(inspect_image, limits=SMALL, reader=reader)
        return dict(zip(tasks, made_safely(items, make, _refused, SMALL, engine, "audit"), strict=True))
    # Nothing is decoded, so that no process needs to be at risk.
    make = partial(inspect_image, limits=None, reader=reader)
    return dict(zip(tasks, engine.map(make, items, "audit", chunk_size=TOGETHER), strict=True))


def inspect_image(item: tuple[Place, bool], limits: IngestParams | None, reader: ShardReader) -> Inspection:
    """Inspect an image, and hash it if its item says so; without limits it is not decoded."""
    place, hash_it = item
    sha256 = None
    try:
        if isinstance(place, ShardPlace):
            data = reader.image(place.shard, place.row) or b""
        else:
            file = _inside(place)
            if isinstance(file, str):
                return Inspection(None, None, file)
            sha256 = sha256_of(file) if hash_it else None
            size = file.stat().st_size
            if limits is not None and size > limits.max_bytes:
                return Inspection(sha256, None, f"too_many_bytes: {size} bytes, the limit is {limits.max_bytes}")
            data = b"" if limits is None else read_bytes(file)
    except (StorageError, OSError) as error:
        # The whole message would name this machine's folders.
        cause = error if isinstance(error, OSError) else error.__cause__
        return Inspection(None, None, f"unreadable: {getattr(cause, 'strerror', None)}")
    if limits is None:
        return Inspection(sha256, None, "")
    match normalise(data, limits, codec_messages):
        case Picture(shown=shown, facts={"width": int(width), "height": int(height)}):
            side = min(width, height)
            return Inspection(sha256, (perceptual.views(shown), portrait(shown)), "", side)
        case Rejection(reason=reason, detail=detail):
            return Inspection(sha256, None, f"{reason}: {detail}")
        case unknown:
            raise TypeError(f"a picture without a size: {unknown}")


def _refused(_: tuple[Place, bool], reason: str, words: str) -> Inspection:
    return Inspection(None, None, f"{reason}: {words}")


def _inside(place: FilePlace) -> Path | str:
    """The file, or why it is not opened: a table must not lead out of its root."""
    path = PurePosixPath(place.path)
    if path.is_absolute():
        return "absolute path: paths must be relative to the root"
    if ".." in path.parts:
        return "leaves the root: paths must not hold '..'"
    try:
        target = (place.root / path).resolve(strict=True)
        inside = target.is_relative_to(place.root.resolve())
    except (OSError, RuntimeError, ValueError):
        return "missing: no such file under the root"
    if not inside:
        return "a link that leaves the root"
    return target if target.is_file() else "not a regular file"


def _hashes(seen: Sequence[tuple[Pixels, Pixels] | None]) -> npt.NDArray[np.uint64]:
    """The hash of each whole picture, shape (n,); 0 for one that was not seen."""
    return np.array([0 if one is None else perceptual.marks(one[0])[0][0] for one in seen], np.uint64)


def _families(rows: pd.DataFrame, seen: Sequence[tuple[Pixels, Pixels] | None]) -> tuple[list[str | None], int]:
    """A name for each row, shared with its near copies; and how many pictures are too plain to say."""
    keys = list(zip(rows["content"].fillna(rows["key"]), rows["split"], strict=True))
    first: dict[tuple[str, str], tuple[Pixels, Pixels]] = {}
    for key, pictures in zip(keys, seen, strict=True):
        if pictures is not None:
            first.setdefault(key, pictures)
    if not first:
        return [None] * len(rows), 0
    stacked, portraits = (np.stack(pictures) for pictures in zip(*first.values(), strict=True))
    parts = np.unique([split for _, split in first], return_inverse=True)[1]
    hashes, detail = zip(*map(perceptual.marks, stacked), strict=True)
    detailed = np.array(detail) >= similarity.MIN_DETAIL
    pairs = similarity.copies(np.stack(hashes), detailed, stacked.__getitem__, portraits.__getitem__, parts)
    labels = similarity.linked(np.arange(len(stacked)), *pairs)
    names = dict(zip(first, map(str, labels), strict=True))
    return [names.get(key) for key in keys], int((~detailed).sum())
