"""Commands on params and on what runs brought."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import Workers, app, tell_uncommitted
from pipeline.names import printable

PANEL = "Params and results"


@app.command(rich_help_panel=PANEL)
def params(
    expanded: Annotated[
        bool, typer.Option("--expanded", help="Show what each preset of transforms stands for.")
    ] = False,
) -> None:
    """Check params.yaml, the transforms too, and print it."""
    from pipeline.project.params_file import PARAMS_FILE, load_params
    from pipeline.project.params_text import params_text
    from pipeline.transforms.params import PresetName, expand
    from pipeline.transforms.transforms import check_transforms

    loaded = load_params()
    for remark in check_transforms(loaded.augment.transforms, loaded.ingest.size):
        print(printable(f"note: {remark}"), file=sys.stderr)
    presets = [place for place, item in enumerate(loaded.augment.transforms) if isinstance(item, PresetName)]
    lists = {
        place: [transform.model_dump() for transform in expand([loaded.augment.transforms[place]])] for place in presets
    }
    print(params_text(PARAMS_FILE, lists if expanded else {}), end="")


@app.command(rich_help_panel=PANEL)
def summary() -> None:
    """Print the last run's metrics, limits and diagnosis."""
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.summary import print_summary

    print_summary(load_params(), Console(highlight=False))
    tell_uncommitted()


@app.command(rich_help_panel=PANEL)
def report(
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page; replaced if it is there.")] = Path(
        "report/index.html"
    ),
    tags: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table of errors with tags, to be ranked; else errors.csv, if it has some."
        ),
    ] = None,
) -> None:
    """Write one page on the last run, the data and all experiments: a file that needs nothing beside it."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.report import write_report

    print(printable(write_report(load_params(), output, tags)))


@app.command("map", rich_help_panel=PANEL)
def draw_map(
    output: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The picture, .png, and beside it the points as .csv; replaced if there."),
    ] = Path("map.png"),
    workers: Workers = None,
) -> None:
    """Draw a map of the data: images that look alike lie near each other, coloured by class, split, source and errors.

    By embeddings, or by small pictures where embed.backbone is null. Labels and predictions of test are not shown.
    """
    from pipeline.tools.map.map import write_map
    from pipeline.workers.engine import Engine, choose_workers

    print(printable(write_map(output, Engine(choose_workers(workers)))))


@app.command(rich_help_panel=PANEL)
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

    from pipeline.project.params_file import load_params
    from pipeline.tools import errors as analysis

    params = load_params()
    if tags is None:
        print(printable(analysis.write_errors(split, csv, sheet, columns or [])))
        return
    found = analysis.ranking(split, tags, params.evaluate)
    for note in found.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        analysis.print_ranking(found, Console(highlight=False))


@app.command(rich_help_panel=PANEL)
def compare(
    commits: Annotated[int, typer.Option(min=1, help="How many commits of the current branch are looked at.")] = 20,
    foreign: Annotated[
        bool, typer.Option("--all", help="List results on other data too, which share no dev image with yours.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
) -> None:
    """Rank the results of all experiments and commits, and say which differences are noise.

    All are measured on dev by evaluate.optimizing of params.yaml as it is now; models that broke a limit when they
    were evaluated stand at the bottom. They are judged together: equal models are called worse in at most 5 % of
    tables, however many there are.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools import compare as comparing

    params = load_params().evaluate
    rows = comparing.comparison(params, commits, foreign)
    if as_json:
        print(json.dumps(comparing.as_json(rows, params), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        comparing.print_table(rows, params, Console(highlight=False))


@app.command(rich_help_panel=PANEL)
def gate(
    against: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="A commit, branch, tag or experiment to compare the model with."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="With --against: how many points worse the model may be.")
    ] = 0.0,
    beyond_noise: Annotated[
        bool,
        typer.Option("--beyond-noise", help="With --against: ignore a difference that may be chance."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
) -> None:
    """End with exit code 11 if the last run's model broke a limit, or is worse than that of a revision: for CI.

    A point is a hundredth of evaluate.optimizing. Both models are measured on the dev images that both were evaluated
    on. Test is not read.
    """
    from pipeline.errors import GateError, ParamsError
    from pipeline.project.params_file import load_params
    from pipeline.tools import gate as gates

    if against is None and (tolerance or beyond_noise):
        raise ParamsError("--tolerance and --beyond-noise are of a comparison: say with what, --against REVISION")
    found = gates.gate(load_params().evaluate, against, tolerance, beyond_noise)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for line in gates.lines(found):
            print(printable(line))
    tell_uncommitted()
    if found.broken:
        raise GateError("; ".join(found.broken))


@app.command(rich_help_panel=PANEL)
def diff(
    before: Annotated[str, typer.Argument(metavar="REV1", help="A commit, branch, tag or experiment.")],
    after: Annotated[
        str | None, typer.Argument(metavar="[REV2]", help="Another one; the current folder if not given.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a table with a row for each image that changed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
    workers: Workers = None,
) -> None:
    """List which images came, went, or changed label, split or group, and what other dev images do to the metric.

    The earlier model is measured on both dev sets, so that you see how much of the metric's change is the model's.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools.diff import diff as differences
    from pipeline.workers.engine import Engine, choose_workers

    params = load_params()
    check_writable(*([csv] if csv else []))
    found = differences.diff(before, after, params.evaluate, params.train.threads, Engine(choose_workers(workers)))
    if csv is not None:
        differences.write_table(found, csv)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        differences.print_diff(found, Console(highlight=False))
