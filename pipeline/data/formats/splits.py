"""README.md of an exported folder: which files are which split, for `datasets`, which guesses by names otherwise."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.store.refusals import refusals


def write_splits(splits: Sequence[str], pattern: str, folder: Path) -> None:
    """Name the files of each split, as `datasets.load_dataset(folder)` reads them.

    Guessing, it takes train_dev for a part of train, and of validation as well: train would leak into both.

    Args:
        pattern: of the files of a split, with `{split}`.
    """
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {pattern.format(split=split)}"]
    with refusals(folder):
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8", newline="\n")
