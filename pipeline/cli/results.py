"""Commands on params and on what runs brought."""

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
        bool, typer.Option("--expanded", help="Replace each preset of transforms by its list.")
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
    """Print the last run's metrics, limits and diagnosis."""
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.tools.summary import print_summary

    print_summary(load_params(), Console(highlight=False))
    tell_uncommitted()


@app.command(rich_help_panel=PANEL)
def report(
    output: Annotated[Path, typer.Option(metavar="FILE", help="File to write; an existing one is replaced.")] = Path(
        "report/index.html"
    ),
    tags: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of errors with tags to rank; default: errors.csv, if it has tags."),
    ] = None,
) -> None:
    """Write a page on the last run, the data and all experiments, in one self-contained file."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.report import write_report

    print(printable(write_report(load_params(), output, tags)))


@app.command(rich_help_panel=PANEL)
def errors(
    split: Annotated[str, typer.Option(help="Split whose errors to show: dev, train_dev or train.")] = "dev",
    csv: Annotated[
        Path, typer.Option(metavar="FILE", help="Table to write, in which you then fill in the tags.")
    ] = Path("errors.csv"),
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", help="PNG file for the images; an existing one is replaced.")
    ] = Path("errors.png"),
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="Add a column for one tag, to mark with an x; may be repeated."),
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rank the tags in this filled-in table instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --tags: print JSON with all digits.")] = False,
) -> None:
    """Show the misclassified images, let you tag them in a table, and rank the tags by what fixing them could gain.

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
    commits: Annotated[int, typer.Option(min=1, help="Number of commits of the current branch to include.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all digits.")] = False,
) -> None:
    """Rank the results of all experiments and commits, and report which differences are noise.

    All are evaluated on dev with evaluate.optimizing as it is in params.yaml now. Models that broke a limit in their
    own run are at the bottom.
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
