"""The stages, a command each."""

from typing import Annotated

import typer

from pipeline.cli.app import Workers, app, tell_uncommitted

PANEL = "Stages"
# Each `dvc repro` runs the first of them; the other one makes looks.
TELLING = ("inventory", "test")


@app.command(rich_help_panel=PANEL)
def sample(workers: Workers = None) -> None:
    """Write the demonstration images to data/sample."""
    _run("sample", workers)


@app.command(rich_help_panel=PANEL)
def inventory(workers: Workers = None) -> None:
    """List the files of all sources, so that DVC need not look into their folders."""
    from pipeline.commands.checking import check_once
    from pipeline.params import load_params

    # Each `dvc repro` begins here.
    check_once(load_params())
    _run("inventory", workers)


@app.command(rich_help_panel=PANEL)
def ingest(
    name: Annotated[str, typer.Argument(metavar="SOURCE", help="A name under `sources` in params.yaml.")],
    workers: Workers = None,
) -> None:
    """Read one source: verify, orient, resize and hash its images."""
    _run("ingest", workers, name)


@app.command(rich_help_panel=PANEL)
def curate(workers: Workers = None) -> None:
    """Join the sources; remove exact duplicates, settle conflicting labels."""
    _run("curate", workers)


@app.command(rich_help_panel=PANEL)
def split(workers: Workers = None) -> None:
    """Assign images to train, train_dev, dev and test."""
    _run("split", workers)


@app.command(rich_help_panel=PANEL)
def balance(workers: Workers = None) -> None:
    """Over- or undersample the rows of train."""
    _run("balance", workers)


@app.command(rich_help_panel=PANEL)
def augment(workers: Workers = None) -> None:
    """Generate variants of the training images."""
    _run("augment", workers)


@app.command(rich_help_panel=PANEL)
def look(workers: Workers = None) -> None:
    """Show what training sees: sheets of images beside their variants, and of a batch."""
    _run("look", workers)


@app.command(rich_help_panel=PANEL)
def train(workers: Workers = None) -> None:
    """Fit the model."""
    _run("train", workers)


@app.command(rich_help_panel=PANEL)
def evaluate(workers: Workers = None) -> None:
    """Measure the model on train, train_dev and dev."""
    _run("evaluate", workers)


@app.command(rich_help_panel=PANEL)
def suspects(workers: Workers = None) -> None:
    """List the images whose labels may be wrong."""
    _run("suspects", workers)


@app.command(rich_help_panel=PANEL)
def diagnose(workers: Workers = None) -> None:
    """Say what holds the model back, and what to try next."""
    _run("diagnose", workers)


@app.command(rich_help_panel=PANEL)
def test(workers: Workers = None) -> None:
    """Measure the model on test: the last look, not a way to choose."""
    _run("test", workers)


@app.command(rich_help_panel=PANEL)
def conclude(workers: Workers = None) -> None:
    """Say what holds the model back once more, with test, after the look at it."""
    _run("conclude", workers)


def _run(stage: str, workers: int | None, key: str | None = None) -> None:
    from pipeline.params import load_params
    from pipeline.processes.engine import Engine, choose_workers
    from pipeline.runner import run_stage

    print(run_stage(stage, load_params(), Engine(choose_workers(workers)), key))
    if stage in TELLING:
        tell_uncommitted()
