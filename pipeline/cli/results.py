"""Commands on params and on results of runs."""

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
    output: Annotated[Path, typer.Option(metavar="FILE", help="File to write. An existing file is replaced.")] = Path(
        "report/index.html"
    ),
    tags: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of errors with your tags, to rank them on the page; by default errors.csv, if it has tags.",
        ),
    ] = None,
) -> None:
    """Write one HTML page about the last run, the data and all experiments; it needs no other file."""
    from pipeline.project.params_file import load_params
    from pipeline.tools.report.report import write_report

    print(printable(write_report(load_params(), output, tags)))


@app.command("map", rich_help_panel=PANEL)
def draw_map(
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="PNG file to write. The points are written next to it, as .csv. Existing files are replaced.",
        ),
    ] = Path("map.png"),
    workers: Workers = None,
) -> None:
    """Draw a map of the data: similar images lie close together, coloured by class, split, source and errors.

    Similarity is that of the embeddings, or of small pictures if embed.backbone is null. Labels and predictions of test
    are not shown.
    """
    from pipeline.tools.map.map import write_map
    from pipeline.workers.engine import choose_engine

    print(printable(write_map(output, choose_engine(workers))))


@app.command(rich_help_panel=PANEL)
def errors(
    split: Annotated[str, typer.Option(help="Split to take the images from: dev, train_dev or train.")] = "dev",
    csv: Annotated[Path, typer.Option(metavar="FILE", help="Table to write, for you to fill in.")] = Path("errors.csv"),
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", help="PNG file to write, with the pictures. An existing file is replaced.")
    ] = Path("errors.png"),
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME", help="Add a column for this tag, for you to mark; may be repeated."),
    ] = None,
    tags: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rank the tags in this table that you filled in, and write nothing."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --tags: print JSON, with all digits.")] = False,
) -> None:
    """List the misclassified images for you to tag, then rank your tags by what fixing them would gain.

    The command writes a contact sheet and a table. Tag the images in the table with any spreadsheet program, save it as
    CSV, and run the command again with --tags.
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
    foreign: Annotated[
        bool, typer.Option("--all", help="Also list results on other data, which share no dev image with yours.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
) -> None:
    """Rank the models of all experiments and commits on dev, and tell real differences from noise.

    The metric is evaluate.optimizing of the current params.yaml. Models that broke a limit are listed last. The
    comparison accounts for the number of models: if all are equally good, at most 5 % of such tables call one worse.
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
        typer.Option("--beyond-noise", help="With --against: fail only if the difference is larger than chance."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
) -> None:
    """Fail with exit code 11 if the model broke a limit, or is worse than that of another revision; for CI.

    A point is 0.01 of evaluate.optimizing. The models are compared on the dev images that both were evaluated on. Test
    is not read.
    """
    from pipeline.errors import GateError, ParamsError
    from pipeline.project.params_file import load_params
    from pipeline.tools import gate as gates

    if against is None and (tolerance or beyond_noise):
        raise ParamsError("--tolerance and --beyond-noise need a comparison: add --against REVISION")
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
        str | None, typer.Argument(metavar="[REV2]", help="Another one; by default, the current folder.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file to write, with one row per changed image.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")] = False,
    workers: Workers = None,
) -> None:
    """List images that were added, removed or changed between two revisions, and the effect of a changed dev set.

    A change is another label, split or group. The earlier model is measured on both dev sets, so that you see how much
    of the metric's change comes from the model.
    """
    from rich.console import Console

    from pipeline.project.params_file import load_params
    from pipeline.store.writing import check_writable
    from pipeline.tools.diff import diff as differences
    from pipeline.workers.engine import choose_engine

    params = load_params()
    check_writable(*([csv] if csv else []))
    found = differences.diff(before, after, params.evaluate, params.train.threads, choose_engine(workers))
    if csv is not None:
        differences.write_table(found, csv)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        differences.print_diff(found, Console(highlight=False))


@app.command(rich_help_panel=PANEL)
def review(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[labels|copies|errors|outliers|queue]",
            help="labels: images whose label may be wrong. copies: pairs of near-duplicates and scenes, "
            "whether both show the same. "
            "errors: misclassified images of dev, mixed with as many correct ones. outliers: images unlike the others "
            "of their class. queue: production images without a label.",
        ),
    ] = "labels",
    who: Annotated[
        str | None, typer.Option(help="Your name in the files of decisions; by default, your account's name.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 chooses a free one.")] = 0,
) -> None:
    """Review labels, and pairs of similar images, on a local page in your browser."""
    from pipeline.errors import ParamsError
    from pipeline.project.params_file import load_params
    from pipeline.tools.review.items import KINDS

    if kind not in KINDS:
        raise ParamsError(f"there is nothing to review called {kind!r}: name one of {', '.join(KINDS)}")
    try:
        from pipeline.tools.review.review import serve
    except ImportError as error:
        raise ParamsError("the page needs the extra: pip install 'image-data-pipeline[review]'") from error
    serve(kind, who, port, load_params().split.seed, lambda line: print(printable(line), flush=True))
