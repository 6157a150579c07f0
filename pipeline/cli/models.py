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
            "--model",
            metavar="NAME",
            help="Try only this model; may be repeated. train.model stands for the one in params.yaml.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table to this CSV file.")] = None,
    workers: Workers = None,
) -> None:
    """Fit simple models and small networks to the current training set, and rank them on dev.

    Each model is fitted with the params of `train`. The files of the pipeline do not change.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.spot_check.printing import print_table
    from pipeline.tools.spot_check.spot_check import Trial, check_all, trial_line
    from pipeline.workers.engine import choose_engine

    loaded = load_params()

    def show(trial: Trial) -> None:
        print(printable(trial_line(trial)), file=sys.stderr)

    table, images = check_all(loaded, models or [], csv, choose_engine(workers), show)
    print_table(table, loaded, images, Console(highlight=False))


@app.command("reframe", rich_help_panel=PANEL)
def reframe(
    order: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="The classes in their order, from the least to the most.")
    ] = None,
    tree: Annotated[
        str | None, typer.Option(metavar="YAML", help="The classes in groups: '{fruit: [apple, pear], car: null}'.")
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Costs of mistakes, as {ACTUAL: {PREDICTED: 5.0}}; by default, those of evaluate.optimizing.",
        ),
    ] = None,
    otherwise: Annotated[float, typer.Option(min=0, help="Cost of each mistake that --costs does not name.")] = 1.0,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table to this CSV file.")] = None,
    workers: Workers = None,
) -> None:
    """Try other framings of the problem on embeddings: an order, a tree, classes merged, one class against the rest.

    Each framing and today's one are measured on the same images. No file of the pipeline changes. The command prints
    the params of framings that are better beyond noise.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.store.artifacts import table
    from pipeline.store.writing import check_writable, replacing
    from pipeline.tools.reframe.printing import print_table, table_of
    from pipeline.tools.reframe.reframe import reframe as try_framings
    from pipeline.tools.reframe.wishes import wishes_of
    from pipeline.workers.engine import Engine, choose_workers

    if csv is not None:
        check_writable(csv)
    found = try_framings(load_params(), wishes_of(order, tree, costs, otherwise), Engine(choose_workers(workers)))
    if csv is not None:
        with replacing(csv) as half:
            table(str(csv)).write(table_of(found.results), half)
    print_table(found, Console(highlight=False))


@app.command("lr-range", rich_help_panel=PANEL)
def lr_range(
    low: Annotated[float, typer.Option(min=1e-10, help="Learning rate of the first batch.")] = 1e-6,
    high: Annotated[float, typer.Option(max=100, help="Learning rate of the last batch.")] = 10.0,
    steps: Annotated[
        int, typer.Option(min=10, max=100_000, help="Number of batches; the rate rises from one to the next.")
    ] = 100,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Write the curve to a .csv and a .png file of this name. Existing files are replaced."
        ),
    ] = Path("lr-range.png"),
    workers: Workers = None,
) -> None:
    """Suggest a learning rate: raise it from batch to batch, and find where the loss falls fastest (Smith, 2017)."""
    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools.lr_range import find_rate, write_curve
    from pipeline.workers.engine import choose_engine

    check_writable(output.with_suffix(".csv"), output.with_suffix(".png"))
    found = find_rate(load_params(), low, high, steps, choose_engine(workers))
    csv, png = write_curve(found, output)
    print(f"train.learning_rate: {found.suggested:.2g}, {found.rule}")
    print(f"{csv}, {png}: the loss at each rate. Repeat the test after you change the batch size or the regularisation")


