"""Commands on images and the files that hold them."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import Workers, app
from pipeline.names import printable

PANEL = "Images"


class Output(StrEnum):
    """What `pipeline audit` prints."""

    TEXT = "text"
    JSON = "json"


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
        str | None, typer.Option("--class", metavar="NAME", help="Show images of this class from the last ingest.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, max=20, help="Number of images of a folder or class.")] = 4,
    copies: Annotated[int, typer.Option(min=1, max=20, help="Number of variants per image.")] = 5,
    transforms: Annotated[
        str | None, typer.Option(metavar="YAML", help="Use this list of transforms instead of the one in params.yaml.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Use this preset instead: light, photo, document or digits.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Also show each transform alone, with p = 1.")] = False,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="PNG file to write; an existing one is replaced.")
    ] = Path("preview.png"),
) -> None:
    """Draw images beside their variants on one contact sheet, without running the pipeline."""
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
        raise ParamsError("name what to show: either an image or a folder, or a class with --class")
    write_sheet(preview_sheet(examples, copies, each, chosen, title), output)
    for remark in [*notes, *remarks]:
        print(printable(f"note: {remark}"), file=sys.stderr)
    print(printable(str(output)))


@app.command(rich_help_panel=PANEL)
def audit(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="Tables to check: .arrow, .csv, .parquet or .jsonl.")
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that the paths in a table are relative to; default: the table's own folder."),
    ] = None,
    near: Annotated[
        bool, typer.Option(help="Look for near-duplicates: re-encoded, resized, brightened and cropped copies.")
    ] = True,
    min_per_class: Annotated[
        int, typer.Option(min=1, help="Report a class with fewer images in a split as a gap.")
    ] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all findings to this JSON file.")
    ] = None,
    output: Annotated[Output, typer.Option("--format", help="Print text or JSON.")] = Output.TEXT,
    workers: Workers = None,
) -> None:
    """Check any split for leaks, class gaps and mismatch, made by this pipeline or by another tool.

    A table has one row per image, with the columns path, label and split; group, role and sha256 are optional. The
    command ends with exit code 8 if an image leaks from one split into another.
    """
    from pipeline.tools.audit.audit import find, outcome, write_json
    from pipeline.tools.audit.leaks import in_words
    from pipeline.workers.engine import Engine, choose_workers

    report = find(manifests, root, near, min_per_class, Engine(choose_workers(workers)))
    if json_file is not None:
        write_json(report, json_file)
    print(json.dumps(report, indent=2, sort_keys=True) if output is Output.JSON else printable(in_words(report)))
    outcome(report)


@app.command(rich_help_panel=PANEL)
def label_queue(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Name of a production source whose labels come from Label Studio.")
    ],
    count: Annotated[int, typer.Option(min=1, help="Number of images to choose.")] = 100,
    by: Annotated[
        QueueBy | None,
        typer.Option("--by", help="How to choose them; default: uncertainty if there is a model, otherwise diversity."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="File for the tasks; the labelling interface is written beside it, as .xml.")
    ] = Path("label-queue.json"),
    workers: Workers = None,
) -> None:
    """Choose the unlabelled images most worth a label, and write them as an import file for Label Studio."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.label_queue.label_queue import label_queue, write_queue
    from pipeline.workers.engine import Engine, choose_workers

    queue = label_queue(source, load_params(), count, by and by.value, Engine(choose_workers(workers)))
    interface = write_queue(queue, output)
    print(printable(f"{queue.words}: {output}; labelling interface of a new project: {interface}"))


@app.command(rich_help_panel=PANEL)
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Repair what needs no decision of yours.")] = False,
    workers: Workers = None,
) -> None:
    """Check what would make a run fail: stale locks, damaged files, and source files that DVC cannot read.

    It hashes every object in DVC's cache and decodes every image in every shard. The command ends with exit code 9 if
    a problem remains.
    """
    from pipeline.tools.doctor import examine, in_words, outcome
    from pipeline.workers.engine import Engine, choose_workers

    parts = examine(fix, Engine(choose_workers(workers)))
    print(printable(in_words(parts)))
    outcome(parts)
