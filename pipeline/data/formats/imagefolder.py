"""A folder a split, and in it a folder a class: what torchvision's ImageFolder and many others read."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.data.formats.rows import Exported, facts_table, folder_names, suffix_of
from pipeline.data.formats.splits import write_splits
from pipeline.store.refusals import refusals


def write_imagefolder(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """<split>/<class>/<name>.png or .jpg, and metadata.csv with a row a file.

    Each split has the folders of all classes, so that their order gives the same numbers everywhere. Rows of a split
    that show the same picture are files of their own.
    """
    places = folder_names(classes)
    names: dict[tuple[str, int], str] = {}
    for split in splits:
        for label in classes:
            with refusals(folder):
                (folder / split.split / places[label]).mkdir(parents=True)
        labels = split.rows["label"].astype(str).tolist()
        for position, (label, name) in enumerate(zip(labels, split.names, strict=True)):
            data = split.data(position)
            names[split.split, position] = f"{split.split}/{places[label]}/{name}{suffix_of(data)}"
            with refusals(folder):
                (folder / names[split.split, position]).write_bytes(data)
            advance(1)
    text = facts_table(splits, classes, lambda split, position: names[split.split, position])
    with refusals(folder):
        (folder / "metadata.csv").write_text(text, encoding="utf-8", newline="\n")
    write_splits([each.split for each in splits], "{split}/**", folder)
