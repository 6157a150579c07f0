"""The typer application, and an option that many commands share."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From images to a diagnosis: one command per stage, plus tools to inspect images, models and results.",
)

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Worker processes; by default one per usable core. Changes no result.", envvar="PIPELINE_WORKERS"
    ),
]


def tell_uncommitted() -> None:
    """Warn about test evaluations that are in the ledger but not committed to Git, where they are easily lost."""
    from pathlib import Path

    from pipeline import catalogue
    from pipeline.store.ledger import uncommitted

    if told := uncommitted(Path(catalogue.LEDGER.path)):
        print(f"note: {told}", file=sys.stderr)
