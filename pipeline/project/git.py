"""Git in a project's folder, whatever the environment says of another repository."""

import os
import subprocess
from pathlib import Path

from pipeline.errors import MissingInputError

NOT_INSTALLED = "git is not installed, but a project needs it for its params, metrics and history: install git"


def git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """How a command of Git ended in a folder.

    Raises:
        MissingInputError: Git is not installed.
    """
    # A hook of another repository sets these.
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise MissingInputError(NOT_INSTALLED) from error
