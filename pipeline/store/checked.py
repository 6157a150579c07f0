"""JSON reports and folders that carry checksums of their content, which are verified before use.

For what a later stage reads, and neither people nor DVC's tables look at as a whole.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline.errors import DataError, MissingInputError
from pipeline.store.artifacts import Artifact, check_schema, report
from pipeline.store.reading import maker, read_bytes

CHECKSUM = "checksum"
CHECKSUMS = "checksums.json"


def checked_report(path: str, schema: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a JSON object with a schema; its checksum stands beside its keys."""
    plain = report(path)

    def read(place: Path) -> Any:
        value = plain.read(place)
        if not isinstance(value, dict) or value.pop(CHECKSUM, None) != _checksum(value):
            raise DataError(
                f"{place} is damaged or of another version: run `pipeline doctor --fix`, then `{maker(place)}`"
            )
        check_schema(value, schema, place)
        return value

    def write(value: Mapping[str, Any], place: Path) -> None:
        plain.write({**value, CHECKSUM: _checksum(value)}, place)

    return Artifact(path, read, write)


def memo(path: str, schema: TypeAdapter[Any] | None = None) -> Artifact:
    """An artifact: a JSON object that only saves a stage time; if it is missing or damaged, it reads as None."""
    whole = checked_report(path, schema)

    def read(place: Path) -> Any:
        try:
            return whole.read(place)
        except (MissingInputError, DataError):
            return None

    return Artifact(path, read, whole.write)


def checked_folder(plain: Artifact) -> Artifact:
    """The same folder with one more file, the checksum of each other; a folder without it is older than checksums."""

    def read(place: Path) -> Any:
        if (place / CHECKSUMS).exists() and report(plain.path).read(place / CHECKSUMS) != _checksums(place):
            raise DataError(
                f"{place} is damaged: its files do not match {CHECKSUMS}; run `pipeline doctor --fix`, then "
                f"`{maker(place)}`"
            )
        return plain.read(place)

    def write(value: Any, place: Path) -> None:
        plain.write(value, place)
        report(plain.path).write(_checksums(place), place / CHECKSUMS)

    return replace(plain, read=read, write=write)


def crc_of(data: bytes) -> str:
    """CRC-32 of bytes: `crc32:` and eight hex digits."""
    return f"crc32:{zlib.crc32(data):08x}"


def _checksum(value: Mapping[str, Any]) -> str:
    return crc_of(json.dumps(value, sort_keys=True).encode())


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != CHECKSUMS)
    return {file.relative_to(folder).as_posix(): crc_of(read_bytes(file)) for file in files}
