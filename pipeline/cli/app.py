"""The application to which commands are added, and an option that many of them share."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One command per stage, from images to a diagnosis, and tools to inspect images, models and results.",
)

Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of processes; by default, one per usable core. It changes no result.",
        envvar="PIPELINE_WORKERS",
    ),
]

Machines = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="Where the work runs: processes (here), ray, or ray://HOST:PORT (a cluster). It changes no result.",
        envvar="PIPELINE_ENGINE",
        show_default="processes",
    ),
]


def tell_uncommitted() -> None:
    """Print the test evaluations that are not committed yet, and so are easily lost."""
    from pathlib import Path

    from pipeline import catalogue
    from pipeline.store.ledger import uncommitted

    if told := uncommitted(Path(catalogue.LEDGER.path)):
        print(f"note: {told}", file=sys.stderr)
