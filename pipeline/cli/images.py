"""Commands for images and the files that hold them."""

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
    """The output formats of `pipeline audit`."""

    TEXT = "text"
    JSON = "json"


class QueueBy(StrEnum):
    """How `pipeline label-queue` chooses images."""

    UNCERTAINTY = "uncertainty"
    DIVERSITY = "diversity"
    RANDOM = "random"


@app.command(rich_help_panel=PANEL)
def preview(
    path: Annotated[
        Path | None, typer.Argument(metavar="[IMAGE|FOLDER]", help="An image or a folder of images.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Show images of this class instead, from the last ingest."),
    ] = None,
    images: Annotated[int, typer.Option(min=1, max=20, help="How many images of the folder or class to show.")] = 4,
    copies: Annotated[int, typer.Option(min=1, max=20, help="How many variants of each image to show.")] = 5,
    transforms: Annotated[
        str | None,
        typer.Option(
            metavar="YAML", help="A list of transforms, written as in params.yaml, to use instead of the one there."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A preset of transforms to use instead of the list in params.yaml."),
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Also show each transform on its own, with p = 1.")] = False,
    output: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Write the contact sheet to this PNG file; an existing file is replaced."),
    ] = Path("preview.png"),
) -> None:
    """Show on one contact sheet what the transforms do to some images, without running the pipeline."""
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
def audit(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="Tables to audit: .arrow, .csv, .parquet or .jsonl.")
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="Folder that the tables' paths are relative to; by default each table's own folder."),
    ] = None,
    near: Annotated[bool, typer.Option(help="Look for re-encoded, resized, brightened and cropped copies.")] = True,
    min_per_class: Annotated[
        int, typer.Option(min=1, help="Report a class gap where a split has fewer images of a class than this.")
    ] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all findings to this file.")
    ] = None,
    output: Annotated[Output, typer.Option("--format", help="Output format.")] = Output.TEXT,
    workers: Workers = None,
) -> None:
    """Report leaks, class gaps and mismatch in any split, made by this pipeline or by another tool.

    A table has one row per image and the columns path, label and split. The columns group, role and sha256 are
    optional. The command ends with exit code 8 if an image leaks from one split into another.
    """
    from pipeline.tools.audit.audit import find, outcome, write_json
    from pipeline.tools.audit.leaks import render
    from pipeline.workers.engine import Engine, choose_workers

    report = find(manifests, root, near, min_per_class, Engine(choose_workers(workers)))
    if json_file is not None:
        write_json(report, json_file)
    print(json.dumps(report, indent=2, sort_keys=True) if output is Output.JSON else printable(render(report)))
    outcome(report)


@app.command(rich_help_panel=PANEL)
def label_queue(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A production source labelled in Label Studio.")],
    count: Annotated[int, typer.Option(min=1, help="How many images to choose.")] = 100,
    by: Annotated[
        QueueBy | None,
        typer.Option("--by", help="How to choose them; by default uncertainty if there is a model, else diversity."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Write the tasks to this file, and the labelling interface next to it.")
    ] = Path("label-queue.json"),
    workers: Workers = None,
) -> None:
    """Write the unlabelled images that are most worth labelling to an import file for Label Studio."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.label_queue.label_queue import label_queue, write_queue
    from pipeline.workers.engine import Engine, choose_workers

    queue = label_queue(source, load_params(), count, by and by.value, Engine(choose_workers(workers)))
    interface = write_queue(queue, output)
    print(printable(f"{queue.summary}: {output}; labelling interface of a new project: {interface}"))


@app.command(rich_help_panel=PANEL)
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Fix the problems that need no decision of yours.")] = False,
    workers: Workers = None,
) -> None:
    """Check the workspace for stale locks, damaged cache objects and shards, and files that DVC cannot read.

    It hashes every object in DVC's cache and decodes every image in every shard. The command ends with exit
    code 9 if a problem is left.
    """
    from pipeline.tools.doctor import examine, outcome, render
    from pipeline.workers.engine import Engine, choose_workers

    checks = examine(fix, Engine(choose_workers(workers)))
    print(printable(render(checks)))
    outcome(checks)
