"""Which images of one split show a scene of another: found as curate finds them, in tables of any tool."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import MissingInputError
from pipeline.images.local_features import MIN_SIDE
from pipeline.images.pixels import decode
from pipeline.sheets.drawing import Cell, Section, Sheet, Strip, sheet_png
from pipeline.stages.curate.scenes import NO_SCENES, find_scenes
from pipeline.stages.curate.similarity import linked
from pipeline.stages.embed.params import EfficientNetLite0Backbone
from pipeline.store.artifacts import spreadsheet
from pipeline.store.shards import ShardReader
from pipeline.store.writing import write_files
from pipeline.workers.engine import Engine

SIDE = 224
_BACKBONE = EfficientNetLite0Backbone(name="efficientnet_lite0", side=160)
_CHUNK = 64
_MAX_PAIRS = 40
TABLE_COLUMNS = ["split", "path", "label", "other_split", "other_path", "other_label", "places"]

Report = dict[str, Any]


class Pictures(Protocol):
    """Encoded pictures by the number of a row; it travels to worker processes."""

    def __call__(self, row: int) -> bytes: ...


@dataclass(frozen=True)
class Found:
    """Pairs of rows in different splits that show one scene: columns one, other (row numbers), places.

    untold: pictures that are too small to tell. compared: others. reason: why scenes were not looked for, or "".
    """

    pairs: pd.DataFrame
    untold: int
    compared: int = 0
    reason: str = ""


class _Reader(ShardReader):
    """Row numbers as the rows of one shard."""

    def __init__(self, pictures: Pictures) -> None:
        super().__init__()
        self.pictures = pictures

    def __reduce__(self) -> tuple[Any, ...]:
        return _Reader, (self.pictures,)

    def image(self, shard: str, row: int) -> bytes:
        return self.pictures(row)


def scenes_across(
    rows: pd.DataFrame, sides: Sequence[int], hashes: npt.NDArray[np.uint64], pictures: Pictures, engine: Engine
) -> Found:
    """The pairs of images in different splits that show one scene, near copies and equal files left out.

    Of each pair the image of the smaller split comes first.

    Args:
        rows: as audit.read_tables gives them, with `content` and `family`.
        sides: pixels of the shorter side of each image; 0 for one that cannot be read.
        hashes: of each whole picture, shape (n,), see images/perceptual.py; any for one that cannot be read.
        pictures: gives them at most SIDE pixels per side.
    """
    large = np.array(sides) >= MIN_SIDE
    untold = int((~large & (np.array(sides) > 0)).sum())
    content = rows["content"].fillna(rows["key"])
    first = rows[large].assign(content=content[large]).drop_duplicates("content")
    none = pd.DataFrame({"one": [], "other": [], "places": []}, dtype=int)
    if len(first) < 2:
        return Found(none, untold)
    numbers = first.index.to_numpy()
    try:
        vectors = _vectors(numbers.tolist(), pictures, engine)
    except MissingInputError as error:
        return Found(none, untold, reason=str(error))
    table = pd.DataFrame({"id": first["key"], "sha256": first["content"], "source": "", "shard": "", "row": numbers})
    table = table.assign(captured_at=pd.Series(pd.NaT, index=table.index), width=SIDE, height=SIDE)
    found = find_scenes(
        table.reset_index(drop=True), vectors, hashes[numbers], NO_SCENES, _Reader(pictures), "stretch", engine
    )
    return Found(_of_rows(found.pairs, rows, content), untold, len(numbers))


def scene_names(count: int, pairs: pd.DataFrame) -> list[str | None]:
    """A name for each row that shows a scene of another split, the same for all that pairs connect."""
    ends = pairs["one"].to_numpy(np.int64), pairs["other"].to_numpy(np.int64)
    labels = linked(np.arange(count), *ends)
    inside = np.zeros(count, np.bool_)
    inside[np.concatenate(ends)] = True
    return [str(label) if shown else None for label, shown in zip(labels.tolist(), inside.tolist(), strict=True)]


def shown_in(rows: pd.DataFrame, pairs: pd.DataFrame) -> list[Report]:
    """Of each split, how many images show a scene of a larger one: {split, of, images, all}, as JSON can hold it.

    Where each labelled image of the split has a prediction, also the shares error_of_these and error_of_others (null:
    no such image).
    """
    sizes = {str(split): int(count) for split, count in rows["split"].value_counts().items()}
    ends = pd.concat([pairs, pairs.rename(columns={"one": "other", "other": "one"})])
    splits = rows["split"].to_numpy()
    table = pd.DataFrame({"row": ends["one"], "split": splits[ends["one"]], "of": splits[ends["other"]]})
    order = {split: (-size, split) for split, size in sizes.items()}
    found = [
        {
            "split": split,
            "of": of,
            "images": int(part["row"].nunique()),
            "all": sizes[str(split)],
            **_errors(rows[(splits == split) & rows["label"].notna().to_numpy()], set(part["row"])),
        }
        for (split, of), part in table.groupby(["split", "of"])
        if order[str(of)] < order[str(split)]
    ]
    return sorted(found, key=lambda one: (one["of"], one["split"]))


def _errors(rows: pd.DataFrame, twins: set[int]) -> Report:
    """The error on images that show a scene of another split, and on the others; nothing without predictions."""
    if not len(rows) or rows["predicted"].isna().any():
        return {}
    wrong, inside = (rows["label"] != rows["predicted"]).to_numpy(), rows.index.isin(twins)
    return {
        name: float(wrong[part].mean()) if part.any() else None
        for name, part in (("error_of_these", inside), ("error_of_others", ~inside))
    }


def write_table(rows: pd.DataFrame, pairs: pd.DataFrame, path: Path) -> None:
    """A CSV file with a row for each pair: TABLE_COLUMNS, most places first."""
    ends = [rows.iloc[pairs[name]][["split", "path", "label"]].reset_index(drop=True) for name in ("one", "other")]
    table = pd.concat([*ends, pairs["places"].reset_index(drop=True)], axis=1).set_axis(TABLE_COLUMNS, axis=1)
    table = table.fillna("").sort_values(["places", "path", "other_path"], ascending=[False, True, True])
    path.parent.mkdir(parents=True, exist_ok=True)
    spreadsheet(str(path)).write(table, path)


def write_sheet(rows: pd.DataFrame, pairs: pd.DataFrame, pictures: Pictures, path: Path) -> None:
    """A PNG file with pairs side by side, evenly over how clearly they agree."""
    order = pairs.sort_values(["places", "one", "other"], ascending=[False, True, True])
    chosen = order.iloc[np.unique(np.linspace(0, len(order) - 1, min(_MAX_PAIRS, len(order))).round().astype(int))]
    cells = [
        Cell(decode(pictures(number)), (f"{row.split}: {row.path}", f"{row.label or 'no label'}, {places} places"))
        for one, other, places in chosen[["one", "other", "places"]].itertuples(index=False, name=None)
        for number, row in ((number, rows.iloc[number]) for number in (one, other))
    ]
    lines = [f"{len(pairs):,} pairs of images in different splits show one scene; {len(chosen)} shown, clearest first."]
    sheet = Sheet("One scene in two splits", lines, [Section("", [Strip("", cells)])] * bool(cells), 6)
    write_files({path: sheet_png(sheet)})


def _of_rows(pairs: pd.DataFrame, rows: pd.DataFrame, content: "pd.Series[Any]") -> pd.DataFrame:
    """Pairs of contents as pairs of rows in different splits."""
    where = pd.DataFrame(
        {"content": content, "row": np.arange(len(rows)), "split": rows["split"], "family": rows["family"]}
    )
    both = pairs.merge(where, left_on="one", right_on="content").merge(
        where, left_on="other", right_on="content", suffixes=("_one", "_other")
    )
    near = both["family_one"].notna() & (both["family_one"] == both["family_other"])
    both = both[(both["split_one"] != both["split_other"]) & ~near]
    # The image of the smaller split first: it is measured by what the larger one taught.
    sizes = rows["split"].value_counts()
    ranks = {
        name: rank for rank, (name, _) in enumerate(sorted(sizes.items(), key=lambda item: (item[1], str(item[0]))))
    }
    found = both[["row_one", "row_other", "places"]].set_axis(["one", "other", "places"], axis=1)
    swapped = (both["split_one"].map(ranks) > both["split_other"].map(ranks)).to_numpy()
    found.loc[swapped, ["one", "other"]] = found.loc[swapped, ["other", "one"]].to_numpy()
    return found.sort_values(["one", "other"], ignore_index=True)


def _vectors(numbers: list[int], pictures: Pictures, engine: Engine) -> Any:
    # torch takes a second to import, and an audit of small pictures does without.
    from pipeline.stages.embed.backbones import Embedder

    embedder = Embedder(_BACKBONE)
    _ = embedder.network
    chunks = [numbers[start : start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]
    return np.concatenate(
        engine.map(partial(_embedded, embedder=embedder, pictures=pictures), chunks, "audit: scenes", size=len)
    )


def _embedded(numbers: list[int], embedder: Any, pictures: Pictures) -> Any:
    return np.stack([*embedder.many(decode(pictures(number)) for number in numbers)])
