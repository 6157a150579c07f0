"""What a source's folders mean: classes, or an existing split with classes in each part."""

from collections.abc import Mapping, Sequence

from pipeline.errors import listing
from pipeline.manifest import EXTRA_COLUMNS
from pipeline.names import key, shown

# Where the split that a source came with is kept.
GIVEN_SPLIT = f"{EXTRA_COLUMNS}given_split"
# What parts of a split are called, by what they are for.
_WORDS = {
    "train": ("train", "training", "trainset", "train_set", "traindata", "train_data", "training_set", "training_data"),
    "val": (
        "val", "valid", "validation", "validate", "dev", "devel", "development", "valset", "val_set", "validation_set",
        "val_data", "validation_data",
    ),
    "test": (
        "test", "testing", "testset", "test_set", "test_data", "testing_set", "testing_data", "eval", "evaluation",
        "holdout", "hold_out",
    ),
}  # fmt: skip
_PURPOSE = {word: purpose for purpose, words in _WORDS.items() for word in words}


def given_split_problem(files: Sequence[str], name: str) -> str | None:
    """The message if the first folders are the parts of an existing split; None if they are classes.

    They are a split if all folders are named after parts of a split, or if several such folders contain folders of
    the same names: a class may well be called train.
    """
    inside = _common_folder(files)
    first = {path[len(inside) :].partition("/")[0] for path in files if path.find("/", len(inside)) >= 0}
    parts = {folder: purpose for folder in first if (purpose := _purpose(folder)) is not None}
    if not parts or (len(parts) < len(first) and not _same_classes(files, inside, parts)):
        return None
    named = listing(sorted(parts), 6)
    where = f"{inside}{min(parts, key=lambda part: (parts[part] != 'train', part))}"
    below = f"inside: {inside.rstrip('/')}` and `" if inside else ""
    return (
        f"the folders of {shown(f'{name}/{inside}'.rstrip('/'))} look like the parts of a split ({named}), not like "
        f"classes. For this source in params.yaml, write `{below}layout: split/class` to join all parts (the given "
        f"split stays as the column {GIVEN_SPLIT}), or `inside: {shown(where)}` to use one part. "
        "If they are classes, write `layout: class`"
    )


def _common_folder(files: Sequence[str]) -> str:
    """The folders, with / at the end, that all files lie in, down to where a name is that of a part of a split."""
    inside = ""
    while files:
        first = files[0].removeprefix(inside)
        folder, slash, _ = first.partition("/")
        lead = f"{inside}{folder}/"
        if not slash or _purpose(folder) is not None or not all(path.startswith(lead) for path in files):
            return inside
        inside = lead
    return inside


def _same_classes(files: Sequence[str], inside: str, parts: Mapping[str, str]) -> bool:
    """Whether folders of two purposes hold a folder of the same name."""
    purposes: dict[str, set[str]] = {}
    for path in files:
        folder, *rest = path[len(inside) :].split("/", 2)
        if folder in parts and len(rest) > 1:
            purposes.setdefault(rest[0], set()).add(parts[folder])
    return any(len(found) > 1 for found in purposes.values())


def _purpose(folder: str) -> str | None:
    return _PURPOSE.get(key(folder).replace("-", "_").replace(" ", "_"))
