"""What is exported of an image: its file, its class, and the facts that go beside it; and safe names for both."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.manifest import EXTRA_COLUMNS
from pipeline.problem.label_sets import LabelNames, names_in
from pipeline.problem.quantities import Quantity

# Of the manifest; users' own columns of metadata follow.
COLUMNS = ("id", "label", "role", "source", "group", "copy", "weight", "sha256", "user_group")
# Bytes that a folder's name may have on all file systems, and letters of a file's that are for people.
MAX_NAME_BYTES = 200
MAX_STEM = 40
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*%]|^\.|[. ]$')


@dataclass(frozen=True)
class Exported:
    """A split's rows, in order.

    rows: as a manifest has them. names: of each row a name for files, without ending: one name, one row, whatever
        other rows there are. data: position -> the encoded picture. pictures: of each row what stands for its picture:
        equal where pictures are.
    """

    split: str
    rows: pd.DataFrame
    names: Sequence[str]
    data: Callable[[int], bytes]
    pictures: Sequence[object]

    def facts(self, position: int, classes: Sequence[str]) -> dict[str, Any]:
        """What goes beside a picture, as values for JSON: its class's number, `class`, or those of its `labels`.

        Where images have numbers, its `number`.
        """
        found = {name: values[position] for name, values in self._columns.items()}
        if isinstance(classes, Quantity):
            return {**found, "split": self.split, "number": float(found["label"])}
        if isinstance(classes, LabelNames):
            return {**found, "split": self.split, "labels": [classes.index(name) for name in names_in(found["label"])]}
        return {**found, "split": self.split, "class": classes.index(found["label"])}

    @cached_property
    def extra_columns(self) -> list[str]:
        """The users' own columns of metadata."""
        return [str(name) for name in self.rows if str(name).startswith(EXTRA_COLUMNS)]

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        # A row at a time, pandas would take a tenth of a millisecond for each.
        texts = {name: self.rows[name].astype(str).tolist() for name in (*COLUMNS, *self.extra_columns)}
        return {**texts, "copy": self.rows["copy"].tolist(), "weight": self.rows["weight"].tolist()}


def export_name(image_id: str, copy: int) -> str:
    """A name for the file of an image or variant: what people know it by, and a digest that makes it unique."""
    stem = re.sub("[^A-Za-z0-9_-]+", "-", image_id.rpartition("/")[2].rpartition(".")[0])[:MAX_STEM].strip("-")
    digest = hashlib.sha256(image_id.encode(errors="surrogatepass")).hexdigest()[:20]
    return "-".join([*([stem] if stem else []), digest, *([f"v{copy}"] if copy else [])])


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Of each class the name of its folder: its own, unless a file system would take it for something else."""
    return {name: _folder_name(name) for name in classes}


def suffix_of(data: bytes) -> str:
    """`.jpg` or `.png`, by what an encoded picture begins with."""
    return ".jpg" if data[:2] == b"\xff\xd8" else ".png"


def facts_table(splits: Sequence[Exported], classes: Sequence[str], file_name: Callable[[Exported, int], str]) -> str:
    """A CSV table of all rows: `file_name`, then the facts."""
    rows = [
        {"file_name": file_name(split, position), **split.facts(position, classes)}
        for split in splits
        for position in range(len(split.rows))
    ]
    text: str = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    return text


def arrow_columns(split: Exported, classes: Sequence[str], positions: range) -> Iterator[pa.Array]:
    """The columns of `arrow_schema`, for some rows."""
    files = [split.data(position) for position in positions]
    paths = [f"{split.names[position]}{suffix_of(data)}" for position, data in zip(positions, files, strict=True)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    yield pa.array([{"bytes": data, "path": path} for data, path in zip(files, paths, strict=True)], kind)
    facts = [split.facts(position, classes) for position in positions]
    name, type_ = class_column(classes)
    yield pa.array([fact.pop(name) for fact in facts], type_)
    for name, type_ in fact_types(split).items():
        yield pa.array([fact[name] for fact in facts], type_)


def class_column(classes: Sequence[str]) -> tuple[str, pa.DataType]:
    """The column with the number of the class, or with those of all labels; or with the image's own number."""
    if isinstance(classes, Quantity):
        return "number", pa.float64()
    return ("labels", pa.list_(pa.int64())) if isinstance(classes, LabelNames) else ("class", pa.int64())


def fact_types(split: Exported) -> dict[str, pa.DataType]:
    """The facts beside a picture and its class, and of which type each is."""
    types = dict.fromkeys([*COLUMNS, *split.extra_columns, "split"], pa.string())
    return {**types, "copy": pa.int32(), "weight": pa.float32()}


def _folder_name(label: str) -> str:
    name = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), label)
    if len(name.encode()) > MAX_NAME_BYTES:
        digest = hashlib.sha256(label.encode()).hexdigest()[:16]
        name = f"{name.encode()[: MAX_NAME_BYTES - 20].decode(errors='ignore')}-{digest}"
    return name
