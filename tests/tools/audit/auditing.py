"""Data sets to audit, and what an audit says of them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.examples import encoded
from tests.running import Ended
from tests.stages.curate.similar import scene

Audit = Callable[..., Ended]
Row = dict[str, Any]
OWN = ("data/split/manifest.arrow", "data/split/test.arrow")


def dataset(count: int = 4, **columns: Callable[[int], Any]) -> list[Row]:
    """Images of two labels, alternately in train and test, written as files under images/."""
    Path("images").mkdir(exist_ok=True)
    rows = []
    for number in range(count):
        write(f"images/{number}.png", scene(number))
        split = "train" if number % 2 else "test"
        rows.append({"path": f"images/{number}.png", "label": "cat" if number % 4 < 2 else "dog", "split": split})
    return [{**row, **{name: value(number) for name, value in columns.items()}} for number, row in enumerate(rows)]


def write(path: str, pixels: Any) -> None:
    Path(path).write_bytes(encoded(pixels))


def write_table(rows: list[Row], name: str = "table.csv") -> str:
    match Path(name).suffix:
        case ".csv":
            with Path(name).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".jsonl":
            Path(name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        case ".parquet":
            pd.DataFrame(rows).to_parquet(name)
        case _:
            pd.DataFrame(rows).to_feather(name)
    return name


def report_of(ended: Ended) -> Any:
    return json.loads(ended.out)


def assert_leaks(ended: Ended, kind: str, *words: str) -> None:
    assert ended.code == 8
    assert ended.err.startswith(f"error: 1 leaks (1 {kind}) with 2 of ")
    assert f"Leak ({kind}): " in ended.out
    assert [word for word in words if word not in ended.out] == []
