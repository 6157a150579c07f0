"""Check a split for leaks, class gaps and mismatch between its parts.

A row: table, row (from 1), path, label (or None: nobody has said), split; group, role, predicted (or None); key, what
names the image; content, equal for equal files (or None); family, equal for near copies in different splits.
Rows without a label may leak as others do; what is said of classes is said of the others.
Names of groups, splits and labels are compared as ingest takes them (names.key, names.clean), and groups that may be
one are one: a person is not another one for an accent in other bytes.
A leak makes an audit fail, and so does an image that could not be checked; the rest is for judgement.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.names import alike, key

COLUMNS = ("path", "label", "split")
FILLED = ("path", "split")
# What only this pipeline's manifests have; one may be empty, because no image is unused, say.
OWN = frozenset({"id", "shard", "row"})
OPTIONAL = ("group", "role", "sha256", "predicted")
# What other tools call these columns.
OTHER_NAMES = {
    "path": {"file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img"},
    "label": {"class", "class_name", "category", "target", "y", "labels"},
    "split": {"subset", "set", "fold", "partition", "splits", "phase"},
}
# A smaller distance between the labels of two splits is not worth a line.
RELEVANT_DISTANCE = 0.05

Report = dict[str, Any]


def table_problems(name: str, columns: Sequence[str], rows: pd.DataFrame) -> list[str]:
    """Messages on why a table cannot be used; `rows` holds its known columns."""
    problems = [_missing(name, column, columns) for column in COLUMNS if column not in columns]
    if columns and len(problems) == len(COLUMNS):
        return problems
    if not len(rows) and not set(columns) >= OWN:
        return [*problems, f"{name} has no rows: give a table with one row per image"]
    for column in (column for column in FILLED if column in rows.columns):
        empty = rows["row"][rows[column].isna()]
        if len(empty):
            problems.append(f"{name}: {column} is empty in {_rows(empty)}; every image needs one")
    if "sha256" in rows.columns:
        wrong = rows["sha256"].notna() & ~rows["sha256"].astype(str).str.fullmatch("[0-9a-f]{64}").astype(bool)
        if wrong.any():
            found = rows["sha256"][wrong].iloc[0]
            problems.append(
                f"{name}: sha256 must be 64 hex digits, got {found!r} in {_rows(rows['row'][wrong])}; "
                "without this column the files are hashed"
            )
    return problems


def check_splits(rows: pd.DataFrame) -> pd.DataFrame:
    """Raise DataError unless the rows have at least two splits.

    Raises:
        DataError: all rows are in one split, so that there is nothing to compare.
    """
    splits = sorted(set(rows["split"]))
    if len(splits) < 2:
        state = f"all {len(rows):,} rows are of the split {splits[0]}" if splits else "there are no rows"
        raise DataError(
            f"{state}: an audit compares splits; "
            "also give the tables of the other splits (pipeline audit data/split/manifest.arrow data/split/test.arrow)"
        )
    return rows


def audit_report(
    rows: pd.DataFrame, unchecked: pd.DataFrame, min_per_class: int, near: bool, plain: int, scenes: bool = False
) -> Report:
    """All findings, as values that JSON can hold; sorted, the same for any order of work.

    Args:
        unchecked: rows that could not be read, with a column `reason`.
        plain: pictures without enough detail to have near copies.
        scenes: they were looked for; then `rows` has a column `scene`.
    """
    leaks = list(_leaks(rows))
    leaking = {(row["table"], row["row"]) for leak in leaks for row in leak["rows"]}
    labelled = rows[rows["label"].notna()]
    marks = pd.Series([place in leaking for place in zip(rows["table"], rows["row"], strict=True)], index=rows.index)
    return {
        "passed": not leaks and not len(unchecked),
        "checked": {
            "exact": True,
            "near": near,
            "group": bool(rows["group"].notna().any()),
            "path": True,
            "scene": scenes,
        },
        "splits": {
            str(split): {
                "images": len(part),
                "leaking": int(marks[part.index].sum()),
                "labels": _counts(part["label"].dropna()),
                "unlabelled": int(part["label"].isna().sum()),
                "roles": _counts(part["role"].dropna()),
            }
            for split, part in rows.groupby("split")
        },
        "leaks": leaks,
        "labels_alike": alike(labelled["label"].unique()),
        "class_gaps": list(_class_gaps(labelled, min_per_class)),
        "mismatch": _mismatches(labelled),
        "unchecked": [{**_named(row), "reason": row.reason} for row in unchecked.itertuples()],
        "plain_pictures": plain,
    }


def _missing(name: str, column: str, columns: Sequence[str]) -> str:
    nearest = [found for found in columns if found.strip().lower() in OTHER_NAMES[column] | {column}]
    if nearest:
        return f"{name} has no column {column}: did you mean {nearest[0]!r}? Rename it"
    hint = "; is it separated by commas, semicolons or tabs?" if len(columns) == 1 else ""
    if column == "split" and "shard" in columns:
        hint = ": audit a manifest from the stage split or a later one"
    return f"{name} has no column {column}, only {listing(map(repr, columns)) or 'none'}{hint}"


def _rows(numbers: "pd.Series[Any]") -> str:
    return f"{len(numbers):,} row{'s' if len(numbers) > 1 else ''} ({listing(numbers)})"


def _leaks(rows: pd.DataFrame) -> Iterator[Report]:
    """Every image once by its plainest explanation: a leak of one kind is not repeated as the next."""
    file = rows["content"].fillna(rows["key"])
    rows = rows.assign(file=file)
    rows = rows.assign(person=rows["group"].map(key, na_action="ignore"))
    for kind, column, distinct in (
        ("path", "key", None),
        ("exact", "content", "key"),
        ("near", "family", "file"),
        ("group", "person", "file"),
        ("scene", "scene", "file"),
    ):
        if column not in rows.columns:
            continue
        named = rows[rows[column].notna()]
        same = named.groupby(column)
        found = same["split"].transform("nunique") > 1
        if distinct is not None:
            found &= same[distinct].transform("nunique") > 1
        leaks: dict[str, list[Report]] = {}
        written: dict[str, set[str]] = {}
        for row in named[found].sort_values(["table", "row"]).itertuples():
            leaks.setdefault(str(getattr(row, column)), []).append(_named(row))
            written.setdefault(str(getattr(row, column)), set()).add(str(row.group))
        for value, members in leaks.items():
            names = sorted(written[value])
            extra = {"group": names[0], "written": names} if kind == "group" else {}
            yield {"kind": kind, "splits": sorted({row["split"] for row in members}), "rows": members, **extra}


def _named(row: Any) -> Report:
    label = None if pd.isna(row.label) else row.label
    return {"table": row.table, "row": int(row.row), "path": row.path, "label": label, "split": row.split}


def _counts(values: "pd.Series[Any]") -> dict[str, int]:
    counts = values.value_counts()
    return {str(value): int(counts[value]) for value in sorted(counts.index)}


def _class_gaps(rows: pd.DataFrame, min_per_class: int) -> Iterator[Report]:
    counts = pd.crosstab(rows["label"], rows["split"])
    for label, images in counts.iterrows():
        present = [str(split) for split, count in images.items() if count]
        if len(present) == 1:
            yield {"kind": "only", "label": label, "split": present[0], "images": int(images[present[0]])}
            continue
        for split, count in images.items():
            if count < min_per_class:
                kind = "few" if count else "missing"
                yield {"kind": kind, "label": label, "split": split, "images": int(count)}


def _mismatches(rows: pd.DataFrame) -> list[Report]:
    counts = pd.crosstab(rows["label"], rows["split"])
    pairs = [_mismatch(counts[[one, other]]) for one, other in itertools.combinations(counts.columns, 2)]
    return sorted(pairs, key=lambda pair: (-pair["distance"], pair["splits"]))


def _mismatch(counts: pd.DataFrame) -> Report:
    """The total variation distance of two splits' labels, and what chance alone rarely exceeds.

    With p the shares of both together, each difference of shares is about normal with variance
    p (1 - p) (1/n + 1/m); chance is the mean of half the sum of their sizes plus 4 standard deviations.
    """
    one, other = counts.columns
    sizes = counts.sum()
    shares = counts / sizes
    difference = shares[one] - shares[other]
    together = counts.sum(axis=1) / sizes.sum()
    variance = together * (1 - together) * (1 / sizes[one] + 1 / sizes[other])
    mean = 0.5 * math.sqrt(2 / math.pi) * float((variance**0.5).sum())
    deviation = 0.5 * math.sqrt((1 - 2 / math.pi) * float(variance.sum()))
    distance, chance = 0.5 * float(difference.abs().sum()), mean + 4 * deviation
    widest = str(difference.abs().idxmax())
    return {
        "splits": [one, other],
        "distance": round(distance, 4),
        "by_chance": round(min(chance, 1.0), 4),
        "relevant": distance > max(RELEVANT_DISTANCE, chance),
        "widest": {"label": widest, "shares": [round(shares[split].to_dict()[widest], 4) for split in (one, other)]},
    }
