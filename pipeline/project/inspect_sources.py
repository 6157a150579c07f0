"""Inspect folders that may become sources: the names of all files, and some of the images."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.errors import DataError, MissingInputError, ParamsError, listing
from pipeline.images.pixels import Pixels
from pipeline.names import clean, shown
from pipeline.project.image_facts import ImageFacts, look_at, pictures_of
from pipeline.project.label_files import by_label, file_in, has_several, label_counts, labels_by_path, labels_from
from pipeline.project.pretrained_trial import PRETRAINED_SIDE
from pipeline.sources.file_names import ENDINGS
from pipeline.sources.files import Files, open_files
from pipeline.sources.layouts import given_split_problem
from pipeline.sources.object_store import ObjectPlace
from pipeline.sources.params import SourceParams
from pipeline.sources.scan import OF_A_SYSTEM

MAX_EXPANSION = 200
# Of all pictures of a source that are decoded.
MAX_PIXELS = 600_000_000
# What means something in a pattern of .gitignore.
_SIGNS, _ESCAPED = re.compile(r"([*?!#\[\]\\ ])"), r"\\\1"
IMAGES = tuple(f".{ending}" for endings in ENDINGS.values() for ending in endings)


@dataclass(frozen=True)
class SourceSeen:
    """A source as params.yaml has it, and what was seen of it.

    source: what stands under its name. why: of what was chosen there, in words.
    classes: images by class, by the names of files alone. unlabelled: images in no class.
    notes: what looks odd, a sentence each. pictures: some of them with their labels, if Wanted asks for them.
    """

    name: str
    source: Mapping[str, Any]
    classes: Mapping[str, int]
    unlabelled: int
    facts: ImageFacts
    why: str = ""
    notes: tuple[str, ...] = ()
    pictures: Sequence[tuple[Pixels, str]] = field(default=(), repr=False)

    @property
    def role(self) -> str:
        """raw or production."""
        return str(self.source["role"])

    @property
    def images(self) -> int:
        """All of them, by name."""
        return sum(self.classes.values()) + self.unlabelled


@dataclass(frozen=True)
class Wanted:
    """What the command line said of all sources.

    labels: files, each inside of a source or of several. columns: of a table, by what they are for. layout: of folders.
    classes: that are used; () for all. without: that are not used. min_images: of production, that a class needs.
    pictures: how many of a source are decoded.
    """

    labels: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    layout: str | None = None
    classes: Sequence[str] = ()
    without: Sequence[str] = ()
    min_images: int | None = None
    pictures: int = 0


def inspect(folder: Path | ObjectPlace, role: str, name: str, shown_path: str, wanted: Wanted) -> SourceSeen:
    """What a folder or an archive holds, here or in an object store, and how params.yaml is to say it.

    Args:
        shown_path: what stands in params.yaml.

    Raises:
        MissingInputError: it is not there, or holds no image.
        DataError: it cannot be used; the message says what to do.
    """
    source: dict[str, Any] = {"role": role, "path": shown_path}
    files = _opened(folder, role, shown_path)
    found = files.scan()
    images = [path for path in found.files if path.lower().endswith(IMAGES)]
    if not images:
        raise MissingInputError(
            f"{folder} has no images, only {len(found.files)} other files. Names of images end in .jpg, .png, "
            ".webp, .tif and the like; name the folder that contains the class folders"
        )
    file = file_in({*found.files}, str(files.place), wanted.labels)
    notes = [*_ignored(found.ignored), *_refused(found.refused), *_others(found.files, images, file)]
    reasons: list[str] = []
    # What stands before the paths of images in `files`, which looks into the whole source.
    before = ""
    if file is not None:
        source["labels"], said = labels_from(files, images, file, wanted.columns, role)
        counts, nowhere = label_counts(files, source["labels"], set(images))
        classes = {label: count for label, count in counts.items() if label}
        notes += [*said, *_said_of_labels(source["labels"], nowhere)]
        unlabelled = len(images) - sum(classes.values())
        if has_several(source["labels"]):
            classes = by_label(classes, source["labels"])
            reasons.append("some images have several labels")
    else:
        inside, layout = _layout(images, folder.name, wanted.layout)
        if inside:
            source["inside"] = inside
            reasons.append(f"all images lie in {shown(inside)}")
            notes.append(f"all images are in {shown(inside)}, whose folders are the classes (inside)")
            images = [path.removeprefix(f"{inside}/") for path in images if path.startswith(f"{inside}/")]
            before = f"{inside}/"
        if layout:
            source["layout"] = layout
            parts = listing(sorted({path.split("/")[0] for path in images if "/" in path}))
            reasons.append(f"the first folders are the parts of a split ({parts}), which are all used")
            notes.append(f"{parts} are parts of a split, not classes: all are used (layout: split/class)")
        classes, unlabelled = _classes(images, deep=layout == "split/class")
        classes = _selected(classes, wanted, images, source)
    if role == "raw" and not classes:
        raise DataError(
            f"the images of {folder} are not in class folders, but raw images need a label: put them in one "
            "folder per class, or name a table inside it with --labels"
        )
    if not classes:
        source["labels"] = {"name": "none"}
        reasons.append("no folder or table gives these images a label")
    if unlabelled and role == "raw":
        notes.append(f"{unlabelled:,} images are in no class folder and will be rejected")
    if unlabelled and role != "raw":
        notes.append(f"{unlabelled:,} images have no label; the model can learn from them: see train.unlabelled")
    facts = look_at(files, [f"{before}{path}" for path in images])
    reasons += _white(facts, source, notes)
    several = has_several(source.get("labels", {}))
    labels = _labels_of(files, images, source, classes) if classes and not several else {}
    pictures = _pictures(files, {f"{before}{path}": label for path, label in labels.items()}, facts, wanted)
    return SourceSeen(name, source, classes, unlabelled, facts, "; ".join(reasons), tuple(notes), pictures)


def name_of(folder: Path | ObjectPlace, role: str, taken: Sequence[str]) -> str:
    """A name for a source: its folder's, in plain letters."""
    plain = unicodedata.normalize("NFKD", folder.name.split(".")[0]).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:28] or role
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _opened(folder: Path | ObjectPlace, role: str, shown_path: str) -> Files:
    if isinstance(folder, Path) and not folder.exists():
        raise MissingInputError(f"{folder} is missing: --{role} must name a folder of images, or an archive of them")
    path = str(folder) if isinstance(folder, Path) else shown_path
    return open_files(SourceParams.model_validate({"role": "production", "path": path}), MAX_EXPANSION)


