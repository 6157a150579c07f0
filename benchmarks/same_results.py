"""Whether two projects on the same images have the same results, whatever their versions call things.

`python benchmarks/same_results.py OLD NEW`, two folders after `dvc repro`, OLD of an earlier version. Compared, under
the names of today (RENAMED): each row of every manifest, the pictures that shards hold, the model, all metrics. Prints
what differs; exit code 1 if anything does.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import load_file

# Old name -> new one: folders, columns of manifests, keys of metrics.
RENAMED = {
    "suspects": "label_issues",
    "look": "previews",
    "bright": "light",
    "odd_aspect": "odd_aspect_ratio",
    "greyscale": "grayscale",
    "not_judged": "not_checked",
    "error": "error_rate",
}
MANIFESTS = ("curate", "split", "balance", "augment")


def main() -> None:
    """Print each difference."""
    old, new = map(Path, sys.argv[1:])
    problems = [*manifests(old, new), *pictures(old, new), *model(old, new), *metrics(old, new)]
    print("\n".join(problems) or "the same: manifests, pictures, model and metrics")
    sys.exit(bool(problems))


def manifests(old: Path, new: Path) -> Iterator[str]:
    """Columns of manifests that differ; where a picture lies, and the key that it was made under, follow the code."""
    for name in MANIFESTS:
        before, after = (table_of(folder / f"data/{name}/manifest.arrow") for folder in (old, new))
        before = before.rename_columns([RENAMED.get(column, column) for column in before.column_names])
        for column in sorted({*before.column_names, *after.column_names} - {"shard", "row", "pixels"}):
            if column not in before.column_names or column not in after.column_names:
                yield f"{name}: only one side has the column {column}"
            elif before[column].to_pylist() != after[column].to_pylist():
                yield f"{name}: the column {column} differs"


def pictures(old: Path, new: Path) -> Iterator[str]:
    """Rows of the training set whose picture differs."""
    rows = [table_of(folder / "data/augment/manifest.arrow").to_pylist() for folder in (old, new)]
    shards = [
        {
            path.stem: table_of(path)["image"]
            for part in ("ingest", "augment")
            for path in (folder / "data" / part).rglob("shards/*.arrow")
        }
        for folder in (old, new)
    ]
    differing = sum(
        shards[0][one["shard"]][one["row"]] != shards[1][other["shard"]][other["row"]]
        for one, other in zip(*rows, strict=True)
    )
    if differing:
        yield f"pictures: {differing} of {len(rows[0])} differ"


def model(old: Path, new: Path) -> Iterator[str]:
    """Tensors of the model that differ, and by how much."""
    before, after = (load_file(folder / "data/train/model.safetensors") for folder in (old, new))
    if before.keys() != after.keys():
        yield "model: other tensors"
    for name in before.keys() & after.keys():
        if not np.array_equal(before[name], after[name]):
            yield f"model: {name} differs by up to {np.abs(before[name] - after[name]).max():g}"


def metrics(old: Path, new: Path) -> Iterator[str]:
    """Metrics that differ."""
    for file in sorted((old / "reports").rglob("metrics.json")):
        stage = file.relative_to(old / "reports").parts[0]
        other = new / "reports" / RENAMED.get(stage, stage) / file.relative_to(old / "reports" / stage)
        before = with_new_names(json.loads(file.read_text()))
        after = json.loads(other.read_text()) if other.exists() else None
        if before != after:
            yield f"metrics: {other} differs from {file}"


def with_new_names(value: Any) -> Any:
    """Metrics under the names of today."""
    if isinstance(value, dict):
        return {RENAMED.get(key, key): with_new_names(item) for key, item in value.items()}
    return value


def table_of(path: Path) -> pa.Table:
    """An Arrow file."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


if __name__ == "__main__":
    main()
