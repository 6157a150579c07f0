"""Commands for params and results."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import app, tell_uncommitted
from pipeline.names import printable

PANEL = "Params and results"


@app.command(rich_help_panel=PANEL)
def params(
    expanded: Annotated[
        bool, typer.Option("--expanded", help="Replace each preset by its list of transforms.")
    ] = False,
) -> None:
    """Check params.yaml, including the transforms, and print it."""
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
    """Print the metrics, limits and diagnosis of the last run."""
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.summary import print_summary

    print_summary(load_params(), Console(highlight=False))
    tell_uncommitted()


@app.command(rich_help_panel=PANEL)
def report(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Write the page to this file; an existing file is replaced.")
    ] = Path("report/index.html"),
    tags: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table of errors with tags to rank; by default errors.csv, if it has tags."
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML page about the last run, the data and all experiments."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.report import write_report

    print(printable(write_report(load_params(), output, tags)))


@app.command(rich_help_panel=PANEL)
def errors(
    split: Annotated[str, typer.Option(help="dev, train_dev or train.")] = "dev",
    csv: Annotated[Path, typer.Option(metavar="FILE", help="Write the table for tags to this file.")] = Path(
        "errors.csv"
    ),
    sheet: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Write the contact sheet to this PNG file; an existing file is replaced."),
    ] = Path("errors.png"),
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="NAME", help="Add a column for one tag, to mark with an x; repeat the option for more."
        ),
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rank the tags of this filled-in table instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --tags: print JSON with all digits.")] = False,
) -> None:
    """Write the misclassified images to a contact sheet and a table for tags; then rank the tags by possible gain.

    Fill in the table with any spreadsheet program, save it as CSV, and pass it to --tags.
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
    commits: Annotated[int, typer.Option(min=1, help="How many commits of the current branch to read.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all digits.")] = False,
) -> None:
    """Rank the results of all experiments and commits, and mark the differences that are noise.

    Every result is measured on dev with the current evaluate.optimizing of params.yaml. Models that broke a limit
    when they were evaluated are at the bottom.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools import compare as comparing

    params = load_params().evaluate
    rows = comparing.comparison(params, commits)
    if as_json:
        print(json.dumps(comparing.as_json(rows, params), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        comparing.print_table(rows, params, Console(highlight=False))
