"""The report of an audit for people: everything counted, of each kind the first findings."""

from collections.abc import Iterable, Sequence

from pipeline.names import shown, shown_bytes
from pipeline.tools.audit.leaks import Report

# Findings of each kind that are shown.
MAX_LISTED = 10
KINDS = {
    "path": "one image is in two splits",
    "exact": "files with the same content in two splits",
    "near": "copies in two splits: re-encoded, resized, brightened or cropped",
    "group": "one group in two splits",
    "scene": "one scene in two splits: the same place or things, taken a step aside",
}


def render(report: Report) -> str:
    """The report for people: everything counted, of each kind the first findings.

    The verdict of an audit that fails is the error that it ends with.
    """
    paragraphs = [
        _split_words(report),
        _scene_words(report),
        *(_leak_words(kind, report) for kind in KINDS),
        _list("Not checked, so a leak among these would go unnoticed", map(_unchecked_words, report["unchecked"])),
        _list(
            "Labels that may mean the same class",
            (" and ".join(map(shown_bytes, x)) for x in report["labels_alike"]),
        ),
        _list("Class gaps", map(_gap_words, report["class_gaps"])),
        _list("Labels differ", map(_mismatch_words, filter(_is_relevant, report["mismatch"]))),
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
        f"a model may recognise the place instead of the class{_error_words(one)}"
        for one in scenes["shown_in"]
    ]
    if scenes["too_small"]:
        lines.append(f"{scenes['too_small']:,} pictures are too small to tell scenes apart")
    if scenes["not_checked"]:
        lines.append(f"Scenes were not looked for: {scenes['not_checked']}")
    return "\n".join(lines)


def _error_words(one: Report) -> str:
    """What the model errs on images of a scene of another split, and on the others, where predictions are known."""
    if one.get("error_of_these") is None:
        return ""
    others = one["error_of_others"]
    beside = "" if others is None else f", on the other {one['all'] - one['images']:,} {others:.1%}"
    return f". Its error on these images is {one['error_of_these']:.1%}{beside}"


def _leak_words(kind: str, report: Report) -> str:
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
    return _list(f"Leak ({kind}): {KINDS[kind]}", words)


def _group_words(written: Sequence[str]) -> str:
    """The group, and its bytes where it is written in several ways."""
    if len(written) == 1:
        return shown(written[0])
    return f"written in {len(written)} ways: {' and '.join(map(shown_bytes, written[:3]))}"


def _list(title: str, words: Iterable[str]) -> str:
    found = list(words)
    if not found:
        return ""
    more = [f"and {len(found) - MAX_LISTED:,} more; --json FILE gets all"] * (len(found) > MAX_LISTED)
    return "\n".join([f"{title}: {len(found):,}", *(f"  {word}" for word in [*found[:MAX_LISTED], *more])])


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