def _layout(images: Sequence[str], name: str, layout: str | None) -> tuple[str, str | None]:
    """The folder that all class folders lie in, and the layout, if one is to be written."""
    inside: list[str] = []
    rest = list(images)
    # One folder that holds all, and no image beside: what somebody unpacked, not a class.
    while layout is None and given_split_problem(rest, name) is None and _in_one_folder(rest, 2):
        inside.append(rest[0].partition("/")[0])
        rest = [path.partition("/")[2] for path in rest]
    if layout is None and given_split_problem(rest, name) is not None:
        layout = "split/class"
        while _in_one_folder(rest, 3):
            inside.append(rest[0].partition("/")[0])
            rest = [path.partition("/")[2] for path in rest]
    # At the end of the way there must be several; otherwise it was a class.
    several = layout is not None or len({path.partition("/")[0] for path in rest}) > 1
    return "/".join(inside) if several else "", layout


def _in_one_folder(paths: Sequence[str], slashes: int) -> bool:
    return len({path.partition("/")[0] for path in paths}) == 1 and all(path.count("/") >= slashes for path in paths)


def _classes(images: Sequence[str], deep: bool) -> tuple[dict[str, int], int]:
    counts: Counter[str] = Counter()
    for path in images:
        parts = path.split("/")
        counts[clean(parts[deep]) if len(parts) > deep + 1 else ""] += 1
    unlabelled = counts.pop("", 0)
    return dict(sorted(counts.items())), unlabelled


def _pictures(
    files: Files, labels: Mapping[str, str], facts: ImageFacts, wanted: Wanted
) -> Sequence[tuple[Pixels, str]]:
    """Some images of several classes; of large ones fewer, so that decoding them takes some ten seconds."""
    most = min(wanted.pictures, round(MAX_PIXELS / max(facts.area, 1)))
    return pictures_of(files, labels, most, PRETRAINED_SIDE) if most and len({*labels.values()}) > 1 else ()


