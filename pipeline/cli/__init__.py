"""The `pipeline` command: one command per stage, and the tools. Exit codes: see pipeline/errors.py."""

import errno
import os
import sys
from contextlib import suppress

# Commands join in the order of the help.
from pipeline.cli import stages  # isort: split

from pipeline.cli import project  # isort: split

from pipeline.cli import images, models, results
from pipeline.cli.app import app

__all__ = ["app", "images", "main", "models", "project", "results", "stages"]

# Errors of the file or disk to which standard output goes.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
# What the bare install leaves out: the package's name in Python -> the extra that brings it.
EXTRAS = {"torch": "train", "lightning_fabric": "train", "mlxtend": "demo"}


def main() -> None:
    """Run the command line; a PipelineError becomes its message and exit code, as does a disk that takes no output."""
    from pipeline.errors import MissingInputError, PipelineError, StorageError
    from pipeline.names import printable
    from pipeline.workers.libraries import configure

    configure()
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except PipelineError as error:
        _end(printable(f"error: {error}"), error.exit_code)
    except OSError as error:
        if error.errno not in FULL:
            raise
        from pipeline.store.refusals import refusal_words

        # What is left of it would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _end(
            f"error: what is printed cannot be written: {refusal_words(error)}, then run the command again",
            StorageError.exit_code,
        )
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        _end(
            f"error: this command needs {package}, which is not installed: "
            f"run `pip install 'image-data-pipeline[{EXTRAS[package]}]'`",
            MissingInputError.exit_code,
        )


def _end(message: str, code: int) -> None:
    with suppress(OSError):  # on a full disk as well
        print(message, file=sys.stderr)
    sys.exit(code)