@app.command("learning-curve", rich_help_panel=PANEL)
def learning_curve(
    sizes: Annotated[
        int,
        typer.Option(
            min=3, max=10, help="Number of sizes of train. Each is twice the previous one; the last is all of train."
        ),
    ] = 4,
    seeds: Annotated[int, typer.Option(min=2, max=50, help="Number of fits per size, each to different images.")] = 3,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Write the curves to a .csv and a .png file of this name. Existing files are replaced."
        ),
    ] = Path("learning-curve.png"),
    workers: Workers = None,
) -> None:
    """Predict whether twice as many training images would help, and of which role.

    This fits train.model to parts of train that double in size. If train has raw and production images, there are
    three curves: one where all of train grows, one for raw images only, and one for production images only. The files
    of the pipeline do not change. Finished fits are kept in data/learning-curve, so that a stopped run, or one with
    more seeds or sizes, continues from them.
    """
    from pipeline.diagnosis.learning_curve import render
    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools import learning_curve as learning
    from pipeline.workers.engine import choose_engine

    check_writable(output.with_suffix(".csv"), output.with_suffix(".png"))
    loaded, engine = load_params(), choose_engine(workers)
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
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The file of a model: .safetensors or .onnx.")],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="Files, folders, patterns, or - for names from standard input."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print per image.")] = 3,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    workers: Workers = None,
) -> None:
    """Predict the classes of images, and print the most likely ones with their probabilities.

    A model of problem multi_label prints all labels above their thresholds, or (none). You need only the model's file.
    One of problem regression prints its number. If a file cannot be used, its line says why, and the exit code is 5.
    """
    from pipeline.errors import DataError
    from pipeline.tools.image_files import find_files
    from pipeline.tools.predict import answers, read_model
    from pipeline.workers.engine import choose_engine

    trained = read_model(model)
    # Where it is closed, Python has none.
    files = find_files(images, sys.stdin or ())
    width = min(60, max(len(path) for path, _ in files))
    refused = 0
    for answer in answers(trained, files, top, choose_engine(workers)):
        refused += answer.refused is not None
        print(json.dumps(answer.as_json(), ensure_ascii=False) if json_lines else printable(answer.as_line(width)))
    if refused:
        raise DataError(f"{refused} of {len(files)} files could not be used: their lines say why")


@app.command("export-model", rich_help_panel=PANEL)
def export_model(
    output: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write: .onnx or .pt2. An existing file is replaced.")
    ],
    format_name: Annotated[
        ModelFormatName | None,
        typer.Option("--format", help="Format of the file; by default, the one that its ending stands for."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Model to export; by default, the model of the last run.")
    ] = None,
) -> None:
    """Export the model for programs that do not have this package, as ONNX or as a torch graph.

    The exported model takes pixels from 0 to 255 in batches of any size, and returns probabilities. The file is written
    only if these agree with the model's on images of dev (to 1e-5). Its metadata name the classes, the picture size and
    the normalisation.
    """
    from pipeline.tools.export_model import write_model

    print(printable(write_model(output, format_name and format_name.value, model)))


@app.command(rich_help_panel=PANEL)
def tune(
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of models to fit, including those of an interrupted search.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Start no trial after this many minutes.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Run the winner as a DVC experiment, if it is better beyond chance.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Models to fit at the same time. With more than one, results vary from run to run."),
    ] = 1,
) -> None:
    """Search for better params, as the section `tune` of params.yaml says, and compare the winner with your params.

    The models are fitted in memory and measured on dev. The winner holds all limits of evaluate.satisficing. Run the
    same command to resume an interrupted search. `tune/trials.csv` lists all trials.
    """
    from rich.console import Console

    from pipeline.tools.tune import tune as tuning
    from pipeline.tools.tune.outcome import print_outcome
    from pipeline.workers.engine import Engine

    def show(line: str) -> None:
        print(printable(line), file=sys.stderr)

    found = tuning.tune(trials, minutes, Engine(workers), show)
    print_outcome(found, Console(highlight=False))
    if apply and found.better:
        sys.exit(tuning.apply(found))


@app.command(rich_help_panel=PANEL)
def improve(
    runs: Annotated[
        int | None,
        typer.Option(help="Number of experiments to run from this commit, including those of an interrupted call."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Start no experiment after this many minutes, or one that would take longer.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be tried, and run nothing.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="At the end, apply the kept experiment to the workspace (`dvc exp apply`).")
    ] = False,
) -> None:
    """Run the diagnosis's advice as DVC experiments, and keep what is better on dev beyond noise.

    The advice with the highest expected gain per minute comes first. A model is kept only if it holds all limits of
    evaluate.satisficing. Test is not read. The workspace is restored after each experiment, and after Ctrl-C. Run the
    same command to resume. improve/log.jsonl lists all tries.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.improve import improve as improving
    from pipeline.tools.improve.outcome import print_outcome, print_plan

    def show(line: str) -> None:
        print(printable(line), file=sys.stderr)

    console, loaded = Console(highlight=False), load_params()
    if dry_run:
        found = improving.dry_run(loaded, show)
        print_plan(found.moves, found.asks, found.blocking, found.searches, console)
        return
    print_outcome(improving.run(loaded, runs, minutes, apply, show), apply, console)
