"""What tests of `pipeline init` share: the command's type, two sources, and what lies in a project."""

from collections.abc import Callable
from pathlib import Path

from pipeline.project.params_file import Params, load_params
from tests.running import Ended

Init = Callable[..., Ended]


BOTH = ("--raw", "web", "--production", "phone")


def params_of(folder: Path) -> Params:
    return load_params(folder / "params.yaml")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
