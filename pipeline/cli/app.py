"""The application that commands join, and an option that many of them have."""

import sys
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From images to a diagnosis: a command a stage, and what looks at images, models and results.",
)

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes; as many as usable cores if not given. Changes no result.", envvar="PIPELINE_WORKERS"
    ),
]


def tell_uncommitted() -> None:
    """Say which looks at test only the workspace knows of, where they are easily lost."""
    from pathlib import Path

    from pipeline import catalogue
    from pipeline.store.ledger import uncommitted

    if told := uncommitted(Path(catalogue.LEDGER.path)):
        print(f"note: {told}", file=sys.stderr)
