"""Preview transforms on a contact sheet of a file, a folder or a class, without running the pipeline.

Pictures are as ingest makes them, variants as augment makes them. Not here: what balance adds, and
what `match_production` does, which is fitted to a whole training set.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, ParamsError, listing
from pipeline.images.pixels import Pixels, decode, encode
from pipeline.images.rejection import Rejection
from pipeline.manifest import NO_LABEL, TRAIN
from pipeline.names import clean
from pipeline.project.params_file import PARAMS_FILE, Params, check_params
from pipeline.randomness import keyed_uniform
from pipeline.sheets.contact_sheets import Shown, choose_images, transform_line, transform_lines, variants_png
from pipeline.sources.scan import scan
from pipeline.store.arrow import open_arrow
from pipeline.store.artifacts import binary
from pipeline.store.refusals import refusals
from pipeline.store.shards import ShardReader
from pipeline.store.writing import replacing
from pipeline.tools.image_files import pictures
from pipeline.transforms.params import Transform, expand
from pipeline.transforms.transforms import Transforms, build_transform, check_transforms, make_variant
from pipeline.workers.engine import Engine
from pipeline.yaml_values import yaml_values

# Files of a folder that are tried when none of them is an image.
MAX_TRIED = 100


@dataclass(frozen=True)
class Example:
    """An image as ingest makes it."""

    id: str
    label: str
    role: str | None
    pixels: Pixels


def with_transforms(params: Params, transforms: str | None, preset: str | None) -> tuple[Params, list[str]]:
    """The params, with a list of transforms as YAML or a preset's in place of theirs; and the library's remarks.

    Raises:
        ParamsError: both are given, or the list breaks a rule; if none is, that of the params does.
    """
    if transforms is not None and preset is not None:
        raise ParamsError("--transforms and --preset were both given: use one of them")
    place = PARAMS_FILE.name
    if transforms is not None:
        place = "--transforms"
        try:
            values = yaml_values(transforms)
        except ValueError as error:
            raise ParamsError(f"{place} {error}") from error
        params = _replaced(params, values, place)
    if preset is not None:
        place = "--preset"
        params = _replaced(params, [{"preset": preset}], place)
    if not params.augment.transforms:
        raise ParamsError(f"{place} has no transforms: name some with --transforms or --preset")
    try:
        return params, check_transforms(params.augment.transforms, params.ingest.size)
    except ParamsError as error:
        # What is wrong stands there, and not in params.yaml.
        raise ParamsError(str(error).replace(PARAMS_FILE.name, place, 1)) from error


def check_output(output: Path, params: Params, target: Path | None) -> None:
    """Raise ParamsError unless the contact sheet may be written to this path.

    Raises:
        ParamsError: another kind of file, the image that is looked at, a folder, or among a source's images.
    """
    if output.suffix.lower() != ".png":
        raise ParamsError(f"--output {output}: the contact sheet is a PNG file, so its name must end in .png")
    with refusals(output):
        if output.is_dir():
            raise ParamsError(f"--output {output} is a folder: name a file in it")
        if target is not None and target.exists() and output.exists() and output.samefile(target):
            raise ParamsError(f"--output {output} is the image itself: name another file")
        for name, source in params.sources.items():
            if output.resolve().is_relative_to(Path(source.path).resolve()):
                raise ParamsError(
                    f"--output {output} is inside the source {name}, and the next run would read it as "
                    "an image: name another folder"
                )


def examples_at(
    path: Path, count: int, params: Params, output: Path, engine: Engine
) -> tuple[list[Example], list[str]]:
    """The image in a file, or some of a folder's by keyed chance, its folders in turn; and remarks on others.

    Of a source's folder those of train are shown, once there is a split. Pictures are made in processes: a hostile
    file may end one.

    Raises:
        MissingInputError: there is nothing of this name.
        DataError: no image in it can be used.
    """
    with refusals(path):
        if not path.exists():
            raise MissingInputError(f"{path} is missing: name an image, a folder of images, or a class with --class")
        if path.is_file():
            [picture] = pictures([str(path)], params.ingest, engine, "preview")
            if isinstance(picture, Rejection):
                raise DataError(f"{path} cannot be shown: {picture.reason}: {picture.detail}")
            return [_example(path, path.name, picture, params)], []
        if not path.is_dir():
            raise DataError(f"{path} is neither a file nor a folder: name an image or a folder of images")
        own = output.resolve()
        files = [name for name in scan(path).files if (path / name).resolve() != own]
    files, remarks = _of_train(path, files, params)
    found: list[Example] = []
    refused: list[str] = []
    names = iter(_in_turn(files, params.augment.seed))
    while len(found) < count and len(refused) < MAX_TRIED:
        some = list(islice(names, min(count - len(found), MAX_TRIED - len(refused))))
        if not some:
            break
        made = pictures([str(path / name) for name in some], params.ingest, engine, "preview")
        for name, picture in zip(some, made, strict=True):
            if isinstance(picture, Rejection):
                refused.append(f"{name} ({picture.reason})")
            else:
                found.append(_example(path / name, name, picture, params))
    if not found:
        tried = (
            f"of {len(files)} files, {len(refused)} were tried: {listing(refused, 3)}" if files else "it has no files"
        )
        raise DataError(f"{path} has no readable image: {tried}")
    skipped = [f"{path}: not images, or unreadable: {listing(refused)}"] if refused else []
    return sorted(found, key=lambda example: (example.label, example.id)), [*remarks, *skipped]


def examples_of_class(label: str, count: int, params: Params) -> tuple[list[Example], list[str]]:
    """Some images of a class by keyed chance, raw and production in turn, as the last ingest left them.

    Once there is a split, of train alone: who looks at other images and then chooses, has chosen by them.

    Raises:
        MissingInputError: nothing is ingested.
        ParamsError: no source has such a class.
        DataError: train has none of its images.
    """
    label = clean(label)
    paths = [Path(catalogue.INGESTED.named(name=name).path) for name in params.sources]
    there = [path for path in paths if path.exists()] or paths[:1]
    parts = [open_arrow(path).select(["id", "label", "role", "shard", "row"]) for path in there]
    labels = sorted({name for part in parts for name in pc.unique(part["label"]).to_pylist()} - {NO_LABEL})
    if label not in labels:
        near = difflib.get_close_matches(label, labels, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; it has {listing(labels, 20)}"
        raise ParamsError(f"--class {label}: the last ingest has no such class{hint}")
    rows = pa.concat_tables([part.filter(pc.equal(part["label"].cast(pa.string()), label)) for part in parts])
    rows = rows.unify_dictionaries().to_pandas()
    split = Path(catalogue.SPLIT.path)
    if split.exists():
        rows = rows[rows["id"].isin(_train_ids(split))]
        if rows.empty:
            raise DataError(f"--class {label}: {split} has none of its images in train; run `dvc repro split`")
    reader = ShardReader(Path(catalogue.ORIGINALS.path))
    chosen = rows.iloc[choose_images(rows, params.augment.seed, images=count)].itertuples(index=False)
    examples = [
        Example(str(row.id), label, str(row.role), decode(reader.image(str(row.shard), int(row.row)))) for row in chosen
    ]
    size = len(examples[0].pixels)
    changed = f"the images are from the last ingest, {size} pixels per side; ingest.size is {params.ingest.size}"
    return examples, [changed] if size != params.ingest.size else []


def preview_sheet(examples: Sequence[Example], copies: int, each: bool, params: Params, title: str) -> bytes:
    """A PNG: each image beside so many variants through all transforms, then through each alone at p = 1 if asked.

    Raises:
        ParamsError: a transform that cannot be used.
    """
    augment = params.augment
    listed = expand(augment.transforms)
    whole = build_transform(augment.transforms)
    shown = [
        _shown(example, "All transforms, in order" if each else example.label, whole, copies, params)
        for example in examples
    ]
    for item in listed if each else ():
        alone = Transform.model_validate({**item.model_dump(), "p": 1.0})
        step = build_transform([alone])
        shown += [_shown(example, transform_line(alone), step, copies, params) for example in examples]
    size = len(examples[0].pixels)
    lines = [
        f"{size} pixels per side, as the model sees them; variants as in mode {augment.mode}.",
        *(["Without match_production, which is fitted to a whole training set."] if augment.match_production else []),
        *transform_lines(listed),
    ]
    return variants_png(title, lines, shown)


def write_sheet(sheet: bytes, output: Path) -> None:
    """Write the contact sheet to its file, completely or not at all."""
    with replacing(output) as half:
        binary(str(output)).write(sheet, half)


def _replaced(params: Params, transforms: Any, name: str) -> Params:
    values = params.model_dump(mode="json")
    values["augment"]["transforms"] = transforms
    return check_params(values, name)


def _shown(example: Example, heading: str, transform: Transforms, copies: int, params: Params) -> Shown:
    variants = [(f"variant {copy}", _variant(example, transform, copy, params)) for copy in range(1, copies + 1)]
    return Shown(example.id, heading, example.role, example.pixels, variants)


def _variant(example: Example, transform: Transforms, copy: int, params: Params) -> Pixels:
    """What training would see: from a shard, or as it is made in epoch 0."""
    seed = params.augment.seed
    if params.augment.mode == "online":
        return make_variant(example.pixels, transform, seed, example.id, copy, 0)
    return decode(encode(make_variant(example.pixels, transform, seed, example.id, copy), params.ingest.encoding))


def _example(path: Path, name: str, pixels: Pixels, params: Params) -> Example:
    """A file of a source is called as ingest calls it, so that its variants are those of training."""
    found = _place_in_source(path, params)
    if found is None:
        return Example(name, name.partition("/")[0] if "/" in name else path.parent.name, None, pixels)
    source_name, place = found
    source = params.sources[source_name]
    label = place.parts[0] if source.labels.name == "folders" and len(place.parts) > 1 else NO_LABEL
    return Example(f"{source_name}/{place.as_posix()}", label, source.role, pixels)


def _place_in_source(path: Path, params: Params) -> tuple[str, Path] | None:
    """The source that a file or folder lies in, and its path there."""
    with refusals(path):
        for name, source in params.sources.items():
            root, inside = (Path(source.path) / (source.inside or "")).resolve(), path.resolve()
            if inside.is_relative_to(root):
                return name, inside.relative_to(root)
    return None


def _of_train(folder: Path, files: list[str], params: Params) -> tuple[list[str], list[str]]:
    """The files of a source's folder that are in train, once there is a split; all, and a remark, where none is."""
    found, split = _place_in_source(folder, params), Path(catalogue.SPLIT.path)
    if found is None or not split.exists():
        return files, []
    source, place = found
    train = frozenset(_train_ids(split))
    kept = [name for name in files if f"{source}/{(place / name).as_posix()}" in train]
    if kept:
        return kept, []
    return files, [f"{folder} has no training images: choosing transforms by these images is choosing by dev or test"]


def _in_turn(files: Sequence[str], seed: int) -> Iterator[str]:
    """The files in an order of keyed chance, one of each folder in turn."""
    names = np.array(files, dtype=object)
    folders: dict[str, list[str]] = {}
    for name in names[np.argsort(keyed_uniform(seed, "preview", names), kind="stable")]:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for turn in zip_longest(*(folders[folder] for folder in sorted(folders))):
        yield from (name for name in turn if name is not None)


def _train_ids(split: Path) -> Any:
    table = open_arrow(split).select(["id", "split"])
    return table.filter(pc.equal(table["split"].cast(pa.string()), TRAIN))["id"].to_pandas()
