"""Contact sheets of curate: the worst images of each issue, and copies side by side.

Which images are shown follows from the manifest alone. sheets/drawing.py draws.
"""

from collections.abc import Sequence

import pandas as pd

from pipeline.issues import ISSUES
from pipeline.sheets.drawing import Cell, Section, Sheet, Strip, sheet_png
from pipeline.stages.curate.confounders import ReadPicture
from pipeline.stages.curate.issues import worst
from pipeline.stages.curate.params import IssueParams

# They bound the size of a sheet: about 1,400 pixels wide and 4,000 high at most.
COLUMNS, MAX_WORST, MAX_FAMILIES, MAX_PAIRS, MAX_CONFLICTS = 8, 8, 10, 12, 16


def issues_sheet(images: pd.DataFrame, params: IssueParams, read_picture: ReadPicture) -> bytes:
    """A PNG file with the worst images of each issue.

    Args:
        images: as with_issues gives them.
    """
    sections = []
    for name in ISSUES:
        values, rows = worst(images, name, MAX_WORST)
        if not len(rows):
            continue
        words = [f"{ISSUES[name].words} {value:.4g}" for value in values]
        cells = _cells(images, [*zip(rows["id"].tolist(), words, strict=True)], read_picture)
        side = "above" if ISSUES[name].above else "below"
        limit = f"{ISSUES[name].words} {side} {getattr(params, name):g}"
        sections.append(Section(f"{name}: {int(images[name].sum()):,}; {limit}", [Strip("", cells)]))
    marked = int(images[[*ISSUES]].any(axis=1).sum())
    none = [name for name in ISSUES if not images[name].any()]
    lines = [
        (
            f"{marked:,} of {len(images):,} images have an issue. All are kept; each issue is a column of the "
            f"manifest. Worst first, at most {MAX_WORST} of each."
        ),
        *([f"None: {', '.join(none)}."] if none else []),
    ]
    return sheet_png(Sheet("Images with issues", lines, sections, COLUMNS))


def copies_sheet(images: pd.DataFrame, near: pd.DataFrame, removed: pd.DataFrame, read_picture: ReadPicture) -> bytes:
    """A PNG file with near copies, exact duplicates, and pictures under two labels.

    Args:
        images: all, those that were removed, too.
        near: as near_table gives it.
        removed: as remove_duplicates gives it.
    """
    duplicates = removed[removed["reason"] == "duplicate"]
    conflicts = removed[removed["reason"] == "conflicting_labels"]
    families = _families(near)
    strips = [
        Strip(
            _family_line(family), _cells(images, [(name, "") for name in family["id"].tolist()[:COLUMNS]], read_picture)
        )
        for family in families
    ]
    ends = duplicates[["detail", "id"]].iloc[:MAX_PAIRS].itertuples(index=False, name=None)
    pairs = [end for stays, goes in ends for end in ((stays, "stays"), (goes, "removed"))]
    contents = images.loc[images["id"].isin(conflicts["id"]), ["sha256", "id"]].sort_values(["sha256", "id"])
    labels = [(name, "") for name in contents["id"].tolist()[:MAX_CONFLICTS]]
    sections = [
        _section("Groups of near-duplicates, always in one split", near["family"].nunique(), len(families), strips),
        _section(
            "Pairs of exact duplicates",
            len(duplicates),
            len(pairs) // 2,
            [Strip("", _cells(images, pairs, read_picture))],
        ),
        _section(
            "Pictures with two labels, removed",
            len(contents),
            len(labels),
            [Strip("", _cells(images, labels, read_picture))],
        ),
    ]
    found = [section for section in sections if section is not None]
    lines = [] if found else ["No near-duplicates, no duplicates, no pictures with two labels."]
    return sheet_png(Sheet("Copies", lines, found, COLUMNS))


def scenes_sheet(
    images: pd.DataFrame, scenes: pd.DataFrame, crowds: Sequence[int], grouped: bool, read: ReadPicture
) -> bytes:
    """A PNG file with the largest scenes, those of several labels first.

    Args:
        images: all, those that were removed, too.
        scenes: as near_table gives it of the pairs that show one scene.
        crowds: how many images each crowd has, whose shared ground does not count.
        grouped: scenes are not split apart.
    """
    families = _families(scenes)
    strips = [
        Strip(_family_line(family), _cells(images, [(name, "") for name in family["id"].tolist()[:COLUMNS]], read))
        for family in families
    ]
    count = scenes["family"].nunique()
    lines = [
        "Images that show the same place or things from slightly different positions. "
        + (
            "They are one group, always in one split." if grouped else "They may be in different splits: curate.scenes."
        ),
        *crowd_lines(crowds),
        *([] if count else ["None was found."]),
    ]
    section = _section("Scenes, the largest first", count, len(families), strips)
    return sheet_png(Sheet("Scenes", lines, [section] if section else [], COLUMNS))


def crowd_lines(crowds: Sequence[int]) -> list[str]:
    """What is said of crowds: a sentence, or nothing."""
    if not crowds:
        return []
    sizes = ", ".join(f"{size:,}" for size in crowds[:3])
    return [
        (
            f"In crowds of {sizes} images, all agree with all, as forms, product shots or frames of a fixed "
            "camera do. Features that a whole crowd shares are ignored."
        )
    ]


def _families(near: pd.DataFrame) -> list[pd.DataFrame]:
    """Those of two labels first, then the largest; each by id."""
    sizes = near.groupby("family").agg(labels=("labels", "first"), size=("id", "size")).reset_index()
    order = sizes.assign(one=sizes["labels"] == "", size=-sizes["size"]).sort_values(["one", "size", "family"])
    by_family = near.groupby("family")
    return [by_family.get_group(name).sort_values("id") for name in order["family"].iloc[:MAX_FAMILIES]]


def _family_line(family: pd.DataFrame) -> str:
    labels = family["labels"].iloc[0]
    words = [f"{len(family):,} images", *([f"labels {labels}"] if labels else [])]
    return ", ".join([*words, *([f"{COLUMNS} shown"] if len(family) > COLUMNS else [])])


def _section(heading: str, count: int, shown: int, strips: Sequence[Strip]) -> Section | None:
    if not count:
        return None
    return Section(f"{heading}: {count:,}{f', {shown} shown' if shown < count else ''}", strips)


def _cells(images: pd.DataFrame, shown: Sequence[tuple[str, str]], read_picture: ReadPicture) -> list[Cell]:
    """Cells of images by id, each with words of its own."""
    rows = images.set_index("id")[["label", "width", "height", "role", "shard", "row"]]
    places = rows.index.get_indexer(pd.Index([name for name, _ in shown]))
    values = rows.iloc[places].itertuples(index=False, name=None)
    return [
        Cell(
            read_picture(shard, row), (name, f"{label or 'no label'}, {width} x {height}", *filter(None, [words])), role
        )
        for (name, words), (label, width, height, role, shard, row) in zip(shown, values, strict=True)
    ]
