"""Audit the split that manifests of this pipeline or tables of other tools describe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline import catalogue
from pipeline.errors import DataError, LeakError
from pipeline.images import perceptual
from pipeline.images.pixels import Pixels
from pipeline.names import as_utf8
from pipeline.stages.curate import similarity
from pipeline.store.artifacts import report
from pipeline.store.shards import ShardReader
from pipeline.store.writing import replacing
from pipeline.tools.audit.inspection import Inspection, PlacePictures, inspect_all
from pipeline.tools.audit.leaks import Report, audit_report, check_splits
from pipeline.tools.audit.rendering import verdict
from pipeline.tools.audit.scenes import scene_names, scenes_across, shown_in, write_sheet, write_table
from pipeline.tools.audit.tables import ShardPlace, read_tables
from pipeline.workers.engine import Engine


@dataclass(frozen=True)
class SceneOptions:
    """Whether scenes are looked for, and the files in which pairs of different splits are listed and shown."""

    search: bool
    table: Path | None = None
    sheet: Path | None = None


NO_SCENE_SEARCH = SceneOptions(False)


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
    own = np.array([isinstance(place, ShardPlace) for place in places], np.bool_)
    rows = _with_predictions(rows, own, root or Path())
    check_splits(rows)
    hashed = rows["sha256"].notna().to_numpy()
    tasks = dict.fromkeys(places, False) if near else {}
    tasks |= {place: True for place, known in zip(places, hashed, strict=True) if not known}
    shards = [(root or Path()) / folder for folder in (catalogue.ORIGINALS.path, catalogue.COPIES.path)]
    inspections = inspect_all(tasks, near, ShardReader(*shards), engine)
    seen = [inspections.get(place, Inspection(None, None, "")) for place in places]
    rows["content"] = rows["sha256"].where(hashed, [one.sha256 for one in seen])
    rows["family"], plain = _families(rows, [one.seen for one in seen])
    unchecked = rows.assign(reason=[as_utf8(one.reason) for one in seen])
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


def _with_predictions(rows: pd.DataFrame, own: npt.NDArray[np.bool_], root: Path) -> pd.DataFrame:
    """Rows of this pipeline with what the last run predicts, if its splits are theirs; other tables bring their own.

    Args:
        own: which rows are of this pipeline, shape (n,).
    """
    file = root / catalogue.PREDICTIONS.path
    if not own.any() or not file.exists():
        return rows
    found = catalogue.PREDICTIONS.read(file).astype({"split": "str", "predicted": "str"}).set_index("id")
    split = rows["key"].map(found["split"])
    if (own & split.notna() & (split != rows["split"])).any():
        return rows  # of another run
    return rows.assign(predicted=rows["predicted"].where(~own, rows["key"].map(found["predicted"])))


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
