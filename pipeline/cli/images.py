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
        str | None,
        typer.Option("--class", metavar="NAME", help="Show images of this class from the last ingest instead."),
    ] = None,
    images: Annotated[int, typer.Option(min=1, max=20, help="Number of images to take from a folder or class.")] = 4,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Number of variants per image.")] = 5,
    transforms: Annotated[
        str | None,
        typer.Option(
            metavar="YAML", help="Transforms to use instead of those in params.yaml; a list in the same form."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Preset to use instead of the transforms in params.yaml.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Also show each transform alone, at p = 1.")] = False,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="PNG file to write. An existing file is replaced.")
    ] = Path("preview.png"),
) -> None:
    """Draw images beside their variants on a contact sheet, without running the pipeline."""
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
        raise ParamsError("nothing to show: name an image, a folder, or a class with --class")
    write_sheet(preview_sheet(examples, copies, each, chosen, title), output)
    for remark in [*notes, *remarks]:
        print(printable(f"note: {remark}"), file=sys.stderr)
    print(printable(str(output)))


@app.command(rich_help_panel=PANEL)
def outliers(
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help=(
                "PNG file to write, with the images. The table is written next to it, as .csv. Existing files are "
                "replaced."
            ),
        ),
    ] = Path("outliers.png"),
    workers: Workers = None,
) -> None:
    """Show the images of train, train_dev and dev that look unlike the others of their class; nothing is removed.

    Images are compared by their embeddings, or by small pictures if embed.backbone is null. Images of test are neither
    shown nor compared.
    """
    from pipeline.tools.outliers import write_outliers
    from pipeline.workers.engine import choose_engine

    print(printable(write_outliers(output, choose_engine(workers))))


@app.command(rich_help_panel=PANEL)
def audit(
    manifests: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="Tables that list the images: .arrow, .csv, .parquet or .jsonl."),
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that the paths in a table are relative to; by default, the table's own folder."),
    ] = None,
    near: Annotated[
        bool, typer.Option(help="Look for copies that were re-encoded, resized, brightened or cropped.")
    ] = True,
    scenes: Annotated[
        bool,
        typer.Option(
            help="Look for images of the same scene from slightly different viewpoints; takes about 30 ms per image."
        ),
    ] = True,
    scene_table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV file to write, with the pairs of images that show one scene."),
    ] = None,
    scene_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PNG file to write, with these pairs side by side.")
    ] = None,
    min_per_class: Annotated[
        int, typer.Option(min=1, help="Report a class that has fewer images than this in a split.")
    ] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all findings to this file, as JSON.")
    ] = None,
    output: Annotated[Output, typer.Option("--format", help="Format of the output.")] = Output.TEXT,
    workers: Workers = None,
) -> None:
    """Check any train/test split for leaks, missing classes and mismatch, whichever tool made it.

    A table has one row per image, with the columns path, label and split, and optionally group, role and sha256.
    The exit code is 8 if an image leaks from one split into another.
    """
    from pipeline.tools.audit.audit import SceneOptions, find, outcome, write_json
    from pipeline.tools.audit.rendering import render
    from pipeline.workers.engine import choose_engine

    options = SceneOptions(scenes, scene_table, scene_sheet)
    report = find(manifests, root, near, min_per_class, choose_engine(workers), options)
    if json_file is not None:
        write_json(report, json_file)
    print(json.dumps(report, indent=2, sort_keys=True) if output is Output.JSON else printable(render(report)))
    outcome(report)


@app.command(rich_help_panel=PANEL)
def label_queue(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Name of a production source that you label in Label Studio.")
    ],
    count: Annotated[int, typer.Option(min=1, help="Number of images to choose.")] = 100,
    by: Annotated[
        QueueBy | None,
        typer.Option(
            "--by", help="How to choose them: diversity is the default; use random for images of dev and test."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="File to write the tasks to. The labelling interface is written next to it.")
    ] = Path("label-queue.json"),
    workers: Workers = None,
) -> None:
    """Choose the unlabelled images whose labels would help most, and write them as an import file for Label Studio."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.label_queue.label_queue import label_queue, write_queue
    from pipeline.workers.engine import choose_engine

    queue = label_queue(source, load_params(), count, by and by.value, choose_engine(workers))
    interface = write_queue(queue, output)
    print(printable(f"{queue.summary}: {output}; labelling interface of a new project: {interface}"))


@app.command(rich_help_panel=PANEL)
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; it must be empty or not exist yet.")],
    format_name: Annotated[
        DataFormatName,
        typer.Option("--format", help="Format of the dataset. docs/data.md says which programs open it."),
    ],
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Also export test. This counts as a test evaluation and is recorded in the ledger."
        ),
    ] = False,
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="With imagefolder: write repeats of a picture as hard links to one file, not as copies."
        ),
    ] = False,
) -> None:
    """Export the prepared images of the last run, split, balanced and augmented, for other programs.

    Each image comes with its class, group, source, role, weight and copy number. The same run gives the same bytes.
    """
    from pipeline.project.params_file import load_params
    from pipeline.tools.export import export as write

    print(printable(write(folder, format_name.value, test, load_params(), link)))
    if test:
        tell_uncommitted()


@app.command(rich_help_panel=PANEL)
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Repair what needs no decision from you.")] = False,
    workers: Workers = None,
) -> None:
    """Find what would make a run fail: stale locks, damaged files, and files that DVC cannot read.

    This hashes every object in DVC's cache and decodes every image in every shard. The exit code is 9 if a problem
    remains.
    """
    from pipeline.tools.doctor.doctor import examine
    from pipeline.tools.doctor.findings import outcome, render
    from pipeline.workers.engine import Engine, choose_workers

    checks = examine(fix, Engine(choose_workers(workers)))
    print(printable(render(checks)))
    outcome(checks)
