"""Writes the files of this repository that are derived from others: `make generated`."""

import ast
from collections.abc import Iterator
from pathlib import Path

from docs.reference import reference
from pipeline.project.dvc_files import render
from pipeline.project.files import COPIED, PARAMS

REPOSITORY = Path(__file__).parent.parent
BEGIN, END = (
    "<!-- The map is written by `make generated`, from the first line of each module. -->\n",
    "<!-- End of the map. -->\n",
)
# What `pipeline init` writes elsewhere as it stands here. The README, .gitignore and .gitattributes are this one's own.
OF_INIT = (PARAMS, ".dvc/.gitignore", ".dvc/config", ".dvc/plots/matching.json", ".dvcignore", "feedback/README.md")
# Where what a module is begins in a line of the map.
COLUMN = 34


def generated() -> dict[str, str]:
    """Path -> text of every derived file."""
    page = (REPOSITORY / "docs/code.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    tree = "".join(f"{line}\n" for line in ["pipeline/", *code_map(REPOSITORY / "pipeline")])
    names = {**COPIED, PARAMS: PARAMS}
    copies = {f"pipeline/project/template/{names[path]}": REPOSITORY / path for path in OF_INIT}
    return {
        **render(demonstration=True),
        **{path: file.read_text(encoding="utf-8") for path, file in copies.items()},
        "docs/code.md": f"{before}{BEGIN}```\n{tree}```\n{END}{after}",
        "docs/reference.md": reference(REPOSITORY / "params.yaml"),
    }


def code_map(folder: Path, bars: str = "") -> Iterator[str]:
    """A line for each module and package in a folder: its name, and the first line of its docstring."""
    entries = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    entries = sorted(
        (path for path in entries if path.name != "__init__.py"), key=lambda path: (path.is_dir(), path.name)
    )
    for number, path in enumerate(entries):
        last = number == len(entries) - 1
        name = f"{bars}{'└' if last else '├'}── {path.name}{'/' if path.is_dir() else ''}"
        yield f"{name.ljust(COLUMN)} {_what_it_is(path / '__init__.py' if path.is_dir() else path)}".rstrip()
        if path.is_dir():
            yield from code_map(path, f"{bars}{' ' if last else '│'}   ")


def _what_it_is(file: Path) -> str:
    words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return words.split("\n\n")[0].replace("\n", " ").removesuffix(".")


if __name__ == "__main__":
    for path, text in generated().items():
        (REPOSITORY / path).write_text(text, encoding="utf-8")
