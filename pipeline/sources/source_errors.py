"""Messages for a source with no images or too few: what is wrong, why, the rule and the next step."""

from collections import Counter
from collections.abc import Sequence

from pipeline.images.rejection import REASONS
from pipeline.sources.listing import Refusal
from pipeline.sources.params import FolderLabels, NoLabels, SourceParams

# Refused files that a message names.
MAX_LISTED = 5
PARAMS = "params.yaml"


def no_images(place: str, source: SourceParams, speaker: str, refused: Sequence[Refusal], ignored: int) -> str:
    """The message for a source that has no images before anything is decoded.

    Args:
        place: its folder or archive, as messages call it.
        speaker: the table or export that says which files are images.
        refused, ignored: what became of its files, or of the rows that name them.
    """
    where = place if source.inside is None else f"{place} (inside: {source.inside})"
    match source.labels:
        case FolderLabels():
            rule = f"put the images in one folder per class, {place}/<class>/<image>"
        case NoLabels():
            rule = "every file in it counts as an image"
        case _:
            rule = f"{speaker} names the images, by paths relative to {place}"
    if not refused:
        what, step = _nothing(source, speaker, ignored)
    elif {reason for _, reason, _ in refused} == {"no_class_folder"}:
        what = f"no class folders, and {len(refused)} files outside of class folders"
        step = "move each file into a folder named after its class"
    else:
        what = f"no readable image: {_counts(refused)}, {ignored} ignored"
        step = f"fix or replace these files, or correct their labels:{first_few(refused)}"
    return f"{where} has {what}. Rule: {rule}. Next: {step}"


def too_many_refused(place: str, files: int, refused: Sequence[Refusal], limit: float) -> str | None:
    """The message if more than the limit's share of the files was rejected, or all of them; else None."""
    if len(refused) <= limit * files and len(refused) < files:
        return None
    counted = f"{len(refused)} of {files} files in {place} were rejected ({_counts(refused)})"
    if len(refused) == files:
        return f"{counted}: no image is left. For example:{first_few(refused)}\nFix or replace these files"
    rule = f"the limit ingest.max_rejected is {limit:.0%}"
    step = "Fix or remove these files, or raise the limit: rejected.csv then lists all of them"
    return f"{counted}, {rule}. For example:{first_few(refused)}\n{step}"


def first_few(refused: Sequence[Refusal]) -> str:
    """The first few refused files, a line each, with the reason in words; one of each reason before another of any."""
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, Refusal]] = []
    for number, one in enumerate(refused):
        ranked.append((seen[one[1]], number, one))
        seen[one[1]] += 1
    more = [f"and {len(refused) - MAX_LISTED} more"] * (len(refused) > MAX_LISTED)
    lines = [
        f"{path}: {reason}: {detail or REASONS[reason]}" for *_, (path, reason, detail) in sorted(ranked)[:MAX_LISTED]
    ]
    return "".join(f"\n  {line}" for line in [*lines, *more])


def _nothing(source: SourceParams, speaker: str, ignored: int) -> tuple[str, str]:
    """What there is where nothing was refused, and what to do."""
    if not ignored:
        return "no files", f"put images there, or correct its path under `sources` in {PARAMS}"
    what = f"no images, {ignored} ignored files"
    if not isinstance(source.labels, FolderLabels | NoLabels):
        return what, f"add a row to {speaker} for each image, or set `unlisted` to include files that no row names"
    causes = ["hidden", "a system file"]
    if narrowed := [name for name in ("inside", "include", "exclude") if name in source.model_fields_set]:
        causes.append(f"left out by {' and '.join(f'`{name}`' for name in narrowed)}")
    return what, f"rename the files that you want; a file is ignored if it is {' or '.join(causes)}"


def _counts(refused: Sequence[Refusal]) -> str:
    return ", ".join(
        f"{count} {reason}" for reason, count in sorted(Counter(reason for _, reason, _ in refused).items())
    )
