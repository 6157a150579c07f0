"""What `pipeline improve` tried: a JSON object per line, each on disk before the next try begins."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.store.reading import check_regular, read_bytes
from pipeline.store.refusals import refusals

LOG = Path("improve/log.jsonl")


@dataclass(frozen=True)
class Entry:
    """One try.

    session: of tries from the same commit. name: of DVC's experiment. finding, why: what it was for. command: what ran.
    changes: place in params.yaml -> value, beside today's; a param that goes is in gone. value: of the optimizing
    metric on dev. difference, low, high: beside the model before, above 0 is better; None where it cannot be compared.
    basis: of a repair that was kept: the tries after it are measured on another dev. note: why it was not kept.
    flattered: how much a search inside it chose, in the metric's units.
    """

    session: str
    name: str
    finding: str
    why: str
    command: str
    changes: Mapping[str, Any]
    gone: Sequence[str] = ()
    metric: str = ""
    value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    kept: bool = False
    basis: bool = False
    minutes: float = 0.0
    note: str = ""
    flattered: float = 0.0


NAMES = {one.name for one in fields(Entry)}


def append(entry: Entry, path: Path = LOG) -> None:
    """Add a line; it is on the disk when this returns.

    Raises:
        StorageError: the disk refused.
    """
    check_regular(path)
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.is_file() else b""
        # What a kill left of a line must not take this one with it.
        separator = "\n" if before and not before.endswith(b"\n") else ""
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{separator}{json.dumps(asdict(entry), allow_nan=False, default=str)}\n")
            file.flush()
            os.fsync(file.fileno())


def entries(path: Path = LOG) -> list[Entry]:
    """All tries, the first one first, without lines that cannot be read; none without a log."""
    try:
        lines = read_bytes(path).decode(errors="replace").splitlines() if path.is_file() else []
    except PipelineError:
        return []
    return [entry for line in lines if (entry := _parsed(line)) is not None]


def _parsed(line: str) -> Entry | None:
    try:
        values = json.loads(line)
        return Entry(**{name: value for name, value in values.items() if name in NAMES})
    except (ValueError, TypeError, AttributeError):
        return None