def _labels_of(
    files: Files, images: Sequence[str], source: Mapping[str, Any], classes: Collection[str]
) -> dict[str, str]:
    """The label of each image that has one of these classes, by path."""
    if "labels" in source:
        said = labels_by_path(files, source["labels"])
        return {path: said[path] for path in images if said.get(path) in classes}
    deep = source.get("layout") == "split/class"
    parts = {path: path.split("/") for path in images}
    named = {path: clean(part[deep]) for path, part in parts.items() if len(part) > deep + 1}
    return {path: label for path, label in named.items() if label in classes}


def _selected(classes: dict[str, int], wanted: Wanted, images: Sequence[str], source: dict[str, Any]) -> dict[str, int]:
    """The classes that are wanted; the patterns that leave them go into the source."""
    named, without = {*map(clean, wanted.classes)}, {*wanted.without}
    chosen = {label: n for label, n in classes.items() if (not named or label in named) and label not in without}
    if named and not chosen:
        raise ParamsError(f"--classes names none of the classes of {source['path']}: {listing(classes, 20)}")
    if classes and not chosen:
        raise ParamsError(
            f"--min-images {wanted.min_images} leaves out all classes of {source['path']} ({listing(classes, 20)}): "
            "choose a smaller number, or do not name this source"
        )
    deep = source.get("layout") == "split/class"
    above = "/*/" if deep else "/"
    # As they are written on the disk, which may be other bytes for the same letters.
    folders = sorted({parts[deep] for path in images if len(parts := path.split("/")) > deep + 1})
    patterns = {folder: f"{above}{_SIGNS.sub(_ESCAPED, folder)}/" for folder in folders}
    if named and chosen.keys() != classes.keys():
        source["include"] = [pattern for folder, pattern in patterns.items() if clean(folder) in chosen]
    elif chosen.keys() != classes.keys():
        # A class that comes later is used.
        source["exclude"] = [pattern for folder, pattern in patterns.items() if clean(folder) in without]
    return chosen


def _ignored(ignored: Sequence[tuple[str, str]]) -> list[str]:
    of_system = [path for path, reason in ignored if reason == OF_A_SYSTEM]
    hidden = len(ignored) - len(of_system)
    notes = [f"{hidden:,} hidden files are ignored"] if hidden else []
    if of_system:
        notes.append(
            f"{len(of_system):,} files of operating systems and network drives (thumbnails, trash) are ignored: "
            f"{listing(of_system, 2)}"
        )
    return notes


def _white(facts: ImageFacts, source: dict[str, Any], notes: list[str]) -> list[str]:
    """Set the range of a source whose images of more than 8 bits are dark; why."""
    if facts.white is None:
        return []
    source["value_range"] = [0, facts.white]
    notes.append(f"images of more than 8 bits are dark: {facts.white:,} is taken for their white (value_range)")
    return [f"images of more than 8 bits use at most {max(facts.deep):.1%} of the range of their files"]


def _said_of_labels(labels: Mapping[str, Any], nowhere: Sequence[str]) -> list[str]:
    """How paths of a table or an export are taken, and those that name no image."""
    notes = []
    if (prefix := labels.get("prefix")) and labels["name"] == "table":
        notes.append(f"paths in {labels['file']} begin with {shown(prefix)}, which is taken off (prefix)")
    if nowhere:
        rows = f"{len(nowhere):,} {'task' if labels['name'] == 'label_studio' else 'row'}{'s' * (len(nowhere) != 1)}"
        names = f"{labels['file']} has {rows} of images that are not in the source: {listing(map(shown, nowhere), 3)}"
        notes.append(f"{names}. They will be rejected")
    return notes


def _refused(refused: Sequence[tuple[str, str]]) -> list[str]:
    if not refused:
        return []
    return [f"{len(refused):,} files will be rejected: {listing((f'{path} ({why})' for path, why in refused), 2)}"]


def _others(files: Sequence[str], images: Sequence[str], table: str | None) -> list[str]:
    known = {*images, table}
    others = [path for path in files if path not in known]
    count = "1 file does" if len(others) == 1 else f"{len(others):,} files do"
    return [f"{count} not have the ending of an image: {listing(others, 3)}"] if others else []


def spread(values: Sequence[float]) -> str:
    """The middle of some values, and how far they reach."""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.0f}" if low == high else f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"
