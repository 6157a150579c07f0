"""The `pipeline` command: one subcommand a stage, params, a summary of the last run, an audit of any split.

Exit codes: see pipeline/errors.py.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes; as many as usable cores if not given. Changes no result.", envvar="PIPELINE_WORKERS"
    ),
]


class Output(StrEnum):
    """What `pipeline audit` prints."""

    TEXT = "text"
    JSON = "json"


class QueueBy(StrEnum):
    """How `pipeline label-queue` chooses."""

    UNCERTAINTY = "uncertainty"
    DIVERSITY = "diversity"
    RANDOM = "random"


@app.command()
def sample(workers: Workers = None) -> None:
    """Write the demonstration images to data/sample."""
    _run("sample", workers)


@app.command()
def inventory(workers: Workers = None) -> None:
    """List the files of all sources, so that DVC need not look into their folders."""
    _run("inventory", workers)


@app.command()
def ingest(
    name: Annotated[str, typer.Argument(metavar="SOURCE", help="A name under `sources` in params.yaml.")],
    workers: Workers = None,
) -> None:
    """Read one source: verify, orient, resize and hash its images."""
    _run("ingest", workers, name)


@app.command()
def curate(workers: Workers = None) -> None:
    """Join the sources; remove exact duplicates, settle conflicting labels."""
    _run("curate", workers)


@app.command()
def split(workers: Workers = None) -> None:
    """Assign images to train, train_dev, dev and test."""
    _run("split", workers)


@app.command()
def balance(workers: Workers = None) -> None:
    """Over- or undersample the rows of train."""
    _run("balance", workers)


@app.command()
def augment(workers: Workers = None) -> None:
    """Generate variants of the training images."""
    _run("augment", workers)


@app.command()
def look(workers: Workers = None) -> None:
    """Show what training sees: sheets of images beside their variants, and of a batch."""
    _run("look", workers)


@app.command()
def train(workers: Workers = None) -> None:
    """Fit the model."""
    _run("train", workers)


@app.command()
def evaluate(workers: Workers = None) -> None:
    """Measure the model on train, train_dev and dev."""
    _run("evaluate", workers)


@app.command()
def suspects(workers: Workers = None) -> None:
    """List the images whose labels may be wrong."""
    _run("suspects", workers)


@app.command()
def diagnose(workers: Workers = None) -> None:
    """Say what holds the model back, and what to try next."""
    _run("diagnose", workers)


@app.command()
def test(workers: Workers = None) -> None:
    """Measure the model on test: the last look, not a way to choose."""
    _run("test", workers)


@app.command()
def conclude(workers: Workers = None) -> None:
    """Say what holds the model back once more, with test, after the look at it."""
    _run("conclude", workers)


@app.command()
def params(
    expanded: Annotated[
        bool, typer.Option("--expanded", help="Show what each preset of transforms stands for.")
    ] = False,
) -> None:
    """Check params.yaml, the transforms too, and print it."""
    from pipeline.core.augment.presets import expand
    from pipeline.core.augment.transforms import check_transforms
    from pipeline.params import PARAMS_FILE, PresetName, load_params, params_text

    loaded = load_params()
    for remark in check_transforms(loaded.augment.transforms, loaded.ingest.size):
        print(f"note: {remark}", file=sys.stderr)
    presets = [place for place, item in enumerate(loaded.augment.transforms) if isinstance(item, PresetName)]
    lists = {
        place: [transform.model_dump() for transform in expand([loaded.augment.transforms[place]])] for place in presets
    }
    print(params_text(PARAMS_FILE, lists if expanded else {}), end="")


@app.command()
def summary() -> None:
    """Print the last run's metrics, limits and diagnosis."""
    from rich.console import Console

    from pipeline.commands.summary import print_summary
    from pipeline.params import load_params

    print_summary(load_params(), Console(highlight=False))


@app.command()
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
    from pipeline.commands.preview import (
        check_output,
        examples_at,
        examples_of_class,
        preview_sheet,
        with_transforms,
        write_sheet,
    )
    from pipeline.errors import ParamsError
    from pipeline.params import load_params

    chosen, notes = with_transforms(load_params(), transforms, preset)
    check_output(output, chosen, path)
    if path is not None and label is None:
        (examples, remarks), title = examples_at(path, images, chosen, output), f"Preview of {path}"
    elif label is not None and path is None:
        (examples, remarks), title = examples_of_class(label, images, chosen), f"Preview of the class {label}"
    else:
        raise ParamsError("name what to show: either an image or a folder, or a class with --class")
    write_sheet(preview_sheet(examples, copies, each, chosen, title), output)
    for remark in [*notes, *remarks]:
        print(f"note: {remark}", file=sys.stderr)
    print(output)


