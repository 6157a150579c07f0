"""One folder per split, and in it one folder per class: what torchvision's ImageFolder and many others read."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.data.formats.rows import Exported, facts_table, folder_names, suffix_of
from pipeline.data.formats.splits import write_splits
from pipeline.store.refusals import refusals


def write_imagefolder(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """<split>/<class>/<name>.png or .jpg, and metadata.csv with a row per file.

    Each split has the folders of all classes, so that their order gives the same numbers everywhere. Rows of a split
    that show the same picture are files of their own.
    """
    _write(splits, classes, folder, advance, link=False)


def write_linked_imagefolder(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """The same, but rows that show the same picture are hard links to one file, where the file system has links."""
    _write(splits, classes, folder, advance, link=True)


def _write(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None], link: bool
) -> None:
    places = folder_names(classes)
    names: dict[tuple[str, int], str] = {}
    files: dict[object, Path] = {}
    for split in splits:
        for label in classes:
            with refusals(folder):
                (folder / split.split / places[label]).mkdir(parents=True)
        labels = split.rows["label"].astype(str).tolist()
        for position, (label, name) in enumerate(zip(labels, split.names, strict=True)):
            data = split.data(position)
            names[split.split, position] = f"{split.split}/{places[label]}/{name}{suffix_of(data)}"
            file = folder / names[split.split, position]
            first = files.setdefault(split.pictures[position], file) if link else file
            if first is file or not _linked(first, file):
                with refusals(folder):
                    file.write_bytes(data)
            advance(1)
    text = facts_table(splits, classes, lambda split, position: names[split.split, position])
    with refusals(folder):
        (folder / "metadata.csv").write_text(text, encoding="utf-8", newline="\n")
    write_splits([each.split for each in splits], "{split}/**", folder)


def _linked(first: Path, file: Path) -> bool:
    """Whether there is now a link to the first file; not where the file system has none, or no more of them."""
    try:
        file.hardlink_to(first)
    except OSError:
        return False
    return True
