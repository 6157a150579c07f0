"""The folder with people's tables for the diagnosis: answers.csv and outcomes.csv, both optional.

labels.csv and pairs.csv beside them are for `curate` (decisions.py, pair_decisions.py).
"""

import difflib
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError, listing
from pipeline.store.artifacts import Artifact, read_only
from pipeline.store.reading import read_bytes
from pipeline.store.spreadsheets import Spreadsheet, read_spreadsheet

ANSWERS, OUTCOMES = "answers.csv", "outcomes.csv"
KEY = "image"
# Beside the tables: what explains them, and what DVC puts there.
OTHERS = (".md", ".dvc")
# For curate.
OF_CURATE = {"labels.csv", "pairs.csv"}


def feedback(path: str) -> Artifact:
    """An artifact, read only: {path: table} of answers and outcomes; nothing where there is no folder."""

    def read(place: Path) -> Mapping[str, Spreadsheet]:
        names = [entry.name for entry in sorted(place.iterdir())] if place.is_dir() else []
        own = [name for name in names if not name.startswith(".") and not name.endswith(OTHERS)]
        own = [name for name in own if name not in OF_CURATE]
        _check(place, own)
        tables = [name for name in names if name in {ANSWERS, OUTCOMES}]
        return {name: read_spreadsheet(read_bytes(place / name), str(place / name), KEY) for name in tables}

    return read_only(path, read)


def _check(place: Path, names: list[str]) -> None:
    unknown = [name for name in names if name not in {ANSWERS, OUTCOMES}]
    if unknown:
        near = difflib.get_close_matches(unknown[0], [ANSWERS, OUTCOMES], n=1, cutoff=0.4)
        hint = f"rename {unknown[0]} to {near[0]}, or move it away" if near else "move it away"
        raise DataError(
            f"{place} holds {listing(unknown)}, and the diagnosis reads only {ANSWERS} and {OUTCOMES}: {hint}"
        )
