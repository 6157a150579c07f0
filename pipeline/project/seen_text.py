"""What `pipeline init` found in the sources, as text that it prints before it writes anything."""

from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.errors import listing
from pipeline.names import alike_labels, shown
from pipeline.problem.quantities import number_of
from pipeline.project.inspect_sources import SourceSeen, spread
from pipeline.project.seen import INSTALL_HEIC, Seen

# Classes that are listed a source.
MAX_CLASSES = 12
# Production images of a class, of which dev gets a third at most.
MIN_TO_MEASURE = 15


def seen_lines(seen: Seen) -> Iterator[str]:
    """A line for each source, its classes, and what looks odd."""
    for source in seen.sources:
        measured = seen.numbers is not None and source.classes
        images = f"{source.images:,} images"
        several = "es" * (len(source.classes) != 1)
        counts = (
            f"{images} in {len(source.classes):,} class{several}" if source.classes else f"{images} without a label"
        )
        if measured:
            counts = f"{images} with numbers"
        yield f"{source.name} ({source.role}): {counts}, {source.source['path']}"
        if measured:
            yield f"  {_numbers(source.classes)}"
        elif source.classes:
            yield f"  {listing((f'{label} {count:,}' for label, count in source.classes.items()), MAX_CLASSES)}"
        yield from _facts(source)
        yield from (f"  note: {note}" for note in source.notes)
    yield from (f"note: {note}" for note in _of_all(seen))


def _numbers(labels: Mapping[str, int]) -> str:
    numbers = [float(label) for label in labels if number_of(label) is not None]
    others = {label: count for label, count in labels.items() if number_of(label) is None}
    none = f"; no numbers: {listing(f'{label} {count:,}' for label, count in others.items())}" if others else ""
    return f"from {min(numbers):g} to {max(numbers):g}{none}" if numbers else none.removeprefix("; ")


def _facts(source: SourceSeen) -> Iterator[str]:
    facts = source.facts
    if facts.sides:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(facts.formats.items(), key=lambda item: -item[1]))
        yield (
            f"  shorter side of {spread(facts.sides)} pixels; formats of {sum(facts.formats.values())} inspected "
            f"images: {kinds}"
        )
    if facts.unreadable:
        heic = f". {facts.heic} are HEIC: `{INSTALL_HEIC}` opens them" if facts.heic else ""
        yield f"  note: {facts.unreadable} of the inspected images cannot be opened and will be rejected{heic}"


def _rare(seen: Seen, production: Counter[str]) -> Iterator[str]:
    """Classes of which dev gets too few images to measure them."""
    rare = {label: count for label, count in production.items() if count < MIN_TO_MEASURE}
    if not rare or seen.numbers is not None or seen.several:
        return
    few = listing(f"{shown(label)} {count}" for label, count in sorted(rare.items()))
    classes = "1 class has" if len(rare) == 1 else f"{len(rare):,} classes have"
    has_files = any("file" in source.source.get("labels", {}) for source in seen.sources)
    leave = "" if has_files or len(production) - len(rare) < 2 else f", or use --min-images {MIN_TO_MEASURE}"
    yield (
        f"{classes} fewer than {MIN_TO_MEASURE} production images ({few}): in dev too few to tell how well the model "
        f"recognises {'it' if len(rare) == 1 else 'them'}. Add images{leave}"
    )


def _alone(seen: Seen) -> dict[str, str]:
    """Source -> its only class, if no other source has that class."""
    if len(seen.classes) < 2 or seen.numbers is not None:
        return {}
    of_class = Counter(label for source in seen.sources for label in source.classes)
    only = {source.name: next(iter(source.classes)) for source in seen.sources if len(source.classes) == 1}
    return {name: shown(label) for name, label in only.items() if of_class[label] == 1}


def _of_all(seen: Seen) -> Iterator[str]:
    raw, production = seen.counts("raw"), seen.counts("production")
    if seen.left_out:
        classes = "1 class is" if len(seen.left_out) == 1 else f"{len(seen.left_out):,} classes are"
        yield f"{classes} left out, with too few production images (exclude): {listing(seen.left_out)}"
    yield from _rare(seen, production)
    if alone := _alone(seen):
        yield (
            f"{listing(f'{source} has only {label}' for source, label in alone.items())}, and no other source has "
            f"{'these classes' if len(alone) > 1 else 'this class'}: the model may learn how the images of a source "
            "look instead of the class. Add images of several classes from each source"
        )
    if not raw:
        yield "there are no raw images, so the diagnosis cannot measure data mismatch"
    for has, others, lacks in (("raw", raw.keys() - production.keys(), "production"),
                               ("production", production.keys() - raw.keys(), "raw")):  # fmt: skip
        if raw and others and seen.numbers is None:
            yield f"only {has} images have the classes {listing(sorted(others))}; {lacks} images do not"
    where = {label: f"in {listing(one.name for one in seen.sources if label in one.classes)}" for label in seen.classes}
    yield from (f"`dvc repro` will stop at {shown(problem, 600)}" for problem in alike_labels(seen.classes, where))