@app.command()
def compare(
    commits: Annotated[int, typer.Option(min=1, help="How many commits of the current branch are looked at.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
) -> None:
    """Rank the results of all experiments and commits, and say which differences are noise.

    All are measured on dev by evaluate.optimizing of params.yaml as it is now; models that broke a limit when they
    were evaluated stand at the bottom.
    """
    from rich.console import Console

    from pipeline.commands import compare as comparing
    from pipeline.params import load_params

    params = load_params().evaluate
    rows = comparing.comparison(params, commits)
    if as_json:
        print(json.dumps(comparing.as_json(rows, params), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        comparing.print_table(rows, params, Console(highlight=False))


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's safetensors file.")],
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
    from pipeline.commands.pictures import find_files
    from pipeline.commands.predict import answers, read_model
    from pipeline.errors import DataError
    from pipeline.processes.engine import Engine, choose_workers

    trained = read_model(model)
    files = find_files(images, sys.stdin)
    width = min(60, max(len(path) for path, _ in files))
    refused = 0
    for answer in answers(trained, files, top, Engine(choose_workers(workers))):
        refused += answer.refused is not None
        print(json.dumps(answer.as_json(), ensure_ascii=False) if json_lines else answer.as_line(width))
    if refused:
        raise DataError(f"{refused} of {len(files)} files could not be used: the line of each says why")


@app.command("lr-range")
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
    from pipeline.commands.lr_range import find_rate, write_curve
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers

    found = find_rate(load_params(), low, high, steps, Engine(choose_workers(workers)))
    csv, png = write_curve(found, output)
    print(f"train.learning_rate: {found.suggested:.2g}, {found.rule}")
    print(f"{csv}, {png}: the loss at each rate; larger batches, or more regularisation, ask for another test")


@app.command("learning-curve")
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
    images alone. Nothing of the pipeline's own files changes.
    """
    from pipeline.commands import learning_curve as learning
    from pipeline.core.diagnose.learning_curve import in_words
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers

    found = learning.learning_curve(load_params(), sizes, seeds, Engine(choose_workers(workers)))
    csv, png = learning.write_found(found, output)
    for one in found.answers:
        print(in_words(one))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{csv}, {png}: the points and the curves through them")


@app.command("spot-check")
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

    from pipeline.commands.spot_check import check_all, print_table
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers

    loaded = load_params()
    table, images = check_all(loaded, models or [], csv, Engine(choose_workers(workers)))
    print_table(table, loaded, images, Console(highlight=False))


@app.command()
def errors(
    split: Annotated[str, typer.Option(help="dev, train_dev or train.")] = "dev",
    csv: Annotated[Path, typer.Option(metavar="FILE", help="The table to fill in.")] = Path("errors.csv"),
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", help="The pictures, a PNG file; replaced if it is there.")
    ] = Path("errors.png"),
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="A column for one tag, to be crossed; may be repeated."),
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead: rank the tags of a table that was filled in.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --tags: print JSON, with all digits.")] = False,
) -> None:
    """Write the misclassified images as a sheet and a table for tags; then rank the tags by what fixing them gains.

    Fill in the table with any spreadsheet program, save it as CSV, and give it back with --tags.
    """
    from rich.console import Console

    from pipeline.commands import errors as analysis
    from pipeline.params import load_params

    params = load_params()
    if tags is None:
        print(analysis.write_errors(split, csv, sheet, columns or []))
        return
    found = analysis.ranking(split, tags, params.evaluate)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        analysis.print_ranking(found, Console(highlight=False))


@app.command()
def report(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page; replaced if it is there.")] = Path(
        "report/index.html"
    ),
) -> None:
    """Write one page on the last run, the data and all experiments: a file that needs nothing beside it."""
    from pipeline.commands.report import write_report
    from pipeline.params import load_params

    print(write_report(load_params(), output))


@app.command()
def audit(
    manifests: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="Tables: .arrow, .csv, .parquet or .jsonl.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder that the paths of a table start in; the table's own if not given.")
    ] = None,
    near: Annotated[bool, typer.Option(help="Look for re-encoded, resized, brightened and cropped copies.")] = True,
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
    from pipeline.commands.audit import find, outcome, write_json
    from pipeline.core.split.audit import in_words
    from pipeline.processes.engine import Engine, choose_workers

    report = find(manifests, root, near, min_per_class, Engine(choose_workers(workers)))
    if json_file is not None:
        write_json(report, json_file)
    print(json.dumps(report, indent=2, sort_keys=True) if output is Output.JSON else in_words(report))
    outcome(report)


@app.command()
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
    from pipeline.commands.label_queue import label_queue, write_queue
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers

    queue = label_queue(source, load_params(), count, by and by.value, Engine(choose_workers(workers)))
    interface = write_queue(queue, output)
    print(f"{queue.words}: {output}; labelling interface of a new project: {interface}")


@app.command()
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without a person.")] = False,
    workers: Workers = None,
) -> None:
    """Look for what a run would trip over: dead locks, damaged objects and shards, files that DVC cannot read.

    Every object of DVC's cache is hashed, every image of every shard decoded. The command ends with exit
    code 9 if something is wrong and not mended.
    """
    from pipeline.commands.doctor import examine, in_words, outcome
    from pipeline.processes.engine import Engine, choose_workers

    parts = examine(fix, Engine(choose_workers(workers)))
    print(in_words(parts))
    outcome(parts)


def main() -> None:
    """Run the command line; a PipelineError becomes its message and exit code."""
    from pipeline.errors import PipelineError
    from pipeline.processes.libraries import settle

    settle()
    try:
        app()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run(stage: str, workers: int | None, key: str | None = None) -> None:
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers
    from pipeline.runner import run_stage

    print(run_stage(stage, load_params(), Engine(choose_workers(workers)), key))
