"""What is wrong with a source without images, or with too few: what, why, the rule and the next step."""

from collections import Counter
from collections.abc import Sequence

from pipeline.images.rejection import REASONS
from pipeline.sources.listing import Refusal
from pipeline.sources.params import FolderLabels, NoLabels, SourceParams

# Refused files that a message names.
MAX_LISTED = 5
PARAMS = "params.yaml"


def no_images(place: str, source: SourceParams, speaker: str, refused: Sequence[Refusal], ignored: int) -> str:
    """Why a source has no image at all, nothing decoded yet.

    Args:
        place: its folder or archive, as messages call it.
        speaker: the table or export that says which files are images.
        refused, ignored: what became of its files, or of the rows that name them.
    """
    where = place if source.inside is None else f"{place} (inside: {source.inside})"
    match source.labels:
        case FolderLabels():
            rule = f"images stand in one folder a class, {place}/<class>/<image>"
        case NoLabels():
            rule = "each file in it is an image"
        case _:
            rule = f"its images are those that {speaker} names, by paths that start in {place}"
    if not refused:
        what, step = _nothing(source, speaker, ignored)
    elif {reason for _, reason, _ in refused} == {"no_class_folder"}:
        what = f"no class folder, and {len(refused)} files beside where they would be"
        step = "move each file into a folder called as its class"
    else:
        what = f"no image that may be read: {_counts(refused)}, {ignored} ignored"
        step = f"mend or replace these, or what is said of them:{first_few(refused)}"
    return f"{where} has {what}. The rule: {rule}. Next: {step}"


def too_many_refused(place: str, files: int, refused: Sequence[Refusal], limit: float) -> str | None:
    """What to say where more than the limit's share of the files was refused, or all; None if all is well."""
    if len(refused) <= limit * files and len(refused) < files:
        return None
    counted = f"{len(refused)} of {files} files in {place} were rejected ({_counts(refused)})"
    if len(refused) == files:
        return f"{counted}: no image is left. Such as:{first_few(refused)}\nMend or replace them"
    rule = f"the limit ingest.max_rejected is {limit:.0%}"
    step = "Mend or remove them, or raise the limit: rejected.csv then has all"
    return f"{counted}, {rule}. Such as:{first_few(refused)}\n{step}"


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
    what = f"no image, {ignored} files ignored"
    if not isinstance(source.labels, FolderLabels | NoLabels):
        return what, f"give {speaker} a row for each image, or set `unlisted` to take files that no row names"
    causes = ["hidden", "a system's"]
    if narrowed := [name for name in ("inside", "include", "exclude") if name in source.model_fields_set]:
        causes.append(f"left out by {' and '.join(f'`{name}`' for name in narrowed)}")
    return what, f"rename those that are wanted; files are ignored that are {' or '.join(causes)}"


def _counts(refused: Sequence[Refusal]) -> str:
    return ", ".join(
        f"{count} {reason}" for reason, count in sorted(Counter(reason for _, reason, _ in refused).items())
    )
