"""Writes the prepared images of the last run into a folder, in a format that other programs open."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.data.dataset import RowDataset, Variants
from pipeline.data.formats.rows import Exported, export_name, folder_names
from pipeline.data.formats.table import DATA_FORMATS
from pipeline.data.prepared import (
    Pictures,
    classes_of,
    online_variants_of,
    pictures_of_project,
    read_manifest,
    read_rows_of_test,
)
from pipeline.errors import DataError, ParamsError, PipelineError
from pipeline.images.pixels import encode
from pipeline.manifest import SEEN_SPLITS, TEST, TRAIN
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.problem import is_multi_label, is_regression
from pipeline.problem.quantities import Quantity
from pipeline.project.params_file import Params
from pipeline.sources.urls import is_url
from pipeline.stages.final_evaluation.access import check_access, params_digest, rows_digest
from pipeline.store.ledger import LedgerEntry
from pipeline.store.reading import digest_of
from pipeline.store.refusals import refusals
from pipeline.store.writing import alone, remove, replacing
from pipeline.workers.progress import progress

# In the ledger, where an evaluation has its metric: nobody knows how many models will be measured on what was exported.
EXPORT = "export"
# The commands that write to the ledger.
LOOKS = "pipeline final_evaluation` or `pipeline export --test"


def export(folder: Path, format_name: str, test: bool, params: Params, link: bool = False) -> str:
    """Write the splits; what was written, and what opens it, in words.

    Args:
        folder: must not be there, or be empty.
        test: also export test, which is noted in the ledger as an evaluation of one more model.
        link: rows that show the same picture share a file.

    Raises:
        ParamsError: the folder is there, or is one of the pipeline's own, or the format has no files to share.
        MissingInputError: a split was not made yet.
        DataError: train is empty or of another run, or a picture is damaged.
        FinalEvaluationError: test may not be looked at.
    """
    check_target(folder)
    check_no_source(folder, params)
    chosen = DATA_FORMATS[format_name]
    if link and chosen.link is None:
        raise ParamsError(
            f"--link: {format_name} packs pictures into few files, which nothing can link: take --format imagefolder"
        )
    if is_multi_label(params.problem) and not chosen.several:
        fit = ", ".join(each.name for each in DATA_FORMATS.values() if each.several)
        raise ParamsError(
            f"--format {format_name} has one class per image, and with problem multi_label an image may have several "
            f"labels: take {fit}"
        )
    if is_regression(params.problem) and not chosen.several:
        fit = ", ".join(each.name for each in DATA_FORMATS.values() if each.several)
        raise ParamsError(
            f"--format {format_name} has a folder per class, and with problem regression an image has a number: take "
            f"{fit}"
        )
    rows = {split: read_manifest(split) for split in SEEN_SPLITS}
    if test:
        rows[TEST] = read_rows_of_test()
    if empty := [split for split, table in rows.items() if table.empty and split != "train_dev"]:
        raise DataError(f"{' and '.join(empty)} have no images: see what `pipeline split` says, and change its params")
    classes, pictures = classes_of(rows[TRAIN], params.problem), pictures_of_project(rows[TRAIN])
    online = None if pictures.variants_are_stored else online_variants_of()
    splits = [_exported(split, table, classes, pictures, online, params) for split, table in rows.items() if len(table)]
    if test:
        # Before the files: a kill between the two must not hand out what nobody noted.
        note_export(rows[TEST], params)
    total = sum(len(each.rows) for each in splits)
    with replacing(folder) as half, progress("export", total) as advance:
        remove(half)
        with refusals(folder):
            half.mkdir()
        (chosen.link if link and chosen.link else chosen.write)(splits, classes, half, advance)
    counts = ", ".join(f"{each.split} {len(each.rows)}" for each in splits)
    lines = [
        f"{folder}: {chosen.name}, {_what(classes)}; {counts}",
        f"open it with {chosen.opens.format(folder=folder)}",
    ]
    return "\n".join([*lines, *_notes(splits, classes, online)])


def check_target(folder: Path) -> None:
    """Raise ParamsError unless a new folder can be made there."""
    with refusals(folder):
        if folder.is_dir() and not any(folder.iterdir()):
            _check_place(folder)
            return
        if folder.exists() or folder.is_symlink():
            raise ParamsError(f"{folder} already exists: name a new folder, or remove it")
    _check_place(folder)


def check_no_source(folder: Path, params: Params) -> None:
    """Raise ParamsError if the folder would lie among the images of a source: the next run would take them in."""
    place = folder.resolve()
    for name, source in params.sources.items():
        if not is_url(source.path) and place.is_relative_to(Path(source.path).resolve()):
            raise ParamsError(
                f"{folder} is inside the source {name}, and the next run would read what is exported as new images: "
                "name another folder"
            )


def note_export(test: pd.DataFrame, params: Params) -> None:
    """Add the export of test to the ledger, unless the same rows were exported before.

    Raises:
        FinalEvaluationError: as many models as final_evaluation allows were evaluated, or the ledger was edited.
        StorageError: test is evaluated or exported by another process, which would lose this entry, or this one its.
    """
    with alone(Path(catalogue.TEST_PREDICTIONS.path).parent, LOOKS):
        _note_export(test, params)


def _note_export(test: pd.DataFrame, params: Params) -> None:
    path = Path(catalogue.LEDGER.path)
    ledger: list[LedgerEntry] = catalogue.LEDGER.read(path)
    rows = rows_digest(test)
    digests = {"model": digest_of(f"{EXPORT} {rows}".encode()), "params": params_digest(params.evaluate), "test": rows}
    # It is of no model, so that no limit on dev can speak against it.
    verdict = {"model": digests["model"], "accepted": True, "broken": []}
    told = check_access(ledger, digests["model"], verdict, params.final_evaluation)
    if any(entry.is_of(**digests) for entry in ledger):
        return
    entry = LedgerEntry(
        when=pd.Timestamp.now("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
        **digests,
        metric=EXPORT,
        value=0.0,
        low=0.0,
        high=1.0,
        accepted=False,
        told=told,
    )
    with replacing(path) as half:
        catalogue.LEDGER.write([*ledger, entry], half)


def _check_place(folder: Path) -> None:
    place = folder.resolve()
    for own in ("data", "reports", "final", "feedback"):
        if place.is_relative_to(Path(own).resolve()):
            raise ParamsError(f"{folder} lies in {own}, which is the pipeline's own: name a folder outside of it")


def _exported(
    split: str,
    rows: pd.DataFrame,
    classes: tuple[str, ...],
    pictures: Pictures,
    online: Variants | None,
    params: Params,
) -> Exported:
    copies = rows["copy"].to_numpy(np.int64)
    names = [export_name(str(image), int(copy)) for image, copy in zip(rows["id"], copies, strict=True)]
    shards, places = rows["shard"].astype(str).tolist(), rows["row"].tolist()
    dataset = RowDataset(rows, pictures.images, classes, params.ingest.size, online)

    def data(position: int) -> bytes:
        if online is not None and copies[position] > 0:
            return encode(dataset.pixels(position), params.ingest.encoding)
        try:
            return pictures.images.image(shards[position], places[position])
        except PipelineError as error:
            raise type(error)(f"{rows['id'].iloc[position]}: {error}") from error

    made_now = [online is not None and copy > 0 for copy in copies.tolist()]
    stands_for = [
        (split, position) if new else place
        for position, (new, place) in enumerate(zip(made_now, zip(shards, places, strict=True), strict=True))
    ]
    return Exported(split, rows, names, data, stands_for)


def _what(classes: Sequence[str]) -> str:
    return f"the number {classes[0]}" if isinstance(classes, Quantity) else f"{len(classes)} classes"


def _notes(splits: Sequence[Exported], classes: Sequence[str], online: Variants | None) -> list[str]:
    notes = []
    folders = folder_names(classes)
    if not isinstance(classes, LabelNames | Quantity) and sorted(folders.values()) != [
        folders[name] for name in classes
    ]:
        notes.append(
            "note: names of classes hold characters that no folder may have: their folders sort in another order, so "
            "take class numbers from metadata.csv"
        )
    if online is not None and any((each.rows["copy"] > 0).any() for each in splits):
        notes.append("note: augment.mode is online: variants are those of the first epoch")
    for each in () if isinstance(classes, LabelNames | Quantity) else splits:
        if missing := sorted(set(classes) - set(each.rows["label"].astype(str))):
            notes.append(
                f"note: {each.split} has no image of {', '.join(missing[:5])}: torchvision's ImageFolder wants "
                "allow_empty=True for it"
            )
    return notes
