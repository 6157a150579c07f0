"""One command per stage: its help is the docstring of the stage's package."""

import sys
from typing import Annotated

import typer

from pipeline.cli.app import Machines, Workers, app, tell_uncommitted
from pipeline.stage import NAMES, PER_SOURCE, command_of, describe

PANEL = "Stages"
# Each `dvc repro` runs the first of them; the other one adds to the ledger.
TELLING = ("inventory", "final_evaluation")
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Name of a source in params.yaml.")]


def _run(stage: str, workers: int | None, engine: str | None, key: str | None = None) -> None:
    from pipeline.names import printable
    from pipeline.project.code import check_version
    from pipeline.project.params_file import load_params
    from pipeline.project.runner import run_stage
    from pipeline.tools.checked_transforms import check_transforms_once
    from pipeline.workers.engine import choose_engine

    params = load_params()
    if note := check_version(stage, params):
        print(note, file=sys.stderr)
    if stage == "inventory":
        # Each `dvc repro` begins here: what is wrong with the transforms is said before hours of ingest.
        check_transforms_once(params)
    print(printable(run_stage(stage, params, choose_engine(workers, engine), key)))
    if stage in TELLING:
        tell_uncommitted()


def _add(stage: str) -> None:
    def run_whole(workers: Workers = None, engine: Machines = None) -> None:
        _run(stage, workers, engine)

    def run_source(name: Source, workers: Workers = None, engine: Machines = None) -> None:
        _run(stage, workers, engine, name)

    run = run_source if stage in PER_SOURCE else run_whole
    app.command(command_of(stage), help=describe(stage), rich_help_panel=PANEL)(run)


@app.command(rich_help_panel=PANEL)
def code() -> None:
    """Write the version of each stage's code, so that DVC notices changed code."""
    from pipeline.project.code import write_versions
    from pipeline.project.params_file import load_params

    print(write_versions(load_params()))


for _stage in NAMES:
    _add(_stage)
