"""One table per split with its pictures: pandas and pyarrow open it, and `datasets` as images with class names."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.data.formats.rows import Exported, arrow_columns, class_column, fact_types
from pipeline.data.formats.splits import write_splits
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.quantities import Quantity
from pipeline.store.refusals import refusals

# Rows that are read together: a few megabytes of pictures.
GROUP = 500


def file_of(split: str) -> str:
    """The name of a split's file, by which `datasets` tells the split."""
    return f"{split}-00000-of-00001.parquet"


def write_parquet(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """<split>-00000-of-00001.parquet: `image` {bytes, path}, `class` (its number; or `labels`, `number`), facts."""
    for split in splits:
        schema = arrow_schema(split, classes)
        path = folder / file_of(split.split)
        with refusals(path), pq.ParquetWriter(path, schema) as writer:
            for start in range(0, len(split.rows), GROUP):
                positions = range(start, min(start + GROUP, len(split.rows)))
                arrays = list(arrow_columns(split, classes, positions))
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                advance(len(positions))
    write_splits([each.split for each in splits], "{split}-*.parquet", folder)


def arrow_schema(split: Exported, classes: Sequence[str]) -> pa.Schema:
    """The columns, with the names of the classes for `datasets` in the metadata."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column, column_type = class_column(classes)
    types = {"image": image, column: column_type, **fact_types(split)}
    label = {"names": list(classes), "_type": "ClassLabel"}
    features: dict[str, Any] = {
        **{name: {"dtype": _dtype(kind), "_type": "Value"} for name, kind in types.items()},
        "image": {"_type": "Image"},
    }
    if not isinstance(classes, Quantity):
        features[column] = {"feature": label, "_type": "List"} if isinstance(classes, LabelNames) else label
    about = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    return pa.schema(list(types.items()), metadata={"huggingface": about, "classes": json.dumps(list(classes))})


def _dtype(kind: pa.DataType) -> str:
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
