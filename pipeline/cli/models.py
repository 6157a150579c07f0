"""Commands that try models, or use one."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import Workers, app
from pipeline.names import printable

PANEL = "Models"


class ModelFormatName(StrEnum):
    """What `pipeline export-model` writes."""

    ONNX = "onnx"
    TORCH = "torch"


@app.command("spot-check", rich_help_panel=PANEL)
def spot_check(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="Only this one; may be repeated. train.model: that of params.yaml."
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table here.")] = None,
    workers: Workers = None,
) -> None:
    """Try simple models and modest networks on the training set as it is, and rank them on dev.

    Nothing of the pipeline's own files changes. Each model is fitted by the params of `train`.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.spot_check.printing import print_table
    from pipeline.tools.spot_check.spot_check import Trial, check_all, trial_line
    from pipeline.workers.engine import Engine, choose_workers

    loaded = load_params()

    def show(trial: Trial) -> None:
        print(printable(trial_line(trial)), file=sys.stderr)

    table, images = check_all(loaded, models or [], csv, Engine(choose_workers(workers)), show)
    print_table(table, loaded, images, Console(highlight=False))


@app.command("lr-range", rich_help_panel=PANEL)
def lr_range(
    low: Annotated[float, typer.Option(min=1e-10, help="The first learning rate.")] = 1e-6,
    high: Annotated[float, typer.Option(max=100, help="The last one.")] = 10.0,
    steps: Annotated[int, typer.Option(min=10, max=100_000, help="Batches, each at a rate of its own.")] = 100,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The curve: .csv and .png of this name; replaced if there.")
    ] = Path("lr-range.png"),
    workers: Workers = None,
) -> None:
    """Suggest a learning rate: train while it rises, and see where the loss falls fastest (Smith, 2017)."""
    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools.lr_range import find_rate, write_curve
    from pipeline.workers.engine import Engine, choose_workers

    check_writable(output.with_suffix(".csv"), output.with_suffix(".png"))
    found = find_rate(load_params(), low, high, steps, Engine(choose_workers(workers)))
    csv, png = write_curve(found, output)
    print(f"train.learning_rate: {found.suggested:.2g}, {found.rule}")
    print(f"{csv}, {png}: the loss at each rate; larger batches, or more regularisation, ask for another test")


@app.command("learning-curve", rich_help_panel=PANEL)
def learning_curve(
    sizes: Annotated[
        int, typer.Option(min=3, max=10, help="Sizes of train, each twice the one before it; the last is all of it.")
    ] = 4,
    seeds: Annotated[int, typer.Option(min=2, max=50, help="Fits at each size, each to other images.")] = 3,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The curves: .csv and .png of this name; replaced if there.")
    ] = Path("learning-curve.png"),
    workers: Workers = None,
) -> None:
    """Say whether twice the images would help, and of which source: fit train.model to nested parts of train.

    With raw and production images there are three curves: all of train grows, raw images alone, or production
    images alone. Nothing of the pipeline's own files changes. Finished fits are kept in data/learning-curve: a run
    that was stopped goes on from them, and so does one with more seeds or sizes.
    """
    from pipeline.diagnosis.learning_curve import render
    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools import learning_curve as learning
    from pipeline.workers.engine import Engine, choose_workers

    check_writable(output.with_suffix(".csv"), output.with_suffix(".png"))
    loaded, engine = load_params(), Engine(choose_workers(workers))
    planned = learning.plan(loaded, sizes, seeds)
    print(planned.summary(), file=sys.stderr)
    found = learning.learning_curve(loaded, planned, engine)
    csv, png = learning.write_result(found, output)
    for one in found.answers:
        print(render(one))
    for note in found.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    print(f"{csv}, {png}: the points and the curves through them")


@app.command(rich_help_panel=PANEL)
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's file: .safetensors, or .onnx.")],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="Files, folders, patterns, or - for names from standard input."),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes are named of each image.")] = 3,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
    workers: Workers = None,
) -> None:
    """Say what a model sees in images: the likeliest classes of each, with their probabilities.

    The model's file is all that is needed. A file that cannot be used has a line that says why, and the command
    then ends with exit code 5.
    """
    from pipeline.errors import DataError
    from pipeline.tools.image_files import find_files
    from pipeline.tools.predict import answers, read_model
    from pipeline.workers.engine import Engine, choose_workers

    trained = read_model(model)
    files = find_files(images, sys.stdin)
    width = min(60, max(len(path) for path, _ in files))
    refused = 0
    for answer in answers(trained, files, top, Engine(choose_workers(workers))):
        refused += answer.refused is not None
        print(json.dumps(answer.as_json(), ensure_ascii=False) if json_lines else printable(answer.as_line(width)))
    if refused:
        raise DataError(f"{refused} of {len(files)} files could not be used: the line of each says why")


@app.command("export-model", rich_help_panel=PANEL)
def export_model(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file, .onnx or .pt2; replaced if it is there.")],
    format_name: Annotated[
        ModelFormatName | None, typer.Option("--format", help="By the ending of FILE if not given.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The model to export; that of the last run if not given.")
    ] = None,
) -> None:
    """Write the model for programs without this package, as ONNX or as a graph of torch.

    The file takes pixels of 0 to 255 and gives probabilities, for any number of images at once. It is written only if
    its probabilities agree with the model's (1e-5) on images of dev. Its metadata name the classes, the size and the
    normalisation.
    """
    from pipeline.tools.export_model import write_model

    print(printable(write_model(output, format_name and format_name.value, model)))
