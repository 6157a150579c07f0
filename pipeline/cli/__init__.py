"""The `pipeline` command: a subcommand a stage, and those beside. Exit codes: see pipeline/errors.py."""

import sys

# Commands join in the order of the help.
from pipeline.cli import stages  # isort: split

from pipeline.cli import project  # isort: split

from pipeline.cli import images, models, results
from pipeline.cli.app import app

__all__ = ["app", "images", "main", "models", "project", "results", "stages"]


def main() -> None:
    """Run the command line; a PipelineError becomes its message and exit code."""
    from pipeline.errors import PipelineError
    from pipeline.names import printable
    from pipeline.workers.libraries import configure

    configure()
    try:
        app()
    except PipelineError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
