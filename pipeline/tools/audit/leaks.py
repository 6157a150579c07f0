"""Check a split for leaks, class gaps and mismatch between its parts.

A row: table, row (from 1), path, label (or None: nobody has said), split; group, role (or None); key, what
names the image; content, equal for equal files (or None); family, equal for near copies in different splits.
Rows without a label may leak as others do; what is said of classes is said of the others.
Names of groups, splits and labels are compared as ingest takes them (names.key, names.clean), and groups that may be
one are one: a person is not another one for an accent in other bytes.
A leak makes an audit fail, and so does an image that could not be checked; the rest is for judgement.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.names import alike, key, shown, shown_bytes

COLUMNS = ("path", "label", "split")
FILLED = ("path", "split")
# What only this pipeline's manifests have; one may be empty, because no image is unused, say.
OWN = frozenset({"id", "shard", "row"})
OPTIONAL = ("group", "role", "sha256")
# What other tools call these columns.
OTHER_NAMES = {
    "path": {"file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img"},
    "label": {"class", "class_name", "category", "target", "y", "labels"},
    "split": {"subset", "set", "fold", "partition", "splits", "phase"},
}
KINDS = {
    "path": "one image is in two splits",
    "exact": "files with the same content in two splits",
    "near": "copies in two splits: re-encoded, resized, brightened or cropped",
    "group": "one group in two splits",
    "scene": "one scene in two splits: the same place or things, taken a step aside",
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


def render(report: Report, most: int = 10) -> str:
    """The report for people: everything counted, of each kind the first `most` findings.

    The verdict of an audit that fails is the error that it ends with.
    """
    paragraphs = [
        _split_words(report),
        _scene_words(report),
        *(_leak_words(kind, report, most) for kind in KINDS),
        _list(
            "Not checked, so a leak among these would go unnoticed", map(_unchecked_words, report["unchecked"]), most
        ),
        _list(
            "Labels that may mean the same class",
            (" and ".join(map(shown_bytes, x)) for x in report["labels_alike"]),
            most,
        ),
        _list("Class gaps", map(_gap_words, report["class_gaps"]), most),
        _list("Labels differ", map(_mismatch_words, filter(_is_relevant, report["mismatch"])), most),
        verdict(report) if report["passed"] else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def verdict(report: Report) -> str:
    """One sentence that says whether the audit passed, and if not, what to do."""
    images = sum(part["images"] for part in report["splits"].values())
    unchecked = len(report["unchecked"])
    if report["leaks"]:
        kinds = [(kind, sum(leak["kind"] == kind for leak in report["leaks"])) for kind in KINDS]
        leaking = sum(part["leaking"] for part in report["splits"].values())
        return (
            f"{len(report['leaks']):,} leaks ({', '.join(f'{count:,} {kind}' for kind, count in kinds if count)}) with "
            f"{leaking:,} of {images:,} images: keep the images of each leak in one split, or remove all but "
            f"one of them"
        )
    if unchecked:
        return (
            f"no leak found, but {unchecked:,} of {images:,} images could not be checked: fix them, remove them "
            "from the table, or name the folder that their paths are relative to with --root"
        )
    way = "content, near copies" if report["checked"]["near"] else "content"
    way += ", scenes" if report["checked"]["scene"] else ""
    groups = " and groups" if report["checked"]["group"] else "; the tables name no groups"
    return f"no leaks: {images:,} images checked by path, {way}{groups}"


def _missing(name: str, column: str, columns: Sequence[str]) -> str:
    nearest = [found for found in columns if found.strip().lower() in OTHER_NAMES[column] | {column}]
    if nearest:
        return f"{name} has no column {column}: did you mean {nearest[0]!r}? Rename it"
    hint = "; is it separated by commas?" if len(columns) == 1 else ""
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


def _split_words(report: Report) -> str:
    lines = [f"{'split':16}{'images':>10}{'classes':>10}{'leaking':>10}"]
    for name, part in report["splits"].items():
        extra_columns = [f"{count:,} {role}" for role, count in part["roles"].items()]
        extra_columns += [f"{part['unlabelled']:,} without a label"] * bool(part["unlabelled"])
        line = f"{shown(name):16}{part['images']:10,}{len(part['labels']):10,}{part['leaking']:10,}"
        lines.append(f"{line}  {', '.join(extra_columns)}".rstrip())
    if report["plain_pictures"]:
        lines.append(
            f"{report['plain_pictures']:,} pictures are too plain to have near copies: compared by content alone"
        )
    return "\n".join(lines)


def _scene_words(report: Report) -> str:
    """How many images of each split show a scene of a larger one, in a line each."""
    scenes = report.get("scenes")
    if scenes is None:
        return ""
    lines = [
        f"{one['images']:,} of {one['all']:,} {shown(one['split'])} images show a scene of {shown(one['of'])}: "
        "a model may recognise the place instead of the class"
        for one in scenes["shown_in"]
    ]
    if scenes["too_small"]:
        lines.append(f"{scenes['too_small']:,} pictures are too small to tell scenes apart")
    if scenes["not_checked"]:
        lines.append(f"Scenes were not looked for: {scenes['not_checked']}")
    return "\n".join(lines)


def _leak_words(kind: str, report: Report, most: int) -> str:
    leaks = [leak for leak in report["leaks"] if leak["kind"] == kind]
    words = []
    for leak in leaks:
        group = f" (group {_group_words(leak['written'])})" if "group" in leak else ""
        # Both sides are shown, however many rows one side has.
        sides = {split: [row for row in leak["rows"] if row["split"] == split] for split in leak["splits"]}
        rows = [row for side in sides.values() for row in side[:2]]
        more = len(leak["rows"]) - len(rows)
        lines = [f"{shown(row['split'])}: {_row_words(row)}" for row in rows] + [f"and {more:,} more"] * bool(more)
        words.append(" and ".join(map(shown, leak["splits"])) + group + "\n" + "\n".join(f"    {x}" for x in lines))
    return _list(f"Leak ({kind}): {KINDS[kind]}", words, most)


def _group_words(written: Sequence[str]) -> str:
    """The group, and its bytes where it is written in several ways."""
    if len(written) == 1:
        return shown(written[0])
    return f"written in {len(written)} ways: {' and '.join(map(shown_bytes, written[:3]))}"


def _list(title: str, words: Iterable[str], most: int) -> str:
    found = list(words)
    more = [f"and {len(found) - most:,} more; --json FILE gets all"] * (len(found) > most)
    return "\n".join([f"{title}: {len(found):,}", *(f"  {word}" for word in [*found[:most], *more])]) if found else ""


def _row_words(row: Report) -> str:
    label = "no label" if row["label"] is None else shown(row["label"])
    return f"{shown(row['path'])} ({label}), row {row['row']} of {shown(row['table'])}"


def _unchecked_words(row: Report) -> str:
    return f"{_row_words(row)}: {shown(row['reason'])}"


def _gap_words(gap: Report) -> str:
    label, split = shown(gap["label"]), shown(gap["split"])
    if gap["kind"] == "only":
        return f"{label} is only in {split} ({gap['images']:,} images)"
    return f"{label} has {gap['images'] or 'no'} image{'' if gap['images'] == 1 else 's'} in {split}"


def _mismatch_words(pair: Report) -> str:
    one, other = map(shown, pair["splits"])
    first, second = pair["widest"]["shares"]
    return (
        f"{one} and {other}: total variation distance {pair['distance']:.3f}, by chance at most "
        f"{pair['by_chance']:.3f}; widest for {shown(pair['widest']['label'])}, {first:.1%} against {second:.1%}"
    )


def _is_relevant(pair: Report) -> bool:
    return bool(pair["relevant"])
