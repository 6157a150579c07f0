"""The guides of docs/ for those who have the package without its repository: their names, titles and texts."""

import difflib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipeline.errors import MissingInputError, ParamsError, listing

DISTRIBUTION = "image-data-pipeline"
# Where pyproject.toml has an installation put them, below the environment's folder.
INSTALLED = "share/image-data-pipeline/docs"


def guides() -> dict[str, Path]:
    """The file of each guide, by name: those of the repository that this package lies in, or the installed ones.

    Raises:
        MissingInputError: there are none, because somebody copied the package by hand.
    """
    here = Path(__file__).parents[2] / "docs"
    found = [*here.glob("*.md")] if (here / "generate.py").exists() else _installed()
    if not found:
        raise MissingInputError(
            f"the guides are missing: they are installed with the package. Run `pip install {DISTRIBUTION}` again"
        )
    return {path.stem: path for path in sorted(found)}


def titles(found: Mapping[str, Path]) -> dict[str, str]:
    """The first line of each guide, without its mark."""
    return {name: path.read_text("utf-8").partition("\n")[0].removeprefix("# ") for name, path in found.items()}


def guide_text(found: Mapping[str, Path], name: str) -> str:
    """A guide as Markdown.

    Args:
        name: as `guides` gives it, or as messages and params.yaml write it: docs/ingest.md.

    Raises:
        ParamsError: there is none of this name.
    """
    plain = name.removeprefix("docs/").partition("#")[0].removesuffix(".md").replace("-", "_")
    if plain not in found:
        near = difflib.get_close_matches(plain, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {listing(found, len(found))}"
        raise ParamsError(f"guide {name}: there is none of this name; {hint}")
    return found[plain].read_text("utf-8")


def _installed() -> list[Path]:
    try:
        files = distribution(DISTRIBUTION).files or []
    except PackageNotFoundError:
        return []
    listed = [
        Path(str(file.locate())) for file in files if file.as_posix().endswith(".md") and INSTALLED in file.as_posix()
    ]
    return [path for path in listed if path.exists()]
