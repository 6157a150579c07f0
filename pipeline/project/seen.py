"""All sources of a new project together: what was seen of them, and whether they can make a project."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import DataError, listing
from pipeline.problem.quantities import number_of
from pipeline.project.inspect_sources import SourceSeen
from pipeline.project.label_files import has_several
from pipeline.stages.curate.values import MAX_NO_NUMBERS

# Production images of a class: one each for train, dev and test at least.
MIN_PRODUCTION = 3
# What stands for all numbers where classes are counted.
NUMBER = "a number"
INSTALL_HEIC = "pip install 'image-data-pipeline[heic]'"


@dataclass(frozen=True)
class Seen:
    """All sources together. left_out: the classes with too few production images, which are not used."""

    sources: Sequence[SourceSeen]
    left_out: Sequence[str] = ()

    def counts(self, role: str) -> Counter[str]:
        """Images by class, of a role."""
        total: Counter[str] = Counter()
        for source in self.sources:
            if source.role == role:
                total.update(source.classes)
        return total

    @property
    def several(self) -> bool:
        """Whether some image has several labels."""
        return any(has_several(source.source.get("labels", {})) for source in self.sources)

    @property
    def numbers(self) -> Counter[float] | None:
        """The numbers that labels are, and how many images have each; None where labels are classes.

        Numbers, because nearly all are and some have a fraction, or because most of them would be a class of one or two
        production images. Digits and other whole numbers of many images each are classes.
        """
        labels, production = self.counts("raw") + self.counts("production"), self.counts("production")
        found = Counter({label: count for label, count in labels.items() if number_of(label) is not None})
        if not found or found.total() < (1 - MAX_NO_NUMBERS) * labels.total():
            return None
        rare = sum(production[label] < MIN_PRODUCTION for label in found)
        if any(not float(label).is_integer() for label in found) or rare > len(found) / 2:
            return Counter({float(label): count for label, count in found.items()})
        return None

    @property
    def no_numbers(self) -> list[str]:
        """The labels that are no numbers, and how many images have each, where most labels are numbers."""
        labels = self.counts("raw") + self.counts("production")
        others = {label: count for label, count in labels.items() if number_of(label) is None}
        return [f"{label} {count:,}" for label, count in others.items()] if 0 < len(others) < len(labels) / 2 else []

    @property
    def sides(self) -> list[int]:
        """The shorter sides of all images that were looked at."""
        return [side for source in self.sources for side in source.facts.sides]

    @property
    def classes(self) -> list[str]:
        """All, sorted."""
        return sorted({label for source in self.sources for label in source.classes})


def check(seen: Seen) -> None:
    """Say at once why no classifier can be trained and measured on these images.

    Raises:
        DataError: of all that is in the way.
    """
    problems = []
    production = seen.counts("production")
    if seen.numbers is not None:
        production = Counter({NUMBER: production.total()} if production else {})
    small = sorted(label for label, count in production.items() if count < MIN_PRODUCTION)
    if len(seen.classes) < 2 and seen.numbers is None:
        problems.append(
            f"there is only one class, {listing(seen.classes)}, but a classifier needs two: put the images in one "
            "folder per class, and name the folder that contains these folders; or name a table of labels inside the "
            "folder with --labels"
        )
    if seen.numbers is not None and len(seen.numbers) == 1:
        problems.append(
            f"all images have the number {next(iter(seen.numbers)):g}, so there is nothing to predict: is it another "
            "column of the table? Name it with --columns label=COLUMN"
        )
    if not production:
        problems.append(
            "no production image has a label, so the model cannot be measured: put some of them in one "
            "folder per class, or name a table inside the folder with --labels"
        )
    elif small:
        leave = f"leave these classes out with --min-images {MIN_PRODUCTION}, or add images"
        if any("file" in one.source.get("labels", {}) for one in seen.sources):
            leave = "remove these labels from the table or the export, or add images"
        advice = leave
        if others := seen.no_numbers:
            advice = f"if the labels are numbers, correct those that are not: {listing(others)}. Else {leave}"
        if len(small) == len(production):
            advice = "is each image in a folder of its own? Name the folder above the class folders, or use --labels"
        problems.append(
            f"{len(small):,} of {len(production):,} classes have fewer than {MIN_PRODUCTION} production "
            f"images, but train, dev and test need one each: {listing(small)}. {advice[0].upper()}{advice[1:]}"
        )
    if seen.sides == []:
        heic = any(source.facts.heic for source in seen.sources)
        advice = f"they are HEIC: run `{INSTALL_HEIC}`, then this command again" if heic else "are these images?"
        problems.append(f"none of the inspected images can be opened: {advice}")
    if problems:
        raise DataError("these images cannot make a project yet:\n  " + "\n  ".join(problems))
