"""Commands on images and the files that hold them."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import Workers, app, tell_uncommitted
from pipeline.names import printable

PANEL = "Images"


class Output(StrEnum):
    """What `pipeline audit` prints."""

    TEXT = "text"
    JSON = "json"


class DataFormatName(StrEnum):
    """What `pipeline export` writes."""

    IMAGEFOLDER = "imagefolder"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"
    CROISSANT = "croissant"


class QueueBy(StrEnum):
    """How `pipeline label-queue` chooses."""

    UNCERTAINTY = "uncertainty"
    DIVERSITY = "diversity"
    RANDOM = "random"


@app.command(rich_help_panel=PANEL)
def preview(
    path: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE|FOLDER]", help="An image, or a folder of images.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Instead: images of this class, from the last ingest.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, max=20, help="Images of a folder or class.")] = 4,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Variants of each image.")] = 5,
    transforms: Annotated[
        str | None, typer.Option(metavar="YAML", help="A list as in params.yaml, used instead of the one there.")
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="The same for a preset.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Also show each transform alone, at p = 1.")] = False,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The sheet, a PNG file; replaced if it is there.")
    ] = Path("preview.png"),
) -> None:
    """Show what transforms make of some images, on one sheet, without running the pipeline."""
    from pipeline.errors import ParamsError
    from pipeline.project.params_file import load_params
    from pipeline.tools.preview import (
        check_output,
        examples_at,
        examples_of_class,
        preview_sheet,
        with_transforms,
        write_sheet,
    )
    from pipeline.workers.engine import Engine

    chosen, notes = with_transforms(load_params(), transforms, preset)
    check_output(output, chosen, path)
    if path is not None and label is None:
        # One process: most previews show a handful of images.
        (examples, remarks), title = examples_at(path, images, chosen, output, Engine(1)), f"Preview of {path}"
    elif label is not None and path is None:
        (examples, remarks), title = examples_of_class(label, images, chosen), f"Preview of the class {label}"
    else:
        raise ParamsError("nothing to show: name an image or a folder, or a class with --class")
    write_sheet(preview_sheet(examples, copies, each, chosen, title), output)
    for remark in [*notes, *remarks]:
        print(printable(f"note: {remark}"), file=sys.stderr)
    print(printable(str(output)))


@app.command(rich_help_panel=PANEL)
def outliers(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The sheet, .png, and beside it the table, .csv; replaced if there.")
    ] = Path("outliers.png"),
    workers: Workers = None,
) -> None:
    """Show the images of train, train_dev and dev that look like few others of their class; nothing is removed.

    By embeddings, or by small pictures where embed.backbone is null. Images of test are neither shown nor compared.
    """
    from pipeline.tools.outliers import write_outliers
    from pipeline.workers.engine import Engine, choose_workers

    print(printable(write_outliers(output, Engine(choose_workers(workers)))))


@app.command(rich_help_panel=PANEL)
def audit(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="Tables: .arrow, .csv, .parquet or .jsonl.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder that the paths of a table start in; the table's own if not given.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Look for re-encoded, resized, brightened and cropped copies.")] = True,
    scenes: Annotated[
        bool, typer.Option(help="Look for images of one scene, taken a step aside; about 30 ms an image.")
    ] = True,
    scene_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the pairs of images that show one scene here, as CSV.")
    ] = None,
    scene_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show these pairs side by side here, as PNG.")
    ] = None,
    min_per_class: Annotated[int, typer.Option(min=1, help="Fewer images of a class in a split are a gap.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all findings here.")
    ] = None,
    output: Annotated[Output, typer.Option("--format", help="What is printed.")] = Output.TEXT,
    workers: Workers = None,
) -> None:
    """Report leaks, class gaps and mismatch of any split, this pipeline's or another tool's.

    A table has a row an image and the columns path, label and split; group, role and sha256 if there are any.
    The command ends with exit code 8 if an image leaks from one split into another.
    """
    from pipeline.tools.audit.audit import SceneOptions, find, outcome, write_json
    from pipeline.tools.audit.rendering import render
    from pipeline.workers.engine import Engine, choose_workers

    options = SceneOptions(scenes, scene_table, scene_sheet)
    report = find(manifests, root, near, min_per_class, Engine(choose_workers(workers)), options)
    if json_file is not None:
        write_json(report, json_file)
    print(json.dumps(report, indent=2, sort_keys=True) if output is Output.JSON else printable(render(report)))
    outcome(report)


@app.command(rich_help_panel=PANEL)
def label_queue(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A production source labelled in Label Studio.")],
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 100,
    by: Annotated[
        QueueBy | None,
        typer.Option("--by", help="How they are chosen; uncertainty if there is a model, else diversity."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the tasks go; the labelling interface goes beside.")] = Path(
        "label-queue.json"
    ),
    workers: Workers = None,
) -> None:
    """Write the unlabelled images that are most worth a label as an import file for Label Studio."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.label_queue.label_queue import label_queue, write_queue
    from pipeline.workers.engine import Engine, choose_workers

    queue = label_queue(source, load_params(), count, by and by.value, Engine(choose_workers(workers)))
    interface = write_queue(queue, output)
    print(printable(f"{queue.summary}: {output}; labelling interface of a new project: {interface}"))


@app.command(rich_help_panel=PANEL)
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet, or empty.")],
    format_name: Annotated[DataFormatName, typer.Option("--format", help="What opens it: see docs/data.md.")],
    test: Annotated[
        bool, typer.Option("--test", help="Also export test; the ledger counts it as one more test evaluation.")
    ] = False,
) -> None:
    """Write the prepared images of the last run for other programs: the splits, with balance and variants.

    The same run gives the same bytes. Beside each image are its class, group, source, role, weight and copy number.
    """
    from pipeline.project.params_file import load_params
    from pipeline.tools.export import export as write

    print(printable(write(folder, format_name.value, test, load_params())))
    if test:
        tell_uncommitted()


@app.command(rich_help_panel=PANEL)
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a person.")] = False,
    workers: Workers = None,
) -> None:
    """Look for what a run would trip over: dead locks, damaged objects and shards, files that DVC cannot read.

    Every object of DVC's cache is hashed, every image of every shard decoded. The command ends with exit
    code 9 if something is wrong and not mended.
    """
    from pipeline.tools.doctor import examine, outcome, render
    from pipeline.workers.engine import Engine, choose_workers

    checks = examine(fix, Engine(choose_workers(workers)))
    print(printable(render(checks)))
    outcome(checks)
