"""The tables of the format parquet, and croissant.json, which describes them (Croissant 1.0 of MLCommons)."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.data.formats.parquet import arrow_schema, file_of, write_parquet
from pipeline.data.formats.rows import Exported
from pipeline.store.reading import sha256_of
from pipeline.store.refusals import refusals

DESCRIPTION = "croissant.json"
# What JSON-LD readers need to know of the words; the specification asks for it as it stands.
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "samplingRate": "cr:samplingRate", "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
TYPES = {"int64": "sc:Integer", "int32": "sc:Integer", "float": "sc:Float"}


def write_croissant(
    splits: Sequence[Exported], classes: Sequence[str], folder: Path, advance: Callable[[int], None]
) -> None:
    """The files of parquet, and croissant.json: of each file its SHA-256, of each split a record set."""
    write_parquet(splits, classes, folder, advance)
    text = json.dumps(_description(splits, classes, folder), indent=2, ensure_ascii=False)
    with refusals(folder):
        (folder / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8", newline="\n")


def _description(splits: Sequence[Exported], classes: Sequence[str], folder: Path) -> dict[str, Any]:
    files = [_file(split, folder / file_of(split.split)) for split in splits]
    digests = "".join(each["sha256"] for each in files)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "prepared-images",
        "description": f"Images of {len(classes)} classes, split into {', '.join(each.split for each in splits)}.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        # Of the content, because no other version is known.
        "version": f"1.0.0+{hashlib.sha256(digests.encode()).hexdigest()[:12]}",
        "distribution": files,
        "recordSet": [_classes(classes), *(_records(split, classes) for split in splits)],
    }


def _file(split: Exported, path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "description": f"The rows of {split.split}.",
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256_of(path),
    }


def _classes(classes: Sequence[str]) -> dict[str, Any]:
    field = {"@type": "cr:Field", "dataType": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The names of the classes, by their numbers.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/number"},
        "field": [
            {**field, "@id": "classes/number", "name": "number", "dataType": "sc:Integer"},
            {**field, "@id": "classes/name", "name": "name"},
        ],
        "data": [{"classes/number": number, "classes/name": name} for number, name in enumerate(classes)],
    }


def _records(split: Exported, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split.split,
        "name": split.split,
        "description": f"An image of {split.split} a record.",
        "field": [_field(split.split, column) for column in arrow_schema(split, classes)],
    }


def _field(split: str, column: pa.Field) -> dict[str, Any]:
    source: dict[str, Any] = {"fileObject": {"@id": file_of(split)}, "extract": {"column": column.name}}
    kind = TYPES.get(str(column.type), "sc:Text")
    if column.name == "image":
        kind, source["transform"] = "sc:ImageObject", {"jsonPath": "bytes"}
    references = {"references": {"field": {"@id": "classes/number"}}} if column.name == "class" else {}
    name = column.name
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "dataType": kind,
        "source": source,
        **references,
    }
